"""Whether two final answers are the same.

Cheap first: the texts, then exact and floating-point arithmetic on a small tree, all in the caller's
process in microseconds and without SymPy. What that cannot decide goes to a worker process.
"""

from __future__ import annotations

import re

from catagent.errors import ConfigError
from catagent.messages import Answer

from .extraction import extract
from .judging import judge, readings_of
from .leaves import Leaves
from .lexing import MAX_LENGTH
from .rules import DEFAULT_RULES, Rules
from .texts import same_json, same_words

_CHEAP_LENGTH = 2_000
"""Answers longer than this are left to a worker: nothing in the caller's process may take long."""
_PROSE = re.compile(
    r"(?<![\\A-Za-z{])[A-Za-z]{2,}[,:]?\s+(?:[A-Za-z]{1,},?\s+)*?(?:is|are|was|equals|that|by|:)\b:?\s"
    r"|\b(?i:answer|result)[*_ ]*:"
)
"""Two words and a verb: a sentence around an answer and not an answer."""

__all__ = ["acompare_hard", "aequivalent", "cheap", "compare_hard", "equivalent", "spelling"]


def equivalent(
    a: str | Answer, b: str | Answer, *, timeout: float = 2.0, rules: Rules | None = None
) -> bool | None:
    """Whether two answers are the same under the house rules.

    `None` says that it could not be decided: `timeout` seconds of CPU on a worker were not enough, or its
    memory was not. It is never to be read as `False`. Symmetric; safe in threads. Blocks while a worker
    is at it: in async code use `aequivalent`.
    """
    rules = rules or DEFAULT_RULES
    verdict = cheap(a, b, rules)
    return verdict if verdict is not None else compare_hard(a, b, timeout, rules)


async def aequivalent(
    a: str | Answer,
    b: str | Answer,
    *,
    timeout: float = 2.0,  # noqa: ASYNC109 - CPU time on a worker
    rules: Rules | None = None,
) -> bool | None:
    """`equivalent` for async code: the event loop is never blocked."""
    rules = rules or DEFAULT_RULES
    verdict = cheap(a, b, rules)
    return verdict if verdict is not None else await acompare_hard(a, b, timeout, rules)


def compare_hard(a: str | Answer, b: str | Answer, timeout: float, rules: Rules) -> bool | None:
    """The verdict on a pair that `cheap` left open.

    Programs that cannot be run here (no sandbox, or the extra `code` is missing) are undecided: a group of
    rollouts must not fail for them. `programs_equivalent` says what is missing.
    """
    if _both_code(a, b):
        from .programs import programs_equivalent

        try:
            return programs_equivalent(str(a), str(b), timeout=timeout)
        except ConfigError:
            return None
    if max(len(str(a)), len(str(b))) > MAX_LENGTH:
        return None
    from .pool import shared

    return shared().decide(prepared(str(a)), prepared(str(b)), rules, timeout)


async def acompare_hard(a: str | Answer, b: str | Answer, timeout: float, rules: Rules) -> bool | None:  # noqa: ASYNC109
    """`compare_hard` for async code."""
    if _both_code(a, b):
        from .programs import aprograms_equivalent

        try:
            return await aprograms_equivalent(str(a), str(b), timeout=timeout)
        except ConfigError:
            return None
    if max(len(str(a)), len(str(b))) > MAX_LENGTH:
        return None
    from .pool import shared

    return await shared().adecide(prepared(str(a)), prepared(str(b)), rules, timeout)


def cheap(a: str | Answer, b: str | Answer, rules: Rules | None = None) -> bool | None:
    """What can be decided at once, in this process: microseconds, no worker, `None` for the rest.

    Symmetric, as `equivalent` is.
    """
    x, y = str(a), str(b)
    kinds = {answer.kind for answer in (a, b) if isinstance(answer, Answer)}
    if kinds & {"json", "tool_call"}:
        return bool(same_json(x, y))
    if kinds == {"code"}:
        return True if x.strip() and x.strip() == y.strip() else (None if _both_code(a, b) else False)
    rules = rules or DEFAULT_RULES
    if kinds == {"text"} and all(isinstance(answer, Answer) for answer in (a, b)) and same_words(x, y, rules):
        return True
    if max(len(x), len(y)) > _CHEAP_LENGTH:
        return True if x.strip() == y.strip() else None
    return judge(prepared(x), prepared(y), Leaves(rules))


def prepared(text: str) -> str:
    """The answer inside a text that is more than an answer: a box, a sentence that announces one."""
    if len(text) > _CHEAP_LENGTH or (readings_of(text) and not _PROSE.search(text)):
        return text
    found = extract(text) if len(text) > 3 else None
    return found.text if found is not None and found.kind in ("math", "choice", "text") else text


def _both_code(a: str | Answer, b: str | Answer) -> bool:
    return isinstance(a, Answer) and isinstance(b, Answer) and a.kind == b.kind == "code"


def spelling(answer: str | Answer) -> object | None:
    """A key that equal spellings share: answers with the same key are the same, without a comparison."""
    text = str(answer).strip()
    kind = answer.kind if isinstance(answer, Answer) else "math"
    return (kind in ("json", "tool_call", "code") and kind, text) if text else None
