"""Which request is in which provider batch: what must outlive the process, so that nothing is bought twice.

Three moments are kept, in this order, each before the next step is taken: the file is planned, it is
uploaded (its id at the provider is known), the batch is made. A process that dies between the last two
finds the batch by its file. A request belongs to at most one batch at a time, the latest that it was in.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catagent.errors import JournalError

__all__ = ["BatchLedger", "BatchRecord"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
  id INTEGER PRIMARY KEY, place TEXT, model TEXT, stage TEXT, requests INTEGER, made REAL, nonce TEXT,
  file_id TEXT, batch_id TEXT
);
CREATE TABLE IF NOT EXISTS members (
  key TEXT PRIMARY KEY, batch INTEGER NOT NULL, line INTEGER NOT NULL, delivered TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS widths (place TEXT, model TEXT, width INTEGER, PRIMARY KEY (place, model));
"""
_COLUMNS = "id, place, model, stage, requests, made, nonce, file_id, batch_id"


@dataclass(slots=True)
class BatchRecord:
    """One provider batch as this machine knows it. `place` says at which provider, `made` when (epoch)."""

    id: int
    place: str
    model: str
    stage: str
    requests: int
    made: float
    nonce: str
    file_id: str | None = None
    batch_id: str | None = None


class BatchLedger:
    """An SQLite file of batches and their members. Written from threads, one statement group at a time.

    Raises `JournalError` when the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.run = secrets.token_hex(8)
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, timeout=10, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(_SCHEMA)
        except (sqlite3.Error, OSError) as error:
            raise self._sentence(error) from None

    def batch_of(self, key: str) -> int | None:
        """The batch that holds a request whose outcome this process has not delivered yet."""
        wanted = "SELECT batch FROM members WHERE key = ? AND delivered IS NOT ?"
        rows = self._read(wanted, (key, self.run))
        return int(rows[0][0]) if rows else None

    def record(self, batch: int) -> BatchRecord:
        """What is known of a batch."""
        return BatchRecord(*self._read(f"SELECT {_COLUMNS} FROM batches WHERE id = ?", (batch,))[0])  # noqa: S608

    def records(self, place: str) -> list[BatchRecord]:
        """All batches at one provider, oldest first."""
        wanted = f"SELECT {_COLUMNS} FROM batches WHERE place = ? ORDER BY id"  # noqa: S608
        return [BatchRecord(*row) for row in self._read(wanted, (place,))]

    def lines(self, batch: int) -> dict[int, str]:
        """The request on each line of a batch's file, from 1."""
        found = self._read("SELECT line, key FROM members WHERE batch = ?", (batch,))
        return {int(line): str(key) for line, key in found}

    def width(self, place: str, model: str) -> int | None:
        """How many samples the model was found to give for one request, if fewer than it was asked for."""
        found = self._read("SELECT width FROM widths WHERE place = ? AND model = ?", (place, model))
        return int(found[0][0]) if found else None

    def narrow(self, place: str, model: str, width: int) -> None:
        """Keep a width, so that the next process asks in the same words and finds its batches."""
        with self._writing() as db:
            put = "INSERT OR REPLACE INTO widths (place, model, width) VALUES (?, ?, ?)"
            db.execute(put, (place, model, width))

    def plan(self, place: str, model: str, stage: str, keys: Sequence[str]) -> BatchRecord:
        """A batch is going to be made of these requests, in this order."""
        made, nonce = time.time(), secrets.token_hex(4)
        with self._writing() as db:
            put = "INSERT INTO batches (place, model, stage, requests, made, nonce) VALUES (?, ?, ?, ?, ?, ?)"
            number = db.execute(put, (place, model, stage, len(keys), made, nonce)).lastrowid
            assert number is not None
            db.executemany(
                "INSERT OR REPLACE INTO members (key, batch, line) VALUES (?, ?, ?)",
                ((key, number, line) for line, key in enumerate(keys, 1)),
            )
        return BatchRecord(number, place, model, stage, len(keys), made, nonce)

    def save(self, record: BatchRecord) -> None:
        """Keep the ids that the provider gave."""
        with self._writing() as db:
            put = "UPDATE batches SET file_id = ?, batch_id = ? WHERE id = ?"
            db.execute(put, (record.file_id, record.batch_id, record.id))

    def forget(self, batch: int) -> None:
        """The batch was never made: its requests are owed."""
        with self._writing() as db:
            db.execute("DELETE FROM members WHERE batch = ?", (batch,))
            db.execute("DELETE FROM batches WHERE id = ?", (batch,))

    def settle(self, batch: int, delivered: Iterable[str], owed: Iterable[str]) -> None:
        """These outcomes were handed over; those requests brought nothing and are owed again."""
        with self._writing() as db:
            db.executemany(
                "UPDATE members SET delivered = ? WHERE key = ? AND batch = ?",
                ((self.run, key, batch) for key in delivered),
            )
            db.executemany("DELETE FROM members WHERE key = ? AND batch = ?", ((key, batch) for key in owed))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()

    def _read(self, statement: str, parameters: tuple[object, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(statement, parameters).fetchall()
            except sqlite3.Error as error:
                raise self._sentence(error) from None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone."""
        with self._lock:
            try:
                with self._db:
                    yield self._db
            except sqlite3.Error as error:
                raise self._sentence(error) from None

    def _sentence(self, error: Exception) -> JournalError:
        return JournalError(f"the record of provider batches {self.path} cannot be used: {error}")
