"""The folder of an evaluation: the journal with all that was bought, what was spent, and whose it is.

Everything in it but the journal can be made again from the journal for nothing. One process works on it at a
time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock
import orjson
from pydantic import ValidationError

from catagent.errors import ConfigError, JournalError
from catagent.messages import Usage
from catagent.models.sqlite_journal import SqliteJournal

__all__ = ["Folder"]

_SCHEMA = "CREATE TABLE IF NOT EXISTS evaluation (name TEXT PRIMARY KEY, value BLOB)"
_KEEP = "INSERT OR REPLACE INTO evaluation (name, value) VALUES (?, ?)"


class Folder:
    """Opens the folder, or makes it. Raises `ConfigError` when it cannot be used or is in use.

    `identity` says what the evaluation is of. A folder with another one is refused: what was spent, and the
    tables in it, are not of this evaluation.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"cannot make the folder {path}: {error.strerror}") from None
        self._lock = filelock.FileLock(path / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise ConfigError(
                f"another process works on {path}; wait for it, or name another --out"
            ) from None
        except OSError as error:
            raise ConfigError(f"cannot write in {path}: {error.strerror}") from None
        try:
            self.journal = SqliteJournal(path / "journal.sqlite", schema=_SCHEMA)
        except JournalError:
            self._lock.release()
            raise
        try:
            self._agree(dict(identity))
            self.spent = self._spent()
        except BaseException:
            self.journal.close()
            self._lock.release()
            raise

    def _kept(self, name: str) -> Any:
        row = self.journal.reader.execute("SELECT value FROM evaluation WHERE name = ?", (name,)).fetchone()
        return None if row is None else orjson.loads(row[0])

    def _agree(self, identity: dict[str, Any]) -> None:
        before = self._kept("identity")
        if before is None or before == orjson.loads(orjson.dumps(identity)):
            self._identity = identity
            return
        changed = [f"{k} was {before.get(k)!r:.80}" for k in identity if before.get(k) != identity[k]]
        raise ConfigError(
            f"{self.path} holds another evaluation: {'; '.join(changed)}. Name another --out; what is asked "
            "for there is bought anew"
        )

    def _spent(self) -> Usage:
        try:
            return Usage.model_validate(self._kept("usage") or {})
        except ValidationError:
            return Usage()

    def remember(self, usage: Usage) -> None:
        """Keep what was spent so far, and whose folder this is. Does not wait."""
        self.journal.submit(_KEEP, ("identity", orjson.dumps(self._identity)))
        self.journal.submit(_KEEP, ("usage", orjson.dumps(usage.model_dump())))

    async def aclose(self) -> None:
        """Commit what is left. Raises `JournalError` when it cannot be."""
        try:
            await asyncio.to_thread(self.journal.close)
        finally:
            self._lock.release()
