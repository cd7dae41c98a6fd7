"""One provider batch from its requests to their outcomes: written, uploaded, made, watched, collected.

Every step is kept in the ledger before the next, and every step can be taken up again by another process.
Looking costs nothing, so a provider that does not answer is asked again for a long time; the one step that
costs money, `create`, is repeated only after the provider has said that there is no such batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from catagent.errors import AccountError, GarbledError, ModelError, RequestError, ServerError
from catagent.models.batch_ledger import BatchLedger, BatchRecord
from catagent.models.batch_lines import OWED, LineIndex, Outcome, custom_id_of
from catagent.models.client import Completion, ModelRequest
from catagent.models.provider_batches import BatchApi, BatchState
from catagent.models.wire import encode

__all__ = ["BatchNews", "Hear", "NoRoomError", "Parked", "Polling", "ProviderBatch", "patiently"]

T = TypeVar("T")
_PART = 256
_DOWNLOADS = 3
_NEW_FILE = 5
_LONGEST_LIFE = 5
_FOR_ALL = frozenset({"model_not_found"})


@dataclass(frozen=True, slots=True)
class Polling:
    """How often to look: from `first` to `longest` seconds apart. `patience` bounds a row of failures."""

    first: float = 5.0
    longest: float = 60.0
    growth: float = 1.5
    patience: float = 6 * 3600.0

    def after(self, wait: float) -> float:
        """The wait after one of `wait` seconds."""
        return min(self.longest, wait * self.growth)


@dataclass(frozen=True, slots=True)
class BatchNews:
    """What happens to a provider batch, for people. `seconds` until the next look, where there is one."""

    stage: str
    model: str
    text: str
    batch_id: str | None = None
    looks: int = 0
    seconds: float = 0.0
    done: bool = False
    """Whether the provider is through with it."""


Hear: TypeAlias = Callable[[BatchNews], None]


class NoRoomError(Exception):
    """The provider has too much in its queue already to take the batch; nothing was begun."""


@dataclass(slots=True, eq=False)
class Parked:
    """A request that waits. `size` is its bytes in a file, `tries` the batches that did not get to it."""

    key: str
    request: ModelRequest
    stage: str
    size: int
    future: asyncio.Future[Completion]
    waiters: int = 0
    tries: int = 0

    def settle(self, outcome: Completion | ModelError) -> None:
        """Hand over what came."""
        if self.future.done():
            return
        if isinstance(outcome, ModelError):
            self.future.set_exception(outcome)
            self.future.exception()  # nobody may be left to hear of it
        else:
            self.future.set_result(outcome)


async def patiently(
    polling: Polling, call: Callable[[], Awaitable[T]], hear: Callable[[ModelError, float], None]
) -> T:
    """The result of `call`, asked again while it fails in transit. Raises what another try cannot mend."""
    began, wait = time.monotonic(), polling.first
    while True:
        try:
            return await call()
        except (AccountError, RequestError):
            raise
        except ModelError as error:
            if time.monotonic() - began > polling.patience:
                raise AccountError(
                    f"{error}. It went on for {polling.patience:g} s; the same command goes on from here"
                ) from None
            pause = max(wait, error.retry_after or 0.0)
            hear(error, pause)
            await asyncio.sleep(pause)
            wait = polling.after(wait)


class ProviderBatch:
    """One batch. `expected` are the requests of this process that wait for it."""

    def __init__(
        self,
        record: BatchRecord,
        api: BatchApi,
        ledger: BatchLedger,
        folder: Path,
        polling: Polling,
        hear: Hear | None,
    ) -> None:
        self.record = record
        self.expected: dict[str, Parked] = {}
        self.interrupted = False
        """Whether it was cancelled while this process watched."""
        self.state: BatchState | None = None
        self._api = api
        self._ledger = ledger
        self._folder = folder
        self._polling = polling
        self._hear = hear
        self._index: LineIndex | None = None
        self._looks = 0

    def say(self, text: str, seconds: float = 0.0) -> None:
        """Tell whoever listens."""
        if self._hear:
            r = self.record
            done = self.state is not None and self.state.final
            self._hear(BatchNews(r.stage, r.model, text, r.batch_id, self._looks, seconds, done))

    @property
    def begun(self) -> bool:
        """Whether the provider has it and is not done with it."""
        return self.record.batch_id is not None and (self.state is None or not self.state.final)

    def _troubled(self, error: ModelError, seconds: float) -> None:
        self.say(str(error), seconds)

    async def submit(self, entries: list[Parked]) -> None:
        """Have the provider begin. With a file that is uploaded already, `entries` may be empty."""
        record = self.record
        if record.file_id is None:
            path = self._folder / f"{record.id}.input.jsonl"
            await asyncio.to_thread(self._write, path, entries)
            self.say(f"uploading {record.requests} requests")
            try:
                upload = self._api.upload
                record.file_id = await patiently(self._polling, lambda: upload(path), self._troubled)
            finally:
                await asyncio.to_thread(path.unlink, missing_ok=True)
            await asyncio.to_thread(self._ledger.save, record)
        state = await self._create(record.file_id)
        record.batch_id, self.state = state.id, state
        await asyncio.to_thread(self._ledger.save, record)
        self.say(f"{state.id}: {state}")

    def _write(self, path: Path, entries: list[Parked]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            for entry in entries:
                file.write(self._api.line(custom_id_of(entry.key, self.record.nonce), encode(entry.request)))
                file.write(b"\n")

    async def _create(self, file_id: str) -> BatchState:
        record, asked, unknown = self.record, 0, 0
        label = {"made_by": "catagent", "stage": record.stage, "nonce": record.nonce}

        async def create() -> BatchState:
            nonlocal asked, unknown
            asked += 1
            if asked > 1 and (found := await self._api.find(file_id, record.made)) is not None:
                return found  # the reply to an earlier attempt was lost, the batch was made
            try:
                return await self._api.create(file_id, label)
            except (RequestError, AccountError) as error:
                # Right after an upload a file may not be known everywhere yet.
                unknown += 1
                if unknown < _NEW_FILE and "file" in str(error).lower() and error.status in (400, 404):
                    raise ServerError(str(error), status=error.status) from None
                raise

        return await patiently(self._polling, create, self._troubled)

    async def finish(self) -> None:
        """Watch until nothing more will happen. Raises `NoRoomError` and what ends the watching."""
        wait = self._polling.first
        while self.state is None or not self.state.final:
            if self.state is not None:
                await asyncio.sleep(wait)
                wait = self._polling.after(wait)
            watched = self.state is not None
            self.state = await patiently(self._polling, self._look, self._troubled)
            self._looks += 1
            self.interrupted = watched and self.state.status == "cancelled"
            self.say(f"{self.state.id}: {self.state}", 0.0 if self.state.final else wait)
        if self.state.status == "failed" and any(f.code == "token_limit_exceeded" for f in self.state.faults):
            said = self.state.faults[0].message
            self.state, self.record.batch_id = None, None
            await asyncio.to_thread(self._ledger.save, self.record)
            raise NoRoomError(said)

    async def _look(self) -> BatchState:
        assert self.record.batch_id is not None
        try:
            return await self._api.retrieve(self.record.batch_id)
        except AccountError as error:
            if error.status != 404:
                raise
            raise AccountError(
                f"{self._api.name} does not know the batch {self.record.batch_id}, which this job has made: "
                f"use the key that it was made with, or remove {self._ledger.path} to have it made again",
                status=404,
            ) from None

    async def deliver(self) -> list[Parked]:
        """Hand over what has come to those who wait; the requests that are owed again are returned.

        Raises `AccountError` when the provider refused all of them, or someone cancelled the batch there.
        """
        state = self.state
        assert state is not None
        if state.status == "failed" and state.output_file is None and state.error_file is None:
            return await self._refused(state)
        if self._index is None:
            self._index = await self._fetched(state)
        owed: list[Parked] = []
        while self.expected:
            part = list(itertools.islice(self.expected.values(), _PART))
            owed += await self._handed_over(part, self._index)
        if owed and (self.interrupted or state.status == "failed"):
            self.expected.update((entry.key, entry) for entry in owed)
            why = "was cancelled" if self.interrupted else f"failed ({_said(state)})"
            raise AccountError(
                f"the batch {state.id} {why} at {self._api.name} before it had come to {len(owed)} "
                "requests; what it did is kept, and the same command submits the others again"
            )
        return owed

    async def _handed_over(self, part: list[Parked], index: LineIndex) -> list[Parked]:
        outcomes: dict[str, Outcome] = await asyncio.to_thread(
            lambda: dict(index.outcomes([e.key for e in part], self._api.name))
        )
        good = [key for key, outcome in outcomes.items() if isinstance(outcome, Completion)]
        bad = [key for key, outcome in outcomes.items() if not isinstance(outcome, Completion)]
        await asyncio.to_thread(self._ledger.settle, self.record.id, good, bad)
        owed = []
        for entry in part:
            del self.expected[entry.key]
            outcome = outcomes[entry.key]
            if outcome is not OWED:
                assert isinstance(outcome, Completion | ModelError)
                entry.settle(outcome)
                continue
            entry.tries += 1
            if entry.tries < _LONGEST_LIFE:
                owed.append(entry)
            else:
                said = f"{self._api.name} did not get to this request in {entry.tries} batches"
                entry.settle(ServerError(said))
        return owed

    async def _fetched(self, state: BatchState) -> LineIndex:
        """The provider's files, downloaded whole."""
        counted = (state.completed or 0) + (state.failed or 0)
        for attempt in range(1, _DOWNLOADS + 1):
            index = LineIndex()
            try:
                for kind, file_id in (("output", state.output_file), ("errors", state.error_file)):
                    if file_id is not None:
                        await self._download(file_id, kind, index)
            except GarbledError as error:
                if attempt == _DOWNLOADS:
                    self.say(f"{error}; what it lacks is submitted again")
                    return index
            else:
                if index.lines >= counted or attempt == _DOWNLOADS:
                    return index
            await asyncio.sleep(self._polling.first)
        raise AssertionError

    async def _download(self, file_id: str, kind: str, index: LineIndex) -> None:
        path = self._folder / f"{self.record.id}.{kind}.jsonl"
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        try:
            download = self._api.download
            await patiently(self._polling, lambda: download(file_id, path), self._troubled)
        except AccountError as error:
            if error.status != 404:
                raise
            self.say(f"the file {file_id} is gone at {self._api.name}: what was in it is submitted again")
            return
        await asyncio.to_thread(index.add, path)

    async def _refused(self, state: BatchState) -> list[Parked]:
        """The provider refused the file: the lines that it names are at fault, the others are owed."""
        named = {f.line: f for f in state.faults if f.line is not None}
        lines = await asyncio.to_thread(self._ledger.lines, self.record.id) if named else {}
        if not named or any(f.code in _FOR_ALL for f in state.faults):
            await asyncio.to_thread(self._ledger.forget, self.record.id)
            raise AccountError(f"{self._api.name} refused the batch {state.id}: {_said(state)}")
        await asyncio.to_thread(self._ledger.forget, self.record.id)
        at_fault = {lines[line]: fault for line, fault in named.items() if line in lines}
        owed = []
        for key in list(self.expected):
            entry = self.expected.pop(key)
            fault = at_fault.get(key)
            entry.tries += 1
            if fault is not None:
                entry.settle(
                    RequestError(f"{self._api.name} refused it in a batch: {fault.message}", status=400)
                )
            elif entry.tries >= _LONGEST_LIFE:
                entry.settle(ServerError(f"{self._api.name} refused {entry.tries} batches with this request"))
            else:
                owed.append(entry)
        return owed

    def sweep(self) -> None:
        """Remove what was downloaded, by this process or by one that died."""
        for kind in ("input", "output", "errors"):
            with contextlib.suppress(OSError):
                (self._folder / f"{self.record.id}.{kind}.jsonl").unlink()


def _said(state: BatchState) -> str:
    return "; ".join(dict.fromkeys(f.message for f in state.faults[:5])) or "no reason given"
