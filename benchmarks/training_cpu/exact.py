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
from transformers import DynamicCache

__all__ = ["Line", "right_lines", "samples"]


@dataclass(frozen=True)
class Line:
    """`p` by temperature: the probability of the right line; `greedy`: whether it is the likeliest."""

    p: dict[float, float]
    greedy: bool


def _padded(rows: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(r)) + list(r) for r in rows])
    mask = torch.tensor([[0] * (width - len(r)) + [1] * len(r) for r in rows])
    return ids, mask


def _read(model: Any, rows: list[list[int]], shared: list[int], keep: int) -> tuple[Any, Any, Any]:
    """Logits at the last `keep` places of rows that all begin with `shared`, which is read once.

    Also the cache and the mask to go on from.
    """
    cache = DynamicCache()
    if shared:
        model(input_ids=torch.tensor([shared]), past_key_values=cache, use_cache=True, logits_to_keep=1)
        cache.batch_repeat_interleave(len(rows))
    ids, mask = _padded([row[len(shared) :] for row in rows])
    mask = torch.cat([torch.ones(len(rows), len(shared), dtype=mask.dtype), mask], 1)
    places = (mask.cumsum(1) - 1).clamp(min=0)[:, len(shared) :]
    logits = model(
        input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, logits_to_keep=keep
    ).logits
    return logits, cache, mask


def _shared(heads: list[list[int]]) -> list[int]:
    """The tokens that all begin with, short of the last one of any."""
    first, last = min(heads), max(heads)
    most = min(map(len, heads)) - 1
    same = next((i for i in range(most) if first[i] != last[i]), most)
    return first[:same]


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
        rows = [head + tail for head, tail in zip(heads, tails, strict=True)]
        logits, _, _ = _read(model, rows, _shared(heads), max(map(len, tails)) + 1)
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
    draw = torch.Generator().manual_seed(seed)
    model.eval()
    ends = torch.tensor([tokenizer.eos_token_id, _ids(tokenizer, "\n")[0]])
    made: list[list[str]] = []
    for start in range(0, len(prompts), at_once):
        heads = [_ids(tokenizer, p) for p in prompts[start : start + at_once]]
        logits, cache, mask = _read(model, heads, _shared(heads), 1)
        cache.batch_repeat_interleave(count)
        logits, mask = logits[:, -1].repeat_interleave(count, 0), mask.repeat_interleave(count, 0)
        new = torch.empty(len(mask), 0, dtype=torch.long)
        while True:
            new = torch.cat([new, torch.multinomial(logits.softmax(-1), 1, generator=draw)], 1)
            if new.shape[1] == tokens or torch.isin(new, ends).any(1).all():
                break
            places = mask.sum(1, keepdim=True)
            mask = torch.cat([mask, torch.ones_like(places)], 1)
            logits = model(
                input_ids=new[:, -1:], attention_mask=mask, position_ids=places, past_key_values=cache
            ).logits[:, -1]
        texts = tokenizer.batch_decode(new)
        made += [texts[i : i + count] for i in range(0, len(texts), count)]
    return made
