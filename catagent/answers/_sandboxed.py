"""Runs one program on many inputs inside a sandbox it first builds around itself. A script, not a module.

Started by `sandbox` with `python -I -S`; needs nothing but the standard library. Order matters: limits, then
imports, then Landlock, then seccomp; the untrusted code is compiled only after all of them hold.
"""

from __future__ import annotations

import ctypes
import io
import json
import math
import os
import platform
import re
import resource
import signal
import struct
import sys
import sysconfig
from contextlib import suppress
from typing import Any

_PRELOADED = re.findall(
    r"[\w.]+",
    "abc array bisect cmath collections collections.abc copy dataclasses datetime decimal enum "
    "fractions functools heapq itertools json math numbers operator queue random re statistics "
    "string time types typing",
)
_ALLOWED = {  # what pure computation needs of the kernel: x86-64, then arm64
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62), "mmap": (9, 222),
    "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "ioctl": (16, 29), "pread64": (17, 67),
    "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233), "dup": (32, 23), "nanosleep": (35,
    101),
    "getitimer": (36, 102), "setitimer": (38, 103), "getpid": (39, 172), "exit": (60, 93), "uname": (63, 160),
    "fcntl": (72, 25), "getcwd": (79, 17), "gettimeofday": (96, 169), "getrusage": (98, 165), "times": (100,
    153),
    "getuid": (102, 174), "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177),
    "sigaltstack": (131, 132), "gettid": (186, 178), "time": (201, -1), "futex": (202, 98),
    "sched_getaffinity": (204, 123), "clock_gettime": (228, 113), "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115), "exit_group": (231, 94), "set_robust_list": (273, 99), "getrandom": (318,
    278),
    "rseq": (334, 293), "restart_syscall": (219, 128), "membarrier": (324, 283),
}  # fmt: skip
_READING = {
    "open": (2, -1), "stat": (4, -1), "lstat": (6, -1), "access": (21, -1), "readlink": (89, -1),
    "getdents64": (217, 61), "openat": (257, 56), "newfstatat": (262, 79), "readlinkat": (267, 78),
    "faccessat": (269, 48), "statx": (332, 291), "faccessat2": (439, 439),
}  # fmt: skip
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_ALLOW, _DENY, _KILL = 0x7FFF0000, 0x00050000 | 1, 0x80000000
_MAX_TEXT = 100_000


class _TooLong(BaseException):
    pass


def _limits(seconds: float, memory_mb: int) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = math.ceil(used.ru_utime + used.ru_stime + seconds)
    memory = memory_mb * 1024 * 1024
    for which, amount in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 16),
    ):
        resource.setrlimit(which, (amount, amount))


