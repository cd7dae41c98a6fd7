"""How far a completion's policy is from the anchor: the reward-level KL of the paper (section 1.5).

The sum over the tokens of a completion of `log pi(t) - log pi_0(t)`, in nats: the estimate of the divergence
that this sample gives, which may be negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from catagent.training.anchors import anchor_weights
from catagent.training.likelihood import token_logprobs

__all__ = ["divergence"]


def divergence(
    trainer: Any,
    anchor: Callable[[], AbstractContextManager[Any]],
    prompts: Sequence[Sequence[int]],
    completions: Sequence[Sequence[int]],
) -> list[float]:
    """One number a completion. Two forward passes, in pieces of the training batch size."""
    at_once = int(trainer.args.per_device_train_batch_size)
    sums = []
    for weights in (anchor_weights("policy", trainer), anchor):
        total: list[float] = []
        for i in range(0, len(prompts), at_once):
            with weights() as model:
                found = token_logprobs(
                    model, prompts[i : i + at_once], completions[i : i + at_once], trainer.args.temperature
                )
            total += map(sum, found)
        sums.append(total)
    return [policy - frozen for policy, frozen in zip(*sums, strict=True)]
