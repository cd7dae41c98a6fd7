"""Held-out accuracy without sampling noise: the probability that a sample is exactly the right line.

One forward pass reads log p(answer, line break | prompt) off the logits. The mean over many samples at
temperature 1 estimates the same, for the one way in which the tokenizer spells the answer.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # spinning threads starve on a busy machine

import torch

__all__ = ["Line", "right_lines", "samples"]


@dataclass(frozen=True)
class Line:
    """`p` by temperature: the probability of the right line; `greedy`: whether it is the likeliest."""

    p: dict[float, float]
    greedy: bool


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Any, Any, Any]:
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(r)) + list(r) for r in rows])
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows])
    return ids, mask, (mask.cumsum(1) - 1).clamp(min=0)


def _ids(tokenizer: Any, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@torch.no_grad()
def right_lines(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    answers: Sequence[str],
    temperatures: Sequence[float] = (1.0,),
    at_once: int = 25,
) -> list[Line]:
    """A `Line` for each prompt. The model's mode is left as it was."""
    training = model.training
    model.eval()
    lines: list[Line] = []
    for start in range(0, len(prompts), at_once):
        heads = [_ids(tokenizer, p) for p in prompts[start : start + at_once]]
        tails = [_ids(tokenizer, f" {a}\n") for a in answers[start : start + at_once]]
        ids, mask, places = _padded([h + t for h, t in zip(heads, tails, strict=True)])
        longest = max(map(len, tails))
        logits = model(
            input_ids=ids, attention_mask=mask, position_ids=places, logits_to_keep=longest + 1
        ).logits
        for row, tail in zip(logits, tails, strict=True):
            before = row[-1 - len(tail) : -1]
            wanted = torch.tensor(tail)
            p = {
                t: (before / t).log_softmax(-1).gather(1, wanted[:, None]).sum().exp().item()
                for t in temperatures
            }
            lines.append(Line(p, bool((before.argmax(-1) == wanted).all())))
    model.train(training)
    return lines


@torch.no_grad()
def samples(
    model: Any, tokenizer: Any, prompts: Sequence[str], count: int, tokens: int, seed: int, at_once: int = 20
) -> list[list[str]]:
    """`count` sampled continuations a prompt, at temperature 1, up to a line break."""
    torch.manual_seed(seed)
    model.eval()
    ends = [tokenizer.eos_token_id, _ids(tokenizer, "\n")[0]]
    made: list[list[str]] = []
    for start in range(0, len(prompts), at_once):
        ids, mask, _ = _padded([_ids(tokenizer, p) for p in prompts[start : start + at_once]])
        new = model.generate(
            input_ids=ids, attention_mask=mask, do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
            num_return_sequences=count, max_new_tokens=tokens, eos_token_id=ends, pad_token_id=ends[0],
        )  # fmt: skip
        texts = tokenizer.batch_decode(new[:, ids.shape[1] :], skip_special_tokens=True)
        made += [texts[i : i + count] for i in range(0, len(texts), count)]
    return made