def _landlock(libc: ctypes.CDLL) -> bool:
    """Nothing of the file system but reading below the standard library. `False` without Landlock."""
    version = libc.syscall(444, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return False
    rights = (1 << 13) - 1
    if version >= 2:
        rights |= 1 << 13
    if version >= 3:
        rights |= 1 << 14
    if version >= 5:
        rights |= 1 << 15
    fields = [rights]
    if version >= 4:
        fields.append(3)
    if version >= 6:
        fields.append(3)
    attributes = struct.pack(f"<{len(fields)}Q", *fields)
    ruleset = libc.syscall(444, attributes, ctypes.c_size_t(len(attributes)), 0)
    if ruleset < 0:
        return False
    for directory in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}:
        fd = os.open(directory, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("<Qi", (1 << 2) | (1 << 3), fd)
        if libc.syscall(445, ruleset, 1, rule, 0):
            return False
        os.close(fd)
    done = libc.syscall(446, ruleset, 0)
    os.close(ruleset)
    return bool(done == 0)


def _seccomp(libc: ctypes.CDLL, files: bool) -> bool:
    """Only the system calls that pure computation makes; everything else fails with EPERM."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        return False
    audit, column = _ARCHITECTURES[machine]
    wanted = {**_ALLOWED, **(_READING if files else {})}
    program = [struct.pack("<HBBI", 0x20, 0, 0, 4), struct.pack("<HBBI", 0x15, 1, 0, audit)]
    program += [struct.pack("<HBBI", 0x06, 0, 0, _KILL), struct.pack("<HBBI", 0x20, 0, 0, 0)]
    for numbers in wanted.values():
        if numbers[column] >= 0:
            program.append(struct.pack("<HBBI", 0x15, 0, 1, numbers[column]))
            program.append(struct.pack("<HBBI", 0x06, 0, 0, _ALLOW))
    program.append(struct.pack("<HBBI", 0x06, 0, 0, _DENY))
    code = ctypes.create_string_buffer(b"".join(program))
    header = struct.pack("<HxxxxxxQ", len(program), ctypes.addressof(code))
    return bool(libc.prctl(22, 2, ctypes.create_string_buffer(header), 0, 0) == 0)


def _isolate() -> str:
    """Close every door. Returns what failed, empty when all hold."""
    if sys.platform != "linux":
        return f"no sandbox is known for {sys.platform}"
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    if libc.prctl(38, 1, 0, 0, 0):
        return "PR_SET_NO_NEW_PRIVS is refused"
    files = _landlock(libc)
    if not _seccomp(libc, files):
        return "seccomp filters are refused"
    try:
        os.open("/", os.O_RDONLY)
    except OSError:
        return ""
    return "files can still be read"


def _encoded(value: Any, depth: int = 0) -> Any:
    """A value as JSON that keeps its type; floats stay floats so that they can be compared with tolerance."""
    if depth > 20:
        return ["deep"]
    if value is None or isinstance(value, (bool, str)):
        return value if not isinstance(value, str) else ["str", value[:_MAX_TEXT]]
    if isinstance(value, int):
        return ["int", hex(value)[:_MAX_TEXT]]
    if isinstance(value, float):
        return ["float", repr(value)]
    if isinstance(value, complex):
        return ["complex", repr(value.real), repr(value.imag)]
    if isinstance(value, (list, tuple)):
        return [
            "list" if isinstance(value, list) else "tuple",
            [_encoded(v, depth + 1) for v in value[:10_000]],
        ]
    if isinstance(value, dict):
        items = [[_encoded(k, depth + 1), _encoded(v, depth + 1)] for k, v in list(value.items())[:10_000]]
        return ["dict", sorted(items, key=json.dumps)]
    if isinstance(value, (set, frozenset)):
        return ["set", sorted((_encoded(v, depth + 1) for v in list(value)[:10_000]), key=json.dumps)]
    if isinstance(value, (bytes, bytearray)):
        return ["bytes", bytes(value).hex()[:_MAX_TEXT]]
    if hasattr(value, "__next__"):
        return ["list", [_encoded(v, depth + 1) for _, v in zip(range(10_000), value, strict=False)]]
    fields = getattr(value, "__dict__", None)
    if " at 0x" in repr(value)[:500] and isinstance(fields, dict):
        return ["object", type(value).__name__, _encoded(fields, depth + 1)]
    return ["repr", type(value).__name__, repr(value)[:_MAX_TEXT]]


def _stop(_signal: int, _frame: Any) -> None:
    raise _TooLong


def _attempt(action: Any, seconds: float) -> list[Any]:
    signal.signal(signal.SIGPROF, _stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        return ["value", action()]
    except _TooLong:
        return ["timeout"]
    except MemoryError:
        return ["memory"]
    except BaseException as error:  # noqa: BLE001 - whatever the program raises is its behaviour
        return ["error", type(error).__name__[:200]]
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _function(space: dict[str, Any], name: str, arguments: Any, seconds: float) -> list[Any]:
    def call() -> Any:
        return _encoded(space[name](*arguments))

    return _attempt(call, seconds)


def _program(code: Any, text: str, seconds: float) -> list[Any]:
    def run() -> Any:
        sys.stdin, sys.stdout = io.StringIO(text), out
        with suppress(SystemExit):
            exec(code, {"__name__": "__main__", "__builtins__": __builtins__})  # noqa: S102 - behind the sandbox
        return ["str", out.getvalue()[: 10 * _MAX_TEXT]]

    out = io.StringIO()
    return _attempt(run, seconds)


def _arguments(value: Any) -> Any:
    return [_decoded(item) for item in value]


def _decoded(value: Any) -> Any:
    """Inputs arrive as JSON; `{"tuple": [...]}` and `{"set": [...]}` mark what JSON lacks."""
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict):
        kind, body = value["kind"], value["items"]
        if kind == "dict":
            return {_decoded(k): _decoded(v) for k, v in body}
        return {"tuple": tuple, "set": set}[kind](_decoded(item) for item in body)
    return value


def main() -> None:
    """Read a job from standard input, answer one line of JSON an input."""
    job = json.loads(sys.stdin.buffer.read())
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for name in _PRELOADED:
        __import__(name)
    _limits(job["seconds"], job["memory_mb"])
    problem = _isolate()
    out.write(json.dumps(["isolated", problem]).encode() + b"\n")
    if problem and not job["unsafe"]:
        return
    sys.setrecursionlimit(5000)
    inputs = job["inputs"]
    share = max(job["seconds"] / max(len(inputs), 1), min(0.25, job["seconds"]))
    space: dict[str, Any] = {"__name__": "solution"}

    def load() -> Any:
        code = compile(job["code"], "<answer>", "exec", dont_inherit=True)
        if job["name"]:
            sys.stdin, sys.stdout = io.StringIO(), io.StringIO()
            exec(code, space)  # noqa: S102 - behind the sandbox
        return code

    loaded = _attempt(load, job["seconds"])
    for given in inputs:
        if loaded[0] != "value":
            outcome = loaded
        elif job["name"]:
            outcome = _function(space, job["name"], _arguments(given), share)
        else:
            outcome = _program(loaded[1], given, share)
        with suppress(ValueError, RecursionError, MemoryError):
            out.write(json.dumps(outcome).encode() + b"\n")


if __name__ == "__main__":
    main()
    os._exit(0)
