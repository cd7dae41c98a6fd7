"""A package index's double (the simple API) that holds one wheel, and how to make such a wheel."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterable

import orjson
from aiohttp import web

from tests.doubles.files import FileDouble, Trouble

__all__ = ["IndexDouble", "make_wheel"]


def make_wheel(distribution: str, version: str, files: dict[str, bytes]) -> bytes:
    """A wheel that pip accepts, with these files in it."""
    stem = f"{distribution.replace('-', '_')}-{version}"
    info = f"{stem}.dist-info"
    files = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: double\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{name},,\n" for name in files) + f"{info}/RECORD,,\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data)
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), record)
    return out.getvalue()


class IndexDouble(FileDouble):
    """Serves one wheel and its metadata file; with `login` ("user:password") only to who has it.

    `simple_url` is what PIP_INDEX_URL takes.
    """

    def __init__(
        self,
        distribution: str,
        version: str,
        wheel: bytes,
        *,
        troubles: Iterable[Trouble | None] = (),
        pace: float = 0.0,
        piece: int = 1 << 16,
        login: str | None = None,
    ) -> None:
        super().__init__(troubles=troubles, pace=pace, piece=piece)
        self.distribution = distribution
        self.file = f"{distribution.replace('-', '_')}-{version}-py3-none-any.whl"
        self.wheel = wheel
        self.login = login
        with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
            info = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            self.metadata = archive.read(info)

    @property
    def simple_url(self) -> str:
        login = f"{self.login}@" if self.login else ""
        return f"http://{login}{self.host}:{self.port}/simple"

    @property
    def wheel_gets(self) -> int:
        return sum(one.path == f"/files/{self.file}" for one in self.gets)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.note(request)
        if self.login is not None:
            wanted = f"Basic {base64.b64encode(self.login.encode()).decode()}"
            if request.headers.get("Authorization") != wanted:
                return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="index"'})
        if request.path == f"/simple/{self.distribution}/":
            digest = hashlib.sha256(self.wheel).hexdigest()
            known = {"sha256": hashlib.sha256(self.metadata).hexdigest()}
            entry = {
                "filename": self.file,
                "url": f"{self.url}/files/{self.file}",
                "hashes": {"sha256": digest},
                "core-metadata": known,
            }
            page = {"meta": {"api-version": "1.1"}, "name": self.distribution, "files": [entry]}
            kind = "application/vnd.pypi.simple.v1+json"
            return web.Response(body=orjson.dumps(page), headers={"Content-Type": kind})
        if request.path == f"/files/{self.file}.metadata":
            return web.Response(body=self.metadata)
        if request.path == f"/files/{self.file}":
            return await self.send(request, self.wheel)
        return web.Response(status=404)
