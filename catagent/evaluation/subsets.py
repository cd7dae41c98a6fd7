"""What fewer rollouts would have given, exactly, from the rollouts there are.

Drawing k of the n rollouts without replacement is a sample of k rollouts; averaging over all such draws gives
the expected value for k with no further rollout bought.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

__all__ = ["Vote", "majority_at", "pass_at"]

_EXACT = 50_000
_DRAWS = 4000


class Vote(NamedTuple):
    """The expected value of a vote of k: when a tie is no answer, and when one of the tied is drawn."""

    abstaining: float
    drawing: float


def pass_at(n: int, right: int, k: int) -> float:
    """The unbiased estimate of pass@k from `right` of `n` rollouts: 1 − C(n−c, k) / C(n, k)."""
    if not 1 <= k <= n:
        raise ValueError(f"k is between 1 and {n}, not {k}")
    return 1.0 - math.comb(n - right, k) / math.comb(n, k)


def majority_at(families: Sequence[int | None], right: Sequence[int], k: int, *, seed: int = 0) -> Vote:
    """The expected value of the majority vote of k of the rollouts.

    `families` says which answer each rollout gives (`None`: none, it does not vote), `right` which families
    are right. Exact by counting while there are at most 50,000 ways to split k among the families, else the
    mean of 4000 draws.
    """
    names = sorted({f for f in families if f is not None})
    sizes = [*(sum(f == name for f in families) for name in names), sum(f is None for f in families)]
    if not 1 <= k <= len(families):
        raise ValueError(f"k is between 1 and {len(families)}, not {k}")
    good = [name in set(right) for name in names]
    if math.prod(min(size, k) + 1 for size in sizes[:-1]) <= _EXACT:
        total = math.comb(len(families), k)
        abstaining = drawing = 0.0
        for votes in _splits(sizes, k):
            weight = math.prod(map(math.comb, sizes, votes)) / total
            vote = _vote(votes[:-1], good)
            abstaining += weight * vote.abstaining
            drawing += weight * vote.drawing
        return Vote(abstaining, drawing)
    draw, places = random.Random(seed), {name: i for i, name in enumerate(names)}
    votes_of = []
    for _ in range(_DRAWS):
        count = [0] * len(names)
        for family in draw.sample(list(families), k):
            if family is not None:
                count[places[family]] += 1
        votes_of.append(_vote(count, good))
    return Vote(*(sum(column) / _DRAWS for column in zip(*votes_of, strict=True)))


def _splits(sizes: Sequence[int], k: int) -> Iterator[tuple[int, ...]]:
    """All ways to take k from heaps of these sizes; the last heap takes what is left."""
    *heaps, last = sizes
    for taken in itertools.product(*(range(min(size, k) + 1) for size in heaps)):
        rest = k - sum(taken)
        if 0 <= rest <= last:
            yield (*taken, rest)


def _vote(votes: Sequence[int], good: Sequence[bool]) -> Vote:
    most = max(votes, default=0)
    if not most:
        return Vote(0.0, 0.0)
    leading = [good[i] for i, count in enumerate(votes) if count == most]
    return Vote(float(len(leading) == 1 and leading[0]), sum(leading) / len(leading))
