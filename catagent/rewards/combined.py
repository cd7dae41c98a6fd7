"""Several rewards as one: their weighted sum, with each in the breakdown."""

from __future__ import annotations

from collections.abc import Mapping

from catagent.gathering import gathered
from catagent.messages import Reward, RolloutGroup
from catagent.rewards import RewardContext, Rewarder, make_reward

__all__ = ["combined"]


def combined(weights: Mapping[str, float], context: RewardContext) -> Rewarder:
    """The rewards named in `weights`, summed with these weights.

    A rollout of which one component is unknown has no reward: a sum of what happens to be known would
    compare it to others on another scale. A single reward of weight 1 is returned as it is.
    """
    parts = {name: make_reward(name, context) for name in weights}
    if list(weights.values()) == [1.0]:
        return next(iter(parts.values()))

    async def rewarded(group: RolloutGroup) -> tuple[Reward, ...]:
        columns = await gathered(_run(part, group) for part in parts.values())
        rows = zip(*columns, strict=True)
        return tuple(_sum(dict(zip(parts, row, strict=True)), weights) for row in rows)

    return rewarded


async def _run(part: Rewarder, group: RolloutGroup) -> tuple[Reward, ...]:
    return await part(group)


def _sum(parts: Mapping[str, Reward], weights: Mapping[str, float]) -> Reward:
    first = next(iter(parts.values()))
    breakdown: dict[str, float | None] = {}
    for name, part in parts.items():
        breakdown[name] = part.value
        breakdown.update({f"{name}.{key}": value for key, value in part.breakdown.items()})
    unknown = [name for name, part in parts.items() if part.value is None]
    reasons = [f"{name}: {part.reason}" for name, part in parts.items() if part.reason]
    value = None if unknown else sum(weights[n] * (p.value or 0.0) for n, p in parts.items())
    return Reward(
        parents=tuple(dict.fromkeys(parent for part in parts.values() for parent in part.parents)),
        rollout_id=first.rollout_id,
        value=value,
        name="+".join(parts),
        breakdown=breakdown,
        reason="; ".join(reasons) or None,
    )
