"""How often an anchor's synthesis is right, given the rollouts that it reads: P(right | k of G right)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

__all__ = ["ByShare", "Reader", "Skill", "voted"]


class Skill(Protocol):
    """The chance that a synthesis is right."""

    def chance(self, right: int, n: int, *, leads: bool) -> float:
        """When `right` of `n` rollouts are right; `leads` says whether no other answer has as many."""
        ...


@dataclass(frozen=True, slots=True)
class Reader:
    """Three chances that can be counted in a run with labels.

    `keep`: right where the right answer leads. `find`: right where it is there and does not lead. `create`:
    right where no rollout has it. A vote is `Reader(1, 0, 0)`, an oracle that picks the right rollout
    whenever there is one (pass@G) `Reader(1, 1, 0)`.
    """

    keep: float
    find: float
    create: float = 0.0

    def chance(self, right: int, n: int, *, leads: bool) -> float:
        """See `Skill.chance`."""
        return self.keep if leads else self.find if right else self.create


@dataclass(frozen=True, slots=True)
class ByShare:
    """A chance that grows with the share x of right rollouts: `x^s / (x^s + (1 − x)^s)`.

    With `sharpness` s = 1 the synthesis is as good as one rollout taken at random, with a large s it is a
    vote over two answers.
    """

    sharpness: float = 1.0

    def chance(self, right: int, n: int, *, leads: bool) -> float:
        """See `Skill.chance`."""
        share = right / n
        if share in (0.0, 1.0):
            return share
        against = self.sharpness * math.log((1 - share) / share)
        return 1 / (1 + math.exp(min(against, 700.0)))


def voted(chance: float, samples: int, *, tie: float) -> float:
    """The chance that most of `samples` independent syntheses are right, the others agreeing with each other.

    `tie` is the chance to be right where as many are right as are wrong.
    """
    total, term = 0.0, (1 - chance) ** samples
    for k in range(samples + 1):
        total += term * (1.0 if 2 * k > samples else tie if 2 * k == samples else 0.0)
        if chance >= 1:
            return 1.0
        term *= (samples - k) / (k + 1) * chance / (1 - chance)
    return total
