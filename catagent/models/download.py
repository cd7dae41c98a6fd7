"""One large file over HTTP: resumed where it broke off, verified before it counts.

The hub's own client starts a broken download again from nothing and does not compare checksums, and the
same care is owed to files from a package index; hence one downloader for both.
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from catagent.errors import FetchError

if TYPE_CHECKING:
    import aiohttp

__all__ = [
    "Progress",
    "Refused",
    "download",
    "exclusive",
    "matches",
    "require_space",
    "session",
    "uncertified",
]

Progress = Callable[[int, int | None], None]
"""Told the bytes there are and, where known, the bytes there will be. Never goes backwards."""

_TRIES = 5
_BACKOFF = 0.5  # seconds, doubled a try
_PATIENCE = 30.0  # seconds: the longest wait between two tries, whatever the server wishes
CHUNK = 1 << 18


class Refused(FetchError):
    """The server will not give the file, however often it is asked. `status` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class _Part:
    """The bytes of a file so far; survives the process."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)

    def writer(self, *, resume: bool) -> _Writer:
        return _Writer(self.path, "ab" if resume else "wb")


class _Writer:
    """A part open for writing. What is written stays, however the block is left."""

    def __init__(self, path: Path, mode: str) -> None:
        self.path = path
        try:
            self.file = path.open(mode)
        except OSError as error:
            raise _unwritable(path, error) from None

    def write(self, chunk: bytes) -> None:
        try:
            self.file.write(chunk)
        except OSError as error:
            raise _unwritable(self.path, error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.file.close()
        except OSError as failure:
            if error is None:
                raise _unwritable(self.path, failure) from None


def _unwritable(path: Path, error: OSError) -> FetchError:
    why = (error.strerror or type(error).__name__).lower()
    return FetchError(f"{path.parent} cannot be written ({why}): make room or set CATAGENT_CACHE elsewhere")


def require_space(folder: Path, needed: int) -> None:
    """FetchError unless the folder's disk has `needed` bytes left."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise FetchError(
            f"{folder} has {free / 1e6:.0f} MB left and {needed / 1e6:.0f} MB are needed: "
            "make room or set CATAGENT_CACHE elsewhere"
        )


def matches(path: Path, sha256: str) -> bool:
    """Whether there is such a file and it has this checksum. Reads all of it: call it in a thread."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except FileNotFoundError:
        return False


@asynccontextmanager
async def exclusive(path: Path, waiting: Callable[[], None] | None = None) -> AsyncIterator[None]:
    """Hold a lock file that other processes honour and that dies with its holder.

    `waiting` is called once if another one holds it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    while True:
        try:
            lock.acquire(timeout=0)
            break
        except Timeout:
            if waiting is not None:
                waiting()
                waiting = None
            await asyncio.sleep(0.1)
        except OSError as error:
            raise _unwritable(path, error) from None
    try:
        yield
    finally:
        lock.release()


def uncertified(host: str) -> str:
    """What to tell a user whose trust store does not know the host's certificate."""
    return f"the certificate of {host} cannot be verified: set SSL_CERT_FILE to your CA bundle"


def session() -> aiohttp.ClientSession:
    """A session that honours the environment's proxies and certificates."""
    import aiohttp

    context = ssl.create_default_context()
    places = ssl.get_default_verify_paths()
    if not (places.cafile or places.capath):  # a Python that finds no system certificates
        import certifi

        context.load_verify_locations(certifi.where())
    return aiohttp.ClientSession(
        trust_env=True,
        connector=aiohttp.TCPConnector(ssl=context),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=30),
        headers={"Accept-Encoding": "identity"},
        read_bufsize=CHUNK,
    )


