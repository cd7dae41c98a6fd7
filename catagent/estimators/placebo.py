"""Placebos: the synthesis prompt without the rollouts that it is about.

A reference better than a rollout may come from the prompt's format, or from one more generation, rather than
from reading the rollouts. A placebo asks the same anchor with the same prompt, and another question's
rollouts (`placebo_other`) or none (`placebo_none`) in it; what of a gain it reaches too is not the
rollouts' doing. So that nothing of the real rollouts comes in by another way, a placebo neither falls
back to the vote nor looks whether a rollout shares its answer: it then has no answer.

Of the real group it uses one thing, whether it is verifiable or open, which chooses the prompt.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Literal

from catagent.agents.synthesizer import Synthesizer
from catagent.errors import AccountError, ConfigError, EstimationError, ModelError
from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import syntheses
from catagent.estimators.fallback import unstated
from catagent.estimators.synthesis import seen_question, states_an_answer
from catagent.messages import Reference, RolloutGroup

__all__: list[str] = []


@estimator(
    "placebo_other",
    cost=lambda n, lengths, view=None: syntheses(1, n, lengths, aware=view == "aware", rollouts=n),
    donor=True,
)
def placebo_other(context: EstimatorContext, *, view: Literal["blind", "aware"] | None = None) -> Estimator:
    """The synthesis of another question's rollouts. Costs what `synthesis` costs."""
    donor = context.donor
    if donor is None:
        raise ConfigError(
            "placebo_other needs the rollouts of another question: give solve or score donor=group"
        )
    if not any(r.text for r in donor.survivors):
        raise ConfigError("placebo_other: no rollout of the donor has text")
    if donor.task_id == context.task.id:
        raise ConfigError("placebo_other: the donor's rollouts are of the same task; give another question's")
    synthesize = Synthesizer(
        context.anchor, context.prompts, question=seen_question(context, view), emit=context.emit
    )
    given = donor

    async def estimate(group: RolloutGroup) -> Reference:
        other = given.model_copy(update={"kind": group.kind})
        return await _alone("placebo_other", synthesize(other), other)

    return estimate


@estimator(
    "placebo_none",
    cost=lambda n, lengths, view=None: syntheses(1, 0, lengths, aware=view == "aware", rollouts=0),
)
def placebo_none(context: EstimatorContext, *, view: Literal["blind", "aware"] | None = None) -> Estimator:
    """The synthesis of no rollouts at all; with `aware` the anchor sees the question. Costs one call."""
    synthesize = Synthesizer(
        context.anchor, context.prompts, question=seen_question(context, view), emit=context.emit
    )

    async def estimate(group: RolloutGroup) -> Reference:
        nothing = RolloutGroup(task_id=group.task_id, kind=group.kind, rollouts=())
        return await _alone("placebo_none", synthesize.of_nothing(group.kind), nothing)

    return estimate


async def _alone(method: str, synthesis: Awaitable[Reference], seen: RolloutGroup) -> Reference:
    """The synthesis, or an empty reference that says why, never anything of the real rollouts."""
    try:
        reference = await synthesis
    except AccountError:
        raise
    except (ModelError, EstimationError) as error:
        return Reference(text="", method=method, fallback=f"no synthesis: {error}")
    stated = seen.kind == "open" or await states_an_answer(reference, seen)
    return reference.model_copy(
        update={
            "method": method,
            "answer": reference.answer if stated else None,
            "fallback": None if stated and reference.text else unstated("synthesis", reference),
        }
    )
