"""A file server's double: ranges, and what goes wrong with large files."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from aiohttp import web

from tests.doubles.loopback import Loopback

__all__ = ["FileDouble", "Seen", "Trouble"]


@dataclass(frozen=True)
class Trouble:
    """What one GET of a file meets. `cut_after` counts the bytes of the body that still come.

    `shift` makes a partial answer start so many bytes later than was asked, and say so.
    """

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    data: bytes | None = None
    ignore_range: bool = False
    shift: int = 0
    head_delay: float = 0.0


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    method: str
    path: str
    range: str | None
    authorization: str | None


class FileDouble(Loopback):
    """Serves `files` (path to bytes). `troubles` meet the file GETs in order; None passes.

    `pace` seconds lie between pieces of `piece` bytes; the pace may change while a file is sent.
    """

    def __init__(
        self,
        files: dict[str, bytes] | None = None,
        *,
        troubles: Iterable[Trouble | None] = (),
        pace: float = 0.0,
        piece: int = 1 << 16,
    ) -> None:
        super().__init__()
        self.files = dict(files or {})
        self.troubles = list(troubles)
        self.pace = pace
        self.piece = piece
        self.seen: list[Seen] = []
        self.sent = 0

    def note(self, request: web.BaseRequest) -> None:
        head = request.headers
        self.seen.append(Seen(request.method, request.path, head.get("Range"), head.get("Authorization")))

    @property
    def gets(self) -> list[Seen]:
        return [one for one in self.seen if one.method == "GET"]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.note(request)
        if request.path not in self.files:
            return web.Response(status=404)
        return await self.send(request, self.files[request.path])

    async def send(self, request: web.BaseRequest, data: bytes) -> web.StreamResponse:
        trouble = (self.troubles.pop(0) if self.troubles else None) or Trouble()
        if trouble.head_delay:
            await asyncio.sleep(trouble.head_delay)
        if trouble.status is not None:
            return web.Response(status=trouble.status, headers=trouble.headers)
        data = data if trouble.data is None else trouble.data
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        start, status, headers = 0, 200, {"Accept-Ranges": "bytes"}
        total = len(data)
        if wanted and not trouble.ignore_range:
            start = int(wanted[1]) + trouble.shift
            end = min(int(wanted[2]) if wanted[2] else total - 1, total - 1)
            if start >= total:
                return web.Response(status=416, headers={"Content-Range": f"bytes */{total}"})
            status, data = 206, data[start : end + 1]
            headers["Content-Range"] = f"bytes {start}-{end}/{total}"
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = len(data)
        await response.prepare(request)
        if request.method == "HEAD":
            return response
        coming = data if trouble.cut_after is None else data[: trouble.cut_after]
        size = self.piece
        for at in range(0, len(coming), size):
            if self.pace:
                await asyncio.sleep(self.pace)
            await response.write(coming[at : at + size])
            self.sent += len(coming[at : at + size])
        if trouble.cut_after is not None and request.transport is not None:
            request.transport.close()
            return response
        await response.write_eof()
        return response
