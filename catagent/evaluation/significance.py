"""Whether one method is better than another: paired tests and intervals over questions.

Questions are the unit. Where a question was asked under several seeds, its values are averaged first, so that
seeds do not pass for questions.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev
from typing import NamedTuple

from catagent.evaluation.statistics import Estimate

__all__ = [
    "Difference",
    "holm",
    "mcnemar",
    "mean_interval",
    "paired_bootstrap",
    "sign_flips",
    "standard_error",
    "wilson",
]

_ZERO = 1e-9
_EXACT = 12


class Difference(NamedTuple):
    """The mean of paired differences, its bootstrap interval, and a two-sided p for no difference.

    p is by sign flips, exact or nearly so for any number of questions; a bootstrap's is too small for few.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    p: float | None = None


def standard_error(values: Sequence[float]) -> float | None:
    """Of the mean of independent values; `None` for fewer than two."""
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def wilson(successes: int, trials: int, level: float = 0.95) -> Estimate:
    """Wilson's score interval of a share; it does not shrink to a point at 0 and 1."""
    if not trials:
        return Estimate(None)
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, square = successes / trials, z * z
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = z * math.sqrt(share * (1 - share) / trials + square / (4 * trials**2)) / (1 + square / trials)
    return Estimate(share, max(0.0, middle - half), min(1.0, middle + half))


def _means(values: Sequence[float], resamples: int, seed: int) -> list[float]:
    draw = random.Random(seed)
    return sorted(sum(draw.choices(values, k=len(values))) / len(values) for _ in range(resamples))


def _between(found: Sequence[float], level: float) -> tuple[float, float]:
    tail, last = (1 - level) / 2, len(found) - 1
    return found[round(tail * last)], found[round((1 - tail) * last)]


def mean_interval(
    values: Sequence[float], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Estimate:
    """The mean with an interval: Wilson's where all values are 0 or 1, else a percentile bootstrap's."""
    if not values:
        return Estimate(None)
    if all(v in (0.0, 1.0) for v in values):
        return wilson(round(sum(values)), len(values), level)
    if len(values) < 2:
        return Estimate(fmean(values))
    return Estimate(fmean(values), *_between(_means(values, resamples, seed), level))


def paired_bootstrap(
    differences: Sequence[float], *, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> Difference:
    """The mean difference over questions, with a percentile interval over resampled questions."""
    if not differences:
        return Difference(None)
    mean = fmean(differences)
    if len(differences) < 2:
        return Difference(mean)
    return Difference(
        mean, *_between(_means(differences, resamples, seed), level), sign_flips(differences, seed=seed)
    )


def sign_flips(differences: Sequence[float], *, draws: int = 4000, seed: int = 0) -> float:
    """The two-sided p of the randomisation test: were the two methods alike, each sign might be the other.

    Exact where all differences are of one size, when it is McNemar's test, and for up to 12 that are not
    0; else from random flips, with the observed one among them.
    """
    sizes = [abs(d) for d in differences if abs(d) > _ZERO]
    seen = abs(sum(differences)) - _ZERO
    if not sizes:
        return 1.0
    if max(sizes) - min(sizes) < _ZERO:
        positive = sum(d > _ZERO for d in differences)
        return mcnemar(positive, len(sizes) - positive)
    if len(sizes) <= _EXACT:
        totals = [sum(flips) for flips in itertools.product(*((s, -s) for s in sizes))]
        return sum(abs(t) >= seen for t in totals) / len(totals)
    draw = random.Random(seed)
    beyond = 1
    for _ in range(draws):
        bits = draw.getrandbits(len(sizes))
        beyond += abs(sum(s if bits >> i & 1 else -s for i, s in enumerate(sizes))) >= seen
    return beyond / (draws + 1)


def mcnemar(only_first: int, only_second: int) -> float:
    """McNemar's exact two-sided p: pairs in which just one of the two is right are coin tosses."""
    n, k = only_first + only_second, min(only_first, only_second)
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n) if n else 1.0


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Holm's correction for several tests; `None` stays."""
    known = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    corrected: list[float | None] = [None] * len(ps)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[place] = largest
    return corrected
