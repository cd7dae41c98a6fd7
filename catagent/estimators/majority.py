"""Majority vote over equivalence classes of final answers (self-consistency, Wang et al. 2022,
arXiv 2203.11171; the label of TTRL, arXiv 2504.16084).

Ties abstain: the reference then has no answer, so it rewards nobody.
"""

from __future__ import annotations

from catagent.answers import acluster
from catagent.errors import EstimationError
from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import EstimatorCost
from catagent.messages import Reference, Rollout, RolloutGroup

__all__ = ["most_confident", "vote"]


@estimator("majority", cost=lambda n, lengths: EstimatorCost(n))
def majority(context: EstimatorContext) -> Estimator:
    """The answer that most rollouts share, in the words of the most confident of them. Costs no call."""
    return vote


async def vote(group: RolloutGroup) -> Reference:
    """The answer that most rollouts share, in the words of the most confident of them."""
    alive = group.survivors
    if not alive:
        raise EstimationError("no rollout survived to vote")
    classes = (await acluster([r.answer for r in alive])).classes
    if not classes:
        return _abstained(most_confident(alive), "no rollout states a final answer", method="single")
    tied = [c for c in classes if len(c) == len(classes[0])]
    voters = [alive[i] for i in classes[0]]
    if len(tied) > 1:
        answers = ", ".join(str(alive[c[0]].answer) for c in tied[:4])
        return _abstained(most_confident(voters), f"{len(tied)} answers are tied ({answers[:200]})")
    speaker = most_confident(voters)
    return Reference(
        parents=tuple(r.id for r in voters),
        text=speaker.text or "",
        answer=speaker.answer,
        method="majority",
        cut_off=speaker.finish_reason == "length",
    )


def _abstained(speaker: Rollout, reason: str, method: str = "majority") -> Reference:
    return Reference(
        parents=(speaker.id,),
        text=speaker.text or "",
        method=method,
        fallback=reason,
        cut_off=speaker.finish_reason == "length",
    )


def most_confident(rollouts: list[Rollout] | tuple[Rollout, ...]) -> Rollout:
    """The rollout with the highest mean log-probability; the first where the endpoint gives none."""
    known = [r for r in rollouts if r.logprobs]
    return max(known, key=lambda r: sum(r.logprobs or ()) / len(r.logprobs or (0,))) if known else rollouts[0]
