"""One batch of rewards inside a trainer: from what TRL holds in this process to what it wants back.

Gathers whole groups, has this process score its share of them, gathers the results and puts what belongs
to each local completion into its row, where reward functions find it like a column of the data set.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from catagent.messages import RoleUsage, Usage
from catagent.training.config import CaTConfig
from catagent.training.datasets import Prompts
from catagent.training.figures import batch_figures
from catagent.training.groups import Group, Sampled, donors_of, gathered_objects, grouped, mine
from catagent.training.scoring import Scored, Scorer

__all__ = ["Batch", "Rewarding"]

_log = logging.getLogger("catagent.training")


@dataclass(slots=True)
class Batch:
    """What a batch of rewards brought, for the completions of this process, in their order."""

    rewards: list[float | None]
    references: list[str | None]
    rubrics: list[list[str] | None]
    metrics: dict[str, float] = field(default_factory=dict)
    """The same in every process."""


class Rewarding:
    """Makes rewards for a trainer's batches. `begin` is told the name of each batch before it is scored."""

    def __init__(
        self,
        config: CaTConfig,
        scorer: Scorer,
        accelerator: Any,
        data: dict[str, Prompts | None],
        *,
        begin: Callable[[str], None],
        anchor_seconds: Callable[[], float],
        stop: Callable[[str], None],
    ) -> None:
        self._config = config
        self._scorer = scorer
        self._accelerator = accelerator
        self._data = data
        self._begin = begin
        self._anchor_seconds = anchor_seconds
        self._stop = stop
        self._step = ""
        self._nth = 0
        self._donor: Group | None = None
        self.usage = Usage()
        """What all batches so far consumed, over all processes."""

    def __call__(
        self, mode: str, step: int, size: int, samples: Sequence[Sampled], kl: Sequence[float] | None
    ) -> Batch:
        """Rewards for the local `samples`; groups have `size`. `kl` is a sample's divergence, in nats."""
        began, anchored = time.monotonic(), self._anchor_seconds()
        accelerator = self._accelerator
        name = f"{mode}:{step}"
        self._nth = self._nth + 1 if name == self._step else 0
        self._step = name
        data = self._data[mode]
        assert data is not None
        offset = accelerator.process_index * len(samples)
        everyone = gathered_objects(accelerator, samples)
        groups = grouped(everyone, size, exact=mode == "train")
        donors = donors_of(groups, self._donor)
        self._donor = groups[-1] if groups else self._donor
        own = mine(groups, accelerator.process_index, accelerator.num_processes)
        batch_name = f"{name}:{self._nth}"
        self._begin(batch_name)
        scored = self._scorer.score(
            own,
            [data.messages[group.row] for group in own],
            labels=[data.labels[group.row] for group in own],
            donors=[donors[group.index] for group in own],
            step=batch_name,
            rewards=mode == "train" or self._in_evaluation(data),
        )
        found = {one.index: one for one in gathered_objects(accelerator, scored)}
        if fatal := next((one.fatal for one in found.values() if one.fatal), None):
            self._stop(fatal)
        results = [found[group.index] for group in groups]
        batch = self._local(groups, results, samples, offset, kl)
        batch.metrics.update(self._metrics(results))
        seconds = [time.monotonic() - began, self._anchor_seconds() - anchored]
        slowest = gathered_objects(accelerator, [seconds])
        batch.metrics["seconds_rewards"] = max(s[0] for s in slowest)
        batch.metrics["seconds_anchor"] = max(s[1] for s in slowest)
        return batch

    def _in_evaluation(self, data: Prompts) -> bool:
        wanted = self._config.eval_rewards
        return not data.labelled if wanted is None else wanted

    def _local(
        self,
        groups: Sequence[Group],
        results: Sequence[Scored],
        samples: Sequence[Sampled],
        offset: int,
        kl: Sequence[float] | None,
    ) -> Batch:
        owner = [
            (result, at) for g, result in zip(groups, results, strict=True) for at in range(len(g.samples))
        ]
        batch = Batch([], [], [])
        over = 0
        limit = self._config.length_limit
        for j, sample in enumerate(samples):
            result, at = owner[offset + j]
            value = result.values[at]
            if value is not None and limit is not None and sample.tokens > limit:
                value -= self._config.length_penalty
                over += 1
            if value is not None and kl is not None:
                value -= self._config.reward_kl * kl[j]
            batch.rewards.append(value)
            batch.references.append(result.reference)
            batch.rubrics.append(result.rubric)
        totals = gathered_objects(self._accelerator, [(over, sum(kl or ()), len(samples))])
        count = sum(t[2] for t in totals) or 1
        if limit is not None:
            batch.metrics["over_length_limit"] = sum(t[0] for t in totals) / count
        if kl is not None:
            batch.metrics["reward_kl"] = sum(t[1] for t in totals) / count
        return batch

    def _metrics(self, results: Sequence[Scored]) -> dict[str, float]:
        metrics = batch_figures([one.figures for one in results])
        spent = sum((one.usage for one in results), Usage())
        self.usage = self.usage + spent
        judged = spent.roles.get("judge", RoleUsage())
        if judged.calls or judged.cached:
            metrics["judge_calls"] = float(judged.calls)
            metrics["judge_tokens"] = float(judged.prompt_tokens + judged.completion_tokens)
            metrics["judge_failed"] = float(judged.failed)
            metrics["judge_cached"] = float(judged.cached)
            if not judged.unpriced:
                metrics["judge_usd"] = judged.usd
        anchor = spent.roles.get("anchor", RoleUsage())
        metrics["anchor_tokens"] = float(anchor.completion_tokens)
        metrics["journal_hits"] = float(spent.total.cached)
        if failures := sorted({one.failure for one in results if one.failure and None in one.values}):
            _log.warning("%d of %d groups lack rewards: %s", sum(None in r.values for r in results),
                         len(results), "; ".join(failures)[:400])  # fmt: skip
        return metrics
