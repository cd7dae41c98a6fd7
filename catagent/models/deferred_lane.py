"""A client that sends nothing at once: requests wait until they are many, and go as one provider batch.

The pipeline above runs unchanged. When it has gone quiet, since all that is under way waits here, what has
gathered is submitted, a file for each model and stage; so rollouts, references, rubrics and verdicts of a
job become one wave of batches each. A request is known by its content, so after a crash, or days later,
the same request finds the batch that it is in.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from catagent.errors import AccountError, CatError, ModelError, RequestError
from catagent.models.batch_ledger import BatchLedger, BatchRecord
from catagent.models.batch_lines import custom_id_of
from catagent.models.client import Completion, ModelRequest, OnDelta, told
from catagent.models.journal import canonical
from catagent.models.provider_batch import (
    BatchNews,
    Hear,
    NoRoomError,
    Parked,
    Polling,
    ProviderBatch,
    patiently,
)
from catagent.models.provider_batches import BatchApi
from catagent.models.wire import encode

__all__ = ["STAGES", "DeferredLane"]

STAGES = {
    "sampler": "rollouts",
    "anchor": "references",
    "rubric_proposer": "rubrics",
    "judge": "verdicts",
}
"""What the requests of a role are called."""

_KEY = 40
_NONCE = "0" * 8


class _Group:
    """Requests of one model and stage that have gathered, and the bytes they take in a file."""

    def __init__(self) -> None:
        self.entries: dict[str, Parked] = {}
        self.size = 0

    def add(self, entry: Parked) -> None:
        self.entries[entry.key] = entry
        self.size += entry.size

    def remove(self, entry: Parked) -> bool:
        """Whether it was there."""
        if self.entries.pop(entry.key, None) is None:
            return False
        self.size -= entry.size
        return True


class DeferredLane:
    """A `Client` over a provider's batches. Cancelling a request leaves a batch that was made running.

    `settle` is how many seconds without a new request count as quiet. The files of batches and the ledger
    lie in `folder`. `place` names the provider in the ledger, whichever key it is reached with.
    """

    def __init__(
        self,
        api: BatchApi,
        folder: Path,
        *,
        place: str = "",
        settle: float = 5.0,
        polling: Polling | None = None,
        hear: Hear | None = None,
    ) -> None:
        self.api = api
        self.place = place or api.name
        self._folder = folder
        self._settle = settle
        self._polling = polling or Polling()
        self._hear = hear
        self._opened: BatchLedger | None = None
        self._recovery: asyncio.Task[None] | None = None
        self._waiting: dict[str, Parked] = {}
        self._parked: dict[tuple[str, str], _Group] = {}
        self._batches: dict[int, ProviderBatch] = {}
        self._driving: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet: asyncio.Task[None] | None = None
        self._last = 0.0
        self._busy = 0
        self._most: dict[str, int] = {}
        self._over = asyncio.Event()

    @property
    def _ledger(self) -> BatchLedger:
        if self._opened is None:
            self._opened = BatchLedger(self._folder / "batches.sqlite")
        return self._opened

    @property
    def running(self) -> list[BatchRecord]:
        """The batches that the provider has and that this process still waits for."""
        return [batch.record for batch in self._batches.values() if batch.begun]

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        """Wait until `request` has been in a batch; see `Client.complete`."""
        await self._recovered()
        entry = self._entry(request)
        first, entry.waiters = not entry.waiters, entry.waiters + 1
        try:
            completion = await asyncio.shield(entry.future)
            if 0 < len(completion.choices) < request.n:
                self._narrow(request.model, len(completion.choices))
            if not first:  # bought once, for several that asked the same
                completion = replace(completion, prompt_tokens=0, completion_tokens=0, usd=0.0)
            return told(completion, on_delta)
        finally:
            entry.waiters -= 1
            if not entry.waiters:
                self._left(entry)

    def width(self, model: str) -> int | None:
        """How many samples the model gives for one request, where it was found to give fewer."""
        return self._ledger.width(self.place, model)

    def _narrow(self, model: str, width: int) -> None:
        known = self.width(model)
        if known is None or width < known:
            self._ledger.narrow(self.place, model, width)

    def _entry(self, request: ModelRequest) -> Parked:
        """The place of a request: the one it has, in a batch that knows it, or a new one."""
        key = self._key(request, 0)
        occurrence = 0
        while not request.tag and key in self._waiting:  # nothing tells them apart, and both want a sample
            occurrence += 1
            key = self._key(request, occurrence)
        if (entry := self._waiting.get(key)) is not None:
            return entry
        role = request.tag.partition(":")[0]
        size = len(self.api.line(custom_id_of(key, _NONCE), encode(request))) + 1
        if size > self.api.terms.size:
            raise RequestError(
                f"a request of {size} bytes does not fit a batch file of {self.api.name}, "
                f"which holds {self.api.terms.size}",
                model=request.model,
            )
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        entry = Parked(key, request, STAGES.get(role, role or "requests"), size, future)
        batch = self._ledger.batch_of(key)
        self._waiting[key] = entry
        future.add_done_callback(lambda _: self._waiting.pop(key, None))
        if batch is None:
            self._park([entry])
        else:
            self._expect(batch, entry)
        return entry

    def _key(self, request: ModelRequest, occurrence: int) -> str:
        sent = [request.model, list(request.messages), request.n, dict(request.params)]
        content = [self.place, sent, request.tag, occurrence]
        return hashlib.sha256(canonical(content)).hexdigest()[:_KEY]

    def _left(self, entry: Parked) -> None:
        """Nobody waits for it any more: if it is not on its way, it need not go."""
        group = self._parked.get((entry.request.model, entry.stage))
        if group is not None and group.remove(entry):
            entry.future.cancel()

    # Gathering.

    def _park(self, entries: Iterable[Parked]) -> None:
        for entry in entries:
            name = (entry.request.model, entry.stage)
            group = self._parked.setdefault(name, _Group())
            group.add(entry)
            if len(group.entries) >= self._limit(entry.request.model) or group.size > self.api.terms.size:
                self._submit(name)
        self._last = asyncio.get_running_loop().time()
        if self._quiet is None and self._parked:
            self._quiet = self._begin(self._submit_when_quiet())

    def _limit(self, model: str) -> int:
        """Requests in one file."""
        return min(self.api.terms.requests, self._most.get(model, self.api.terms.requests))

    async def _submit_when_quiet(self) -> None:
        """Submit what has gathered once nothing has come for a while, though it could have."""
        loop = asyncio.get_running_loop()
        while self._busy or loop.time() < self._last + self._settle:
            due = max(self._last, loop.time() - self._settle / 2) + self._settle
            await asyncio.sleep(due - loop.time())
            if loop.time() > due + 0.1 * self._settle + 0.05:
                self._last = loop.time()  # the loop was busy: who wants to come had no turn
        self._quiet = None
        for name in list(self._parked):
            self._submit(name)

    def _submit(self, name: tuple[str, str]) -> None:
        """Make provider batches of a group, each within what one file may hold."""
        model, stage = name
        part: list[Parked] = []
        size = 0
        for entry in self._parked.pop(name, _Group()).entries.values():
            if part and (len(part) >= self._limit(model) or size + entry.size > self.api.terms.size):
                self._begin(self._made(model, stage, part))
                part, size = [], 0
            part.append(entry)
            size += entry.size
        if part:
            self._begin(self._made(model, stage, part))

    # Batches.

    async def _made(self, model: str, stage: str, entries: list[Parked]) -> None:
        keys = [entry.key for entry in entries]
        try:
            record = await asyncio.to_thread(self._ledger.plan, self.place, model, stage, keys)
        except CatError as error:
            self._fail(entries, error)
            return
        batch = self._batch(record)
        batch.expected.update(zip(keys, entries, strict=True))
        await self._drive(batch, entries)

    def _batch(self, record: BatchRecord) -> ProviderBatch:
        batch = ProviderBatch(record, self.api, self._ledger, self._folder, self._polling, self._hear)
        self._batches[record.id] = batch
        return batch

    def _expect(self, number: int, entry: Parked) -> None:
        """A request that is in a batch already waits for that one."""
        batch = self._batches.get(number) or self._batch(self._ledger.record(number))
        batch.expected[entry.key] = entry
        if number not in self._driving:
            self._begin(self._drive(batch, []))

    async def _drive(self, batch: ProviderBatch, entries: list[Parked]) -> None:
        """See a batch through, and park again what it leaves."""
        number = batch.record.id
        if number in self._driving:
            return
        self._driving.add(number)
        try:
            await self._seen_through(batch, entries)
        except Exception as error:  # noqa: BLE001 - whoever waits must be told, whatever it was
            self._fail(list(batch.expected.values()), error)
            batch.expected.clear()
        finally:
            self._driving.discard(number)
            self._over.set()

    async def _seen_through(self, batch: ProviderBatch, entries: list[Parked]) -> None:
        waited = 0.0
        while True:
            try:
                if batch.record.batch_id is None:
                    await self._submitted(batch, entries)
                await batch.finish()
                break
            except NoRoomError as error:
                if not self._others(batch) and len(batch.expected) > 1:
                    await self._halve(batch, error)
                    return
                pause = self._polling.longest
                if not self._others(batch) and (waited := waited + pause) > self._polling.patience:
                    raise AccountError(str(error)) from None
                batch.say(f"{error} It is submitted again when there is room.", pause)
                await self._room(pause)
        self._over.set()
        self._busy += 1
        try:
            self._park(await batch.deliver())
        finally:
            self._busy -= 1
            self._last = asyncio.get_running_loop().time()

    async def _submitted(self, batch: ProviderBatch, entries: list[Parked]) -> None:
        try:
            await batch.submit(entries)
        except RequestError as error:  # of a file, not of a request: every other file would meet it
            raise AccountError(str(error), status=error.status) from None

    def _others(self, batch: ProviderBatch) -> bool:
        """Whether the provider is at work on other batches with the same model."""
        model = batch.record.model
        return any(b.begun and b is not batch and b.record.model == model for b in self._batches.values())

    async def _room(self, seconds: float) -> None:
        self._over.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return

    async def _halve(self, batch: ProviderBatch, error: NoRoomError) -> None:
        """A batch that alone is too much for the provider's queue goes in smaller ones."""
        model, entries = batch.record.model, list(batch.expected.values())
        batch.expected.clear()
        self._most[model] = (len(entries) + 1) // 2
        batch.say(f"{error} It goes in batches of {self._most[model]}.")
        await asyncio.to_thread(self._ledger.forget, batch.record.id)
        self._batches.pop(batch.record.id, None)
        self._park(entries)
        self._submit((model, batch.record.stage))

    # From one process to the next.

    async def _recovered(self) -> None:
        if self._recovery is None:
            self._recovery = self._begin(self._recover())
        recovery = self._recovery
        try:
            await asyncio.shield(recovery)
        except CatError:
            if self._recovery is recovery:
                self._recovery = None
            raise

    async def _recover(self) -> None:
        """Find the batches whose making an earlier process did not see the end of."""
        ledger = self._ledger

        def hear(error: ModelError, seconds: float) -> None:
            if self._hear:
                self._hear(BatchNews("", "", str(error), seconds=seconds))

        for record in await asyncio.to_thread(ledger.records, self.place):
            await asyncio.to_thread(self._batch(record).sweep)
            del self._batches[record.id]
            if record.batch_id is not None:
                continue
            found = None
            if record.file_id is not None:
                find = partial(self.api.find, record.file_id, record.made)
                found = await patiently(self._polling, find, hear)
            if found is None:
                await asyncio.to_thread(ledger.forget, record.id)
            else:
                record.batch_id = found.id
                await asyncio.to_thread(ledger.save, record)

    async def cancel_batches(self) -> list[str]:
        """Cancel what runs at the provider for this job, of any process; returns the ids.

        What a cancelled batch has done is paid for, and the same job collects it. Raises a `ModelError`.
        """
        await self._recovered()
        cancelled = []
        for record in self._ledger.records(self.place):
            if record.batch_id is not None and not (await self.api.retrieve(record.batch_id)).final:
                await self.api.cancel(record.batch_id)
                cancelled.append(record.batch_id)
        return cancelled

    async def aclose(self) -> None:
        """Stop watching; batches that were made go on at the provider."""
        for entry in list(self._waiting.values()):
            entry.future.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for batch in self._batches.values():
            await asyncio.to_thread(batch.sweep)
        self._batches.clear()
        self._recovery = self._quiet = None
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        await self.api.aclose()

    def _fail(self, entries: Iterable[Parked], error: Exception) -> None:
        for entry in entries:
            if not entry.future.done():
                entry.future.set_exception(copy.copy(error))
                entry.future.exception()

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
