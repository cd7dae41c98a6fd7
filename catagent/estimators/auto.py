"""Choosing the estimator by the group's own statistics, never by labels.

Where the rollouts agree, a synthesis can only confirm or break it, so the vote decides for nothing. Where
hardly any rollout states an answer, the model does not master the format and reconciles worse still. In
between, where they disagree, is what synthesis is for (`docs/simulation.md` has the reasons in figures).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from catagent.answers import acluster
from catagent.estimators import Estimator, EstimatorContext, estimator, make_estimator
from catagent.estimators.costs import EstimatorCost, Lengths, syntheses
from catagent.estimators.majority import vote
from catagent.messages import Reference, RolloutGroup

__all__: list[str] = []


def _cost(
    n: int,
    lengths: Lengths,
    *,
    agree: float = 0.75,
    state: float = 0.5,
    samples: int = 3,
    view: str | None = None,
    support: int = 0,
) -> EstimatorCost:
    return syntheses(samples, n, lengths, aware=view == "aware", rollouts=n)


@estimator("auto", cost=_cost)
def auto(
    context: EstimatorContext,
    *,
    agree: Annotated[float, Field(gt=0.5, le=1)] = 0.75,
    state: Annotated[float, Field(ge=0, le=1)] = 0.5,
    samples: Annotated[int, Field(ge=1, le=64)] = 3,
    view: Literal["blind", "aware"] | None = None,
    support: Annotated[int, Field(ge=0)] = 0,
) -> Estimator:
    """The vote where rollouts agree or state no answer, else synthesis_vote.

    Costs no call to `samples` calls. The vote decides where at least `agree` of the rollouts share an
    answer, fewer than `state` of them state one, or fewer than `support` share what the syntheses say; an
    open task has a `synthesis`. `reference.method` says which it was.
    """
    seeing = f",{view}" if view else ""
    several = make_estimator(f"synthesis_vote:samples={samples},support={support}{seeing}", context)
    one = make_estimator("synthesis" + (f":{view}" if view else ""), context)

    async def estimate(group: RolloutGroup) -> Reference:
        if group.kind == "open":
            return await one(group)
        alive = group.survivors
        # Any text has a last line: that it does is no sign of an answer.
        stated = [r.answer for r in alive if r.answer is not None and r.answer.source != "last_line"]
        if not alive or len(stated) < state * len(alive):
            return await vote(group)
        classes = (await acluster(stated)).classes
        if classes and len(classes[0]) >= agree * len(alive):
            return await vote(group)
        return await several(group)

    return estimate
