"""A penalty for long responses, against the length hacking that rubrics invite (paper, section 1.4).

−1 for a response longer than `RewardOptions.longest` tokens (750 in the paper), else 0. Tokens are counted
where the endpoint lists them and estimated from the text where it does not.
"""

from __future__ import annotations

from catagent.messages import Reward, Rollout, RolloutGroup
from catagent.rewards import RewardContext, Rewarder, reward

__all__ = ["length_penalty", "token_count"]

_NAME = "length_penalty"


@reward(_NAME)
def length_penalty(context: RewardContext) -> Rewarder:
    """The reward `length_penalty`. Costs no call."""
    longest = context.options.longest

    async def rewarded(group: RolloutGroup) -> tuple[Reward, ...]:
        return tuple(_reward(rollout, longest) for rollout in group.rollouts)

    return rewarded


def _reward(rollout: Rollout, longest: int) -> Reward:
    if not rollout.ok:
        return Reward(
            parents=(rollout.id,),
            rollout_id=rollout.id,
            value=None,
            name=_NAME,
            reason="the rollout failed",
        )
    tokens, counted = token_count(rollout)
    over = tokens > longest
    how = "" if counted else "about "
    return Reward(
        parents=(rollout.id,),
        rollout_id=rollout.id,
        value=-1.0 if over else 0.0,
        name=_NAME,
        breakdown={"tokens": float(tokens)},
        reason=f"{how}{tokens} tokens, more than {longest}" if over else None,
    )


def token_count(rollout: Rollout) -> tuple[int, bool]:
    """The tokens of a response, and whether they were counted rather than estimated.

    The estimate: four characters of ASCII a token, one and a half of other scripts.
    """
    if rollout.logprobs:
        return len(rollout.logprobs), True
    text = rollout.text or ""
    ascii_ones = sum(character.isascii() for character in text)
    return round(ascii_ones / 4 + (len(text) - ascii_ones) / 1.5), False
