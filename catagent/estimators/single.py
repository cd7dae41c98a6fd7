"""One rollout, the first: what every other method has to beat (paper, section 1, selection baselines)."""

from __future__ import annotations

from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import EstimatorCost
from catagent.estimators.selection import candidates, taken
from catagent.messages import Reference, RolloutGroup

__all__: list[str] = []


@estimator("single", cost=lambda n, lengths: EstimatorCost(1))
def single(context: EstimatorContext) -> Estimator:
    """The first rollout that survived. Costs no call; the others are not looked at."""

    async def estimate(group: RolloutGroup) -> Reference:
        return taken(candidates(group)[0], "single")

    return estimate
