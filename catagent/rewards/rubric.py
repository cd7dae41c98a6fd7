"""The rubric reward: the weighted share of criteria that a rollout meets (paper, section 1.4).

`R(o) = Σ w·met / Σ w` over the criteria that are scored; a criterion of negative weight takes off what it
weighs when it is met, and does not count below the line (as in HealthBench). Below the quorum of scored
criteria the reward is `None`: a few verdicts that came through are not the rubric.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from catagent.messages import Criterion, Judgement, Reward, RolloutGroup, Rubric, VerdictState
from catagent.rewards import RewardContext, Rewarder, reward

__all__ = ["rubric_rewards", "separating", "weighted_share"]

_NAME = "rubric"


@reward(_NAME, needs=("rubric",))
def _factory(context: RewardContext) -> Rewarder:
    async def rewarded(group: RolloutGroup) -> tuple[Reward, ...]:
        assert context.rubric is not None
        return rubric_rewards(
            group,
            context.rubric,
            context.judgements,
            quorum=context.options.quorum,
            discriminative=context.options.discriminative,
        )

    return rewarded


def rubric_rewards(
    group: RolloutGroup,
    rubric: Rubric,
    judgements: Sequence[Judgement],
    *,
    quorum: float = 0.5,
    discriminative: bool = False,
) -> tuple[Reward, ...]:
    """One reward a rollout, with every criterion in its breakdown (1 met, 0 unmet, `None` unscored).

    `discriminative` rewards only by the criteria that separate the rollouts (SVR, 2606.08077); the breakdown
    still shows all. Where none does, nobody has a reward: the group teaches nothing.
    """
    judged = {j.rollout_id: j for j in judgements}
    counted = separating(rubric, judgements) if discriminative else rubric.criteria
    rewards = []
    for rollout in group.rollouts:
        judgement = judged.get(rollout.id)
        states = {v.criterion_id: v.state for v in judgement.verdicts} if judgement else {}
        value, reason = _value(counted, states, quorum)
        if not rollout.ok:
            value, reason = None, "the rollout failed"
        rewards.append(
            Reward(
                parents=(rollout.id, rubric.id, *((judgement.id,) if judgement else ())),
                rollout_id=rollout.id,
                value=value,
                name=_NAME,
                breakdown={c.id: _number(states.get(c.id, "unscored")) for c in rubric.criteria},
                reason=reason,
            )
        )
    return tuple(rewards)


def _value(
    criteria: Sequence[Criterion], states: Mapping[str, VerdictState], quorum: float
) -> tuple[float | None, str | None]:
    if not criteria:
        return None, "no criterion separates the rollouts"
    scored = [c for c in criteria if states.get(c.id, "unscored") != "unscored"]
    if not scored or len(scored) < quorum * len(criteria):
        return None, f"{len(scored)} of {len(criteria)} criteria are scored"
    return weighted_share(scored, states), None


def weighted_share(scored: Sequence[Criterion], states: Mapping[str, VerdictState]) -> float:
    """The met weight over the positive weight; where none is positive, over all weight, so it is in −1…0."""
    met = sum(c.weight for c in scored if states[c.id] == "met")
    positive = sum(c.weight for c in scored if c.weight > 0)
    return met / (positive or sum(abs(c.weight) for c in scored) or 1.0)


def separating(rubric: Rubric, judgements: Sequence[Judgement]) -> tuple[Criterion, ...]:
    """The criteria that at least one rollout meets and at least one does not."""
    seen: dict[str, set[VerdictState]] = {c.id: set() for c in rubric.criteria}
    for judgement in judgements:
        for verdict in judgement.verdicts:
            seen.setdefault(verdict.criterion_id, set()).add(verdict.state)
    return tuple(c for c in rubric.criteria if {"met", "unmet"} <= seen[c.id])


def _number(state: VerdictState) -> float | None:
    return None if state == "unscored" else float(state == "met")
