"""`catagent batch`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from catagent.batch.engines import checked_engine, job_with
from catagent.batch.estimate import Estimate, estimate
from catagent.batch.job import Job
from catagent.batch.lines import MODES
from catagent.batch.options import JobOptions
from catagent.batch.progress import Report
from catagent.batch.ray_options import RayOptions
from catagent.batch.reading import Files
from catagent.batch.rows import Fields
from catagent.batch.status import Status, status_of
from catagent.batch.store import Places
from catagent.batch.via import cancel_batches, in_batches, rows_in_batches
from catagent.batch.work import Work
from catagent.cat import CaT
from catagent.cli.batch_news import BatchLog
from catagent.cli.batch_view import role_table, view_of
from catagent.cli.download import DownloadBar
from catagent.cli.pipeline import Pipeline
from catagent.cli.running import console, run_command
from catagent.errors import ConfigError
from catagent.messages import Usage

__all__ = ["Options", "run", "show_status"]

STOPPED = 3
_SWITCH = 0.0005
"""Seconds after which a busy event loop lets the journal's thread go on (5 ms by default)."""


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    inputs: Sequence[str]
    out: Path
    mode: Any
    pipeline: Pipeline
    params: dict[str, Any]
    fields: Fields
    rewards: bool
    full: bool
    in_order: bool
    risk: float | None
    usd: float | None
    tokens: int | None
    minutes: float | None
    limit: int | None
    accept_changes: bool
    dry_run: bool
    quiet: bool
    via: Any = None
    cancel_batches: bool = False
    under_way: int | None = None
    engine: str = "process"
    ray: RayOptions = field(default_factory=RayOptions)


def run(options: Options) -> int:
    """Run the command; returns the exit code: 0 all done, 1 errors, 3 stopped early."""
    sys.setswitchinterval(_SWITCH)
    return run_command(_batch(options))


async def _batch(options: Options) -> int:
    o = options
    if o.mode not in MODES:
        raise ConfigError(f"there is no mode {o.mode!r}; there are {', '.join(MODES)}")
    inputs = o.inputs or (["-"] if not sys.stdin.isatty() else [])
    if not inputs:
        raise ConfigError("no input: name JSONL files after `catagent batch`, or pipe lines in")
    if str(o.out) in inputs:
        raise ConfigError(f"{o.out} is both input and output")
    checked_engine(o.engine, in_batches=o.via is not None)
    work = Work(o.mode, o.rewards, o.params)
    source = Files(inputs)
    with DownloadBar(console, quiet=o.quiet) as bar:
        log = BatchLog(console, quiet=o.quiet)
        cat = o.pipeline.cat(bar.note, bar.progress)
        if o.via is not None:
            cat = in_batches(cat, o.via, o.out, hear=log)
        async with cat:
            if o.cancel_batches:
                return await _cancel(cat, work, o)
            if o.dry_run:
                _show_estimate(await estimate(cat, source, work, o.fields, o.out, o.limit), o)
                return 0
            if "sampler" in work.roles:
                await cat.prepare()
            job_options = JobOptions(
                work=work,
                fields=o.fields,
                full=o.full,
                in_order=o.in_order,
                risk=o.risk,
                usd=o.usd,
                tokens=o.tokens,
                minutes=o.minutes,
                limit=o.limit,
                accept_changes=o.accept_changes,
                under_way=(o.under_way or rows_in_batches(cat, work)) if o.via else None,
                at_once=o.via is not None,
            )
            job = job_with(
                o.engine,
                cat,
                source,
                o.out,
                job_options,
                o.ray,
                lambda said: console.print(said, style="dim"),
            )
            log.progress = job.progress
            _listen(job, at_once=o.via is not None)
            try:
                with view_of(console, job, quiet=o.quiet):
                    report = await job.run()
            finally:
                if parting := log.parting():
                    console.print(parting, soft_wrap=True)
    code = _conclude(report, o)
    if report.stopped and "-" in inputs:
        os._exit(code)  # all is kept and closed, and a thread may wait for standard input for ever
    return code


async def _cancel(cat: CaT, work: Work, options: Options) -> int:
    """Stop what runs at the provider; what it has done is collected by the next run."""
    if options.via is None:
        raise ConfigError("say with --via which provider has the batches")
    cancelled = await cancel_batches(cat, work, options.out)
    console.print(f"cancelled: {', '.join(cancelled)}" if cancelled else "nothing runs at the provider")
    return 0


