"""`catagent solve`."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from catagent.cli.criteria import criteria_table
from catagent.cli.download import DownloadBar
from catagent.cli.live import view_for
from catagent.cli.pipeline import Pipeline
from catagent.cli.running import console, run_command
from catagent.errors import ConfigError
from catagent.messages import Solution
from catagent.viewing import Row, write_page

__all__ = ["Options", "run", "write_trace"]


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    prompt: str | None
    pipeline: Pipeline
    params: dict[str, Any]
    rewards: bool
    as_json: bool
    trace: Path | None
    report: Path | None
    quiet: bool


def run(options: Options) -> int:
    """Run the command; returns the exit code."""
    return run_command(_solve(options))


async def _solve(options: Options) -> None:
    prompt = _prompt(options.prompt)
    for what, path in (("trace", options.trace), ("report", options.report)):
        if path:
            _writable(path, what)
    with DownloadBar(console, quiet=options.quiet) as bar:
        cat = options.pipeline.cat(bar.note, bar.progress)
        async with cat:
            await cat.prepare()
            with view_for(console, quiet=options.quiet) as view:
                solution = await cat.solve(
                    prompt,
                    rewards=options.rewards,
                    emit=None if options.quiet else view,
                    **options.params,
                )
    if options.params.get("logprobs") and not any(r.logprobs for r in solution.rollouts):
        console.print("the endpoint gave no log-probabilities", style="yellow")
    if options.trace:
        write_trace(solution, options.trace)
    if options.report:
        row = Row(solution.task.id, solution)
        await asyncio.to_thread(write_page, options.report, [row], title="catagent: a solve")
    if options.as_json:
        sys.stdout.write(solution.model_dump_json(indent=2) + "\n")
        return
    if not options.quiet:
        _summarise(solution)
    sys.stdout.write(solution.text + "\n")


def _prompt(given: str | None) -> str:
    if given is None and sys.stdin.isatty():
        raise ConfigError("no task: write it after `catagent solve`, or pipe it in")
    prompt = sys.stdin.read() if given in (None, "-") else given
    if not prompt or not prompt.strip():
        raise ConfigError("the task is empty")
    return prompt.strip()


def _writable(path: Path, what: str) -> None:
    try:
        with path.open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ConfigError(f"cannot write the {what} to {path}: {error.strerror}") from None


def write_trace(solution: Solution, path: Path) -> None:
    """Write the messages of a solve, in order, one JSON object a line with its type under `message`."""
    path.write_text("".join(line + "\n" for line in solution.trace()), encoding="utf-8")


def _summarise(solution: Solution) -> None:
    if solution.rubric is None:
        _rollouts(solution)
    else:
        console.print(criteria_table(solution))
    for note in solution.notes if solution.judgements or solution.rewards else ():
        console.print(Text(note, style="dim"), soft_wrap=True)
    _reference(solution)
    console.print(Text(_costs(solution), style="dim"), soft_wrap=True)


def _rollouts(solution: Solution) -> None:
    table = Table(box=None, pad_edge=False)
    for heading in ("rollout", "answer", "reward", ""):
        table.add_column(heading)
    rewards = {r.rollout_id: r for r in solution.rewards}
    for rollout in solution.rollouts:
        reward = rewards.get(rollout.id)
        value = "–" if reward is None or reward.value is None else f"{reward.value:g}"
        answer = str(rollout.answer)[:60] if rollout.answer else "–"
        why = rollout.error or (reward.reason if reward else None) or ""
        table.add_row(str(rollout.index + 1), Text(answer), value, Text(why[:80], style="dim"))
    console.print(table)


def _reference(solution: Solution) -> None:
    reference = solution.reference
    if reference is not None:
        parts = [f"reference by {reference.method}"]
        if reference.answer:
            parts.append(f"answer {reference.answer}")
        if reference.agreement is not None:
            parts.append(f"{reference.agreement:.0%} of rollouts agree")
        if reference.differs_from_majority:
            parts.append(f"differs from the majority ({reference.majority})")
        console.print(Text(" · ".join(parts), style="bold"), soft_wrap=True)
        if reference.fallback:
            console.print(Text(reference.fallback, style="yellow"), soft_wrap=True)
        if reference.rejected:
            said = textwrap.shorten(reference.rejected, 200, placeholder="…")
            console.print(Text(f"set aside: {said}", style="dim"), soft_wrap=True)


def _costs(solution: Solution) -> str:
    usage = solution.usage
    total = usage.total
    cost = "cost unknown" if usage.usd is None else f"${usage.usd:.4f}"
    failed = f" ({total.failed} failed)" if total.failed else ""
    return f"{usage.calls} calls{failed} · {usage.tokens} tokens · {cost} · {usage.seconds:.1f} s"
