"""The worker: an actor of Ray Data that solves the rows of a block at once.

It has an event loop in a thread of its own, with one pipeline, one set of connections, and behind them the
cluster's allowances and the job's desk. Ray calls it from several threads, so that a slow row keeps back
only its own block.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import threading
import uuid
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from catagent.agents.adaptive import AdaptiveSampler
from catagent.batch.lines import UnusableError, error_line, line_of
from catagent.batch.rows import Row
from catagent.batch.work import Work
from catagent.cat import CaT
from catagent.errors import BudgetError, CatError, ConfigError, JournalError
from catagent.models.allowance import Report, Share
from catagent.models.ledger import Budget
from catagent.models.limiter import Limits
from catagent.models.shared_ledger import Ask, Raise, SharedLedger
from catagent.models.shared_limiter import Exchange
from catagent.models.shared_registry import SharedRegistry

__all__ = ["Outcome", "Worker", "WorkerOptions", "portable"]

Outcome = dict[str, Any]
"""What became of a row: `state`, its `line`, and what the driver counts."""

WorkerOptions = dict[str, Any]

_TICK = 0.5
_HERE = ("_registries", "_note", "_progress", "journal", "totals", "on_wait", "registry", "sampler")


def portable(cat: CaT, prompts: Sequence[str], models: dict[str, str]) -> dict[str, Any]:
    """A `CaT` as something that can be sent: its settings, its prompts' texts and its models' names."""
    kept = {name: value for name, value in vars(cat).items() if name not in _HERE}
    texts = {name: cat.prompts[name] for name in prompts}
    own = {role: models.get(role) for role in ("sampler", "anchor", "rubric_proposer", "judge")}
    return {**kept, "prompts": texts, "_own": own}


def _unpacked(state: dict[str, Any]) -> CaT:
    cat = CaT(config=state["config"])
    vars(cat).update(state)
    return cat


class _DeskJournal:
    """The job's journal, across the desk (`FarJournal`). Samples are sent on a few milliseconds later."""

    def __init__(self, desk: Any) -> None:
        self._desk = desk
        self._here: dict[str, bytes] = {}
        self._fresh: list[tuple[str, bytes]] = []
        self._sending: asyncio.Task[None] | None = None

    async def fetch(self, keys: Sequence[str]) -> None:
        self._here.update(await self._desk.samples.remote(list(keys)))

    def get(self, key: str) -> bytes | None:
        return self._here.pop(key, None)

    def put(self, key: str, value: bytes) -> None:
        self._fresh.append((key, value))
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def flushed(self) -> None:
        """Done when all that was put is committed."""
        while self._sending is not None and not self._sending.done():
            await asyncio.shield(self._sending)

    async def _send(self) -> None:
        while self._fresh:
            fresh, self._fresh = self._fresh, []
            await self._desk.keep.remote(fresh)


