"""Recursive self-aggregation (Venkatraman et al. 2025, arXiv 2509.26626).

A population of solutions is replaced, round after round, by aggregations of random subsets of it. Since each
subset is small, no prompt grows with the population, and good steps spread through it.
"""

from __future__ import annotations

import hashlib
import random
from typing import Annotated, Literal

from pydantic import Field

from catagent.agents.synthesizer import Synthesizer
from catagent.errors import AccountError, EstimationError, ModelError
from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import EstimatorCost, Lengths, syntheses
from catagent.estimators.election import elected
from catagent.estimators.fallback import voted
from catagent.estimators.selection import candidates
from catagent.estimators.synthesis import seen_question
from catagent.gathering import gathered
from catagent.messages import Reference, Rollout, RolloutGroup

__all__: list[str] = []


def _cost(
    n: int,
    lengths: Lengths,
    *,
    population: int = 8,
    subset: int = 4,
    rounds: int = 2,
    view: str = "aware",
    final: str = "vote",
) -> EstimatorCost:
    first = syntheses(population, min(subset, n), lengths, aware=view == "aware", rollouts=n)
    later = syntheses(
        population * (rounds - 1), min(subset, population), lengths, aware=view == "aware", rollouts=n
    )
    return EstimatorCost(
        n,
        first.calls + later.calls,
        first.prompt_tokens + later.prompt_tokens,
        first.completion_tokens + later.completion_tokens,
    )


@estimator("rsa", cost=_cost)
def rsa(
    context: EstimatorContext,
    *,
    population: Annotated[int, Field(ge=1, le=256)] = 8,
    subset: Annotated[int, Field(ge=1, le=64)] = 4,
    rounds: Annotated[int, Field(ge=1, le=32)] = 2,
    view: Literal["blind", "aware"] = "aware",
    final: Literal["vote", "random"] = "vote",
) -> Estimator:
    """The vote of a population aggregated in random subsets, round after round.

    Costs population × rounds calls. The rollouts are the first population, however many there are. Of the
    last one `final` takes the vote, with the rollouts as tie-break, or one member at random. An aggregation
    that fails leaves one of its subset in its place.
    """
    question = seen_question(context, view)
    synthesize = Synthesizer(context.anchor, context.prompts, question=question)

    async def aggregated(drawn: list[Rollout], kind: RolloutGroup, variant: int) -> Rollout:
        subgroup = kind.model_copy(update={"rollouts": tuple(drawn)})
        try:
            made = await synthesize(subgroup, variant)
        except AccountError:
            raise
        except (ModelError, EstimationError):
            return drawn[0]
        if not made.text:
            return drawn[0]
        return Rollout(
            id=made.id,
            parents=tuple(r.id for r in drawn),
            index=variant,
            text=made.text,
            answer=made.answer,
            finish_reason="length" if made.cut_off else None,
            model=context.anchor.name,
        )

    async def estimate(group: RolloutGroup) -> Reference:
        members = list(candidates(group))
        seed = "\0".join(r.text or "" for r in members).encode("utf-8", "replace")
        draw = random.Random(hashlib.sha256(seed).digest())
        first = {r.id for r in members}
        for number in range(1, rounds + 1):
            context.tell(population, number, rounds)
            subsets = [draw.sample(members, min(subset, len(members))) for _ in range(population)]
            members = await gathered(aggregated(s, group, i) for i, s in enumerate(subsets))
        if all(r.id in first for r in members):
            return await voted(group, "no aggregation could be had")
        made = [
            Reference(
                id=r.id,
                parents=r.parents,
                text=r.text or "",
                answer=r.answer,
                method="rsa",
                rounds=rounds,
                cut_off=r.finish_reason == "length",
            )
            for r in members
        ]
        if final == "random" or group.kind == "open":
            return draw.choice(made)
        winner = await elected(made, group)
        if winner is None:
            texts = [r.text or "" for r in members if r.id not in first]
            return await voted(group, "the last population has no majority", texts)
        return winner

    return estimate
