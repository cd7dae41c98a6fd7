"""What is known exactly, to check the simulator against and to reason with.

With two answers the vote is Condorcet's jury: above one half it grows with G to certainty, below one half it
falls to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from catagent.simulation.skills import Skill

__all__ = [
    "beta_binomial",
    "binomial",
    "expected_synthesis",
    "least_find",
    "majority_of_two",
    "pass_at",
    "right_counts",
]


def binomial(n: int, p: float) -> list[float]:
    """P(k of n) for k from 0 to n, for independent rollouts."""
    return [math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


def beta_binomial(n: int, a: float, b: float) -> list[float]:
    """P(k of n) where the chance itself is drawn from a beta distribution with these parameters."""

    def log_beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    return [math.comb(n, k) * math.exp(log_beta(k + a, n - k + b) - log_beta(a, b)) for k in range(n + 1)]


def right_counts(n: int, p: float, correlation: float = 0.0) -> list[float]:
    """P(k of n rollouts right), for an accuracy and the correlation between rollouts of `Policy`."""
    if p in (0.0, 1.0):
        return [float(k == n * p) for k in range(n + 1)]
    if correlation == 0:
        return binomial(n, p)
    if correlation >= 1:
        return [1 - p, *([0.0] * (n - 1)), p]
    concentration = (1 - correlation) / correlation
    return beta_binomial(n, p * concentration, (1 - p) * concentration)


def majority_of_two(counts: Sequence[float]) -> float:
    """The chance that more than half are right; a tie is none. `counts` as from `right_counts`."""
    n = len(counts) - 1
    return math.fsum(counts[n // 2 + 1 :])


def pass_at(counts: Sequence[float]) -> float:
    """The chance that at least one is right: the ceiling of all selection."""
    return 1 - counts[0]


def expected_synthesis(counts: Sequence[float], skill: Skill) -> float:
    """The chance of a right synthesis where there are two answers."""
    n = len(counts) - 1
    return math.fsum(chance * skill.chance(k, n, leads=2 * k > n) for k, chance in enumerate(counts))


def least_find(leads: float, present: float, absent: float, keep: float, create: float = 0.0) -> float | None:
    """How often a synthesis has to find a right answer that does not lead, to be as good as the vote.

    `leads`, `present` and `absent` are the shares of groups where the right answer leads, is there without
    leading, and is not there. What the synthesis spoils must be made up for:
    `find × present + create × absent = (1 − keep) × leads`. `None` where no `find` would do.
    """
    owed = (1 - keep) * leads - create * absent
    if owed <= 0:
        return 0.0
    return owed / present if present > 0 and owed <= present else None
