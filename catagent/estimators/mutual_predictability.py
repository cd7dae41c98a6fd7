"""Mutual predictability: the rollout that the others predict best (paper, section 1; Wen et al. 2025,
arXiv 2506.10139).

For each rollout j, the other G − 1 in random order and then j: the j whose perplexity after the others is
least wins.
"""

from __future__ import annotations

import hashlib
import random

from catagent.agents.fencing import cleaned, shortened
from catagent.errors import AccountError, EstimationError, ModelError
from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.costs import EstimatorCost, Lengths
from catagent.estimators.selection import candidates, taken
from catagent.gathering import gathered
from catagent.messages import Reference, RolloutGroup
from catagent.models.model import Model
from catagent.models.scoring import mean_logprob, scoring_model

__all__: list[str] = []

_CHARACTERS_A_TOKEN = 2.6


def _cost(n: int, lengths: Lengths) -> EstimatorCost:
    return EstimatorCost(n, n if n > 1 else 0, n * n * lengths.rollout if n > 1 else 0.0)


@estimator("mutual_predictability", cost=_cost)
def mutual_predictability(context: EstimatorContext) -> Estimator:
    """The rollout of least perplexity given the others. Costs one scoring of G rollouts for each of them.

    Needs an anchor whose endpoint gives the log-probabilities of a given text (`catagent.models.scoring`):
    `ConfigError` where its client cannot, `EstimationError` where the endpoint turns out not to.
    """
    anchor = scoring_model(context.anchor, "mutual_predictability")

    async def estimate(group: RolloutGroup) -> Reference:
        rollouts = candidates(group)
        if len(rollouts) == 1:
            return taken(rollouts[0], "mutual_predictability")
        texts = _fitting(anchor, [cleaned(r.text or "") for r in rollouts])
        seed = "\0".join(texts).encode("utf-8", "replace")
        draw = random.Random(hashlib.sha256(seed).digest())
        contexts = []
        for j in range(len(texts)):
            others = [t for i, t in enumerate(texts) if i != j]
            draw.shuffle(others)
            contexts.append("".join(f"{text}\n\n" for text in others))
        context.tell(len(contexts))
        try:
            scores = await gathered(
                mean_logprob(anchor, before, text) for before, text in zip(contexts, texts, strict=True)
            )
        except AccountError:
            raise
        except ModelError as error:
            raise EstimationError(f"mutual_predictability: {error}") from None
        best = max(range(len(texts)), key=scores.__getitem__)
        return taken(rollouts[best], "mutual_predictability")

    return estimate


def _fitting(anchor: Model, texts: list[str]) -> list[str]:
    """The texts, cut in their middle so that all of them together fit a window that is known."""
    context = anchor.endpoint.context
    if context is None:
        return texts
    share = int((context - 64) * _CHARACTERS_A_TOKEN / len(texts)) - 8
    return [shortened(text, max(40, share)) for text in texts]
