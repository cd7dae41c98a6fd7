"""Measuring: benchmarks with every method on the same rollouts, and how far a judge can be trusted.

from catagent.evaluation import evaluate

found = await evaluate("gsm8k", model="openai/gpt-5-mini", methods="majority,synthesis", limit=200, out="run")
found.write(found.folder)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catagent.evaluation.api import Progress, evaluate
    from catagent.evaluation.benchmarks import Benchmark, load_benchmark
    from catagent.evaluation.compare import compared, read_evaluation
    from catagent.evaluation.result import Evaluation

__all__ = [
    "Benchmark",
    "Evaluation",
    "Progress",
    "compared",
    "evaluate",
    "load_benchmark",
    "read_evaluation",
]

_HOMES = {
    "Benchmark": "benchmarks",
    "Evaluation": "result",
    "Progress": "api",
    "compared": "compare",
    "evaluate": "api",
    "load_benchmark": "benchmarks",
    "read_evaluation": "compare",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
