"""What a batch job shows while it works: redrawn four times a second, or plain lines without a terminal."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from catagent.batch.job import Job
from catagent.messages import RoleUsage, Usage

__all__ = ["role_table", "view_of"]

_PLAIN_SECONDS = 10.0


@contextlib.contextmanager
def view_of(console: Console, job: Job, *, quiet: bool) -> Iterator[None]:
    """Show the job until the block ends."""
    if quiet:
        yield
    elif console.is_terminal:
        with Live(
            console=console,
            refresh_per_second=4,
            transient=True,
            get_renderable=lambda: _drawn(job),
        ):
            yield
    else:
        lines = asyncio.create_task(_plain(console, job))
        try:
            yield
        finally:
            lines.cancel()


async def _plain(console: Console, job: Job) -> None:
    while True:
        await asyncio.sleep(_PLAIN_SECONDS)
        console.print(Text(" · ".join(_facts(job))), soft_wrap=True)


def _drawn(job: Job) -> RenderableType:
    parts: list[RenderableType] = [Text(" · ".join(_facts(job)[:4]), style="bold")]
    parts += [Text(fact) for fact in _facts(job)[4:]]
    return Group(*parts)


def _facts(job: Job) -> list[str]:
    """The state of a job in a few words each."""
    p, share = job.progress, job.source.share
    seconds = max(p.seconds, 1e-3)
    rate = p.fresh / seconds
    facts = [f"{p.settled:,} rows", f"{rate:.1f} rows/s", _left(job, share), f"{p.under_way} under way"]
    usage = job.spent_now()
    total = usage.total
    failed = f" ({total.failed:,} failed, {total.refused:,} for the rate limit)" if total.failed else ""
    cost = "cost unknown" if usage.usd is None else f"${usage.usd:.4f}"
    facts.append(f"{usage.calls:,} calls{failed} · {usage.tokens:,} tokens · {cost}")
    for endpoint in job.endpoints:
        state = endpoint.limiter.state
        pace = f", at most {state.pace:.1f} a second" if state.pace else ""
        chance = f", {state.by_chance:.0%} refused at any pace" if state.by_chance else ""
        facts.append(
            f"{endpoint.name}: {state.in_flight} of {state.concurrency:.0f} in flight, "
            f"{state.waiting} waiting{pace}{chance}"
        )
    facts += [
        f"{w.role} waits {w.seconds:.0f} s after attempt {w.attempt}: {' '.join(w.reason.split())[:120]}"
        for w in p.waits
    ]
    if p.errors or p.bad:
        kinds = [f"{name} {count:,}" for name, count in p.kinds.most_common(5)]
        facts.append(f"errors: {', '.join([*kinds, *([f'bad lines {p.bad:,}'] if p.bad else [])])}")
    if p.spared:
        facts.append(f"{p.spared:,} rollouts spared")
    return facts


def _left(job: Job, share: float | None) -> str:
    """How long it will take from here, by how much of the input has been read."""
    p = job.progress
    if share is None or not p.fresh:
        return "time left unknown"
    read = p.settled + p.under_way
    rows = read / max(share, 1e-6)
    seconds = (rows - p.settled) * p.seconds / p.fresh
    return f"about {_clock(seconds)} left"


def _clock(seconds: float) -> str:
    return (
        time.strftime("%H:%M:%S", time.gmtime(seconds)) if seconds < 86400 else f"{seconds / 86400:.1f} days"
    )


def role_table(now: Usage, job: Usage) -> Table:
    """Usage by role, and of the job in all its runs where that is more."""
    table = Table(box=None, pad_edge=False)
    headings = ("role", "calls", "failed", "429", "cached", "discarded", "tokens in", "tokens out", "USD")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "role" else "right", no_wrap=True)
    for role, usage in now.roles.items():
        _add(table, role, usage)
    if len(now.roles) > 1:
        _add(table, "all", now.total)
    if job.calls > now.calls:
        _add(table, "in all runs", job.total)
    return table


def _add(table: Table, name: str, usage: RoleUsage) -> None:
    counts = (usage.calls, usage.failed, usage.refused, usage.cached, usage.discarded)
    cost = f"{usage.usd:.4f}" if not usage.unpriced else f"> {usage.usd:.4f}" if usage.usd else "unknown"
    tokens = (usage.prompt_tokens, usage.completion_tokens)
    table.add_row(name, *(f"{n:,}" for n in (*counts, *tokens)), cost)
