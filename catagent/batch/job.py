"""A job: rows in, lines out, and in between as many under way as the limiters take.

A row is finished when what was bought for it and its line are committed; then the line is written. A job
that is stopped or killed goes on with the same command: finished rows are not touched, the others find
what was bought for them in the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from catagent.agents.adaptive import AdaptiveSampler
from catagent.agents.sampler import Sampler
from catagent.batch.fingerprint import endpoints_of, fingerprint_of, models_of
from catagent.batch.lines import TRAINING, UnusableError, copied_line, error_line, line_of
from catagent.batch.options import JobOptions
from catagent.batch.output import Output
from catagent.batch.parquet import needs_pyarrow, to_parquet
from catagent.batch.progress import Progress, Report, Stop
from catagent.batch.reading import Line, Source
from catagent.batch.rows import BadLineError, Row, row_of
from catagent.batch.store import Kept, Places, State, Store
from catagent.batch.window import Window
from catagent.cat import CaT
from catagent.errors import (
    AccountError,
    BudgetError,
    CatError,
    ConfigError,
    FetchError,
    JournalError,
    PromptError,
)
from catagent.messages import Usage
from catagent.models.endpoint import Endpoint
from catagent.models.ledger import Budget, Ledger
from catagent.models.retry import RetryPolicy

__all__ = ["ENDS", "Job"]

_TICK = 0.25
_FOLLOWERS = 10_000
ENDS = (AccountError, ConfigError, FetchError, JournalError, PromptError)
"""Errors that every further row would meet as well."""


class Job:
    """One run of a job. `cat` is the configured pipeline, `out` the file that lines go to."""

    def __init__(self, cat: CaT, source: Source, out: Path, options: JobOptions) -> None:
        self.options = options
        self.source = source
        self.places = Places.of(out)
        self.progress = Progress()
        self.endpoints: list[Endpoint] = []
        self.totals = Ledger()
        self._given = cat
        self._cat = cat
        self._before = Usage()
        self._window = Window(())
        self._tasks: set[asyncio.Task[None]] = set()
        self._refused: deque[Row] = deque()
        self._most = 1 << 30
        self._cuts = 0
        self._same: dict[bytes, list[tuple[int, str | int]]] = {}
        self._followers = 0
        self._wake = asyncio.Event()
        self._feeding: asyncio.Task[None] | None = None
        self._stopped: Stop | None = None
        self._why: str | None = None
        self._failure: CatError | None = None

    def stop(self, why: Stop, sentence: str) -> None:
        """Begin no more rows and finish those under way, or leave them too (`JobOptions.at_once`)."""
        if self._stopped is None:
            self._stopped, self._why = why, sentence
        self._wake.set()
        if self.options.at_once and why != "budget":  # what is on its way is within the budget
            self.abort()
        elif self._feeding is not None:
            self._feeding.cancel()

    def abort(self) -> None:
        """Cancel what is under way; what has come so far is kept."""
        if self._feeding is not None:
            self._feeding.cancel()
        for task in self._tasks:
            task.cancel()

    async def run(self) -> Report:
        """Work until the input ends or something stops the job.

        Raises `ConfigError` before anything is sent, `AccountError` when a provider refuses for good, and
        `JournalError` when what is bought cannot be kept.
        """
        if self.places.out != self.places.lines:
            needs_pyarrow()
        store = self._opened()
        ticking: asyncio.Task[None] | None = None
        policies: list[tuple[Endpoint, RetryPolicy]] = []
        try:
            await self._begin(store)
            policies = [(endpoint, endpoint.policy) for endpoint in self.endpoints]
            for endpoint in self.endpoints:
                endpoint.policy = replace(endpoint.policy, outage=self.options.outage)
            ticking = asyncio.create_task(self._tick(store))
            self._feeding = asyncio.create_task(self._feed(store))
            if self._stopped:
                self._feeding.cancel()
            await asyncio.wait([self._feeding])
            if not self._feeding.cancelled() and (error := self._feeding.exception()):
                raise error
            while self._tasks:
                await asyncio.wait(self._tasks)
        except CatError as error:
            self._failure = self._failure or error
        finally:
            self.abort()
            for endpoint, policy in policies:
                endpoint.policy = policy
            helpers = [task for task in (ticking, self._feeding) if task is not None]
            for task in helpers:
                task.cancel()
            await asyncio.gather(*helpers, *self._tasks, return_exceptions=True)
            await self._end(store)
        if self._failure is not None:
            raise self._failure
        if self.places.out != self.places.lines:
            await asyncio.to_thread(to_parquet, self.places.lines, self.places.out)
        return self._report()

    def _opened(self) -> Store:
        o, places = self.options, self.places
        training = o.work.mode in TRAINING
        output = Output(places.lines, places.errors, in_order=o.in_order, training=training)
        return Store(places.folder, output)

    async def _begin(self, store: Store) -> None:
        o = self.options
        self._before = store.spent
        self.totals = Ledger(Budget(usd=o.usd, tokens=o.tokens), before=self._before)
        sampler: Callable[..., Sampler] | None = None
        if o.risk is not None:
            sampler = partial(AdaptiveSampler, risk=o.risk, told=self._drew)
        self._cat = await self._given.joined(
            totals=self.totals, journal=store.journal, on_wait=self.progress, sampler=sampler
        )
        models = await models_of(self._cat, o.work)
        self.endpoints = endpoints_of(models)
        self._window = Window([e.limiter for e in self.endpoints], o.under_way)
        layout = {"full": o.full, "in_order": o.in_order, "adaptive": o.risk}
        fingerprint = fingerprint_of(self._cat, o.work, models, **layout)
        store.agree(orjson.loads(orjson.dumps(fingerprint)), accept=o.accept_changes)
        await store.begin()

    def _drew(self, drawn: int, spared: int) -> None:
        self.progress.drawn += drawn
        self.progress.spared += spared

    async def _feed(self, store: Store) -> None:
        number, limit = 0, self.options.limit
        async for lines in self.source:
            piece = lines if limit is None else lines[: max(0, limit - number)]
            if not piece:
                break
            kept = store.kept(number, number + len(piece) - 1)
            for line in piece:
                await self._take(store, number, line, kept.get(number))
                number += 1
        while self._tasks or self._refused:
            await self._room(store, fresh=False)

    async def _take(self, store: Store, number: int, line: Line, kept: Kept | None) -> None:
        """Find out what is to be done with a line, and begin it when there is room."""
        progress = self.progress
        try:
            if line.error:
                raise BadLineError(line.error)
            row = row_of(number, line.raw, self.options.fields, scored=self.options.work.mode == "score")
        except BadLineError as error:
            progress.bad += 1
            store.settle(number, "bad", None, {"file": line.file, "line": line.line, "error": str(error)})
            return
        if kept is not None and kept.state != "bad":
            if kept.content != row.content:
                where = f"{line.file}, line {line.line}" if line.file else f"row {line.line}"
                raise ConfigError(
                    f"the input has changed: {where} is not what it was in an earlier run. Use "
                    "--accept-changes to go by the new input (nothing that fits is bought again)"
                )
            progress.before += 1
            return
        while (followers := self._same.get(row.content)) is not None:
            if self._followers < _FOLLOWERS:
                followers.append((number, row.id))
                self._followers += 1
                return
            await self._woken()
        if (same := store.same(row.content)) is not None:
            progress.copies += 1
            store.settle(number, "done", row.content, copied_line(orjson.loads(same), row.id))
            return
        await self._room(store)
        self._same.setdefault(row.content, [])
        self._start(store, row)

    def _start(self, store: Store, row: Row) -> None:
        task = asyncio.create_task(self._solve(store, row, self._cuts))
        self._tasks.add(task)
        self.progress.under_way += 1
        task.add_done_callback(self._finished)

    async def _room(self, store: Store, *, fresh: bool = True) -> None:
        """Wait until another row may begin; those that a budget refused come first."""
        while True:
            under_way = len(self._tasks)
            if under_way < self._most and self._window.admits(under_way):
                if not self._refused:
                    if fresh:
                        return
                else:
                    self._start(store, self._refused.popleft())
                    continue
            if not fresh and not self._tasks:
                return
            await self._woken()

    async def _woken(self) -> None:
        """Wait until a row is finished, or for a moment: limits grow without one being finished."""
        self._wake.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await self._wake.wait()

    def _refuse(self, row: Row, cuts: int, sentence: str) -> None:
        """A budget counts what is in flight, at the most that it may cost: go on with less in flight.

        Only a row that was alone shows that the budget is used up. Rows that began before the last cut say
        nothing new.
        """
        self._refused.append(row)
        if cuts < self._cuts:
            return
        if self._most == 1:
            self.stop("budget", sentence)
        self._cuts += 1
        self._most = max(1, min(self._most, len(self._tasks)) // 2)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.progress.under_way -= 1
        self._wake.set()

    async def _solve(self, store: Store, row: Row, cuts: int) -> None:
        try:
            await self._solved(store, row)
        except BudgetError as error:
            self._refuse(row, cuts, str(error))
            return
        except CatError as error:
            self._fail(error)
        except asyncio.CancelledError:
            pass  # it is owed
        self._followers -= len(self._same.pop(row.content, ()))

    async def _solved(self, store: Store, row: Row) -> None:
        """Solve a row and settle it, and those with the same content that came meanwhile."""
        state, line = await self._made(row)
        store.settle(row.number, state, row.content, line)
        self._count(state)
        await store.flushed()
        while followers := self._same.get(row.content):
            self._same[row.content] = []
            self._followers -= len(followers)
            for number, ident in followers:
                store.settle(number, state, row.content, copied_line(line, ident))
                self._count(state, copied=True)
            await store.flushed()

    async def _made(self, row: Row) -> tuple[State, dict[str, Any]]:
        """What became of a row, and its line. Raises what ends the job or its budget."""
        o = self.options
        try:
            solution = await o.work(self._cat, row)
            self.progress.partial += solution.partial
            self.progress.fallbacks += bool(solution.reference and solution.reference.fallback)
            return "done", line_of(o.work.mode, row, solution, full=o.full)
        except UnusableError as error:
            return "left", error_line(o.work.mode, row, error)
        except ENDS:
            raise
        except Exception as error:  # a row that fails is data, whatever it met
            if isinstance(error, BudgetError) and self.totals.exhausted:
                raise
            self.progress.kinds[type(error).__name__] += 1
            return "error", error_line(o.work.mode, row, error)

    def _count(self, state: State, *, copied: bool = False) -> None:
        progress = self.progress
        if state == "done":
            progress.copies += copied
            progress.done += not copied
        elif state == "left":
            progress.left += 1
        else:
            progress.errors += 1

    def _fail(self, error: CatError) -> None:
        self._failure = self._failure or error
        self.abort()

    async def _tick(self, store: Store) -> None:
        """Every now and then: keep what was spent, look at the clock."""
        minutes = self.options.minutes
        while True:
            await asyncio.sleep(_TICK)
            if minutes is not None and self.progress.seconds > minutes * 60:
                self.stop("time", f"the {minutes:g} minutes are over")
            with contextlib.suppress(JournalError):  # whoever needs it to be kept is told
                store.remember("usage", self.totals.usage().model_dump())

    async def _end(self, store: Store) -> None:
        store.output.closing = True
        try:
            store.remember("usage", self.totals.usage().model_dump())
            store.remember("last", {"stopped": self._stopped, "why": self._why, **self._counts()})
            await store.flushed()
        except JournalError as error:
            self._failure = self._failure or error
        try:
            await asyncio.to_thread(store.close)
        except JournalError as error:
            self._failure = self._failure or error

    def _counts(self) -> dict[str, Any]:
        p = self.progress
        return {
            "rows": p.settled,
            "before": p.before,
            "done": p.done,
            "copies": p.copies,
            "errors": p.errors,
            "left": p.left,
            "bad": p.bad,
            "partial": p.partial,
            "fallbacks": p.fallbacks,
            "drawn": p.drawn,
            "spared": p.spared,
            "seconds": p.seconds,
        }

    def _report(self) -> Report:
        usage = self.totals.usage()
        return Report(
            places=self.places,
            stopped=self._stopped,
            why=self._why,
            usage=self.spent_now(),
            usage_of_job=usage,
            **self._counts(),
        )

    def spent_now(self) -> Usage:
        """What this run has consumed so far."""
        return self.totals.usage().since(self._before)
