"""What stands in where a method has no reference: the vote, the reason, and the text that was set aside."""

from __future__ import annotations

from collections.abc import Sequence

from catagent.agents.fencing import shortened
from catagent.estimators.majority import vote
from catagent.messages import Reference, RolloutGroup

__all__ = ["kept", "unstated", "voted", "wrote"]

_KEPT = 20_000
_TEXTS = 8
"""Characters that are kept of the texts which a vote stands in for, and of how many of them."""


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


def wrote(reference: Reference) -> str:
    """All that a method wrote: the text of its reference, or what it said without ever coming to one."""
    return reference.text or reference.rejected or ""


def unstated(what: str, reference: Reference) -> str:
    """Why a verifiable group gets no answer from the reference; `what` names it."""
    if reference.cut_off:
        return f"the {what} was cut off at the anchor's token limit; give the anchor more max_tokens"
    return f"the {what} states no final answer"
