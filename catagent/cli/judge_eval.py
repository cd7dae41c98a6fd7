"""`catagent judge-eval`: how far a judge can be trusted, before its rewards are."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from catagent import __version__
from catagent.cat import CaT
from catagent.cli.download import DownloadBar
from catagent.cli.figures import rows_of
from catagent.cli.judge_report import calibration_page
from catagent.cli.page import write_page
from catagent.cli.pipeline import Pipeline
from catagent.cli.running import console, run_command
from catagent.errors import ConfigError
from catagent.evaluation.calibration import Calibration, Judged, calibrated, judge_items, sampled
from catagent.evaluation.labelled import Labelled, load_labelled
from catagent.options import JudgeOptions, options_of

__all__ = ["Options", "run"]

_EVERY = 10.0  # seconds between lines where there is no terminal


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    data: tuple[Path, ...]
    pipeline: Pipeline
    judging: dict[str, Any]
    limit: int | None
    resamples: int
    seed: int
    report: Path
    verdicts: Path | None
    as_json: bool
    quiet: bool


def run(options: Options) -> int:
    """Run the command; returns the exit code."""
    return run_command(_evaluate(options))


async def _evaluate(options: Options) -> None:
    sets = [sampled(load_labelled(path), options.limit, options.seed) for path in options.data]
    _writable(options.report)
    with DownloadBar(console, quiet=options.quiet) as bar:
        async with options.pipeline.cat(bar.note, bar.progress) as cat:
            judging = options_of(JudgeOptions, options.judging, cat.judging)
            name = ""
            results: list[tuple[Calibration, list[Judged]]] = []
            for labelled in sets:
                run = await cat.begin()
                model = await run.model("judge")
                name = model.name
                judged = await _judged(labelled, model, cat, judging, quiet=options.quiet)
                usage = run.ledger.usage()
                figures = calibrated(
                    labelled.name, judged, usage=usage, resamples=options.resamples, seed=options.seed
                )
                results.append((figures, judged))
    if options.verdicts:
        _write_verdicts(results, options.verdicts)
    about = {"judge": name, "options": judging.model_dump(), "catagent": __version__, "seed": options.seed}
    left_out = {labelled.name: dict(labelled.left_out) for labelled in sets}
    plain = {**about, "left_out": left_out, "sets": [figures.as_dict() for figures, _ in results]}
    if options.report.suffix == ".json":
        options.report.write_bytes(orjson.dumps(plain, option=orjson.OPT_INDENT_2))
    else:
        write_page(calibration_page(name, judging, results, left_out), options.report)
    if options.as_json:
        sys.stdout.buffer.write(orjson.dumps(plain, option=orjson.OPT_INDENT_2) + b"\n")
    else:
        _print(name, [figures for figures, _ in results], left_out)
    if not options.quiet:
        console.print(Text(f"report: {options.report}", style="dim"), soft_wrap=True)


async def _judged(
    labelled: Labelled, model: Any, cat: CaT, judging: JudgeOptions, *, quiet: bool
) -> list[Judged]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    total, done, said_at = len(labelled.items), 0, time.monotonic()
    live = console.is_terminal and not quiet
    with Progress(*columns, console=console, refresh_per_second=4, transient=True, disable=not live) as bar:
        row = bar.add_task(labelled.name, total=total)

        def on_judged(count: int) -> None:
            nonlocal done, said_at
            done += count
            bar.advance(row, count)
            if not live and not quiet and (time.monotonic() - said_at > _EVERY or done == total):
                said_at = time.monotonic()
                console.print(Text(f"{labelled.name}: {done} of {total} judged"), soft_wrap=True)

        return await judge_items(labelled.items, model, cat.prompts, judging, on_judged=on_judged)


def _writable(path: Path) -> None:
    try:
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write the report to {path}: {error.strerror}") from None


def _write_verdicts(results: list[tuple[Calibration, list[Judged]]], path: Path) -> None:
    """Every verdict as a JSON line, to look into where the judge and people part."""
    with path.open("wb") as file:
        for figures, judged in results:
            for row in judged:
                said = {
                    "set": figures.name,
                    "id": row.item.id,
                    "label": row.item.label,
                    **row.verdict.model_dump(mode="json", exclude={"criterion_id"}),
                    "findings": [f.kind for f in row.findings],
                }
                file.write(orjson.dumps(said) + b"\n")


def _print(name: str, figures: list[Calibration], left_out: dict[str, dict[str, int]]) -> None:
    table = Table(title=f"Judge {name}", title_justify="left", box=None, pad_edge=False)
    table.add_column("")
    for one in figures:
        table.add_column(one.name, justify="right")
    for label, cells in rows_of(figures):
        table.add_row(label, *cells)
    out = Console(highlight=False)
    out.print(table)
    for set_name, reasons in left_out.items():
        for reason, count in reasons.items():
            out.print(Text(f"{set_name}: {count} rows left out, {reason}"), soft_wrap=True)
