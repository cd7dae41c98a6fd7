"""The output file: a view of the journal, written after each commit by the thread that made it.

A line is committed to the journal before it is written, whole lines in one write. So whatever happens the
file can be continued or made anew from the journal; after a crash a torn last line is cut off and what is
missing is added. Lines come as rows are finished, or in the order of the input: then a finished row waits
in the journal, not in memory, until those before it are done.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from catagent.errors import JournalError

__all__ = ["Output"]

_PIECE = 200
_REWRITE = "SELECT 1 FROM meta WHERE name = 'rewrite'"
_ALL = "SELECT {what} FROM rows WHERE {where} ORDER BY {order}"


class Output:
    """`path` takes the lines of rows, `errors` those of lines and rows that give none.

    `training` files hold nothing but usable lines: rows that failed go to `errors` too. All methods run in
    the journal's thread. No file is touched before `begun` is set; `closing` has everything written at the
    next commit.
    """

    def __init__(self, path: Path, errors: Path, *, in_order: bool, training: bool) -> None:
        self.path = path
        self.errors = errors
        self.begun = False
        self.closing = False
        self._in_order = in_order
        lines = "'done'" if training else "'done', 'error'"
        self._lines = f"state IN ({lines})"
        self._failures = "state IN ('bad', 'left', 'error')" if training else "state IN ('bad', 'left')"
        self._file: _Appended | None = None
        self._errors: _Appended | None = None
        self._closed = False
        self._next = 0
        self._next_error = 0

    def __call__(self, db: sqlite3.Connection) -> None:
        """Write what the last commit added. Raises `JournalError` when that fails."""
        if self._closed or not self.begun:
            return
        if self._file is None:
            self._open(db)
        assert self._file is not None
        for piece in _pieces(self._ready(db)):
            self._file.append(piece)
        failures = db.execute(
            _ALL.format(what="ordinal, line", where=f"ordinal > ? AND {self._failures}", order="ordinal"),
            (self._next_error,),
        )
        for ordinal, line in failures.fetchall():
            self._fail(line)
            self._next_error = ordinal
        if self.closing:
            self._closed = True
            self._file.close()
            if self._errors is not None:
                self._errors.close()

    def _ready(self, db: sqlite3.Connection) -> Iterator[bytes]:
        """Lines that may be written now and are not yet."""
        if not self._in_order:
            added = db.execute(
                _ALL.format(what="ordinal, line", where=f"ordinal > ? AND {self._lines}", order="ordinal"),
                (self._next,),
            )
            for ordinal, line in added:
                self._next = ordinal
                yield line
            return
        rows = db.execute(
            _ALL.format(what=f"row, {self._lines}, line", where="row >= ?", order="row"), (self._next,)
        )
        for row, has_line, line in rows:
            if row > self._next and not self.closing:
                return
            self._next = row + 1
            if has_line:
                yield line

    def _open(self, db: sqlite3.Connection) -> None:
        """Bring the file to a state that the journal knows, and the errors file to what it should say."""
        with contextlib.suppress(FileNotFoundError):
            self.errors.unlink()
        rewrite = db.execute(_REWRITE).fetchone() is not None
        kept = None if rewrite else self._kept(db)
        if kept is None:
            self._next = 0
            beside = self.path.with_name(f".{self.path.name}.new")
            with contextlib.suppress(FileNotFoundError):
                beside.unlink()
            fresh = _Appended(beside)
            for piece in _pieces(self._ready(db)):
                fresh.append(piece)
            fresh.close()
            beside.replace(self.path)
            db.execute("DELETE FROM meta WHERE name = 'rewrite'")
        self._file = _Appended(self.path, kept)
        useless = db.execute("SELECT line FROM rows WHERE state = 'left' ORDER BY ordinal")
        for (line,) in useless:  # bad lines are met again, or are mended
            self._fail(line)
        (self._next_error,) = db.execute("SELECT coalesce(max(ordinal), 0) FROM rows").fetchone()

    def _fail(self, line: bytes) -> None:
        if self._errors is None:
            self._errors = _Appended(self.errors)
        self._errors.append(line)

    def _kept(self, db: sqlite3.Connection) -> int | None:
        """How many bytes of the file are lines that the journal knows; `None` if it must be made anew."""
        size = self.path.stat().st_size if self.path.exists() else 0
        at, last = 0, None
        for place, length in self._expected(db):
            if at + length > size:
                break
            at, last = at + length, (place, length)
        else:
            if at < size and not self._torn(at, size):
                return None
        if last is not None:
            place, length = last
            where = "row = ?" if self._in_order else "ordinal = ?"
            (line,) = db.execute(_ALL.format(what="line", where=where, order="1"), (place,)).fetchone()
            with self.path.open("rb") as file:
                file.seek(at - length)
                if file.read(length) != line:
                    return None
            self._next = place + self._in_order
        return at

    def _torn(self, at: int, size: int) -> bool:
        """Whether what follows the last line that is known is a piece of one more."""
        with self.path.open("rb") as file:
            file.seek(at)
            return b"\n" not in file.read(size - at)

    def _expected(self, db: sqlite3.Connection) -> Iterator[tuple[int, int]]:
        """Place and length of the lines that should be in the file."""
        if not self._in_order:
            what = "ordinal, length(line)"
            yield from db.execute(_ALL.format(what=what, where=self._lines, order="ordinal"))
            return
        rows = db.execute(_ALL.format(what=f"row, {self._lines}, length(line)", where="1", order="row"))
        for due, (row, has_line, length) in enumerate(rows):
            if row != due:
                return
            if has_line:
                yield row, length


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines joined, a few hundred at a time."""
    piece: list[bytes] = []
    for line in lines:
        piece.append(line)
        if len(piece) >= _PIECE:
            yield b"".join(piece)
            piece.clear()
    if piece:
        yield b"".join(piece)


class _Appended:
    """A file that grows by whole lines. What could not be written whole is taken back."""

    def __init__(self, path: Path, keep: int | None = None) -> None:
        self._path = path
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            if keep is not None:
                os.ftruncate(self._fd, keep)
            self._size = os.fstat(self._fd).st_size
        except OSError as error:
            raise self._sentence(error) from None

    def append(self, lines: bytes) -> None:
        """Write lines, each with its end, in one go."""
        left = memoryview(lines)
        try:
            while left:
                left = left[os.write(self._fd, left) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
            raise self._sentence(error) from None
        self._size += len(lines)

    def close(self) -> None:
        """Have it on the disk."""
        try:
            os.fsync(self._fd)
            os.close(self._fd)
        except OSError as error:
            raise self._sentence(error) from None

    def _sentence(self, error: OSError) -> JournalError:
        return JournalError(
            f"cannot write {self._path}: {error.strerror}. What was bought is in the journal; "
            "see to the cause and run the same command again"
        )
