"""`await catagent.evaluation.evaluate(…)`: benchmark × methods on the same rollouts, from a program."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from catagent.cat import CaT
from catagent.errors import ConfigError, JournalError
from catagent.evaluation.benchmarks import Benchmark, benchmark_from, load_benchmark
from catagent.evaluation.folder import Folder
from catagent.evaluation.methods import Arm, arms_of, method_names
from catagent.evaluation.questions import Fields
from catagent.evaluation.result import Evaluation
from catagent.evaluation.running import Finished, Run
from catagent.events import Event, Waiting
from catagent.messages import Usage
from catagent.models.journal import MemoryJournal
from catagent.models.ledger import Budget, Ledger
from catagent.options import JudgeOptions, options_of

__all__ = ["METHODS", "Progress", "evaluate"]

METHODS = ("majority", "synthesis", "placebo_other", "placebo_none")
_TICK = 0.5
_PROMPTS = ("rollout_verifiable", "synthesis_freeform", "synthesis_reasoning")


@dataclass(slots=True)
class Progress:
    """How far a run is; `run` can be stopped. `sums` has, by method, the sum and number of known values."""

    total: int
    run: Run
    totals: Ledger
    done: int = 0
    sums: dict[str, tuple[float, int]] = field(default_factory=dict)
    waiting: Waiting | None = None

    def note(self, finished: Finished) -> None:
        """A question is done."""
        self.done += 1
        for name, outcome in finished.record.outcomes.items():
            if outcome.value is not None:
                total, count = self.sums.get(name, (0.0, 0))
                self.sums[name] = (total + outcome.value, count + 1)

    def heard(self, event: Event) -> None:
        """A request waits."""
        if isinstance(event, Waiting):
            self.waiting = event


async def evaluate(
    benchmark: str | Path | Benchmark | Iterable[Mapping[str, Any]],
    *,
    cat: CaT | None = None,
    methods: str | Sequence[str] = METHODS,
    n: int | None = None,
    pool: int | None = None,
    sizes: Sequence[int] = (),
    seeds: int = 1,
    limit: int | None = None,
    shuffle: int | None = None,
    out: str | Path | None = None,
    data: str | Path | None = None,
    fields: Fields | Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    judged: int = 1,
    judging: JudgeOptions | Mapping[str, Any] | None = None,
    max_usd: float | None = None,
    max_tokens: int | None = None,
    max_calls: int | None = None,
    max_minutes: float | None = None,
    on_start: Callable[[Progress], None] | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Evaluation:
    """Draw rollouts once and try every method on them.

    `benchmark` is a name (`gsm8k`), a file, `hf:owner/name/file`, a `Benchmark`, or rows. `methods` are
    estimators by name, with options. `n` is G; `pool` draws further rollouts for baselines that may use as
    much compute; `sizes` tries every method on fewer. `seeds` repeats all of it with fresh samples. `cat` is
    the pipeline; without it one is made from `options`, as `CaT` takes them. With `out` all that is bought is
    kept in that folder and the same call goes on after a stop; the report is `Evaluation.write`'s to make.
    Budgets hold over all runs in the folder, `max_minutes` for this one. A budget, the time or
    `Progress.run.stop` end it early with what is finished.

    Of an open question the first `judged` rollouts are judged, and every method's reference.

    Raises `ConfigError` before anything is sent, `AccountError` when a provider refuses for good,
    `FetchError` and `JournalError`.
    """
    names = method_names([methods] if isinstance(methods, str) else methods)
    own = CaT(**options) if cat is None else cat
    if cat is not None and options:
        raise ConfigError(f"with `cat` given there is no use for {', '.join(options)}")
    size = own.n if n is None else n
    if size < 1 or seeds < 1 or judged < 0 or (limit is not None and limit < 1):
        raise ConfigError("n, seeds and limit are at least 1, judged at least 0")
    if (pool or size) < size:
        raise ConfigError(f"the pool has at least the {size} rollouts of a group, not {pool}")
    arms = arms_of(names, size, sizes)
    whole = await _loaded(benchmark, data, fields)
    chosen = whole.selected(limit, shuffle)
    try:
        asked = await _asked(own, chosen, arms, size, pool or size, seeds, params)
        asked |= {"shuffle": shuffle}
        identity = {
            "benchmark": whole.digest,
            **{k: asked[k] for k in ("model", "sampler", "anchor", "params")},
        }
        folder = Folder(Path(out), identity) if out is not None else None
        before = folder.spent if folder else Usage()
        totals = Ledger(Budget(usd=max_usd, tokens=max_tokens, calls=max_calls), before=before)
        run = Run(
            cat=own,
            benchmark=chosen,
            arms=arms,
            journal=folder.journal if folder else MemoryJournal(),
            totals=totals,
            n=size,
            pool=pool or size,
            seeds=seeds,
            judged=judged,
            judging=options_of(JudgeOptions, judging, own.judging.model_copy(update={"sees_question": True})),
            params=dict(params or {}),
        )
        progress = Progress(len(chosen.questions) * seeds, run, totals)
        try:
            finished = await _run(run, progress, folder, max_minutes, on_start, on_progress)
        finally:
            if folder is not None:
                with contextlib.suppress(JournalError):  # closing it says so
                    folder.remember(totals.usage())
                await folder.aclose()
    finally:
        if own is not cat:
            await own.aclose()
    usage = totals.usage()
    return Evaluation(
        benchmark=chosen,
        asked=asked,
        finished=finished,
        total=progress.total,
        usage=usage,
        usage_of_run=usage.since(before),
        stopped=run.stopped,
        why=run.why,
        folder=None if out is None else Path(out),
    )


async def _run(
    run: Run,
    progress: Progress,
    folder: Folder | None,
    minutes: float | None,
    on_start: Callable[[Progress], None] | None,
    on_progress: Callable[[Progress], None] | None,
) -> list[Finished]:
    def finished(one: Finished) -> None:
        progress.note(one)
        if on_progress:
            on_progress(progress)

    async def tick() -> None:
        began = asyncio.get_running_loop().time()
        while True:
            await asyncio.sleep(_TICK)
            if minutes is not None and asyncio.get_running_loop().time() - began > 60 * minutes:
                run.stop("time", f"the {minutes:g} minutes are over")
            if folder is not None:
                with contextlib.suppress(JournalError):  # whoever needs it to be kept is told
                    folder.remember(progress.totals.usage())

    run.on_finished, run.on_wait = finished, progress.heard
    await run.prepare()
    if on_start:
        on_start(progress)
    ticking = asyncio.create_task(tick())
    try:
        return await run()
    finally:
        ticking.cancel()
        await asyncio.gather(ticking, return_exceptions=True)


async def _loaded(
    benchmark: str | Path | Benchmark | Iterable[Mapping[str, Any]],
    data: str | Path | None,
    fields: Fields | Mapping[str, str] | None,
) -> Benchmark:
    where = fields if isinstance(fields, Fields) else Fields(**(fields or {}))
    if isinstance(benchmark, Benchmark):
        return benchmark
    if isinstance(benchmark, str | Path):
        return await load_benchmark(benchmark, data=data, fields=where)
    return benchmark_from(benchmark, fields=where)


async def _asked(
    cat: CaT,
    benchmark: Benchmark,
    arms: Sequence[Arm],
    n: int,
    pool: int,
    seeds: int,
    params: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What was asked for, by the names that stand in the report."""
    run = await cat.begin()
    roles = ["sampler", "anchor", *(["judge"] if any(q.open for q in benchmark.questions) else [])]
    models = {role: await run.model(role) for role in roles}
    sent = {**models["sampler"].endpoint.params, **models["sampler"].params, **(params or {})}
    return {
        "model": models["sampler"].name,
        "sampler": models["sampler"].endpoint.identity,
        "anchor": models["anchor"].name,
        "judge": models["judge"].name if "judge" in models else None,
        "methods": [arm.name for arm in arms],
        "n": n,
        "pool": pool,
        "seeds": seeds,
        "params": sent,
        "question_aware": cat.question_aware,
        "prompts": {name: cat.prompts[name].version for name in _PROMPTS},
    }
