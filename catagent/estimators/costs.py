"""What an estimator will cost before it is asked, so that comparisons can be matched in compute.

A method that draws eight rollouts and asks once more is not to be compared with one that draws eight, but
with one that draws nine. What a run really used stands in `Solution.usage`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["CostOf", "EstimatorCost", "Lengths", "selections", "syntheses"]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean lengths in tokens: of a question, a rollout, a synthesis, a prompt's own words, a choice."""

    question: float = 100
    rollout: float = 400
    synthesis: float = 400
    frame: float = 250
    choice: float = 100


@dataclass(frozen=True, slots=True)
class EstimatorCost:
    """`rollouts` that are read, and what the estimator adds to them: calls, and tokens in and out.

    A call is one generation, or one text that is scored. Where the number of calls depends on the
    rollouts (`auto`), it is the most that there can be.
    """

    rollouts: int
    calls: int = 0
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0

    @property
    def generations(self) -> int:
        """Rollouts and calls together: 9 for the synthesis of 8."""
        return self.rollouts + self.calls

    def tokens(self, lengths: Lengths) -> float:
        """Tokens generated and read in all, with the rollouts drawn in one request each."""
        drawn = self.rollouts * (lengths.question + lengths.rollout)
        return drawn + self.prompt_tokens + self.completion_tokens


CostOf: TypeAlias = Callable[..., EstimatorCost]
"""`(n, lengths, **options) -> EstimatorCost`, with the options that the factory takes."""


def syntheses(count: int, of: int, lengths: Lengths, *, aware: bool, rollouts: int) -> EstimatorCost:
    """`count` calls that each read `of` texts and write one."""
    asked = lengths.frame + of * lengths.rollout + (lengths.question if aware else 0)
    return EstimatorCost(rollouts, count, count * asked, count * lengths.synthesis)


def selections(n: int, lengths: Lengths, *, subset: int | None = None, votes: int = 1) -> EstimatorCost:
    """Choosing one of `n`, in a knock-out of `subset` at a time where that is less than `n`."""
    calls, read, left = 0, 0, n
    while left > 1:
        size = min(left, subset or left)
        games = math.ceil(left / size)
        alone = left % size == 1 and size > 1  # one left over goes on unasked
        calls += games - alone
        read += left - alone
        left = games
    asked = calls * (lengths.frame + lengths.question) + read * lengths.rollout
    return EstimatorCost(n, votes * calls, votes * asked, votes * calls * lengths.choice)
