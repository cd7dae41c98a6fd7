"""What the workers of one cluster share: the allowances of its keys, and for each job a desk.

Both are small actors without a processor of their own. `Allowances` is one for the whole cluster, so that
two jobs with the same key do not ask twice as fast; a desk lies on the driver's machine, where the job's
folder is: it hands out blocks of rows, keeps what workers buy in the job's journal as they buy it, and has
the job's budget.
"""

from __future__ import annotations

import asyncio
import importlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catagent.messages import RoleUsage, Usage
from catagent.models.allowance import Allowance, Report, Share
from catagent.models.ledger import Budget
from catagent.models.limiter import Limits
from catagent.models.shared_ledger import Ask, Purse, Raise
from catagent.models.sqlite_journal import SqliteJournal

__all__ = ["Allowances", "Desk", "merged"]

_IDLE = 60.0
_GONE = 10.0


class Allowances:
    """One `Allowance` a key. Ends itself a while after the last job has left."""

    def __init__(self) -> None:
        self._known: dict[str, Allowance] = {}
        self._heard = time.monotonic()
        self._watching: asyncio.Task[None] | None = None

    async def exchange(self, key: str, limits: Limits, who: str, report: Report) -> Share:
        """See `Allowance.exchange`. The first who asks says what is known of the limits."""
        self._heard = time.monotonic()
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())
        if key not in self._known:
            self._known[key] = Allowance(limits, time.monotonic)
        return self._known[key].exchange(who, report)

    async def ready(self) -> bool:
        """Whether it is there: always."""
        self._heard = time.monotonic()
        return True

    async def cuts(self) -> dict[str, int]:
        """How often each allowance has been cut."""
        return {key: allowance.cuts for key, allowance in self._known.items()}

    async def _watch(self) -> None:
        ray: Any = importlib.import_module("ray")

        while time.monotonic() - self._heard < _IDLE:  # noqa: ASYNC110 - it is the time that is awaited
            await asyncio.sleep(_IDLE / 4)
        ray.actor.exit_actor()


class Desk:
    """The desk of one job. Blocks are numbered from 0; `journal` is the file with the job's samples."""

    def __init__(self, journal: Path, budget: Budget, before: Usage) -> None:
        self._journal = SqliteJournal(journal)
        self._purse = Purse(budget, before)
        self._blocks: dict[int, bytes] = {}
        self._settled: set[int] = set()
        self._count: int | None = None
        self._over = False
        self._more = asyncio.Condition()
        self._usage: dict[str, Usage] = {}
        self._heard: dict[str, float] = {}

    async def offer(self, number: int, rows: bytes) -> None:
        """A block that may be worked on."""
        async with self._more:
            self._blocks[number] = rows
            self._more.notify_all()

    async def settle(self, number: int) -> None:
        """A block is done: it is given to nobody any more."""
        self._settled.add(number)
        self._blocks.pop(number, None)

    async def end(self, count: int) -> None:
        """There are `count` blocks and there will be no more."""
        async with self._more:
            self._count = count
            self._more.notify_all()

    async def block(self, number: int) -> bytes | None:
        """A block, once it is there; empty when it is settled, `None` when there is no such block.

        Who asks again gets the same: what Ray has lost it makes again.
        """
        async with self._more:
            await self._more.wait_for(
                lambda: (
                    number in self._blocks
                    or number in self._settled
                    or (self._count is not None and number >= self._count)
                )
            )
        if number in self._settled:
            return b""
        return self._blocks.get(number)

    async def samples(self, keys: Sequence[str]) -> dict[str, bytes]:
        """What is kept under these keys."""
        found = ((key, self._journal.get(key)) for key in keys)
        return {key: value for key, value in found if value is not None}

    async def keep(self, samples: Sequence[tuple[str, bytes]]) -> None:
        """Keep samples; returns when they are committed."""
        for key, value in samples:
            self._journal.put(key, value)
        await self._journal.flushed()

    async def afford(self, who: str, ask: Ask) -> Raise:
        """See `Purse.ask`."""
        now = time.monotonic()
        self._heard[who] = now
        for gone in [name for name, at in self._heard.items() if now - at > _GONE]:
            del self._heard[gone]
            self._purse.forget(gone)
        return self._purse.ask(who, ask)

    async def account(self, who: str, usage: dict[str, Any]) -> bool:
        """What a worker has consumed so far. Returns whether it is to drop what it is at."""
        self._heard[who] = time.monotonic()
        self._usage[who] = Usage.model_validate(usage)
        return self._over

    async def stop(self) -> None:
        """Have the workers drop what they are at."""
        self._over = True

    async def usage(self) -> dict[str, Any]:
        """What all workers have consumed so far."""
        return merged(self._usage.values()).model_dump()

    async def close(self) -> None:
        """Commit what is left."""
        await asyncio.to_thread(self._journal.close)


def merged(usages: Any) -> Usage:
    """The sum of what several ledgers say."""
    roles: dict[str, dict[str, Any]] = {}
    for usage in usages:
        for role, counted in usage.roles.items():
            sums = roles.setdefault(role, {})
            for name, value in counted.model_dump().items():
                sums[name] = sums.get(name, 0) + value
    return Usage(roles={role: RoleUsage(**sums) for role, sums in roles.items()})