def _listen(job: Job, *, at_once: bool) -> None:
    """Ctrl-C once finishes the rows under way, twice stops at once. SIGTERM is the first of these.

    Rows that are in provider batches may take a day: then the first stops `at_once`.
    """
    asked = 0

    def interrupted() -> None:
        nonlocal asked
        asked += 1
        if at_once:
            job.stop("interrupt", "it was interrupted")
        elif asked == 1:
            rows = job.progress.under_way
            console.print(f"finishing {rows} rows under way; Ctrl-C again stops at once", soft_wrap=True)
            job.stop("interrupt", "it was interrupted")
        else:
            job.abort()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted)


def _conclude(report: Report, options: Options) -> int:
    failed = report.errors or report.bad
    if not options.quiet:
        console.print(role_table(report.usage, report.usage_of_job))
        console.print(Text(_summary(report, options), style="bold"), soft_wrap=True)
    if report.stopped:
        raised = {"budget": "raise the budget and run", "time": "run", "interrupt": "run"}[report.stopped]
        console.print(
            f"stopped early: {report.why}; {raised} the same command again to go on", soft_wrap=True
        )
        return STOPPED
    if failed:
        parts = []
        if report.errors:
            parts.append(f"{report.errors} rows failed and are owed: the same command tries them again")
        if report.bad:
            parts.append(f"{report.bad} lines hold no row: see {Places.of(options.out).errors}")
        console.print("; ".join(parts), soft_wrap=True)
        return 1
    return 0


def _summary(report: Report, options: Options) -> str:
    parts = [f"{report.done:,} rows done"]
    for count, what in (
        (report.copies, "copies of others"),
        (report.before, "done before"),
        (report.left, "without anything to train on"),
        (report.errors, "failed"),
        (report.bad, "bad lines"),
        (report.partial, "with rollouts lost"),
        (report.fallbacks, "with another estimator's reference"),
    ):
        if count:
            parts.append(f"{count:,} {what}")
    if report.spared:
        drawn = report.drawn + report.spared
        parts.append(f"{report.spared:,} of {drawn:,} rollouts spared ({report.spared / drawn:.0%})")
    return f"{', '.join(parts)} in {report.seconds:.1f} s: {options.out}"


def _show_estimate(found: Estimate, options: Options) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("role", "model", "calls", "prompt tokens", "completion tokens", "USD"):
        table.add_column(heading, justify="left" if heading in ("role", "model") else "right")
    for role in found.roles:
        usd = "unknown" if role.usd is None else f"{role.usd:,.4f}"
        counts = (f"{n:,}" for n in (role.calls, role.prompt_tokens, role.completion_tokens))
        table.add_row(role.role, role.model, *counts, usd)
    left = found.rows - found.copies - found.done
    said = [f"{found.rows:,} rows", f"{found.copies:,} copies", f"{found.bad:,} bad lines"]
    said += [f"{found.done:,} done before", f"{max(0, left):,} to solve"]
    console.print(Text(" · ".join(said), style="bold"), soft_wrap=True)
    console.print(table)
    total = "unknown" if found.usd is None else f"${found.usd:,.4f}"
    console.print(f"estimated cost: {total}; assumed: {found.assumed}", soft_wrap=True)


def show_status(path: Path) -> int:
    """Print what a job's folder says."""

    async def show() -> int:
        _show_status(await asyncio.to_thread(status_of, path))
        return 0

    return run_command(show())


def _show_status(status: Status) -> None:
    state = "a process is at work on it" if status.running else "no process is at work on it"
    console.print(Text(f"{status.folder}: {state}", style="bold"), soft_wrap=True)
    rows = status.rows
    said = [f"{rows.get('done', 0):,} rows done"]
    for name, what in (("error", "failed and owed"), ("left", "nothing to train on"), ("bad", "bad lines")):
        if rows.get(name):
            said.append(f"{rows[name]:,} {what}")
    said += [f"{count:,} {stage} samples kept" for stage, count in sorted(status.samples.items())]
    console.print(" · ".join(said), soft_wrap=True)
    if status.last:
        why = f"stopped early: {status.last['why']}" if status.last.get("why") else "came to its end"
        console.print(f"the last run that ended {why}", soft_wrap=True)
    console.print(role_table(status.usage, Usage()))
