"""Whether two programs do the same: both are run on the same inputs and their outputs compared.

Agreement on finitely many inputs is evidence, not proof; disagreement on one is proof. So majority votes,
synthesis checks and rewards work for code tasks that have no tests.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from .generation import Signature, encode, generated, signature_of
from .sandbox import Outcome, Sandbox

__all__ = ["aprograms_equivalent", "programs_equivalent"]

_ENOUGH = 5
_threads: ThreadPoolExecutor | None = None


def programs_equivalent(
    a: str,
    b: str,
    *,
    signature: str | None = None,
    examples: Sequence[Any] = (),
    inputs: Sequence[Any] | None = None,
    count: int = 40,
    timeout: float = 2.0,
    sandbox: Sandbox | None = None,
) -> bool | None:
    """Whether two Python programs behave the same on the inputs.

    `signature` is a `def` line such as `def f(xs: list[int], k: int) -> int`; without it the function that
    both define is taken, or the whole script when there is none. `examples` are inputs known to be legal:
    tuples of arguments, or texts for standard input. `inputs` (say, proposed by a model) replace generation;
    without them `count` inputs are generated from the types of the signature and the examples, which needs
    hypothesis.

    An input on which a program raises is set aside unless it was given; a program that mostly raises where
    the other answers is different. `None` when too few inputs tell anything, or time ran out. `timeout` is
    seconds of CPU for each program. Blocks; see `aprograms_equivalent`. Raises `ConfigError` where no sandbox
    can be set up, or where inputs must be generated and hypothesis is not installed.
    """
    if a.strip() == b.strip():
        return True
    sandbox = replace(sandbox or Sandbox(), seconds=timeout)
    first, second = _entry(a, signature, b), _entry(b, signature, a)
    if first is None or second is None:
        return None
    given = [*examples, *(inputs or ())]
    if (first.name is None) != (second.name is None):
        return None
    if first.name is None:
        given = given or ([] if any("input(" in code or "stdin" in code for code in (a, b)) else [""])
        made: list[Any] = []
    else:
        made = generated(first.merged(second), examples, count) if inputs is None else []
        given = [
            [encode(part) for part in (item if isinstance(item, (tuple, list)) else (item,))]
            for item in given
        ]
    texts = given + made
    if not texts:
        return None
    outcomes = [sandbox.run(code, entry.name, texts) for code, entry in ((a, first), (b, second))]
    return _verdict(outcomes[0], outcomes[1], len(given))


async def aprograms_equivalent(a: str, b: str, **options: Any) -> bool | None:
    """`programs_equivalent` for async code: same options; the event loop is never blocked."""
    global _threads  # noqa: PLW0603 - one pool a process is the point
    if _threads is None:
        _threads = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="catagent-programs")
    return await asyncio.get_running_loop().run_in_executor(
        _threads, lambda: programs_equivalent(a, b, **options)
    )


def _entry(code: str, signature: str | None, other: str) -> Signature | None:
    if signature is not None:
        named = signature_of(signature)
        return named[-1] if named else None
    mine, theirs = signature_of(code), signature_of(other)
    if mine is None or theirs is None:
        return None
    if not mine or not theirs or (_is_script(code) and _is_script(other)):
        return Signature(None, ())
    shared = [entry for entry in mine if entry.name in {other.name for other in theirs}]
    return (shared or mine)[-1]


def _is_script(code: str) -> bool:
    return any(marker in code for marker in ("input(", "sys.stdin", "__main__"))


def _verdict(a: list[Outcome], b: list[Outcome], given: int) -> bool | None:
    agreed = unknown = lonely = 0
    raised = [0, 0]
    for index, (x, y) in enumerate(zip(a, b, strict=True)):
        kinds = {x[0], y[0]}
        if kinds & {"timeout", "killed", "memory"}:
            unknown += 1
        elif kinds == {"value"}:
            if not _same(x[1], y[1]):
                return False
            agreed += 1
        elif kinds == {"error"}:
            if index < given:
                agreed += x[1] == y[1]
        else:
            if index < given:
                return False
            raised[0 if x[0] == "error" else 1] += 1
            lonely += 1
    if lonely and max(raised) > agreed:
        return False
    needed = min(_ENOUGH, len(a)) if len(a) > given else len(a)
    if unknown and not (agreed >= _ENOUGH and unknown * 4 <= len(a)):
        return None
    return True if agreed >= max(needed, 1) else None


def _same(x: Any, y: Any) -> bool:
    if x == y:
        return True
    if not (isinstance(x, list) and isinstance(y, list) and x and y):
        return _number(x) is not None and _number(x) == _number(y)
    if x[0] == y[0] == "str":
        return _lines(x[1]) == _lines(y[1])
    p, q = _number(x), _number(y)
    if p is not None and q is not None:
        return p == q or (math.isnan(p) and math.isnan(q)) or math.isclose(p, q, rel_tol=1e-9, abs_tol=1e-12)
    if {x[0], y[0]} <= {"list", "tuple"}:
        return len(x[1]) == len(y[1]) and all(map(_same, x[1], y[1]))
    if x[0] == y[0] == "dict":
        return len(x[1]) == len(y[1]) and all(
            _same(k, m) and _same(v, w) for (k, v), (m, w) in zip(x[1], y[1], strict=True)
        )
    return False


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, list) or value[0] not in ("int", "float"):
        return None
    try:
        return float(int(value[1], 16)) if value[0] == "int" else float(value[1])
    except (OverflowError, ValueError):
        return None


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().split("\n")]
