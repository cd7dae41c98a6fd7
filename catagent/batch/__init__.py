"""Jobs of many rows: JSONL in, JSONL out, any crash, any rate limit, nothing lost and nothing paid twice.

    import catagent as cat

    report = await cat.batch("in.jsonl", "out.jsonl", model="openai/gpt-5-mini", n=8)
    for line in await cat.batch(["What is 2 + 2?", "What is 3 + 3?"]):
        print(line["answer"], line["rewards"])

The module itself is the function `catagent.batch`; see `catagent.batch.api.batch` for what it takes.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catagent.batch.api import batch
    from catagent.batch.job import Job
    from catagent.batch.options import JobOptions
    from catagent.batch.progress import Report

__all__ = ["Job", "JobOptions", "Report", "batch"]

_HOMES = {"Job": "job", "JobOptions": "options", "Report": "progress", "batch": "api"}


class _Callable(types.ModuleType):
    """So that `catagent.batch(…)` works beside `import catagent.batch`."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from catagent.batch.api import batch

        return batch(*arguments, **options)


def __getattr__(name: str) -> Any:
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


sys.modules[__name__].__class__ = _Callable
