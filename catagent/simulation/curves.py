"""Accuracy as a function of G: one draw of rollouts, all methods on the same first G of them."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields

from catagent.simulation.policies import RIGHT, Policy
from catagent.simulation.skills import Skill, voted

__all__ = ["SIZES", "Point", "Shares", "curve", "leader"]

SIZES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True, slots=True)
class Point:
    """Mean accuracies at one G; `errors` are their standard errors over groups, by name.

    `majority` abstains from ties, which count as wrong, as the estimator does. `differs` is the share of
    groups whose synthesis differs from the vote's leader, `right_when_differs` how often it is right then
    (`None` where it never differs); a wrong synthesis is taken to repeat a leader that is wrong.
    """

    n: int
    single: float
    majority: float
    synthesis: float
    synthesis_vote: float
    pass_at: float
    leads: float
    present: float
    absent: float
    differs: float
    right_when_differs: float | None
    errors: dict[str, float]


class Shares(dict[str, list[float]]):
    """Values by name, of which mean and standard error are asked."""

    def mean(self, name: str) -> float:
        """The mean."""
        return math.fsum(self[name]) / len(self[name])

    def error(self, name: str) -> float:
        """The standard error of the mean, 0 for a single value."""
        values, mean = self[name], self.mean(name)
        if len(values) < 2:
            return 0.0
        return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))


def leader(answers: Sequence[int]) -> int | None:
    """The answer that has more rollouts than any other, `None` for a tie."""
    ranked = Counter(answers).most_common(2)
    return None if len(ranked) > 1 and ranked[0][1] == ranked[1][1] else ranked[0][0]


def curve(
    policy: Policy,
    skill: Skill,
    *,
    sizes: Sequence[int] = SIZES,
    repeats: int = 4,
    samples: int = 3,
    seed: int = 0,
) -> list[Point]:
    """The point at each of `sizes`, from `repeats` groups a question.

    What a synthesis brings is taken as its expectation, so that only the rollouts add noise. `samples` are
    the syntheses of a vote, whose ties the rollouts break.
    """
    draw = random.Random(seed)
    names = [f.name for f in fields(Point) if f.name not in ("n", "errors", "right_when_differs")]
    found = {n: Shares({name: [] for name in names}) for n in sizes}
    for _ in range(repeats):
        for answers in policy.rollouts(max(sizes), draw):
            for n in sizes:
                _look(answers[:n], skill, samples, found[n])
    return [_point(n, shares) for n, shares in found.items()]


def _look(answers: Sequence[int], skill: Skill, samples: int, into: Shares) -> None:
    n, right = len(answers), answers.count(RIGHT)
    first = leader(answers)
    leads = first == RIGHT
    chance = skill.chance(right, n, leads=leads)
    several = voted(chance, samples, tie=float(leads))
    values = {
        "single": float(answers[0] == RIGHT),
        "majority": float(leads),
        "synthesis": chance,
        "synthesis_vote": several,
        "pass_at": float(right > 0),
        "leads": float(leads),
        "present": float(right > 0 and not leads),
        "absent": float(right == 0),
        "differs": 1 - chance if leads else chance,
    }
    for name, value in values.items():
        into[name].append(value)


def _point(n: int, shares: Shares) -> Point:
    means = {name: shares.mean(name) for name in shares}
    won = means["differs"] - math.fsum(
        d for d, leads in zip(shares["differs"], shares["leads"], strict=True) if leads
    ) / len(shares["leads"])
    return Point(
        n=n,
        **means,
        right_when_differs=won / means["differs"] if means["differs"] > 0 else None,
        errors={name: shares.error(name) for name in shares},
    )
