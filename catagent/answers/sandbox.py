"""Runs untrusted programs in a child process that cannot reach files, the network or other processes.

What it stops, and what it does not, is listed in `docs/answers.md`. It stands on what an unprivileged Linux
process may do to itself: resource limits, a seccomp filter that lets only the system calls of pure
computation through, and Landlock where the kernel has it. Where that cannot be set up nothing is run, unless
the user says so.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catagent.errors import ConfigError

__all__ = ["Outcome", "Sandbox"]

Outcome = list[Any]
"""`["value", encoded]`, `["error", type]`, `["timeout"]`, `["memory"]` or `["killed"]`."""
_SCRIPT = str(Path(__file__).with_name("_sandboxed.py"))
_MAX_CODE = 200_000


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Limits of one run of a program on its inputs.

    `unsafe=True` runs even where the sandbox cannot be set up: with limits of time and memory only.
    """

    seconds: float = 2.0
    """CPU time for all inputs together, counted from when the program starts."""
    memory_mb: int = 512
    """Address space, interpreter included."""
    output_bytes: int = 8_000_000
    """Reply size at which the run is ended."""
    unsafe: bool = False

    def run(self, code: str, name: str | None, inputs: Sequence[Any]) -> list[Outcome]:
        """Outcome of the program on each input: of the function `name`, or of the whole script on a stdin
        text.

        Blocks. Raises `ConfigError` where the sandbox cannot be set up and `unsafe` is not set.
        """
        if len(code) > _MAX_CODE:
            return [["error", "TooLong"]] * len(inputs)
        job = {
            "code": code,
            "name": name,
            "inputs": list(inputs),
            "seconds": self.seconds,
            "memory_mb": self.memory_mb,
            "unsafe": self.unsafe,
        }
        lines = self._lines(json.dumps(job).encode())
        if not lines:
            raise ConfigError(
                f"The sandbox for programs did not start with {sys.executable}; it needs Linux and "
                f"{self.memory_mb} MB. Pass Sandbox(unsafe=True) to run with limits of time and memory only."
            )
        problem = lines[0][1]
        if problem and not self.unsafe:
            raise ConfigError(
                f"Programs are not run here: {problem}. Pass Sandbox(unsafe=True) only if the machine itself "
                "is disposable; then only time and memory are limited."
            )
        outcomes = lines[1:]
        return outcomes + [["killed"]] * (len(inputs) - len(outcomes))

    def problem(self) -> str:
        """Why programs cannot be isolated here; empty when they can."""
        try:
            Sandbox().run("", None, [])
        except ConfigError as error:
            return str(error)
        return ""

    def _lines(self, job: bytes) -> list[Any]:
        with tempfile.TemporaryFile() as request:
            request.write(job)
            request.seek(0)
            process = subprocess.Popen(  # noqa: S603 - our own script; the program is in the request
                [sys.executable, "-I", "-S", "-B", _SCRIPT],
                stdin=request,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"},
                cwd="/",
                start_new_session=True,
            )
            assert process.stdout is not None
            try:
                data = _read(process, self.output_bytes, self.seconds * 10 + 20)
            finally:
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.stdout.close()
                process.wait()
        found = []
        for line in data.split(b"\n"):
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        return found


def _read(process: subprocess.Popen[bytes], limit: int, seconds: float) -> bytes:
    """All the child writes, until it ends, has written enough or used up its wall time."""
    assert process.stdout is not None
    fd, end, data = process.stdout.fileno(), time.monotonic() + seconds, bytearray()
    poller = select.poll()
    poller.register(fd, select.POLLIN | select.POLLHUP)
    while len(data) < limit:
        left = end - time.monotonic()
        if left <= 0 or not poller.poll(left * 1000):
            break
        piece = os.read(fd, 65536)
        if not piece:
            break
        data += piece
    return bytes(data)
