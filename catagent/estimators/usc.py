"""Universal self-consistency (Chen et al. 2023, arXiv 2311.17311): the most consistent rollout.

The vote for answers that cannot be compared by a program: the model is shown all rollouts and asked which of
them says what the majority says.
"""

from __future__ import annotations

from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import selections
from catagent.estimators.selection import by_selector

__all__: list[str] = []


@estimator("usc", cost=selections)
def usc(context: EstimatorContext) -> Estimator:
    """The rollout that the anchor calls most consistent with the others. Costs one call, a short reply."""
    return by_selector("usc", "selection_consistent", context)
