"""What a job's folder says, whether a process is at work on it or not."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from catagent.batch.store import folder_of
from catagent.errors import ConfigError
from catagent.messages import Usage

__all__ = ["Status", "status_of"]


@dataclass(frozen=True, slots=True)
class Status:
    """A job as its journal has it."""

    folder: Path
    running: bool
    rows: Mapping[str, int]
    """Rows by state: `done`, `error` (owed again), `left` (nothing to train on), `bad` (no row)."""
    samples: Mapping[str, int]
    """Samples bought, by stage."""
    usage: Usage
    fingerprint: Mapping[str, Any]
    last: Mapping[str, Any] | None
    """How the last run ended; `None` while the first one is at work or after it was killed."""


def status_of(path: str | Path) -> Status:
    """The status of the job in a folder, or of the job that writes an output file.

    Raises `ConfigError` when there is none.
    """
    folder = folder_of(path)
    file = folder / "journal.sqlite"
    if not file.is_file():
        raise ConfigError(f"there is no job in {folder}")
    db = None
    try:
        db = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
        rows = dict(db.execute("SELECT state, count(*) FROM rows GROUP BY state"))
        samples = dict(db.execute("SELECT stage, count(*) FROM samples GROUP BY stage"))
        meta = {name: orjson.loads(value) for name, value in db.execute("SELECT name, value FROM meta")}
    except (sqlite3.Error, orjson.JSONDecodeError) as error:
        raise ConfigError(f"the journal in {folder} cannot be read: {error}") from None
    finally:
        if db is not None:
            db.close()
    usage = Usage.model_validate(meta.get("usage") or {})
    return Status(
        folder, _taken(folder), rows, samples, usage, meta.get("fingerprint") or {}, meta.get("last")
    )


def _taken(folder: Path) -> bool:
    """Whether a process is at work on the job."""
    lock = FileLock(folder / "lock")
    try:
        with lock.acquire(timeout=0):
            return False
    except (Timeout, OSError):
        return True
