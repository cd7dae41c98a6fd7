"""Between the groups that are scored side by side and the one thread that owns the model.

`CaT.score` runs for all groups of a batch at once on an event loop in a thread of its own, so that judge
calls of some overlap with synthesis for others. Generation stays on the main thread, where gradient mode,
autocast and the device are those of the trainer. What the groups ask the model for is collected and answered
in one batch: when every group that is not done waits for the model, or nobody else has asked for a moment.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

from catagent.models.client import Completion, ModelRequest

__all__ = ["Exchange", "Lockstep", "Serve"]

T = TypeVar("T")
Serve: TypeAlias = Callable[[Sequence[ModelRequest]], Sequence[Completion | Exception]]
"""Answers requests together, in their order; an exception is raised where the request was made."""
Lockstep: TypeAlias = Callable[[bool], bool]
"""Whether any process wants to go on, asked by all of them at once: for models spread over processes."""

_group: ContextVar[int] = ContextVar("group", default=-1)
_LINGER = 0.05
_POLL = 0.5
_HOPS = 16


@dataclass(slots=True)
class _Asked:
    group: int
    request: ModelRequest
    future: asyncio.Future[Completion]


@dataclass(slots=True)
class _Done(Generic[T]):
    group: int
    result: T | BaseException


class Exchange:
    """An event loop in a thread, and the counter over which its tasks ask the main thread for completions."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._inbox: queue.SimpleQueue[_Asked | _Done[Any]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._loop.run_forever, name="catagent-rewards", daemon=True)
        self._thread.start()
        self.served_seconds = 0.0
        """Seconds spent answering, over all runs."""

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._loop.is_closed()

    async def ask(self, request: ModelRequest) -> Completion:
        """Have the main thread answer `request`; called by tasks on the loop."""
        asked = _Asked(_group.get(), request, asyncio.get_running_loop().create_future())
        self._inbox.put(asked)
        return await asked.future

    def do(self, work: Awaitable[T]) -> T:
        """Run something on the loop that does not ask the main thread, and wait for it."""

        async def awaited() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(awaited(), self._loop).result()

    def run(
        self,
        jobs: Sequence[Callable[[], Awaitable[T]]],
        serve: Serve,
        *,
        patience: float = float("inf"),
        lockstep: Lockstep | None = None,
    ) -> list[T | BaseException]:
        """Run all jobs to their end and answer what they ask meanwhile; results or exceptions, in order.

        `patience` is how many seconds may be spent with nothing to answer, waiting for others; jobs that are
        not done by then are cancelled and are a `TimeoutError`. What `serve` raises is raised here, and so is
        Ctrl-C, after all jobs are cancelled.
        """

        async def begun() -> asyncio.Future[None]:
            return asyncio.ensure_future(self._start(jobs))

        everything = asyncio.run_coroutine_threadsafe(begun(), self._loop).result()
        results: list[T | BaseException] = [TimeoutError("cancelled") for _ in jobs]
        try:
            self._pump(results, serve, patience, lockstep)
        finally:
            if not everything.done():
                asyncio.run_coroutine_threadsafe(_ended(everything), self._loop).result()
            while not self._inbox.empty():
                self._inbox.get()
        return results

    async def _start(self, jobs: Sequence[Callable[[], Awaitable[Any]]]) -> None:
        async def one(number: int, job: Callable[[], Awaitable[Any]]) -> None:
            _group.set(number)
            result: Any
            try:
                result = await job()
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - handed over to the main thread, whatever it is
                result = error
            self._inbox.put(_Done(number, result))

        await asyncio.gather(*(one(number, job) for number, job in enumerate(jobs)))

    def _pump(self, results: list[Any], serve: Serve, patience: float, lockstep: Lockstep | None) -> None:
        unfinished = set(range(len(results)))
        asked: list[_Asked] = []
        idle = 0.0
        while unfinished or lockstep is not None:
            ready = bool(asked) and unfinished <= {one.group for one in asked}
            quiet = False
            if unfinished and not ready:
                began = time.monotonic()
                try:
                    self._take(
                        self._inbox.get(timeout=_LINGER if asked else _POLL), asked, unfinished, results
                    )
                    idle += 0.0 if asked else time.monotonic() - began
                    if lockstep is None:
                        continue
                except queue.Empty:
                    quiet = True
                    idle += time.monotonic() - began
            if idle > patience:
                unfinished.clear()
                asked.clear()
            if lockstep is not None and not lockstep(bool(unfinished)):
                return
            if ((ready or quiet) and asked) or lockstep is not None:
                self._settle()
                while not self._inbox.empty():
                    self._take(self._inbox.get(), asked, unfinished, results)
                if asked or lockstep is not None:
                    asked.sort(key=lambda one: one.group)
                    self._answer(asked, serve)
                    asked = []

    def _take(self, item: Any, asked: list[_Asked], unfinished: set[int], results: list[Any]) -> None:
        if isinstance(item, _Asked):
            asked.append(item)
        else:
            results[item.group] = item.result
            unfinished.discard(item.group)

    def _settle(self) -> None:
        """Let tasks that can go on without waiting do so, since they may ask for more."""

        async def hops() -> None:
            for _ in range(_HOPS):
                await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(hops(), self._loop).result()

    def _answer(self, asked: Sequence[_Asked], serve: Serve) -> None:
        wanted = [one for one in asked if not one.future.done()]
        began = time.monotonic()
        answers = serve([one.request for one in wanted])
        self.served_seconds += time.monotonic() - began

        def hand_over() -> None:
            for one, answer in zip(wanted, answers, strict=True):
                if one.future.done():
                    continue
                if isinstance(answer, Exception):
                    one.future.set_exception(answer)
                else:
                    one.future.set_result(answer)

        self._loop.call_soon_threadsafe(hand_over)

    def close(self) -> None:
        """Stop the loop and its thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10)
        if not self._thread.is_alive() and not self._loop.is_closed():
            self._loop.close()


async def _ended(work: asyncio.Future[None]) -> None:
    """Cancel work and wait until it is over, so that nothing of it is heard of later."""
    work.cancel()
    await asyncio.wait([work], timeout=10)
