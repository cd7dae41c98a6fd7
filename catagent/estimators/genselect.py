"""GenSelect (Toshniwal et al. 2025, arXiv 2507.17797): best of N by reasoned comparison.

The model compares candidates side by side and reasons before it names one. More candidates than it compares
well at once meet in a knock-out.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import selections
from catagent.estimators.selection import by_selector

__all__: list[str] = []


@estimator(
    "genselect", cost=lambda n, lengths, subset=8, votes=1: selections(n, lengths, subset=subset, votes=votes)
)
def genselect(
    context: EstimatorContext,
    *,
    subset: Annotated[int, Field(ge=2, le=64)] = 8,
    votes: Annotated[int, Field(ge=1, le=64)] = 1,
) -> Estimator:
    """The winner of reasoned comparisons of up to `subset` rollouts at a time.

    `votes` repeats them in other orders. Costs one call for each comparison: 1 for up to `subset` rollouts,
    3 for 16 rollouts at 8 a time.
    """
    return by_selector("genselect", "selection_compare", context, subset=subset, votes=votes)
