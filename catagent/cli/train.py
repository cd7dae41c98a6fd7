"""`catagent train`: a run from a file of settings."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from catagent.cli.running import console
from catagent.errors import CatError
from catagent.training.execution import Finished, Plan, plan
from catagent.training.presets import PRESETS
from catagent.training.runs import Run, read_run

__all__ = ["Steps", "guarded", "run", "show_presets"]

_SHOWN = (
    ("reward", "reward"),
    ("cat/agreement", "agreement"),
    ("cat/pass_at_1", "pass@1"),
    ("cat/label_accuracy", "reference right"),
    ("eval_cat/pass_at_1", "held-out pass@1"),
    ("loss", "loss"),
    ("grad_norm", "gradient"),
    ("completions/mean_length", "tokens"),
    ("step_time", "s"),
)


def guarded(work: Callable[[], int]) -> int:
    """Run it on this thread; an error becomes one sentence and exit code 1, Ctrl-C 130."""
    try:
        return work()
    except CatError as error:
        console.print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("stopped at once; the last checkpoint stays")
        return 130


def show_presets() -> int:
    """Print the presets as YAML."""
    for name, settings in PRESETS.items():
        print(f"# preset: {name}\n{yaml.safe_dump(dict(settings), sort_keys=False)}")  # noqa: T201
    return 0


def run(path: Path | None, changes: Sequence[str], *, resume: bool, dry_run: bool, quiet: bool) -> int:
    """Run the command; returns the exit code."""

    def work() -> int:
        described = read_run(path, changes)
        _show_plan(described, plan(described), quiet=quiet and not dry_run)
        if dry_run:
            return 0
        return _train(described, path, resume=resume, quiet=quiet)

    return guarded(work)


def _train(described: Run, path: Path | None, *, resume: bool, quiet: bool) -> int:
    from catagent.training.execution import train

    logging.getLogger("catagent.training").addHandler(_Notes())
    logging.getLogger("trl.trainer.grpo_trainer").setLevel(logging.ERROR)  # it prints whole batches
    finished = train(described, resume=resume, hear=None if quiet else Steps())
    if int(os.environ.get("RANK", "0")) == 0:
        _show_finished(finished, path)
    return 130 if finished.interrupted else 0


class _Notes(logging.Handler):
    """What training says while it waits, on the console."""

    def emit(self, record: logging.LogRecord) -> None:
        console.print(Text(record.getMessage(), style="yellow"), soft_wrap=True)


class Steps:
    """One line a step, with the time that is left."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None

    def __call__(self, logs: Mapping[str, Any]) -> None:
        """See `catagent.training.execution.train`."""
        if "train_runtime" in logs:
            return
        step, of = int(logs["step"]), int(logs["of"])
        parts = [
            f"{label} {float(logs[key]):.3g}"
            for key, label in _SHOWN
            if isinstance(logs.get(key), int | float) and not (key == "loss" and "reward" in logs)
        ]
        now = time.monotonic()
        if self._began is None:
            self._began = (now, step)
        left = ""
        if step > self._began[1]:
            seconds = (now - self._began[0]) / (step - self._began[1]) * (of - step)
            left = f"  {_duration(seconds)} left"
        console.print(Text(f"step {step}/{of}  {'  '.join(parts)}{left}"), soft_wrap=True)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
    )


def _show_plan(described: Run, counted: Plan, *, quiet: bool) -> None:
    if quiet:
        return
    config = described.config
    a_step = f"{config.prompts_per_step} prompts x {config.num_generations} rollouts"
    table = Table(box=None, pad_edge=False, show_header=False)
    rows = [
        ("model", described.model),
        ("method", f"{config.method} ({config.settled_kind} tasks), anchor {config.anchor}"),
        ("judge", config.judge or ("the anchor" if config.settled_kind == "open" else "-")),
        ("data", f"{counted.prompts} prompts, {counted.labelled} with labels; {counted.held_out} held out"),
        ("steps", f"{counted.steps} of {a_step}; each prompt about {counted.passes:.1f} times"),
        ("generations", f"{counted.rollouts} rollouts"),
        ("anchor", f"{'unknown' if counted.anchor_calls is None else counted.anchor_calls} calls"),
        ("judge calls", f"about {counted.judge_calls}" if counted.judge_calls else "none"),
        ("output", str(described.output)),
    ]  # fmt: skip
    for row in rows:
        table.add_row(*row)
    console.print(table)


def _show_finished(finished: Finished, path: Path | None) -> None:
    out = Console(highlight=False)
    if finished.interrupted:
        again = f"catagent train {path or 'run.yaml'} --resume"
        console.print(Text(f"stopped at step {finished.steps}; go on with: {again}"), soft_wrap=True)
        return
    if finished.stopped:
        console.print(Text(f"stopped early: {finished.stopped}", style="yellow"), soft_wrap=True)
    for name, after in (finished.after or {}).items():
        before = (finished.before or {}).get(name)
        said = f"{before:.3f} → {after:.3f}" if before is not None else f"{after:.3f}"
        out.print(Text(f"held-out {name}: {said}"), soft_wrap=True)
    for folder in finished.models:
        out.print(Text(str(folder)), soft_wrap=True)
