"""A policy for evaluations: it adds two numbers and is right on a known share of its rollouts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

from tests.cast import SYNTHESIS
from tests.doubles import prompt_of

__all__ = ["adder", "noise", "sums"]

_SUM = re.compile(r"What is (\d+) \+ (\d+)\?")


def sums(count: int) -> list[dict[str, Any]]:
    """Questions with their gold answers."""
    return [
        {"id": f"q{i}", "question": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(1, count + 1)
    ]


def adder(
    right: Callable[[int, int], bool] = lambda question, rollout: True,
    synthesis: Callable[[str], str] | None = None,
) -> Callable[[dict[str, Any], int], str]:
    """`right(question, rollout)` says which rollouts are right; wrong ones say 1000 or 1001 in turn.

    The synthesis repeats the first answer it is shown, by default.
    """
    turns: dict[str, int] = {}

    def reply(body: dict[str, Any], index: int) -> str:
        prompt = prompt_of(body)
        if SYNTHESIS in prompt:
            if synthesis is not None:
                return synthesis(prompt)
            shown = re.findall(r"\\boxed\{(\d+)\}", prompt)
            return f"# UNIFIED RESPONSE\nSo \\boxed{{{shown[0] if shown else 0}}}."
        found = _SUM.search(prompt)
        assert found, prompt
        number = int(found[1])
        turn = turns.get(prompt, 0)
        turns[prompt] = turn + 1
        return f"\\boxed{{{2 * number if right(number, turn) else 1000 + turn % 2}}}"

    return reply


def noise(*parts: object) -> float:
    """A number in 0…1 that is the same for the same parts."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:4], "big") / 2**32
