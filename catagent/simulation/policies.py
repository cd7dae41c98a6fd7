"""A policy with known accuracy on each question, and the answers of its rollouts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["RIGHT", "TRAP", "Policy", "beta_accuracies"]

RIGHT = 0
"""The right answer, as a number; all others are wrong."""
TRAP = 1
"""The wrong answer that is commoner than the others, where there is one."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How the rollouts of a question answer.

    `accuracies` holds the chance to be right on each question. `wrong` is how many wrong answers there are,
    of which one takes the share `trap` of what is wrong (0 spreads it evenly). `correlation` is that of
    being right between two rollouts of a question, beyond what its accuracy explains: with 0 they are
    independent, with 1 all say the same. Raises `ValueError` for values outside of these ranges.

    Correlated answers are drawn from a Dirichlet-multinomial distribution, so the number of right ones is
    beta-binomial.
    """

    accuracies: tuple[float, ...]
    wrong: int = 20
    trap: float = 0.0
    correlation: float = 0.0

    def __post_init__(self) -> None:
        if not self.accuracies or not all(0 <= p <= 1 for p in self.accuracies):
            raise ValueError("accuracies are numbers from 0 to 1, at least one")
        if self.wrong < 1 or not 0 <= self.trap <= 1 or not 0 <= self.correlation <= 1:
            raise ValueError("wrong is at least 1; trap and correlation are from 0 to 1")

    def probabilities(self, accuracy: float) -> list[float]:
        """The chance of each answer, the right one first, then the trap."""
        missed = 1 - accuracy
        if self.wrong == 1:
            return [accuracy, missed]
        share = max(self.trap, 1 / self.wrong)
        others = missed * (1 - share) / (self.wrong - 1)
        return [accuracy, missed * share, *([others] * (self.wrong - 1))]

    def rollouts(self, n: int, draw: random.Random) -> Iterator[list[int]]:
        """The answers of `n` rollouts of each question in turn."""
        for accuracy in self.accuracies:
            chances = self.probabilities(accuracy)
            if self.correlation >= 1:
                yield draw.choices(range(len(chances)), chances) * n
                continue
            if self.correlation > 0:
                chances = _dirichlet(chances, (1 - self.correlation) / self.correlation, draw)
            yield draw.choices(range(len(chances)), chances, k=n)


def _dirichlet(chances: list[float], concentration: float, draw: random.Random) -> list[float]:
    drawn = [draw.gammavariate(c * concentration, 1.0) if c > 0 else 0.0 for c in chances]
    if sum(drawn) > 0:
        return drawn
    # Tiny shapes can round to nothing at all; one answer then has everything.
    taker = draw.choices(range(len(chances)), chances)[0]
    return [float(i == taker) for i in range(len(chances))]


def beta_accuracies(mean: float, spread: float, count: int, seed: int = 0) -> tuple[float, ...]:
    """`count` accuracies from a beta distribution of that `mean`.

    `spread` from 0 to 1 is the share of the greatest possible variance: near 0 all questions are equally
    hard, near 1 each is nearly always right or nearly always wrong.
    """
    if not 0 < mean < 1 or not 0 < spread < 1:
        raise ValueError("mean and spread are between 0 and 1")
    concentration = 1 / spread - 1
    draw = random.Random(seed)
    return tuple(draw.betavariate(mean * concentration, (1 - mean) * concentration) for _ in range(count))
