"""What a job remembers: rows and their lines, the configuration they were made with, what they cost.

All of it lies with the samples in one journal, so that a row, its line and what was bought for it are
committed together, in one folder beside the output.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

import orjson
from filelock import FileLock, Timeout

from catagent.batch.output import Output
from catagent.errors import ConfigError, JournalError
from catagent.messages import Usage
from catagent.models.sqlite_journal import SqliteJournal

__all__ = ["Kept", "Places", "State", "Store", "folder_of"]

State: TypeAlias = Literal["done", "error", "left", "bad"]
"""`left`: finished, with nothing that a training file could use. `bad`: a line that holds no row."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB);
CREATE TABLE IF NOT EXISTS rows (
  ordinal INTEGER PRIMARY KEY, row INTEGER NOT NULL, state TEXT NOT NULL, content BLOB, line BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS rows_by_row ON rows (row);
CREATE INDEX IF NOT EXISTS rows_by_content ON rows (content) WHERE state = 'done';
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the journal knows of a row."""

    state: State
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Places:
    """Where a job keeps what: for `out.jsonl`, `out.errors.jsonl` and the folder `out.jsonl.job` beside it.

    The lines of `out.parquet` are in its folder until they are turned into that.
    """

    out: Path
    lines: Path
    errors: Path
    folder: Path

    @classmethod
    def of(cls, out: str | Path) -> Places:
        """The places of the job that writes `out`."""
        out = Path(out)
        folder = folder_of(out)
        stem = out.name.removesuffix(".parquet").removesuffix(".jsonl")
        lines = folder / "lines.jsonl" if out.suffix == ".parquet" else out
        return cls(out, lines, out.with_name(f"{stem}.errors.jsonl"), folder)


def folder_of(path: str | Path) -> Path:
    """The folder of a job, from itself or from its output file."""
    path = Path(path)
    return path if path.name.endswith(".job") else path.with_name(f"{path.name}.job")


class Store:
    """The journal of one job, open for one process. Raises `JournalError` when another has it."""

    def __init__(self, folder: Path, output: Output) -> None:
        self.folder = folder
        self.output = output
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / "lock", thread_local=False)
            self._lock.acquire(timeout=0)
        except Timeout:
            raise JournalError(f"another process is at work on the job in {folder}") from None
        except OSError as error:
            raise JournalError(f"cannot write the journal in {folder}: {error.strerror}") from None
        try:
            self.journal = SqliteJournal(folder / "journal.sqlite", schema=_SCHEMA, after_commit=output)
        except BaseException:
            self._lock.release()
            raise

    def recall(self, name: str) -> Any:
        """What was remembered under a name, `None` if nothing."""
        row = self.journal.reader.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
        return None if row is None else orjson.loads(row[0])

    def remember(self, name: str, value: Any) -> None:
        """Keep a value, to be committed with the next group."""
        statement = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"
        self.journal.submit(statement, (name, orjson.dumps(value)))

    @property
    def spent(self) -> Usage:
        """What the job has consumed in all runs so far."""
        return Usage.model_validate(self.recall("usage") or {})

    def agree(self, fingerprint: Mapping[str, Any], *, accept: bool) -> None:
        """See that this run has the configuration that the job began with.

        Raises `ConfigError` that names what differs. With `accept` the rows are made again by the new one;
        what was bought stays, and is used where it would be asked for in the same words.
        """
        before = self.recall("fingerprint")
        if before is None:
            if self.output.path.exists() and self.output.path.stat().st_size and not accept:
                raise ConfigError(
                    f"{self.output.path} exists and no journal is beside it: name another output, or move it"
                )
        elif before != fingerprint:
            changes = "; ".join(_differences(_flat(before), _flat(fingerprint)))
            if not accept:
                raise ConfigError(
                    f"this job began with another configuration: {changes}. Use --accept-changes to make "
                    "its rows again with the new one (what was bought is used where it fits), or name "
                    "another output"
                )
        if accept:
            if self.output.path.exists():
                previous = self.output.path.with_name(f"{self.output.path.name}.previous")
                shutil.move(self.output.path, previous)
            self.journal.submit("DELETE FROM rows")
            self.remember("rewrite", True)
        self.remember("fingerprint", fingerprint)

    async def begin(self) -> None:
        """Owe again what failed, and bring the output file to what the journal says."""
        self.output.begun = True
        failed = self.journal.reader.execute("SELECT 1 FROM rows WHERE state = 'error' LIMIT 1").fetchone()
        if failed:
            self.remember("rewrite", True)
        self.journal.submit("DELETE FROM rows WHERE state = 'error'")
        await self.journal.flushed()

    def kept(self, first: int, last: int) -> dict[int, Kept]:
        """What is known of the rows from `first` to `last`."""
        statement = "SELECT row, state, content FROM rows WHERE row BETWEEN ? AND ?"
        found = self.journal.reader.execute(statement, (first, last))
        return {row: Kept(state, content) for row, state, content in found}

    def same(self, content: bytes) -> bytes | None:
        """The line of a finished row with the same content, if there is one."""
        statement = "SELECT line FROM rows WHERE content = ? AND state = 'done' LIMIT 1"
        row = self.journal.reader.execute(statement, (content,)).fetchone()
        return None if row is None else bytes(row[0])

    def settle(self, row: int, state: State, content: bytes | None, line: Mapping[str, Any]) -> None:
        """A row is finished, or failed for this run."""
        packed = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
        statement = "INSERT OR REPLACE INTO rows (row, state, content, line) VALUES (?, ?, ?, ?)"
        self.journal.submit(statement, (row, state, content, packed))

    def flushed(self) -> asyncio.Future[None]:
        """Done when all before is committed and its lines are written."""
        return self.journal.flushed()

    def close(self) -> None:
        """Write what is left and let the job go. Blocks for a moment."""
        try:
            self.journal.close()
        finally:
            self._lock.release()


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        path = f"{above}{name}"
        flat.update(_flat(value, f"{path}.") if isinstance(value, Mapping) else {path: value})
    return flat


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs, in words."""
    said = []
    for name in sorted(before.keys() | now.keys()):
        was, is_ = (_shown(side.get(name)) for side in (before, now))
        if before.get(name) != now.get(name):
            said.append(f"{name} was {was} and is {is_}")
    return said


def _shown(value: Any) -> str:
    text = "not set" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