async def download(
    url: str,
    target: Path,
    *,
    sha256: str,
    size: int | None = None,
    token: str | None = None,
    progress: Progress | None = None,
) -> None:
    """Bring `url` to `target`, which appears only when whole and verified.

    Bytes that came stay in a `.part` file beside it, named by the checksum so that another version's bytes
    are never continued. `token` goes to the URL's own host alone. Broken connections, 429 and 5xx are
    retried while bytes keep coming, at most 5 times in a row without any.
    Raises FetchError; no message holds the URL's user, password or query.
    """
    if await asyncio.to_thread(matches, target, sha256):
        return
    part = _Part(target.with_name(f"{target.name}.{sha256[:8]}.part"))
    host = urlsplit(url).hostname or "the server"
    await _Transfer(url, host, part, size, token, progress).run()
    if not await asyncio.to_thread(matches, part.path, sha256):
        part.discard()
        raise FetchError(f"what {host} sent as {target.name} does not match its checksum and was removed")
    part.path.replace(target)


class _Transfer:
    """The attempts at one download."""

    def __init__(
        self,
        url: str,
        host: str,
        part: _Part,
        size: int | None,
        token: str | None,
        progress: Progress | None,
    ) -> None:
        self.url = url
        self.host = host
        self.part = part
        self.size = size
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.progress = progress
        self.shown = -1
        self.wish = 0.0
        self.why = ""

    async def run(self) -> None:
        import aiohttp

        fruitless = 0
        async with session() as http:
            while True:
                before = self.part.size
                self.wish, self.why = 0.0, f"{self.host} broke off"
                try:
                    if await self.attempt(http, before):
                        return
                except aiohttp.ClientConnectorCertificateError:
                    raise FetchError(uncertified(self.host)) from None
                except aiohttp.InvalidURL:
                    raise FetchError(f"the address of {self.host} cannot be read") from None
                except aiohttp.ClientConnectorError:
                    self.why = f"{self.host} cannot be reached"
                except TimeoutError:
                    self.why = f"{self.host} does not answer"
                except aiohttp.ClientError:
                    pass
                fruitless = 0 if self.part.size > before else fruitless + 1
                if fruitless >= _TRIES:
                    there = self.part.size / 1e6
                    raise FetchError(
                        f"{self.why} after {there:.1f} MB; run it again to go on from there"
                        if there
                        else f"{self.why}; try again later"
                    )
                await asyncio.sleep(min(_PATIENCE, max(self.wish, _BACKOFF * 2**fruitless)))

    async def attempt(self, http: aiohttp.ClientSession, have: int) -> bool:
        """One request; True when the last byte is there."""
        if self.size is not None and have >= self.size:
            if have == self.size:
                self.tell(have)
                return True
            self.part.discard()
            have = 0
        headers = {**self.headers, "Range": f"bytes={have}-"} if have else self.headers
        async with http.get(self.url, headers=headers) as response:
            if response.status == 416:
                whole = response.headers.get("Content-Range", "").rpartition("/")[2] == str(have)
                if not whole:
                    self.part.discard()
                return whole
            if response.status == 429 or response.status >= 500:
                wish = response.headers.get("Retry-After", "")
                self.wish = float(wish) if wish.isdigit() else 0.0
                self.why = f"{self.host} answers HTTP {response.status}"
                return False
            if response.status not in (200, 206):
                raise Refused(f"{self.host} refuses the file (HTTP {response.status})", response.status)
            if response.status == 206:
                said = response.headers.get("Content-Range", "")
                if not said.startswith(f"bytes {have}-"):
                    self.part.discard()
                    return False
            else:
                have = 0
            return await self.receive(response, have)

    async def receive(self, response: aiohttp.ClientResponse, have: int) -> bool:
        length = response.content_length
        total = have + length if length is not None else self.size
        require_space(self.part.path.parent, (total or 0) - have)
        self.tell(have, total)
        with self.part.writer(resume=have > 0) as writer:
            async for chunk in response.content.iter_chunked(CHUNK):
                writer.write(chunk)
                have += len(chunk)
                self.tell(have, total)
                if self.size is not None and have > self.size:
                    return True  # too long: its checksum will not match
        return total is None or have >= total

    def tell(self, have: int, total: int | None = None) -> None:
        if self.progress is not None and have > self.shown:
            self.shown = have
            self.progress(have, total if total is not None else self.size)
