"""How far a completion's policy is from the anchor: the reward-level KL of the paper (section 1.5).

The sum over the tokens of a completion of `log pi(t) - log pi_0(t)`, in nats: the estimate of the divergence
that this sample gives, which may be negative.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from catagent.training.anchors import anchor_weights
from catagent.training.backend import needed

__all__ = ["completion_logprobs", "divergence"]


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
                total += completion_logprobs(
                    model, prompts[i : i + at_once], completions[i : i + at_once], trainer.args.temperature
                )
        sums.append(total)
    return [policy - frozen for policy, frozen in zip(*sums, strict=True)]


def completion_logprobs(
    model: Any, prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], temperature: float
) -> list[float]:
    """The log-probability of each completion after its prompt, in nats."""
    torch = needed("torch")
    rows = [[*p, *c] for p, c in zip(prompts, completions, strict=True)]
    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask).logits[:, :-1].float() / temperature
    picked = torch.log_softmax(logits, -1).gather(-1, ids[:, 1:, None])[..., 0]
    return [
        float(picked[i, len(p) - 1 : len(p) + len(c) - 1].sum())
        for i, (p, c) in enumerate(zip(prompts, completions, strict=True))
    ]
