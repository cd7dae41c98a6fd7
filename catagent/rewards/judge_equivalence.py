"""The paper's baseline for open-ended tasks: a judge says whether a rollout means what the reference says.

One call a rollout instead of one a criterion, and one bit instead of a share: the paper finds rubrics
better on three of three models.
"""

from __future__ import annotations

from catagent.agents.judge import EquivalenceJudge
from catagent.gathering import gathered
from catagent.messages import Judgement, Reference, Reward, Rollout, RolloutGroup
from catagent.rewards import RewardContext, Rewarder, reward

__all__ = ["judge_equivalence"]

_NAME = "judge_equivalence"


@reward(_NAME, needs=("reference", "judge"))
def judge_equivalence(context: RewardContext) -> Rewarder:
    """The reward `judge_equivalence`: 1 for the same in substance, 0 for another, `None` if nobody knows."""

    async def rewarded(group: RolloutGroup) -> tuple[Reward, ...]:
        reference = context.reference
        assert reference is not None
        assert context.judge is not None
        judge = EquivalenceJudge(
            context.judge, context.prompts, reference, context.judging, question=context.question
        )
        judgements = await gathered(judge(rollout) for rollout in group.rollouts)
        return tuple(_reward(r, reference, j) for r, j in zip(group.rollouts, judgements, strict=True))

    return rewarded


def _reward(rollout: Rollout, reference: Reference, judgement: Judgement) -> Reward:
    verdict = judgement.verdicts[0]
    value = None if verdict.state == "unscored" else float(verdict.state == "met")
    return Reward(
        parents=(rollout.id, reference.id),
        rollout_id=rollout.id,
        value=value,
        name=_NAME,
        breakdown={verdict.criterion_id: value, "probability": verdict.probability},
        reason=verdict.reason,
    )
