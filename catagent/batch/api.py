"""`await catagent.batch(rows, …)`: the same jobs from a program."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from catagent.batch.engines import checked_engine, job_with
from catagent.batch.lines import MODES, Mode
from catagent.batch.options import JobOptions
from catagent.batch.progress import Report
from catagent.batch.ray_options import RayOptions
from catagent.batch.reading import Files, RawRow, Rows, Source
from catagent.batch.rows import Fields
from catagent.batch.via import in_batches, rows_in_batches
from catagent.batch.work import Work
from catagent.cat import CaT
from catagent.errors import ConfigError
from catagent.models.deferred_registry import Via

__all__ = ["batch"]


async def batch(
    rows: str | Path | Iterable[RawRow] | AsyncIterable[RawRow],
    out: str | Path | None = None,
    *,
    cat: CaT | None = None,
    mode: Mode = "solve",
    rewards: bool = False,
    params: Mapping[str, Any] | None = None,
    fields: Fields | Mapping[str, str] | None = None,
    full: bool = False,
    in_order: bool = False,
    adaptive: float | None = None,
    max_usd: float | None = None,
    max_tokens: int | None = None,
    max_minutes: float | None = None,
    accept_changes: bool = False,
    via: Via | None = None,
    under_way: int | None = None,
    engine: str = "process",
    ray: RayOptions | None = None,
    **options: Any,
) -> Report:
    """Solve many rows; `rows` is the name of a file, or prompts and objects as a line of input has them.

    With `out` the lines go to that file, and the same call goes on with a job that was stopped or killed.
    Without, they are in the report, in the order of the rows. `cat` is the pipeline to use; without it one
    is made from `options` as `CaT` takes them. `params` are sampling parameters of the rollouts, `adaptive`
    is the risk with which to stop drawing them early, `max_tokens` the budget of the whole job. `via` has
    the requests go as batches of the provider (docs/provider-batches.md), which takes `out`; `under_way`
    are the rows that are then in memory at once. `engine="ray"` has the rows solved by the workers of a Ray
    cluster (docs/scale.md), of which `ray` says where it is and how wide the job may run.

    Raises `ConfigError` before anything is sent, `AccountError` when a provider refuses for good, and
    `JournalError` when what is bought cannot be kept. A row that fails is a line with an `error`.
    """
    if mode not in MODES:
        raise ConfigError(f"there is no mode {mode!r}; there are {', '.join(MODES)}")
    checked_engine(engine, in_batches=via is not None)
    source: Source = Files([rows]) if isinstance(rows, str | Path) else Rows(rows)
    job_options = JobOptions(
        work=Work(mode, rewards, dict(params or {})),
        fields=fields if isinstance(fields, Fields) else Fields(**(fields or {})),
        full=full,
        in_order=in_order or out is None,
        risk=adaptive,
        usd=max_usd,
        tokens=max_tokens,
        minutes=max_minutes,
        accept_changes=accept_changes,
    )
    if via is not None and out is None:
        raise ConfigError("a job in provider batches needs `out`: it may outlast this process")
    own = CaT(**options) if cat is None else cat
    if via is not None:
        own = in_batches(own, via, out or "")
        most = under_way or rows_in_batches(own, job_options.work)
        job_options = replace(job_options, under_way=most, at_once=True)
    try:
        if out is not None:
            return await job_with(engine, own, source, Path(out), job_options, ray).run()
        with tempfile.TemporaryDirectory(prefix="catagent-", ignore_cleanup_errors=True) as folder:
            job = job_with(engine, own, source, Path(folder) / "out.jsonl", job_options, ray)
            report = await job.run()
            lines = await asyncio.to_thread(lambda: tuple(report))
            return replace(report, places=None, lines=lines)
    finally:
        if own is not cat:
            await own.aclose()
