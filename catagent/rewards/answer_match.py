"""The verifiable reward: does the rollout's final answer equal the reference's? (Paper, section 1.3.)

1 for equivalent answers, 0 for others and for a rollout that states none. Where the paper gives a whole
group 0 because the reference states no answer, every reward here is `None`, and so is that of a failed
rollout and of a comparison that was not decided in time.
"""

from __future__ import annotations

from catagent.answers import aequivalent
from catagent.gathering import gathered
from catagent.messages import Reference, Reward, Rollout, RolloutGroup
from catagent.rewards import RewardContext, Rewarder, reward

__all__ = ["answer_match"]

_NAME = "answer_match"


@reward(_NAME, needs=("reference",))
def _factory(context: RewardContext) -> Rewarder:
    async def rewarded(group: RolloutGroup) -> tuple[Reward, ...]:
        assert context.reference is not None
        return await answer_match(group, context.reference)

    return rewarded


async def answer_match(group: RolloutGroup, reference: Reference) -> tuple[Reward, ...]:
    """One reward a rollout, in the order of the group."""
    return tuple(await gathered(_reward(rollout, reference) for rollout in group.rollouts))


async def _reward(rollout: Rollout, reference: Reference) -> Reward:
    value: float | None = None
    reason: str | None = None
    if not rollout.ok:
        reason = "the rollout failed"
    elif reference.answer is None:
        reason = "the reference states no final answer"
    elif rollout.answer is None:
        value, reason = 0.0, "the rollout states no final answer"
    else:
        same = await aequivalent(rollout.answer, reference.answer)
        if same is None:
            reason = "the answers could not be compared in time"
        else:
            value = float(same)
    return Reward(
        parents=(rollout.id, reference.id), rollout_id=rollout.id, value=value, name=_NAME, reason=reason
    )
