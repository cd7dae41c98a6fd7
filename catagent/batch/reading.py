"""Input as a stream of lines: files, gz and zst, standard input, rows in memory.

Read in a thread, some lines at a time, so that neither a slow disk nor unpacking stops the event loop,
and a file of any size takes the memory of a few hundred lines.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import stat
import sys
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias, cast

from catagent.errors import ConfigError

__all__ = ["Files", "Line", "RawRow", "Rows", "Source"]

RawRow: TypeAlias = "str | Mapping[str, Any]"
_LINES = 256
_BYTES = 1 << 20
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it stands, where it stands, and what is wrong if it could not be read."""

    raw: bytes | str | Mapping[str, Any]
    file: str | None
    line: int
    error: str | None = None


class Source(Protocol):
    """Where rows come from."""

    def __aiter__(self) -> AsyncIterator[list[Line]]:
        """The lines that are not blank, in pieces."""
        ...

    @property
    def share(self) -> float | None:
        """How much of the input has been read, 0 to 1; `None` where nobody knows."""
        ...


class Files:
    """Files one after the other; `-` is standard input. Packing is told from the first bytes.

    Raises `ConfigError` for a file that cannot be opened, before any is read.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        self._paths = [str(path) for path in paths]
        self._sizes: list[int] = []
        for path in self._paths:
            if path == "-":
                self._sizes.append(0)
                continue
            try:
                status = Path(path).stat()
                if not stat.S_ISFIFO(status.st_mode):  # a pipe can be opened once only
                    Path(path).open("rb").close()
                self._sizes.append(status.st_size)
            except OSError as error:
                raise ConfigError(f"cannot read {path}: {error.strerror}") from None
        self._read = 0
        self._now: IO[bytes] | None = None

    @property
    def share(self) -> float | None:
        """See `Source.share`: by bytes, packed ones where the file is packed."""
        if not all(self._sizes):
            return None
        at = 0
        if self._now is not None:
            with contextlib.suppress(OSError, ValueError):  # it was closed meanwhile
                at = self._now.tell()
        return min(1.0, (self._read + at) / sum(self._sizes))

    async def __aiter__(self) -> AsyncIterator[list[Line]]:
        """See `Source`."""
        lines = self._lines()
        try:
            while piece := await asyncio.to_thread(_piece, lines):
                yield piece
        finally:
            with contextlib.suppress(ValueError):  # a cancelled read still runs in its thread
                lines.close()

    def _lines(self) -> Generator[Line, None, None]:
        for path, size in zip(self._paths, self._sizes, strict=True):
            name = "standard input" if path == "-" else path
            number = 0
            try:
                with _opened(path) as (packed, plain):
                    self._now = packed
                    for number, raw in enumerate(plain, 1):
                        text = raw.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else raw.strip()
                        if text:
                            yield Line(text, name, number)
            except (OSError, EOFError, zlib.error, _zstd_error()) as error:
                yield Line(b"", name, number + 1, f"the file cannot be read on: {error}")
            finally:
                self._now = None
            self._read += size


class Rows:
    """Rows in memory, or from a generator that may wait."""

    def __init__(self, rows: Iterable[RawRow] | AsyncIterable[RawRow]) -> None:
        self._rows = rows
        self._size = len(rows) if isinstance(rows, Sequence) else None
        self._taken = 0

    @property
    def share(self) -> float | None:
        """See `Source.share`."""
        return self._taken / self._size if self._size else None

    async def __aiter__(self) -> AsyncIterator[list[Line]]:
        """See `Source`."""
        if isinstance(self._rows, AsyncIterable):
            async for row in self._rows:
                self._taken += 1
                yield [Line(row, None, self._taken)]
            return
        piece = []
        for row in self._rows:
            self._taken += 1
            piece.append(Line(row, None, self._taken))
            if len(piece) >= _LINES:
                yield piece
                piece = []
                await asyncio.sleep(0)
        if piece:
            yield piece


def _piece(lines: Iterator[Line]) -> list[Line]:
    piece, size = [], 0
    for line in lines:
        piece.append(line)
        size += len(line.raw)
        if len(piece) >= _LINES or size >= _BYTES:
            break
    return piece


@contextlib.contextmanager
def _opened(path: str) -> Iterator[tuple[IO[bytes], Iterable[bytes]]]:
    """The file as it is on disk, and its lines unpacked."""
    with contextlib.ExitStack() as stack:
        if path == "-":
            packed = cast("io.BufferedReader", sys.stdin.buffer)
        else:
            packed = stack.enter_context(Path(path).open("rb"))
        start = packed.peek(4)[:4]
        if start.startswith(_GZIP):
            yield packed, cast("IO[bytes]", stack.enter_context(gzip.open(packed)))
        elif start == _ZSTD:
            reader = _zstandard().ZstdDecompressor().stream_reader(packed, read_across_frames=True)
            yield packed, stack.enter_context(io.BufferedReader(reader, 1 << 18))
        else:
            yield packed, packed


def _zstandard() -> Any:
    try:
        import zstandard
    except ImportError:
        raise ConfigError("a zst file needs zstandard: pip install 'catagent[batch]'") from None
    return zstandard


def _zstd_error() -> type[Exception]:
    module = sys.modules.get("zstandard")
    return module.ZstdError if module else EOFError
