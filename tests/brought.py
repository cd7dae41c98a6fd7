"""An estimator as another package would bring it: not registered, found by its entry point."""

from __future__ import annotations

from catagent.estimators import Estimator, EstimatorContext
from catagent.messages import Reference, RolloutGroup


def longest(context: EstimatorContext, *, at_most: int = 4000) -> Estimator:
    """The longest of the rollouts that are short enough."""

    async def estimate(group: RolloutGroup) -> Reference:
        best = max(
            (r for r in group.survivors if len(r.text or "") <= at_most), key=lambda r: len(r.text or "")
        )
        return Reference(parents=(best.id,), text=best.text or "", answer=best.answer, method="longest")

    return estimate
