"""A journal on disk: an SQLite file in WAL mode, written in groups by a thread of its own.

The event loop never waits for the disk. What is submitted is committed a few milliseconds later together
with all else that came in between; `flushed` tells when. After `kill -9` everything committed is there.
A power cut may take the last seconds with it, never the consistency of the file.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

from catagent.errors import JournalError

__all__ = ["AfterCommit", "SqliteJournal"]

AfterCommit: TypeAlias = Callable[[sqlite3.Connection], None]
"""Called in the writing thread after each commit, before anyone is told of it."""

_LINGER = 0.002
_SQUEEZED = 1024
_SCHEMA = "CREATE TABLE IF NOT EXISTS samples (key BLOB PRIMARY KEY, stage TEXT, value BLOB)"
_PUT = "INSERT OR REPLACE INTO samples (key, stage, value) VALUES "
_AT_ONCE = 200
_GET = "SELECT value FROM samples WHERE key = ?"


class _Mark:
    """Someone who wants to know when all before is committed."""

    __slots__ = ("future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()


class SqliteJournal:
    """A `Journal` in a file. `schema` adds tables of a job's own, written through `submit`.

    Raises `JournalError` when the file cannot be opened, and from every call after a write has failed.
    """

    def __init__(self, path: Path, *, schema: str = "", after_commit: AfterCommit | None = None) -> None:
        self.path = path
        self._after_commit = after_commit
        self._fresh: dict[str, bytes] = {}
        self._failure: JournalError | None = None
        self._queue: queue.SimpleQueue[list[Any]] = queue.SimpleQueue()
        self._outgoing: list[Any] = []
        try:
            self._writer = _connect(path)
            self._writer.execute("PRAGMA journal_mode=WAL")
            self._writer.execute("PRAGMA synchronous=NORMAL")
            self._writer.executescript(f"{_SCHEMA};{schema}")
            self.reader = _connect(path)
            self.reader.execute("PRAGMA query_only=1")
        except sqlite3.Error as error:
            raise _sentence(path, error) from None
        self._thread = threading.Thread(target=self._work, name="catagent-journal", daemon=True)
        self._thread.start()

    def get(self, key: str) -> bytes | None:
        """See `Journal.get`."""
        if (fresh := self._fresh.get(key)) is not None:
            return fresh
        try:
            row = self.reader.execute(_GET, (_digest(key),)).fetchone()
        except sqlite3.Error as error:
            raise _sentence(self.path, error) from None
        return None if row is None else _unpacked(row[0])

    def put(self, key: str, value: bytes) -> None:
        """See `Journal.put`. Raises `JournalError` when the journal cannot be written any more."""
        self._fresh[key] = value
        self.submit(_PUT, (key, value))

    def submit(self, statement: str, parameters: tuple[Any, ...] = ()) -> None:
        """Have a statement executed with the next group, and with all else of this step of the event loop.

        Does not wait. So the samples of one reply are kept together or not at all.
        """
        if self._failure is not None:
            raise self._failure
        self._send((statement, parameters))

    def _send(self, item: Any) -> None:
        self._outgoing.append(item)
        if len(self._outgoing) == 1:
            asyncio.get_running_loop().call_soon(self._hand_over)

    def _hand_over(self) -> None:
        if self._outgoing:
            self._queue.put(self._outgoing)
            self._outgoing = []

    def flushed(self) -> asyncio.Future[None]:
        """Done when all that was submitted before is committed; raises `JournalError` if it cannot be."""
        mark = _Mark(asyncio.get_running_loop())
        if self._failure is not None:
            mark.future.set_exception(self._failure)
        else:
            self._send(mark)
        return mark.future

    def close(self) -> None:
        """Commit what is left and close the file. Raises `JournalError` if that fails."""
        self._hand_over()
        self._queue.put([None])
        self._thread.join()
        self.reader.close()
        try:
            self._writer.close()
        except sqlite3.Error as error:
            self._failure = self._failure or _sentence(self.path, error)
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        """The writing thread: take what there is, commit it, tell who asked."""
        open_ = True
        while open_:
            group = self._queue.get()
            if None not in group:
                time.sleep(_LINGER)  # so that a group is more than one step
            while not self._queue.empty():
                group += self._queue.get()
            open_ = None not in group
            marks = [one for one in group if isinstance(one, _Mark)]
            statements = [one for one in group if isinstance(one, tuple)]
            if statements and self._failure is None:
                self._commit(statements)
            _tell(marks, self._failure)

    def _commit(self, statements: list[tuple[str, tuple[Any, ...]]]) -> None:
        db = self._writer
        puts = [parameters for statement, parameters in statements if statement is _PUT]
        try:
            db.execute("BEGIN")
            # Each statement waits for the interpreter's lock when the event loop is busy: few take less time.
            for at in range(0, len(puts), _AT_ONCE):
                some = [_packed(*put) for put in puts[at : at + _AT_ONCE]]
                places = ", ".join(["(?, ?, ?)"] * len(some))
                db.execute(_PUT + places, [value for row in some for value in row])
            for statement, parameters in statements:
                if statement is not _PUT:
                    db.execute(statement, parameters)
            db.execute("COMMIT")
            if self._after_commit is not None:
                self._after_commit(db)
        except Exception as error:  # noqa: BLE001 - whoever waits must be told, whatever it was
            self._failure = error if isinstance(error, JournalError) else _sentence(self.path, error)
            if db.in_transaction:
                db.rollback()
            return
        for key, _ in puts:
            self._fresh.pop(key, None)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)


def _tell(marks: list[_Mark], failure: JournalError | None) -> None:
    """Settle futures in the loops that they belong to."""

    def settle(mine: list[_Mark]) -> None:
        for mark in mine:
            if mark.future.done():
                continue
            if failure is None:
                mark.future.set_result(None)
            else:
                mark.future.set_exception(failure)

    for loop in {mark.loop for mark in marks}:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, [m for m in marks if m.loop is loop])


def _digest(key: str) -> bytes:
    return bytes.fromhex(key.rpartition(":")[2])


def _packed(key: str, value: bytes) -> tuple[bytes, str, bytes]:
    """A row of `samples`; long values are squeezed, which JSON can be told from by its first byte."""
    squeezed = zlib.compress(value, 1) if len(value) > _SQUEEZED else value
    return _digest(key), key.rpartition(":")[0], squeezed


def _unpacked(value: bytes) -> bytes:
    return value if value[:1] == b"{" else zlib.decompress(value)


def _sentence(path: Path, error: Exception) -> JournalError:
    said = str(error)
    if "locked" in said:
        said += "; is another process working on it?"
    return JournalError(
        f"the journal {path} cannot be used: {said}. What was committed before is kept; "
        "see to the cause and run the same command again"
    )
