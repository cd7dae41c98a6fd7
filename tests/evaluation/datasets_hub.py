"""The Hugging Face hub's double for data sets: small files, served by the hub itself, and lists of files."""

from __future__ import annotations

import hashlib

from aiohttp import web

from tests.doubles.files import FileDouble

__all__ = ["DatasetHub"]


class DatasetHub(FileDouble):
    """Serves `files` (`owner/name/path` to bytes); `gated` are repositories that nobody may read."""

    def __init__(self, files: dict[str, bytes], *, gated: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.named = files
        self.gated = gated

    @property
    def asked(self) -> list[str]:
        """The paths of files that were fetched, in order."""
        return [one.path for one in self.gets if "/resolve/" in one.path]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.note(request)
        parts = request.path.strip("/").split("/")
        if parts[:2] == ["api", "datasets"]:
            repo = "/".join(parts[2:4])
            listed = [
                {"type": "file", "path": n.removeprefix(f"{repo}/"), "size": len(data), "oid": "0" * 40}
                for n, data in self.named.items()
                if n.startswith(f"{repo}/")
            ]
            if not listed:
                return web.Response(status=404, headers={"X-Error-Code": "RepoNotFound"})
            return web.json_response(listed)
        if parts[0] != "datasets" or len(parts) < 6:
            return web.Response(status=404)
        repo, file = "/".join(parts[1:3]), "/".join(parts[5:])
        if repo in self.gated:
            return web.Response(status=403, headers={"X-Error-Code": "GatedRepo"})
        if not any(name.startswith(f"{repo}/") for name in self.named):
            return web.Response(status=404, headers={"X-Error-Code": "RepoNotFound"})
        data = self.named.get(f"{repo}/{file}")
        commit = {"X-Repo-Commit": "0" * 40}
        if data is None:
            return web.Response(status=404, headers={"X-Error-Code": "EntryNotFound", **commit})
        etag = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', **commit}
        if request.method == "HEAD":
            return web.Response(headers={**etag, "Content-Length": str(len(data))})
        return web.Response(body=data, headers=etag)
