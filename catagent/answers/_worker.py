"""The child process that decides hard pairs. Started by the pool, never imported by users.

The process imports SymPy once and then forks; the fork answers questions until one of them runs out of
CPU time and the kernel kills it, whatever it was doing. The next fork is ready in a millisecond and has
inherited the imports.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import struct
import sys
from typing import Any

_HEADER = struct.Struct("<I")


def main(memory_mb: int) -> None:
    """Serve questions from standard input until it ends."""
    replies = os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)
    sys.set_int_max_str_digits(0)
    from . import symbolic

    limit = memory_mb * 1024 * 1024
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _send(replies, "ready")
    while True:
        child = os.fork()
        if child == 0:
            try:
                _serve(replies, symbolic)
            except BaseException:  # noqa: BLE001 - the fork must not run the parent's code
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0:
            return
        _send(replies, None)


def _serve(replies: int, symbolic: Any) -> None:
    while (question := _receive(0)) is not None:
        seconds = float(question["seconds"])
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            reply = symbolic.decide(question["a"], question["b"], question["rules"])
        except (MemoryError, RecursionError):
            reply = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(replies, reply)


def _send(fd: int, value: Any) -> None:
    payload = json.dumps(value).encode()
    data = _HEADER.pack(len(payload)) + payload
    while data:
        data = data[os.write(fd, data) :]


def _receive(fd: int) -> Any:
    header = _read(fd, _HEADER.size)
    if header is None:
        return None
    payload = _read(fd, _HEADER.unpack(header)[0])
    return None if payload is None else json.loads(payload)


def _read(fd: int, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        piece = os.read(fd, size - len(data))
        if not piece:
            return None
        data += piece
    return data
