"""`catagent eval`: run an evaluation, show how it goes, write the report."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import re
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.live import Live
from rich.table import Table as RichTable
from rich.text import Text

from catagent.cat import CaT
from catagent.cli.download import DownloadBar
from catagent.cli.running import console, run_command
from catagent.errors import ConfigError
from catagent.evaluation.api import METHODS, Progress, evaluate
from catagent.evaluation.benchmarks import BENCHMARKS, load_benchmark
from catagent.evaluation.compare import compared, read_evaluation
from catagent.evaluation.forecast import forecast, forecast_table
from catagent.evaluation.methods import arms_of, method_names
from catagent.evaluation.questions import Fields
from catagent.evaluation.report import report_page
from catagent.evaluation.result import Evaluation
from catagent.evaluation.tables import Table, summary_table

__all__ = ["Options", "compare", "run"]

STOPPED = 3
_EVERY = 10.0  # seconds between lines where there is no terminal


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    benchmark: str
    cat: dict[str, Any]
    """What `CaT` is made from."""
    methods: tuple[str, ...]
    pool: int | None
    sizes: str | None
    seeds: int
    limit: int | None
    shuffle: int | None
    out: Path | None
    params: dict[str, Any]
    data: Path | None
    fields: dict[str, str]
    judged: int
    together: bool
    usd: float | None
    tokens: int | None
    calls: int | None
    minutes: float | None
    plots: bool
    dry_run: bool
    as_json: bool
    quiet: bool


def run(options: Options) -> int:
    """Run the command; returns the exit code: 0 complete, 3 stopped early."""
    return run_command(_evaluate(options))


async def _evaluate(options: Options) -> int:
    o = options
    plots = o.plots and importlib.util.find_spec("matplotlib") is not None
    out = o.out or Path(_folder_name(o))
    with DownloadBar(console, quiet=o.quiet) as bar, _View(quiet=o.quiet) as view:
        if o.plots and not plots:
            bar.note("the report will have no plots: pip install 'catagent[eval]', and run this again")
        cat = CaT(**o.cat, note=bar.note, progress=bar.progress)
        if o.dry_run:
            return await _forecast(cat, o)
        async with cat:
            found = await evaluate(
                o.benchmark,
                cat=cat,
                methods=o.methods or METHODS,
                pool=o.pool,
                sizes=_sizes(o.sizes),
                seeds=o.seeds,
                limit=o.limit,
                shuffle=o.shuffle,
                out=out,
                data=o.data,
                fields=o.fields,
                params=o.params,
                judged=o.judged,
                judging={"criteria_per_call": None, "sees_question": True} if o.together else None,
                max_usd=o.usd,
                max_tokens=o.tokens,
                max_calls=o.calls,
                max_minutes=o.minutes,
                on_start=view.begin,
            )
    if not o.quiet:
        console.print(Text("statistics, plots and pages …", style="dim"))
    report = await asyncio.to_thread(found.write, out, plots=plots)
    return _conclude(found, report, o)


async def _forecast(cat: CaT, options: Options) -> int:
    """Print what the evaluation would take, and send nothing."""
    o = options
    whole = await load_benchmark(o.benchmark, data=o.data, fields=Fields(**o.fields))
    benchmark = whole.selected(o.limit, o.shuffle)
    arms = arms_of(method_names(o.methods or METHODS), cat.n, _sizes(o.sizes))
    async with cat:
        run = await cat.begin()
        models = {role: await run.model(role, start=False) for role in ("sampler", "anchor", "judge")}
    sent = {**models["sampler"].endpoint.params, **models["sampler"].params, **o.params}
    reply = sent.get("max_tokens") or sent.get("max_completion_tokens")
    reply = reply if isinstance(reply, int) else None
    rows = forecast(
        benchmark,
        arms,
        pool=o.pool or cat.n,
        seeds=o.seeds,
        judged=o.judged,
        at_once=o.together,
        reply=reply,
        prices={role: model.endpoint.price for role, model in models.items()},
    )
    table = forecast_table(rows, reply=reply)
    show(table)
    console.print(Text(f"{len(benchmark.questions)} questions of {benchmark.name}", style="bold"))
    console.print(Text(table.note, style="dim"), soft_wrap=True)
    return 0


def _conclude(found: Evaluation, report: Path, options: Options) -> int:
    if options.as_json:
        sys.stdout.buffer.write(orjson.dumps(found.as_dict(), option=orjson.OPT_INDENT_2) + b"\n")
    else:
        if found.scores.records:
            show(summary_table(found.scores))
    if not options.quiet:
        for note in found.notes:
            console.print(Text(note, style="dim"), soft_wrap=True)
        console.print(Text(f"report: {report}", style="bold"), soft_wrap=True)
    if not found.complete:
        remedy = "raise the budget and run" if found.stopped == "budget" else "run"
        console.print(
            Text(f"stopped early: {found.why}; {remedy} the same command again to go on"), soft_wrap=True
        )
        return STOPPED
    return 0


def show(table: Table) -> None:
    """Print a table to standard output."""
    rich = RichTable(title=table.title, title_justify="left", box=None, pad_edge=False)
    for place, heading in enumerate(table.headings):
        left = place < table.text_columns
        rich.add_column(heading, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    for row in table.rows:
        rich.add_row(*map(Text, row))
    out = Console(highlight=False)
    out.print(rich)
    out.print()


def compare(first: Path, second: Path, out: Path | None, *, as_json: bool) -> int:
    """Compare two evaluations; returns the exit code."""

    async def comparing() -> None:
        (name_a, a), (name_b, b) = read_evaluation(first), read_evaluation(second)
        found = compared(a, b, (name_a, name_b))
        plain = orjson.dumps(found.as_dict(), option=orjson.OPT_INDENT_2)
        table = found.table()
        notes = list(found.notes)
        if any(found.only):
            notes.append(f"Left out: {found.only[0]} questions only in A, {found.only[1]} only in B.")
        if out is not None:
            text = plain.decode()
            if out.suffix == ".md":
                text = "\n".join([table.markdown(), *(f"> {note}" for note in notes), ""])
            elif out.suffix != ".json":
                facts = [("A", name_a), ("B", name_b)]
                text = report_page("Two evaluations compared", facts, [table], notes=notes)
            _write(text, out)
        if as_json:
            sys.stdout.write(f"{plain.decode()}\n")
        else:
            show(table)
            for note in (table.note, *notes):
                console.print(Text(note, style="dim"), soft_wrap=True)

    return run_command(comparing())


def _write(text: str, path: Path) -> None:
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None


def _sizes(given: str | None) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in (given or "").split(",") if part.strip())
    except ValueError:
        raise ConfigError(f"--sizes is a list of numbers, as in 2,4, not {given!r}") from None


def _folder_name(options: Options) -> str:
    known = options.benchmark.lower() in BENCHMARKS
    name = options.benchmark if known else Path(options.benchmark.removeprefix("hf:")).name.partition(".")[0]
    return re.sub(r"[^\w.-]+", "-", f"eval-{name}-{options.cat.get('model') or 'auto'}").lower()


class _View(contextlib.AbstractContextManager["_View"]):
    """How the evaluation goes: redrawn four times a second, or plain lines without a terminal.

    Ctrl-C and SIGTERM end the run; what came so far is kept, and the report is made of what is finished.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._progress: Progress | None = None
        self._began = time.monotonic()
        self._live: Live | None = None
        self._lines: asyncio.Task[None] | None = None

    def begin(self, progress: Progress) -> None:
        """The models are there: from now on the run can be shown and stopped."""
        self._progress = progress
        self._began = time.monotonic()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, progress.run.stop, "interrupt", "it was interrupted")
        if self._quiet:
            return
        if console.is_terminal:
            self._live = Live(
                console=console, refresh_per_second=4, transient=True, get_renderable=self._drawn
            )
            self._live.start()
        else:
            self._lines = asyncio.create_task(self._plain())

    def __exit__(self, *_: object) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):  # what follows can be interrupted as usual
            with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
                asyncio.get_running_loop().remove_signal_handler(number)
        if self._live is not None:
            self._live.stop()
        if self._lines is not None:
            self._lines.cancel()

    async def _plain(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            console.print(Text(" · ".join(self._facts())), soft_wrap=True)

    def _drawn(self) -> Text:
        return Text(" · ".join(self._facts()))

    def _facts(self) -> Iterator[str]:
        p = self._progress
        assert p is not None
        usage, seconds = p.totals.usage(), time.monotonic() - self._began
        yield f"{p.done} of {p.total} questions, {p.run.under_way} under way, {seconds:.0f} s"
        for name, (total, count) in p.sums.items():
            yield f"{name} {total / count:.1%}"
        usd = "" if usage.usd is None or not usage.usd else f", ${usage.usd:.2f}"
        yield f"{usage.calls:,} requests, {usage.tokens:,} tokens{usd}"
        if p.waiting is not None:
            yield f"{p.waiting.role} last waited: {p.waiting.reason[:80]}"
            p.waiting = None
