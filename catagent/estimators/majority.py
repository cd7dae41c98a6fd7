"""Majority vote over equivalence classes of final answers (self-consistency, Wang et al. 2022,
arXiv 2203.11171; the label of TTRL, arXiv 2504.16084).

Ties abstain: the reference then has no answer, so it rewards nobody.
"""

from __future__ import annotations

from collections.abc import Sequence

from catagent.agents.fencing import shortened
from catagent.answers import acluster
from catagent.errors import EstimationError
from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import EstimatorCost
from catagent.messages import Reference, Rollout, RolloutGroup

__all__ = ["kept", "most_confident", "vote", "voted"]

_KEPT = 20_000
_TEXTS = 8
"""Characters that are kept of the texts which a vote stands in for, and of how many of them."""


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


async def voted(group: RolloutGroup, reason: str, rejected: Sequence[str] = ()) -> Reference:
    """The vote in place of another method, which could not be had for `reason`.

    `rejected` are the texts that the method wrote; `Reference.rejected` keeps them, within bounds.
    """
    reference = await vote(group)
    also = f"; {reference.fallback}" if reference.fallback else ""
    return reference.model_copy(update={"fallback": f"{reason}{also}", "rejected": kept(rejected)})


def kept(texts: Sequence[str]) -> str | None:
    """What `Reference.rejected` holds of texts that were set aside, `None` for none.

    One is as it is, several stand under their numbers, each cut to its share.
    """
    said = [text for text in texts if text]
    if len(said) < 2:
        return shortened(said[0], _KEPT) if said else None
    some = said[:_TEXTS]
    share = _KEPT // len(some)
    return "\n\n".join(f"[{i} of {len(said)}]\n{shortened(text, share)}" for i, text in enumerate(some, 1))


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
