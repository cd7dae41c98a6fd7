"""The reward `self_consistency_soft`: a rollout earns the share of the group that agrees with it.

A soft majority: no reference, no threshold, and rollouts of a minority are told apart by its size. One
without a final answer earns 0; nobody earns anything known where no rollout states an answer.
"""

from __future__ import annotations

from catagent.answers import acluster
from catagent.messages import Reward, RolloutGroup
from catagent.rewards import RewardContext, Rewarder, reward

__all__ = ["self_consistency_soft"]

_NAME = "self_consistency_soft"


@reward(_NAME)
def self_consistency_soft(context: RewardContext) -> Rewarder:
    """The reward `self_consistency_soft`, in 0…1. Costs no call."""

    async def rewarded(group: RolloutGroup) -> tuple[Reward, ...]:
        alive = group.survivors
        classes = (await acluster([r.answer for r in alive])).classes
        share = {alive[i].id: len(members) / len(alive) for members in classes for i in members}
        return tuple(
            Reward(
                parents=(r.id,),
                rollout_id=r.id,
                name=_NAME,
                value=share.get(r.id, 0.0) if r.ok and classes else None,
                reason=None
                if r.ok and classes
                else "no rollout states a final answer"
                if r.ok
                else "it failed",
            )
            for r in group.rollouts
        )

    return rewarded
