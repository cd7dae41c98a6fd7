"""Self-BoN: the model picks the best of its own rollouts (paper, section 1, selection baselines)."""

from __future__ import annotations

from catagent.agents.selector import Selector
from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import selections
from catagent.estimators.selection import by_selector
from catagent.estimators.synthesis import question_of

__all__: list[str] = []


@estimator("self_bon", cost=selections)
def self_bon(context: EstimatorContext) -> Estimator:
    """The rollout that the anchor, which sees the question, calls the best. Costs one call, a short reply."""
    question = question_of(context.task)
    return by_selector(
        "self_bon", Selector(context.anchor, context.prompts, "selection_best", question=question)
    )
