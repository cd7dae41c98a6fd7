"""The rollout of least perplexity: `argmin_i −mean_t log p(w_t)` (paper, section 1, selection baselines)."""

from __future__ import annotations

from catagent.errors import EstimationError
from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import EstimatorCost
from catagent.estimators.selection import candidates, taken
from catagent.messages import Reference, RolloutGroup

__all__: list[str] = []


@estimator("min_ppl", cost=lambda n, lengths: EstimatorCost(n), logprobs=True)
def min_ppl(context: EstimatorContext) -> Estimator:
    """The rollout that its own model found likeliest, token by token. Costs no call.

    The rollouts need log-probabilities, which `solve` asks for; completions that were made elsewhere have
    none. Rollouts without them are not chosen from; `EstimationError` when none has them.
    """

    async def estimate(group: RolloutGroup) -> Reference:
        known = [r for r in candidates(group) if r.logprobs]
        if not known:
            raise EstimationError(
                "min_ppl needs the log-probabilities of the rollouts and the endpoint gave none; use one "
                "that takes logprobs=true (OpenAI, vLLM, llama.cpp, the embedded model), or another estimator"
            )
        best = max(known, key=lambda r: sum(r.logprobs or ()) / len(r.logprobs or (0,)))
        return taken(best, "min_ppl")

    return estimate
