"""Compute as Teacher: turn parallel rollouts into a reference, and the reference into rewards.

    import catagent as cat

    solution = await cat.solve("What is the sum of the first 100 odd numbers?")
    print(solution.answer, [r.value for r in solution.rewards])

Names are loaded when they are first used, so that importing this package costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from catagent import answers, errors, events, messages
    from catagent.batch.api import batch
    from catagent.cat import CaT
    from catagent.errors import (
        AccountError,
        BudgetError,
        CatError,
        ConfigError,
        EstimationError,
        FetchError,
        JournalError,
        ModelError,
        PromptError,
        QuorumError,
        RubricError,
    )
    from catagent.messages import (
        Answer,
        Criterion,
        Judgement,
        Reference,
        Reward,
        Rollout,
        RolloutGroup,
        Rubric,
        Solution,
        Task,
        Usage,
        Verdict,
    )
    from catagent.models.ledger import Budget
    from catagent.shortcuts import score, score_sync, solve, solve_sync, stream

__version__ = "0.1.0"

__all__ = [
    "AccountError",
    "Answer",
    "Budget",
    "BudgetError",
    "CaT",
    "CatError",
    "ConfigError",
    "Criterion",
    "EstimationError",
    "FetchError",
    "JournalError",
    "Judgement",
    "ModelError",
    "PromptError",
    "QuorumError",
    "Reference",
    "Reward",
    "Rollout",
    "RolloutGroup",
    "Rubric",
    "RubricError",
    "Solution",
    "Task",
    "Usage",
    "Verdict",
    "answers",
    "batch",
    "errors",
    "events",
    "messages",
    "score",
    "score_sync",
    "solve",
    "solve_sync",
    "stream",
]

_MODULES = {"answers", "batch", "errors", "events", "messages"}
_HOMES = {
    "CaT": "catagent.cat",
    "Budget": "catagent.models.ledger",
    **dict.fromkeys(("score", "score_sync", "solve", "solve_sync", "stream"), "catagent.shortcuts"),
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"catagent.{name}")
    if name not in __all__:
        raise AttributeError(f"module 'catagent' has no attribute {name!r}")
    home = _HOMES.get(name) or ("catagent.errors" if name.endswith("Error") else "catagent.messages")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
