"""The paper's estimator: the anchor reconciles the rollouts; majority stands in when it cannot.

A weak anchor writes syntheses without a final answer. Such a reference would reward nobody, so a
verifiable group falls back to the vote, and the reference says so.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from catagent.agents.conversation import question_of
from catagent.agents.synthesizer import Synthesizer
from catagent.answers import acluster
from catagent.errors import AccountError, EstimationError, ModelError
from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import EstimatorCost, Lengths, syntheses
from catagent.estimators.fallback import unstated, voted, wrote
from catagent.messages import Answer, Reference, RolloutGroup

__all__ = ["seen_question", "sharing", "states_an_answer"]


def _cost(
    n: int, lengths: Lengths, *, view: str | None = None, of: int | None = None, support: int = 0
) -> EstimatorCost:
    seen = min(n, of or n)
    return syntheses(1, seen, lengths, aware=view == "aware", rollouts=seen)


@estimator("synthesis", cost=_cost)
def synthesis(
    context: EstimatorContext,
    *,
    view: Literal["blind", "aware"] | None = None,
    of: Annotated[int, Field(ge=1)] | None = None,
    support: Annotated[int, Field(ge=0)] = 0,
) -> Estimator:
    """A new text in which the anchor reconciles the rollouts.

    Costs one call, more when they do not fit at once. `view` says whether the anchor sees the question (by
    default as `question_aware` says); `of` keeps it to the first so many surviving rollouts, so that `of=1`
    is the paper's synthesis of one rollout. `support` is how many rollouts must share its final answer for
    it to stand against the vote.
    """
    question = seen_question(context, view)
    synthesize = Synthesizer(context.anchor, context.prompts, question=question, emit=context.emit)

    async def estimate(group: RolloutGroup) -> Reference:
        if of is not None:
            group = group.model_copy(update={"rollouts": group.survivors[:of]})
        try:
            reference = await synthesize(group)
        except AccountError:
            raise
        except (ModelError, EstimationError) as error:
            return await voted(group, f"no synthesis: {error}")
        if group.kind != "open" and not await states_an_answer(reference, group):
            return await voted(group, unstated("synthesis", reference), [wrote(reference)])
        if not reference.text:
            return await voted(group, "the synthesis is empty", [wrote(reference)])
        if support and group.kind != "open" and (found := await sharing(reference.answer, group)) < support:
            reason = f"{found} rollouts share the answer of the synthesis, {support} are asked for"
            return await voted(group, reason, [wrote(reference)])
        return reference

    return estimate


async def states_an_answer(reference: Reference, group: RolloutGroup) -> bool:
    """Whether the synthesis ends in an answer in the form it was asked for.

    One in another form ("the answer is …" in a sentence) counts only when a rollout shares it: weak anchors
    write such sentences about the prompt.
    """
    answer = reference.answer
    if answer is None or answer.source not in ("phrase", "last_line"):
        return answer is not None
    return await sharing(answer, group) > 0


async def sharing(answer: Answer | None, group: RolloutGroup) -> int:
    """How many of the surviving rollouts state this answer."""
    found = await acluster([answer, *(r.answer for r in group.survivors)])
    return next((len(members) - 1 for members in found.classes if 0 in members), 0)


def seen_question(context: EstimatorContext, view: Literal["blind", "aware"] | None) -> str | None:
    """The question, if the anchor is to see it: as `view` says, else as the run is set up."""
    aware = context.question_aware if view is None else view == "aware"
    return question_of(context.task) if aware else None
