"""Agreement between a judge and people, with intervals that know which items belong together.

Everything is computed from counts, so a bootstrap resample is a sum. A statistic that is not defined is
`None`, never 0.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

__all__ = ["Counts", "Estimate", "accuracy", "bootstrapped", "kappa", "macro_f1", "total", "unscored_share"]


class Counts(NamedTuple):
    """Verdicts against labels: `met_right` is met where people say met, `met_wrong` where they say unmet."""

    met_right: int = 0
    met_wrong: int = 0
    unmet_right: int = 0
    unmet_wrong: int = 0
    unscored: int = 0

    @property
    def scored(self) -> int:
        """Items with a verdict."""
        return self.met_right + self.met_wrong + self.unmet_right + self.unmet_wrong


class Estimate(NamedTuple):
    """A statistic with its interval; `None` where it is not defined."""

    value: float | None
    low: float | None = None
    high: float | None = None


Statistic: TypeAlias = Callable[[Counts], float | None]


def total(counts: Sequence[Counts]) -> Counts:
    """The sum."""
    return Counts(*(sum(column) for column in zip(*counts, strict=True))) if counts else Counts()


def accuracy(c: Counts) -> float | None:
    """Share of the scored items on which the judge agrees with people."""
    return (c.met_right + c.unmet_right) / c.scored if c.scored else None


def macro_f1(c: Counts) -> float | None:
    """The mean of F1 for `met` and for `unmet` over scored items; a class that nobody names has none."""
    scores = [
        2 * right / (2 * right + wrong + missed)
        for right, wrong, missed in (
            (c.met_right, c.met_wrong, c.unmet_wrong),
            (c.unmet_right, c.unmet_wrong, c.met_wrong),
        )
        if right + wrong + missed
    ]
    return sum(scores) / len(scores) if scores else None


def kappa(c: Counts) -> float | None:
    """Cohen's kappa over scored items: agreement beyond what the two would reach by their rates alone."""
    n = c.scored
    if not n:
        return None
    observed = (c.met_right + c.unmet_right) / n
    judge_met, people_met = (c.met_right + c.met_wrong) / n, (c.met_right + c.unmet_wrong) / n
    expected = judge_met * people_met + (1 - judge_met) * (1 - people_met)
    return (observed - expected) / (1 - expected) if expected < 1 else None


def unscored_share(c: Counts) -> float | None:
    """Share of all items without a verdict."""
    return c.unscored / (c.scored + c.unscored) if c.scored + c.unscored else None


def bootstrapped(
    clusters: Sequence[Counts],
    statistic: Statistic,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> Estimate:
    """The statistic with a percentile interval from resampled clusters.

    Items of one response or question vary together, so clusters are drawn and not items. There is no
    interval for fewer than two clusters, or when the statistic is undefined in more than half of the
    resamples.
    """
    value = statistic(total(clusters))
    if value is None or len(clusters) < 2:
        return Estimate(value)
    draw = random.Random(seed)
    sampled = (statistic(total(draw.choices(clusters, k=len(clusters)))) for _ in range(resamples))
    found = sorted(v for v in sampled if v is not None)
    if len(found) < resamples / 2:
        return Estimate(value)
    tail = (1 - level) / 2
    last = len(found) - 1
    return Estimate(value, found[round(tail * last)], found[round((1 - tail) * last)])