class Worker:
    """See the module. `state` is from `portable`; `machine` names the node in keys of local servers."""

    def __init__(
        self,
        desk: Any,
        allowances: Any,
        state: dict[str, Any],
        work: Work,
        budget: Budget,
        *,
        full: bool,
        risk: float | None,
        outage: float,
    ) -> None:
        import ray

        self._machine = str(ray.get_runtime_context().get_node_id())
        self.name = f"{self._machine[:8]}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._desk, self._allowances = desk, allowances
        self._work, self._full, self._risk, self._outage = work, full, risk, outage
        self._journal = _DeskJournal(desk)
        self._rows: set[asyncio.Task[Outcome]] = set()
        self._totals = SharedLedger(budget, self._afford)
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="catagent-worker", daemon=True).start()
        self._cat: CaT = self._run(self._begin(state))

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Solve a batch of blocks: `number` and `rows` in, `number`, `outcomes` and `worker` out."""
        numbers, blocks = list(batch["number"]), list(batch["rows"])
        outcomes = [self._run(self._solve_block(rows)) if rows else b"[]" for rows in blocks]
        return {"number": numbers, "outcomes": outcomes, "worker": [self.name] * len(numbers)}

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _begin(self, state: dict[str, Any]) -> CaT:
        registry = partial(SharedRegistry, front=self._front, machine=self._machine)
        cat = _unpacked(state).reached_by(registry)
        sampler = None if self._risk is None else partial(AdaptiveSampler, risk=self._risk)
        cat = await cat.joined(totals=self._totals, journal=self._journal, sampler=sampler)
        run = await cat.begin()
        for role in self._work.roles:
            for endpoint in (await run.model(role)).endpoints:
                endpoint.policy = replace(endpoint.policy, outage=self._outage)
        self._ticking = asyncio.create_task(self._tick())
        return cat

    def _front(self, key: str, limits: Limits) -> Exchange:
        async def exchange(report: Report) -> Share:
            try:
                share: Share = await self._allowances.exchange.remote(key, limits, self.name, report)
            except Exception as error:  # noqa: BLE001 - of Ray, of many kinds
                raise ConfigError(f"the cluster's limits cannot be reached: {_said(error)}") from None
            return share

        return exchange

    async def _afford(self, ask: Ask) -> Raise:
        raised: Raise = await self._desk.afford.remote(self.name, ask)
        return raised

    async def _tick(self) -> None:
        """Say what was consumed, give back what is not needed."""
        while True:
            await asyncio.sleep(_TICK)
            with contextlib.suppress(Exception):  # the desk is gone: the next row will say so
                await self._totals.give_back()
                if await self._account():
                    for row in self._rows:
                        row.cancel()

    async def _account(self) -> bool:
        over: bool = await self._desk.account.remote(self.name, self._totals.usage().model_dump())
        return over

    async def _solve_block(self, packed: bytes) -> bytes:
        rows: list[Row] = pickle.loads(packed)  # noqa: S301 - from the driver, like Ray's own messages
        tasks = [asyncio.create_task(self._solve(row)) for row in rows]
        self._rows.update(tasks)
        for task in tasks:
            task.add_done_callback(self._rows.discard)
        came = await asyncio.gather(*tasks, return_exceptions=True)
        outcomes = [{"state": "stopped"} if isinstance(one, BaseException) else one for one in came]
        try:
            await self._journal.flushed()
            await self._account()
        except Exception as error:  # noqa: BLE001 - of Ray, of many kinds
            raise JournalError(f"the job's desk cannot be reached: {_said(error)}") from None
        return orjson.dumps(outcomes, option=orjson.OPT_NON_STR_KEYS)

    async def _solve(self, row: Row) -> Outcome:
        mode = self._work.mode
        try:
            solution = await self._work(self._cat, row)
            line = line_of(mode, row, solution, full=self._full)
            reference = solution.reference
            drawn = len(solution.rollouts) if self._risk is not None else 0
            return {
                "state": "done", "line": line, "partial": solution.partial, "drawn": drawn,
                "fallback": bool(reference and reference.fallback),
                "spared": max(0, self._cat.n - drawn) if drawn else 0,
            }  # fmt: skip
        except UnusableError as error:
            return {"state": "left", "line": error_line(mode, row, error)}
        except BudgetError as error:
            ends = self._totals.exhausted is not None
            said = {"line": error_line(mode, row, error), "kind": type(error).__name__}
            return {"state": "budget", "said": str(error)} if ends else {"state": "error", **said}
        except CatError as error:
            return self._failed(row, error)
        except Exception as error:  # noqa: BLE001 - a row that fails is data, whatever it met
            return self._failed(row, error)

    def _failed(self, row: Row, error: Exception) -> Outcome:
        from catagent.batch.job import ENDS

        kind = type(error).__name__
        if isinstance(error, ENDS):
            return {"state": "end", "kind": kind, "said": str(error)}
        return {"state": "error", "kind": kind, "line": error_line(self._work.mode, row, error)}


def _said(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
