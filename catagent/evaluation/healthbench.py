"""HealthBench's own scoring, for evaluation only (openai/simple-evals).

A response's score is the points of the criteria it meets over the positive points there are; it can be
negative. The score of a set is the mean, clipped to 0…1. The data carries a canary: never train on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from catagent.messages import Criterion, Rubric, VerdictState
from catagent.rewards.rubric import weighted_share

__all__ = ["conversation", "healthbench_mean", "healthbench_rubric", "healthbench_score"]


def healthbench_rubric(rubrics: Iterable[Mapping[str, Any]]) -> Rubric:
    """The rubric of a row, points as weights."""
    return Rubric.of(rubrics)


def healthbench_score(criteria: Sequence[Criterion], states: Mapping[str, VerdictState]) -> float | None:
    """The score of one response; `None` when no criterion of positive weight is scored.

    Criteria without a verdict are left out above and below the line: the authors' grader has none.
    """
    scored = [c for c in criteria if states.get(c.id, "unscored") != "unscored"]
    return weighted_share(scored, states) if any(c.weight > 0 for c in scored) else None


def healthbench_mean(scores: Iterable[float | None]) -> float | None:
    """The score of a set: the mean of what is known, clipped to 0…1."""
    known = [s for s in scores if s is not None]
    return min(1.0, max(0.0, sum(known) / len(known))) if known else None


def conversation(messages: Sequence[Mapping[str, Any]]) -> str:
    """The conversation as the grader sees it."""
    return "\n\n".join(f"{m.get('role')}: {m.get('content')}" for m in messages)
