"""What a provider's refusal means: which error it is, how long it asks to wait, in its own words."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Mapping
from typing import Any

import orjson

from catagent.errors import (
    AccountError,
    ContextOverflowError,
    ModelError,
    RateLimitError,
    RequestError,
    ServerError,
)

__all__ = ["error_of", "overflow_limit", "refusal", "retry_after", "short"]

_ACCOUNT_STATUSES = frozenset({401, 402, 403, 404})
_EXHAUSTED = re.compile(r"insufficient_quota|exceeded your current quota|billing|credit balance", re.I)
# Gemini's refusals for a minute's quota speak of billing as well, but say when to come again.
_PASSING = re.compile(r"(?:retry|try again) in (?:(\d+)m)?(\d+(?:\.\d+)?)(ms|s)\b|per.?minute", re.I)
_TOO_LARGE = re.compile(r"request too large", re.I)
_OVERFLOW = re.compile(
    r"context.{0,20}(length|window|size)|exceed_context_size|maximum.{0,20}tokens"
    r"|prompt is too long|too many tokens",
    re.I | re.S,
)
_LIMIT = re.compile(
    r"(?:maximum context length is|context (?:size|window|length)[^\d]{0,20}|max_model_len[^\d]{0,10}"
    r"|\"?n_ctx\"?\D{1,3}|> )(\d{3,8})",
    re.I,
)


def refusal(status: int, raw: bytes, headers: Mapping[str, str], *, model: str, where: str) -> ModelError:
    """The error that a reply with another status than 200 stands for, in the provider's own words."""
    said = _said(raw)
    text = f"{where} answered {status}: {said}" if said else f"{where} answered {status}"
    decoded = raw[:4000].decode(errors="replace")
    return error_of(status, text, f"{said} {decoded}", wait=retry_after(headers), model=model)


def error_of(
    status: int | None, text: str, evidence: str, *, wait: float | None, model: str | None
) -> ModelError:
    """The error for a status: `text` is the sentence to show, `evidence` all that the provider said."""
    if status == 429 and _TOO_LARGE.search(evidence):
        return RequestError(text, status=status, model=model)  # it will not fit however long one waits
    passing = _PASSING.search(evidence) if status == 429 else None
    if status == 429 and _EXHAUSTED.search(evidence) and wait is None and passing is None:
        return AccountError(text, status=status, model=model)
    if status == 429:
        wait = _spoken(passing) if wait is None else wait
        return RateLimitError(text, status=status, retry_after=wait, model=model)
    if status in _ACCOUNT_STATUSES:
        return AccountError(text, status=status, model=model)
    if status is None or status >= 500 or status in (408, 409, 425):
        return ServerError(text, status=status, retry_after=wait, model=model)
    if _OVERFLOW.search(evidence):
        return ContextOverflowError(text, limit=overflow_limit(evidence), status=status, model=model)
    return RequestError(text, status=status, model=model)


def overflow_limit(text: str) -> int | None:
    """The context window in tokens that a refusal names, if it does."""
    found = _LIMIT.search(text)
    return int(found[1]) if found else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The wait in seconds that the provider asks for, in whichever of the three forms."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            wait = float(milliseconds) / 1000
        elif (value := headers.get("retry-after")) is None:
            return None
        elif re.fullmatch(r"\s*[\d.]+\s*", value):
            wait = float(value)
        else:
            wait = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return max(0.0, wait) if math.isfinite(wait) else None


def _spoken(passing: re.Match[str] | None) -> float | None:
    """The wait in seconds that a sentence names."""
    if passing is None or passing[2] is None:
        return None
    seconds = float(passing[2]) / (1000 if passing[3].lower() == "ms" else 1)
    return seconds + 60 * int(passing[1] or 0)


def _said(raw: bytes) -> str:
    """The sentence in an error body, whatever shape it has."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return "" if raw.lstrip()[:1] == b"<" else short(raw[:400].decode(errors="replace"))
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        said = error.get("message") or error.get("detail") or error.get("msg") or ""
        code = error.get("code")
        return short(f"{said} ({code})" if isinstance(code, str) and code not in str(said) else said)
    return short(error)


def short(text: Any) -> str:
    """On one line and not long."""
    try:
        return " ".join(str(text).split())[:300]
    except RecursionError:
        return "…"
