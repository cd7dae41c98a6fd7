"""Rollouts only until the majority is settled.

Rollouts are drawn in waves, each as small as could settle the matter, so that none is under way when it is
settled: nothing is bought and thrown away. `chance_of_change` is the exact binomial bound behind it. Open
tasks have no majority and get all their rollouts.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from catagent.agents.sampler import Sampler, rollout_of, settled_kind
from catagent.answers import acluster
from catagent.messages import ChatMessage, Rollout, Task
from catagent.models.model import OnSample, Sample

__all__ = ["AdaptiveSampler", "chance_of_change", "wave"]

_GRID = 200


class AdaptiveSampler(Sampler):
    """A Sampler that stops early. `risk` bounds the chance that all `n` rollouts would have another majority.

    `told` hears how many rollouts were drawn and how many were spared, once a task.
    """

    def __init__(
        self, *arguments: Any, risk: float, told: Callable[[int, int], None] | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._risk = risk
        self._heard = told

    async def _draw(self, messages: list[ChatMessage], task: Task, finished: OnSample) -> None:
        drawn: list[Rollout] = []

        def kept(index: int, sample: Sample) -> None:
            choice = sample.choice
            text = choice.text if choice else None
            calls = choice.tool_calls if choice else ()
            drawn.append(rollout_of(task, index, text, tool_calls=calls, error=None if choice else "failed"))
            finished(index, sample)

        told = self._told if self._emit else None
        lead, second = 0, 0
        while size := wave(self._n, len(drawn), lead, second, self._risk):
            await self._model.samples(
                messages, size, task.params, first=len(drawn), on_delta=told, on_sample=kept
            )
            if task.kind == "open" or settled_kind(task.kind, tuple(drawn)) == "open":
                lead, second = 0, 0
            else:
                lead, second = await _counts(drawn)
        if self._heard:
            self._heard(len(drawn), self._n - len(drawn))


async def _counts(drawn: list[Rollout]) -> tuple[int, int]:
    """How many rollouts share the first and the second answer."""
    classes = (await acluster([r.answer if r.ok else None for r in drawn])).classes
    sizes = [*sorted(map(len, classes), reverse=True), 0, 0]
    return sizes[0], sizes[1]


def wave(n: int, drawn: int, lead: int, second: int, risk: float) -> int:
    """How many rollouts to draw next: the fewest that could settle the majority, 0 when it is settled.

    `lead` of the `drawn` rollouts share an answer, `second` the next one.
    """
    allowed = risk / _looks(n, risk)
    for more in range(n - drawn):
        at, ahead = drawn + more, lead + more
        certain = ahead > second + n - at
        if certain or chance_of_change(n, at, ahead) <= allowed:
            return more
    return n - drawn


@functools.lru_cache(maxsize=64)
def _looks(n: int, risk: float) -> int:
    """At how many sizes one may stop without being certain: they share the risk.

    Fewer of them allow a larger share, so an earlier first one, so more of them: the fewest that will do.
    """
    for looks in range(1, n + 1):
        first = next(m for m in range(1, n + 1) if chance_of_change(n, m, m) <= risk / looks)
        if n // 2 + 1 - first <= looks:
            return looks
    return n


@functools.lru_cache(maxsize=65536)
def chance_of_change(n: int, drawn: int, lead: int) -> float:
    """A bound on the chance to see such a lead and have it lost or shared when all `n` are drawn.

    `lead` of `drawn` rollouts share an answer. If its probability is p, such a lead has the chance
    P(Bin(drawn, p) >= lead), and the rest, taken to agree with each other, catch up with the chance
    P(Bin(n - drawn, p) <= (n - 2 lead) / 2). The product over p, at its largest, bounds the sum over all the
    answers there may be, whatever their probabilities are.
    """
    caught = (n - 2 * lead) // 2  # further votes for the lead with which it is still caught up
    if caught < 0:
        return 0.0
    if not lead:
        return 1.0
    worst = 0.0
    for step in range(1, _GRID):
        p = step / _GRID
        seen = sum(_binomial(drawn, k, p) for k in range(lead, drawn + 1))
        lost = sum(_binomial(n - drawn, k, p) for k in range(min(caught, n - drawn) + 1))
        worst = max(worst, seen * lost / p)
    return min(1.0, worst)


def _binomial(n: int, k: int, p: float) -> float:
    return float(math.comb(n, k) * p**k * (1 - p) ** (n - k))
