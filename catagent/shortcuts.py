"""`catagent.solve` and its kin: one `CaT` with the defaults, made when it is first needed."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Sequence
from typing import Any

from catagent.cat import CaT, Completion, Prompt
from catagent.events import Event
from catagent.messages import Solution

__all__ = ["score", "score_sync", "solve", "solve_sync", "stream"]


@functools.cache
def _default() -> CaT:
    return CaT()


async def solve(prompt: Prompt, **options: Any) -> Solution:
    """`CaT().solve`, with the configuration in force when it is first called."""
    return await _default().solve(prompt, **options)


async def score(prompt: Prompt, completions: Sequence[Completion], **options: Any) -> Solution:
    """`CaT().score`."""
    return await _default().score(prompt, completions, **options)


def stream(prompt: Prompt, **options: Any) -> AsyncIterator[Event]:
    """`CaT().stream`."""
    return _default().stream(prompt, **options)


def solve_sync(prompt: Prompt, **options: Any) -> Solution:
    """`CaT().solve_sync`."""
    return _default().solve_sync(prompt, **options)


def score_sync(prompt: Prompt, completions: Sequence[Completion], **options: Any) -> Solution:
    """`CaT().score_sync`."""
    return _default().score_sync(prompt, completions, **options)
