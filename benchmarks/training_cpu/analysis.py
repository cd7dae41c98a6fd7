"""Accuracies with two kinds of error kept apart: over seeds, and over questions.

`seeds`: how much another run on the same questions would differ. `questions`: how much the same runs on other
questions of the kind would. Neither holds the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Measured", "against", "mean", "standard_error"]


@dataclass(frozen=True)
class Measured:
    """A mean, with its standard error over seeds (`None` with one seed) and over questions."""

    mean: float
    seeds: float | None
    questions: float
    count: int
    """How many seeds."""

    @classmethod
    def of(cls, runs: Mapping[int, Sequence[float]]) -> Measured:
        """From one value a question, by seed. The questions must be the same in each."""
        if len({len(values) for values in runs.values()}) != 1:
            raise ValueError("the runs were not measured on the same questions")
        by_seed = [mean(values) for values in runs.values()]
        by_question = [mean(values) for values in zip(*runs.values(), strict=True)]
        return cls(mean(by_seed), standard_error(by_seed), standard_error(by_question) or 0.0, len(by_seed))


def against(runs: Mapping[int, Sequence[float]], others: Mapping[int, Sequence[float]]) -> Measured:
    """The difference of two methods, paired by seed and by question; seeds that both have count.

    Others with a single run (the untrained model) stand beside every seed.
    """
    if len(others) == 1:
        (only,) = others.values()
        others = dict.fromkeys(runs, only)
    shared = sorted(set(runs) & set(others))
    if not shared:
        raise ValueError("the methods have no seed in common")
    return Measured.of(
        {seed: [a - b for a, b in zip(runs[seed], others[seed], strict=True)] for seed in shared}
    )


def mean(values: Sequence[float]) -> float:
    """The mean."""
    return sum(values) / len(values)


def standard_error(values: Sequence[float]) -> float | None:
    """The standard error of the mean; `None` for one value, which says nothing of it."""
    n = len(values)
    if n < 2:
        return None
    middle = mean(values)
    return math.sqrt(sum((v - middle) ** 2 for v in values) / (n - 1) / n)
