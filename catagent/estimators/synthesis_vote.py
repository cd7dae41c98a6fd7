"""Several syntheses, then a vote over their answers with the rollouts as the tie-break.

One synthesis is one sample, and as noisy as one. Several, each of which sees the rollouts in another order,
are put to the vote that rollouts are put to.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from catagent.agents.synthesizer import Synthesizer
from catagent.errors import AccountError, EstimationError, ModelError
from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import EstimatorCost, Lengths, syntheses
from catagent.estimators.election import elected
from catagent.estimators.fallback import voted, wrote
from catagent.estimators.synthesis import seen_question, sharing, states_an_answer
from catagent.gathering import gathered
from catagent.messages import Reference, RolloutGroup

__all__: list[str] = []


def _cost(
    n: int, lengths: Lengths, *, samples: int = 3, view: str | None = None, support: int = 0
) -> EstimatorCost:
    return syntheses(samples, n, lengths, aware=view == "aware", rollouts=n)


@estimator("synthesis_vote", cost=_cost)
def synthesis_vote(
    context: EstimatorContext,
    *,
    samples: Annotated[int, Field(ge=1, le=64)] = 3,
    view: Literal["blind", "aware"] | None = None,
    support: Annotated[int, Field(ge=0)] = 0,
) -> Estimator:
    """The vote of several syntheses. Costs `samples` calls; an open task has one synthesis, without a vote.

    `support` is how many rollouts must share the winner's answer for it to stand against their own vote.

    When no synthesis states an answer, or neither they nor the rollouts prefer one, the vote of the
    rollouts stands in, and the reference says so and keeps what they wrote.
    """
    synthesize = Synthesizer(context.anchor, context.prompts, question=seen_question(context, view))

    async def one(group: RolloutGroup, variant: int) -> Reference | Exception:
        try:
            reference = await synthesize(group, variant)
        except AccountError:
            raise
        except (ModelError, EstimationError) as error:
            return error
        if group.kind != "open" and not await states_an_answer(reference, group):
            return reference.model_copy(update={"answer": None})
        return reference

    async def estimate(group: RolloutGroup) -> Reference:
        count = samples if group.kind != "open" else 1
        context.tell(count)
        tried = await gathered(one(group, variant) for variant in range(count))
        written = [t for t in tried if isinstance(t, Reference) and t.text]
        if not written:
            failure = next((t for t in tried if isinstance(t, Exception)), "the syntheses are empty")
            said = [wrote(t) for t in tried if isinstance(t, Reference)]
            return await voted(group, f"no synthesis: {failure}", said)
        if group.kind == "open":
            return written[0].model_copy(update={"method": "synthesis_vote"})
        winner = await elected(written, group)
        if winner is None:
            stated = sum(t.answer is not None for t in written)
            reason = f"{stated} syntheses are tied" if stated else "no synthesis states a final answer"
            return await voted(group, reason, [t.text for t in written])
        if support and (found := await sharing(winner.answer, group)) < support:
            reason = f"{found} rollouts share the winner's answer, {support} are asked for"
            return await voted(group, reason, [winner.text])
        return winner.model_copy(update={"method": "synthesis_vote"})

    return estimate
