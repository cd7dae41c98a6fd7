"""What a step says about itself: numbers of one group, and their means over a batch.

`None` is left out of a mean, never counted as 0; a figure that no group has is not logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, pvariance

from catagent.messages import RolloutGroup, Solution

__all__ = ["batch_figures", "group_figures"]


def group_figures(
    group: RolloutGroup,
    solution: Solution | None,
    values: Sequence[float | None],
    right: Sequence[bool | None] | None,
    reference_right: bool | None,
) -> dict[str, float | None]:
    """The figures of one group. `right` says of each rollout whether it has the label's answer."""
    known = [v for v in values if v is not None]
    reference = solution.reference if solution else None
    alive = group.survivors
    stated = [str(r.answer) if r.answer else r.text or "" for r in alive]
    figures: dict[str, float | None] = {
        "zero_variance": float(max(known) - min(known) < 1e-9) if len(known) > 1 else None,
        "unknown_rewards": 1 - len(known) / len(values) if values else None,
        "reward_mean": fmean(known) if known else None,
        "distinct_answers": len(set(stated)) / len(stated) if stated else None,
        "answered": fmean(float(r.answer is not None) for r in alive)
        if alive and group.kind != "open"
        else None,
    }
    if reference is not None:
        figures["agreement"] = reference.agreement
        figures["differs_from_majority"] = _number(reference.differs_from_majority)
        figures["reference_fallback"] = float(reference.fallback is not None)
        figures["reference_characters"] = float(len(reference.text))
        figures["synthesis_rounds"] = float(reference.rounds) if reference.rounds else None
    if solution and solution.rubric:
        figures.update(_rubric_figures(solution))
    if right is not None:
        figures.update(_label_figures(values, right, reference_right))
        if reference is not None and reference.differs_from_majority:
            figures["right_when_it_differs"] = _number(reference_right)
    return figures


def _rubric_figures(solution: Solution) -> dict[str, float | None]:
    assert solution.rubric is not None
    verdicts: dict[str, list[float]] = {c.id: [] for c in solution.rubric.criteria}
    unscored = total = 0
    for judgement in solution.judgements:
        for verdict in judgement.verdicts:
            total += 1
            if verdict.state == "unscored":
                unscored += 1
            else:
                verdicts.setdefault(verdict.criterion_id, []).append(float(verdict.state == "met"))
    spread = [pvariance(v) for v in verdicts.values() if v]
    return {
        "rubric_criteria": float(len(solution.rubric.criteria)),
        "criterion_variance": fmean(spread) if spread else None,
        "separating_criteria": fmean(float(s > 0) for s in spread) if spread else None,
        "unscored_verdicts": unscored / total if total else None,
    }


def _label_figures(
    values: Sequence[float | None], right: Sequence[bool | None], reference_right: bool | None
) -> dict[str, float | None]:
    known = [r for r in right if r is not None]
    agreed = [
        float((v > 0.5) == r) for v, r in zip(values, right, strict=True) if v is not None and r is not None
    ]
    return {
        "pass_at_1": fmean(map(float, known)) if known else None,
        "pass_at_g": float(any(known)) if known else None,
        "label_accuracy": _number(reference_right),
        "reward_accuracy": fmean(agreed) if agreed else None,
    }


def _number(known: bool | None) -> float | None:
    return None if known is None else float(known)


def batch_figures(groups: Sequence[Mapping[str, float | None]]) -> dict[str, float]:
    """The mean of each figure over the groups that have it."""
    names = sorted({name for figures in groups for name in figures})
    columns = {name: [v for f in groups if (v := f.get(name)) is not None] for name in names}
    return {name: fmean(column) for name, column in columns.items() if column}
