"""What drawing rollouts only until the majority is settled saves (`catagent.agents.adaptive`)."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass

from catagent.agents.adaptive import wave
from catagent.simulation.curves import leader
from catagent.simulation.policies import RIGHT, Policy

__all__ = ["Saving", "saving"]


@dataclass(frozen=True, slots=True)
class Saving:
    """`drawn` is the mean number of rollouts, `waves` of rounds of asking; `changed` the share of groups
    whose leader is not the one that all `n` rollouts have; the accuracies are those of the two votes.
    """

    n: int
    drawn: float
    waves: float
    changed: float
    accuracy: float
    accuracy_of_all: float


def saving(policy: Policy, n: int, risk: float, *, repeats: int = 4, seed: int = 0) -> Saving:
    """The rule of `AdaptiveSampler` on groups of a policy, with the bound `risk` on a changed majority."""
    draw = random.Random(seed)
    drawn = waves = changed = right = right_of_all = groups = 0
    for _ in range(repeats):
        for answers in policy.rollouts(n, draw):
            at, asked = _stopped(answers, n, risk)
            early, late = leader(answers[:at]), leader(answers)
            groups += 1
            drawn += at
            waves += asked
            changed += early != late
            right += early == RIGHT
            right_of_all += late == RIGHT
    return Saving(n, drawn / groups, waves / groups, changed / groups, right / groups, right_of_all / groups)


def _stopped(answers: list[int], n: int, risk: float) -> tuple[int, int]:
    """How many rollouts were drawn when the rule stopped, and in how many waves."""
    at = asked = lead = second = 0
    while size := wave(n, at, lead, second, risk):
        at += size
        asked += 1
        sizes = [count for _, count in Counter(answers[:at]).most_common(2)]
        lead, second = [*sizes, 0, 0][:2]
    return at, asked
