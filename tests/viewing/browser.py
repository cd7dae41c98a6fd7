"""A real browser, driven over its own debugging protocol: Chromium without a window, a fresh profile."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--no-first-run", "--disable-component-update", "--disable-dev-shm-usage", "--remote-debugging-port=0",
)  # fmt: skip


def found() -> str | None:
    """The browser's program, if there is one here."""
    return os.environ.get("CHROMIUM") or next((p for name in NAMES if (p := shutil.which(name))), None)


@contextmanager
def running(program: str) -> Iterator[str]:
    """A browser; gives the address of its debugger."""
    with tempfile.TemporaryDirectory(prefix="catagent-browser-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            file = Path(profile) / "DevToolsActivePort"
            for _ in range(600):
                if file.exists() and len(lines := file.read_text().split()) == 2:
                    break
                assert process.poll() is None, "the browser did not start"
                time.sleep(0.1)
            else:
                raise AssertionError("the browser did not start within a minute")
            yield f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@dataclass
class Tab:
    """One tab. `heard` are messages of the console and errors, `asked` addresses that the page wanted."""

    socket: aiohttp.ClientWebSocketResponse
    session: str
    heard: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(100))

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command; its result."""
        ident = next(self._ids)
        await self.socket.send_json(
            {"id": ident, "method": method, "params": params, "sessionId": self.session}
        )
        while True:
            said = json.loads(await self.socket.receive_str(timeout=110))
            if said.get("id") == ident:
                assert "error" not in said, said
                return said["result"]
            self._hear(said)

    def _hear(self, said: dict[str, Any]) -> None:
        method, params = said.get("method"), said.get("params", {})
        if method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.heard.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded":
            self.heard.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.heard.append(str([a.get("value", a.get("description")) for a in params["args"]]))
        elif method == "Page.javascriptDialogOpening":
            self.heard.append(f"dialog: {params['message']}")
        elif method == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])

    async def js(self, expression: str) -> Any:
        """The value of an expression, awaited."""
        said = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    async def until(self, expression: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        for _ in range(int(seconds / 0.05)):
            if await self.js(f"Boolean({expression})"):
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"never true: {expression}; heard: {self.heard}")

    async def open(self, address: str) -> None:
        """Go there and wait until the page has unpacked its data."""
        await self.call("Page.navigate", url=address)
        await self.until("document.documentElement?.dataset.ready === 'yes'")

    async def press(self, key: str, *, code: int = 0, text: str | None = None) -> None:
        """Press a key where the focus is."""
        typed = key if text is None and len(key) == 1 else text
        extra = {"text": typed} if typed else {}
        common = {"key": key, "windowsVirtualKeyCode": code}
        await self.call("Input.dispatchKeyEvent", type="keyDown", **common, **extra)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **common)
        await self.js("new Promise((done) => setTimeout(done, 30))")

    async def size(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """The window, and what the system prefers."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def picture(self, path: Path, **options: Any) -> None:
        """A screenshot."""
        said = await self.call("Page.captureScreenshot", format="png", **options)
        await asyncio.to_thread(path.write_bytes, base64.b64decode(said["data"]))


@asynccontextmanager
async def tab(address: str) -> AsyncIterator[Tab]:
    """A new tab in a profile of its own in the browser whose debugger is at `address`."""
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(address, max_msg_size=0, timeout=aiohttp.ClientWSTimeout(ws_close=5)) as socket,
    ):
        ids = itertools.count(1)

        async def browser(method: str, **params: Any) -> dict[str, Any]:
            ident = next(ids)
            await socket.send_json({"id": ident, "method": method, "params": params})
            while True:
                said = json.loads(await socket.receive_str(timeout=110))
                if said.get("id") == ident:
                    assert "error" not in said, said
                    return said["result"]

        context = (await browser("Target.createBrowserContext"))["browserContextId"]
        made = await browser("Target.createTarget", url="about:blank", browserContextId=context)
        attached = await browser("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        one = Tab(socket, attached["sessionId"])
        for domain in ("Page", "Runtime", "Log", "Network"):
            await one.call(f"{domain}.enable")
        await one.size(1280, 900)
        yield one
        await browser("Target.disposeBrowserContext", browserContextId=context)
