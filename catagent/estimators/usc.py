"""Universal self-consistency (Chen et al. 2023, arXiv 2311.17311): the most consistent rollout.

The vote for answers that cannot be compared by a program: the model is shown all rollouts and asked which of
them says what the majority says.
"""

from __future__ import annotations

from catagent.agents.selector import Selector
from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import selections
from catagent.estimators.selection import by_selector
from catagent.estimators.synthesis import question_of

__all__: list[str] = []


@estimator("usc", cost=selections)
def usc(context: EstimatorContext) -> Estimator:
    """The rollout that the anchor calls most consistent with the others. Costs one call, a short reply."""
    question = question_of(context.task)
    return by_selector(
        "usc", Selector(context.anchor, context.prompts, "selection_consistent", question=question)
    )
