"""Worker processes for what takes SymPy: started on first use, shared by the whole program, killed on time.

A worker is a plain child process that talks over pipes, so the user's `__main__` is never imported again,
no signal handler is touched, and any thread or event loop may ask. The clock of a question starts when a
warm worker begins on it: neither the queue nor the start of a process counts. A worker sees end-of-file
when this process ends, however it ends, and ends too.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import queue
import select
import signal
import struct
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from catagent.errors import ConfigError

from .rules import Rules

__all__ = ["Pool", "shared"]

_HEADER = struct.Struct("<I")
_START_SECONDS = 60.0
_MEMORY_MB = 2048
_PACKAGE_ROOT = str(Path(__file__).resolve().parents[2])
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); "
    "from catagent.answers._worker import main; main(int(sys.argv[2]))"
)


class _Gone(Exception):
    pass


class _Worker:
    """One child process. Used by one thread at a time."""

    def __init__(self, memory_mb: int) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - our own program, and no untrusted argument
            [sys.executable, "-c", _PROGRAM, _PACKAGE_ROOT, str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        if self._receive(_START_SECONDS) != "ready":
            raise _Gone

    def ask(self, question: dict[str, Any], seconds: float) -> Any:
        """The reply to one question. `seconds` is CPU time; the wall may take longer on a busy machine."""
        payload = json.dumps({**question, "seconds": seconds}).encode()
        assert self.process.stdin is not None
        try:
            _write_all(self.process.stdin.fileno(), _HEADER.pack(len(payload)) + payload)
        except OSError:
            raise _Gone from None
        return self._receive(seconds * 10 + 10)

    def _receive(self, seconds: float) -> Any:
        assert self.process.stdout is not None
        fd = self.process.stdout.fileno()
        (size,) = _HEADER.unpack(self._read(fd, _HEADER.size, seconds))
        return json.loads(self._read(fd, size, seconds))

    def _read(self, fd: int, size: int, seconds: float) -> bytes:
        data = b""
        poller = select.poll()
        poller.register(fd, select.POLLIN | select.POLLHUP)
        while len(data) < size:
            if not poller.poll(seconds * 1000):
                raise _Gone
            piece = os.read(fd, size - len(data))
            if not piece:
                raise _Gone
            data += piece
        return data

    def end(self) -> None:
        """Kill the process with everything it forked, and reap it."""
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.process.wait()

    def forget(self) -> None:
        """Drop the pipes in a forked child without touching the process, which belongs to the parent."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        self.process.returncode = 0


def _write_all(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


class Pool:
    """A few workers, started one by one as they are needed."""

    def __init__(self, size: int | None = None, memory_mb: int = _MEMORY_MB) -> None:
        self.size = size or max(1, min(os.cpu_count() or 1, 16))
        self.memory_mb = memory_mb
        self._idle: queue.LifoQueue[_Worker | None] = queue.LifoQueue()
        for _ in range(self.size):
            self._idle.put(None)
        self._workers: set[_Worker] = set()
        self._lock = threading.Lock()
        self._threads: ThreadPoolExecutor | None = None
        self.closed = False

    def decide(self, a: str, b: str, rules: Rules, timeout: float) -> bool | None:
        """The verdict of a worker on two texts. Blocks; `None` when the CPU time or the memory ran out."""
        reply = self.ask({"a": a, "b": b, "rules": rules.to_json()}, timeout)
        return reply if isinstance(reply, bool) else None

    async def adecide(self, a: str, b: str, rules: Rules, timeout: float) -> bool | None:  # noqa: ASYNC109
        """`decide` without blocking the event loop. Threads of the pool wait, one a worker at most."""
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self.size, thread_name_prefix="catagent-answers")
            threads = self._threads
        return await asyncio.get_running_loop().run_in_executor(threads, self.decide, a, b, rules, timeout)

    def ask(self, question: dict[str, Any], seconds: float) -> Any:
        """One question to the next free worker; `None` when that worker had to be killed over it."""
        worker = self._idle.get()
        kept: _Worker | None = None
        try:
            if worker is None:
                worker = self._start()
            reply = worker.ask(question, seconds)
            kept = worker
        except _Gone:
            return None
        finally:
            if kept is None and worker is not None:
                self._discard(worker)
            self._idle.put(kept)
        return reply

    def _start(self) -> _Worker:
        for _ in range(2):
            try:
                worker = _Worker(self.memory_mb)
            except _Gone:
                continue
            with self._lock:
                self._workers.add(worker)
            return worker
        raise ConfigError(
            f"No worker process for symbolic comparison could be started with {sys.executable}. "
            "Check that `python -c 'import sympy, catagent'` works there and that memory is not limited to "
            "less than 2 GB of address space."
        )

    def _discard(self, worker: _Worker) -> None:
        with self._lock:
            self._workers.discard(worker)
        worker.end()

    def close(self) -> None:
        """End all workers."""
        self.closed = True
        with self._lock:
            workers, self._workers = self._workers, set()
        for worker in workers:
            worker.end()

    def forget(self) -> None:
        """In a forked child: the workers are the parent's."""
        for worker in self._workers:
            worker.forget()
        self._workers = set()


_shared: Pool | None = None
_shared_lock = threading.Lock()


def shared() -> Pool:
    """The pool of this process, made on first use."""
    global _shared  # noqa: PLW0603 - one pool a process is the point
    with _shared_lock:
        if _shared is None or _shared.closed:
            _shared = Pool()
        return _shared


def _close_at_exit() -> None:
    if _shared is not None:
        _shared.close()


def _after_fork() -> None:
    global _shared, _shared_lock  # noqa: PLW0603
    _shared_lock = threading.Lock()
    if _shared is not None:
        _shared.forget()
    _shared = None


atexit.register(_close_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
