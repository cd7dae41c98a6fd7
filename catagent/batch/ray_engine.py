"""The same job on a Ray cluster: rows go to workers through Ray Data and come back as lines.

Everything a `Job` does with rows and lines is done here as always: reading, what is done and what is owed,
copies, budgets, the output. Only the solving is elsewhere. Rows are gathered into blocks, a read task
hands the blocks to an actor pool as they come (Ray Data's streaming execution), and a block that comes
back is committed to the job's journal. What workers buy is in that journal before its block is, so that
neither a dead worker nor a dead driver has anything bought twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import pickle
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from catagent import errors
from catagent.batch.fingerprint import models_of, prompts_of
from catagent.batch.job import Job
from catagent.batch.options import JobOptions
from catagent.batch.ray_cluster import attached, shared_allowances
from catagent.batch.ray_desk import Desk, merged
from catagent.batch.ray_options import RayOptions
from catagent.batch.ray_worker import Outcome, Worker, portable
from catagent.batch.reading import Source
from catagent.batch.rows import Row
from catagent.batch.store import State, Store
from catagent.cat import CaT
from catagent.errors import BudgetError, CatError, ConfigError, JournalError
from catagent.messages import Usage
from catagent.models.ledger import Budget, Ledger

__all__ = ["RayJob", "RayOptions"]

_LINGER = 0.05


class _Totals(Ledger):
    """What the workers have consumed, as far as they have said, on top of what the job had before."""

    def __init__(self, before: Usage) -> None:
        super().__init__(before=before)
        self._start = super().usage()
        self.workers = Usage()

    def usage(self) -> Usage:
        own = super().usage()
        return merged((self._start, self.workers)).model_copy(update={"seconds": own.seconds})


class RayJob(Job):
    """One run of a job on a cluster. `ray` says where and how wide; `note` hears what a user should know."""

    def __init__(
        self,
        cat: CaT,
        source: Source,
        out: Path,
        options: JobOptions,
        ray: RayOptions | None = None,
        note: Callable[[str], None] | None = None,
    ) -> None:
        super().__init__(cat, source, out, options)
        self.ray = ray or RayOptions()
        self.workers: set[str] = set()
        """The workers that have brought blocks."""
        self._note = note
        self._attachment = contextlib.ExitStack()
        self._desk: Any = None
        self._gathered: list[Row] = []
        self._blocks: dict[int, list[int]] = {}
        self._numbered = 0
        self._waiting: dict[int, asyncio.Future[Outcome]] = {}
        self._helpers: list[asyncio.Future[Any]] = []
        self._linger: asyncio.TimerHandle | None = None
        self._over = threading.Event()

    async def _begin(self, store: Store) -> None:
        await super()._begin(store)
        o = self.options
        models = await models_of(self._cat, o.work)
        named = {role: model.name for role, model in models.items()}
        if any("/" not in name for name in named.values()):
            raise ConfigError("the engine ray needs models by name (provider/model), not clients")
        self.totals = totals = _Totals(self._before)
        budget = Budget(usd=o.usd, tokens=o.tokens)
        state = portable(self._given, prompts_of(models), named)
        ray = await asyncio.to_thread(self._attachment.enter_context, attached(self.ray, self._note))
        allowances = await asyncio.to_thread(shared_allowances, ray)
        here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        self._desk = (
            ray.remote(Desk)
            .options(num_cpus=0, max_concurrency=10_000, scheduling_strategy=here)
            .remote(store.journal.path.resolve(), budget, self._before)
        )
        self._attachment.callback(ray.kill, self._desk)
        arguments = (self._desk, allowances, state, o.work, budget)
        known = {"full": o.full, "risk": o.risk, "outage": o.outage}
        self._window = _Wide(self.ray, ray)  # type: ignore[assignment]
        loop = asyncio.get_running_loop()
        running = loop.run_in_executor(None, self._stream, ray, arguments, known, loop)
        running.add_done_callback(self._ended)
        self._helpers = [running, asyncio.ensure_future(self._look(totals))]

    def _stream(self, ray: Any, arguments: tuple[Any, ...], known: dict[str, Any], loop: Any) -> None:
        """In a thread: run the pipeline and hand on what comes back."""
        from catagent.batch.ray_source import pipeline

        for number, outcomes, worker in pipeline(ray, self.ray, self._desk, Worker, arguments, known):
            if self._over.is_set():
                return
            loop.call_soon_threadsafe(self._came, number, outcomes, worker)

    async def _look(self, totals: _Totals) -> None:
        while True:
            await asyncio.sleep(0.5)
            with contextlib.suppress(Exception):
                totals.workers = Usage.model_validate(await self._desk.usage.remote())

    async def _made(self, row: Row) -> tuple[State, dict[str, Any]]:
        """See `Job._made`: by a worker."""
        waiter: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting[row.number] = waiter
        self._gathered.append(row)
        if len(self._gathered) >= self.ray.block:
            self._send()
        elif self._linger is None:
            self._linger = asyncio.get_running_loop().call_later(_LINGER, self._send)
        try:
            outcome = await waiter
        finally:
            self._waiting.pop(row.number, None)
        return self._read(outcome)

    def _read(self, outcome: Outcome) -> tuple[State, dict[str, Any]]:
        state = outcome["state"]
        if state == "stopped":
            raise asyncio.CancelledError
        if state == "budget":
            self.totals.exhausted = outcome["said"]
            raise BudgetError(outcome["said"])
        if state == "end":
            raise getattr(errors, outcome["kind"], CatError)(outcome["said"])
        if state == "error":
            self.progress.kinds[outcome["kind"]] += 1
        self.progress.partial += outcome.get("partial", False)
        self.progress.fallbacks += outcome.get("fallback", False)
        self._drew(outcome.get("drawn", 0), outcome.get("spared", 0))
        return state, outcome["line"]

    def _send(self) -> None:
        """Offer what is gathered as a block."""
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if self._gathered:
            rows, self._gathered = self._gathered, []
            self._blocks[self._numbered] = [row.number for row in rows]
            self._desk.offer.remote(self._numbered, pickle.dumps(rows))
            self._numbered += 1

    def _came(self, number: int, outcomes: bytes, worker: str) -> None:
        """A block is back."""
        rows = self._blocks.pop(number, None)
        if rows is None:
            return
        self.workers.add(worker)
        self._desk.settle.remote(number)
        for row, outcome in zip(rows, orjson.loads(outcomes), strict=True):
            waiter = self._waiting.get(row)
            if waiter is not None and not waiter.done():
                waiter.set_result(outcome)

    def _ended(self, running: asyncio.Future[None]) -> None:
        """The pipeline is over: with rows that still wait something has gone wrong."""
        error = None if running.cancelled() else running.exception()
        if error is None and not self._waiting:
            return
        self._fail(_meaning(error))

    async def _end(self, store: Store) -> None:
        self._over.set()
        if self._linger is not None:
            self._linger.cancel()
        try:
            if self._desk is not None:
                await self._leave()
        finally:
            for helper in self._helpers[1:]:
                helper.cancel()
            await super()._end(store)
            await asyncio.to_thread(self._attachment.close)

    async def _leave(self) -> None:
        """Let the pipeline run dry, take the last figures and close the desk."""
        with contextlib.suppress(Exception):  # what is lost here is known to the journal
            if self._blocks:
                self._desk.stop.remote()
            self._desk.end.remote(self._numbered)
            await asyncio.wait(self._helpers[:1], timeout=30)
            usage = await asyncio.wait_for(_of(self._desk.usage.remote()), 10)
            if isinstance(self.totals, _Totals):
                self.totals.workers = Usage.model_validate(usage)
            await asyncio.wait_for(_of(self._desk.close.remote()), 30)


async def _of(reference: Any) -> Any:
    return await reference


class _Wide:
    """A `Window` for a cluster: as many rows as its workers can hold, and a few for each to go on with."""

    def __init__(self, options: RayOptions, ray: Any) -> None:
        self._options = options
        self._ray = ray

    def admits(self, rows: int) -> bool:
        """See `Window.admits`."""
        o = self._options
        workers = o.workers
        if workers is None:
            workers = max(1, math.floor(self._ray.cluster_resources().get("CPU", 1) / o.cpus))
        return rows < workers * (o.blocks + 2) * o.block


def _meaning(error: BaseException | None) -> CatError:
    """What the end of a pipeline means to who runs it: what a worker said, if it was ours."""
    seen: BaseException | None = error
    for found in _causes(seen):
        if isinstance(found, CatError):
            return found
    said = (str(error).splitlines() or [type(error).__name__])[-1] if error else "it ended early"
    return JournalError(
        f"the work on the cluster broke off: {said}. What was bought is in the journal; run the same command "
        "again"
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "cause", None) or error.__cause__
