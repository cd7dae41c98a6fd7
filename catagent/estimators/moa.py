"""Mixture of agents (Wang et al. 2024, arXiv 2406.04692): other models propose, the anchor aggregates.

The sampler's rollouts are proposals too. In each further layer every proposer writes a new answer from all
answers of the layer before.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from catagent.agents.sampler import Sampler
from catagent.agents.synthesizer import Synthesizer
from catagent.errors import AccountError, ConfigError, EstimationError, ModelError
from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import EstimatorCost, Lengths, syntheses
from catagent.estimators.fallback import unstated, voted, wrote
from catagent.estimators.synthesis import seen_question, states_an_answer
from catagent.gathering import gathered
from catagent.messages import Reference, Rollout, RolloutGroup

__all__: list[str] = []


def _cost(
    n: int,
    lengths: Lengths,
    *,
    models: tuple[str, ...],
    each: int = 1,
    layers: int = 1,
    view: str = "aware",
) -> EstimatorCost:
    proposals = len(models) * each
    later = syntheses(len(models) * (layers - 1), n + proposals, lengths, aware=view == "aware", rollouts=n)
    last_of = n + proposals if layers == 1 else len(models)
    last = syntheses(1, last_of, lengths, aware=view == "aware", rollouts=n)
    return EstimatorCost(
        n,
        proposals + later.calls + 1,
        proposals * lengths.question + later.prompt_tokens + last.prompt_tokens,
        proposals * lengths.rollout + later.completion_tokens + last.completion_tokens,
    )


@estimator("moa", cost=_cost, models="models")
def moa(
    context: EstimatorContext,
    *,
    models: Annotated[tuple[str, ...], Field(min_length=1, max_length=32)],
    each: Annotated[int, Field(ge=1, le=64)] = 1,
    layers: Annotated[int, Field(ge=1, le=8)] = 1,
    view: Literal["blind", "aware"] = "aware",
) -> Estimator:
    """What the anchor makes of the rollouts and of other models' answers.

    Each of the `models` (joined by `+`) answers `each` so many times. With more `layers` each of them first
    reconciles what the layer before wrote. Costs models × each proposals, models × (layers − 1) further
    texts and one call of the anchor.
    """
    if missing := [name for name in models if name not in context.models]:
        raise ConfigError(f"moa cannot reach {', '.join(missing)} here: no models were given to it")
    proposers = [context.models[name] for name in models]
    question = seen_question(context, view)
    writers = [Synthesizer(model, context.prompts, question=question) for model in proposers]
    aggregate = Synthesizer(context.anchor, context.prompts, question=question, emit=context.emit)

    async def estimate(group: RolloutGroup) -> Reference:
        context.tell(len(proposers), 1, layers + 1)
        drawn = await gathered(
            Sampler(model, context.prompts, n=each, quorum=0)(context.task) for model in proposers
        )
        proposals = (*group.survivors, *(r for other in drawn for r in other.survivors))
        mixed = group.model_copy(update={"rollouts": proposals})
        for number in range(2, layers + 1):
            context.tell(len(writers), number, layers + 1)
            written = await gathered(_written(write, mixed) for write in writers)
            if kept := tuple(r for r in written if r is not None):
                mixed = group.model_copy(update={"rollouts": kept})
        try:
            reference = await aggregate(mixed)
        except AccountError:
            raise
        except (ModelError, EstimationError) as error:
            return await voted(group, f"no aggregation: {error}")
        if group.kind != "open" and not await states_an_answer(reference, mixed):
            return await voted(group, unstated("aggregation", reference), [wrote(reference)])
        if not reference.text:
            return await voted(group, "the aggregation is empty", [wrote(reference)])
        return reference.model_copy(update={"method": "moa"})

    return estimate


async def _written(write: Synthesizer, group: RolloutGroup) -> Rollout | None:
    """What one proposer makes of the layer before; `None` when it fails."""
    try:
        made = await write(group)
    except AccountError:
        raise
    except (ModelError, EstimationError):
        return None
    if not made.text:
        return None
    return Rollout(id=made.id, parents=made.parents, index=0, text=made.text, answer=made.answer)
