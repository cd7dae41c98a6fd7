"""Self-BoN: the model picks the best of its own rollouts (paper, section 1, selection baselines)."""

from __future__ import annotations

from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import selections
from catagent.estimators.selection import by_selector

__all__: list[str] = []


@estimator("self_bon", cost=selections)
def self_bon(context: EstimatorContext) -> Estimator:
    """The rollout that the anchor, which sees the question, calls the best. Costs one call, a short reply."""
    return by_selector("self_bon", "selection_best", context)
