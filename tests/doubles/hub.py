"""The Hugging Face hub's double: `resolve` states checksum and size and redirects to a store elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterable

from aiohttp import web

from tests.doubles.files import FileDouble, Trouble

__all__ = ["HubDouble"]


class HubDouble(FileDouble):
    """Serves `files` (`owner/name/file` to bytes) at `/{repo}/resolve/main/{file}`.

    The bytes come from `store`, another server, as from the hub's CDN; `troubles`, `pace` and `piece` are
    the store's. `status` answers every request with it; `stated` overrides headers of the statement;
    `renamed` maps an old repository to the new one by a redirect within the hub.
    """

    def __init__(
        self,
        files: dict[str, bytes],
        *,
        troubles: Iterable[Trouble | None] = (),
        pace: float = 0.0,
        piece: int = 1 << 16,
        token: str | None = None,
        status: int | None = None,
        stated: dict[str, str] | None = None,
        renamed: dict[str, str] | None = None,
        head_delay: float = 0.0,
    ) -> None:
        super().__init__()
        self.named = {self.address(name): data for name, data in files.items()}
        self.store = FileDouble(troubles=troubles, pace=pace, piece=piece)
        self.token = token
        self.status = status
        self.stated = stated or {}
        self.renamed = {f"/{old}/": f"/{new}/" for old, new in (renamed or {}).items()}
        self.head_delay = head_delay

    @staticmethod
    def address(name: str) -> str:
        owner, repo, file = name.split("/", 2)
        return f"/{owner}/{repo}/resolve/main/{file}"

    def start(self) -> None:
        self.store.start()
        super().start()

    def stop(self) -> None:
        super().stop()
        self.store.stop()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.note(request)
        if self.head_delay:
            await asyncio.sleep(self.head_delay)
        if self.status is not None:
            return web.Response(status=self.status)
        if self.token is not None and request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        for old, new in self.renamed.items():
            if request.path.startswith(old):
                onward = new + request.path.removeprefix(old)
                return web.Response(status=307, headers={"Location": onward})
        data = self.named.get(request.path)
        if data is None:
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound"})
        digest = hashlib.sha256(data).hexdigest()
        self.store.files[f"/{digest}"] = data
        headers = {
            "Location": f"{self.store.url}/{digest}?Signature=secret-of-the-store",
            "X-Repo-Commit": "0" * 40,
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(len(data)),
            **self.stated,
        }
        return web.Response(status=302, headers={name: said for name, said in headers.items() if said})
