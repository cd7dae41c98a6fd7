"""OpenAI's chat protocol: requests to JSON, replies to completions, refusals to errors.

Pure functions over bytes and dictionaries. Whatever a server sends is checked here; what does not have
the protocol's shape is a `GarbledError`, which the request path retries.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping
from typing import Any

import orjson

from catagent.errors import (
    AccountError,
    ContextOverflowError,
    GarbledError,
    ModelError,
    RateLimitError,
    RequestError,
    ServerError,
)
from catagent.models.client import Choice, Completion, Delta, ModelRequest, OnDelta, TokenLogprob

__all__ = ["StreamAssembler", "encode", "overflow_limit", "parse", "refusal", "retry_after"]

_ACCOUNT_STATUSES = frozenset({401, 402, 403, 404})
_EXHAUSTED = re.compile(r"insufficient_quota|exceeded your current quota|billing|credit balance", re.I)
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


def encode(request: ModelRequest, *, stream: bool = False) -> bytes:
    """The JSON body of a request."""
    body: dict[str, Any] = {"model": request.model, "messages": list(request.messages), **request.params}
    if request.n != 1:
        body["n"] = request.n
    if stream:
        body["stream"] = True
        body.setdefault("stream_options", {"include_usage": True})
    return orjson.dumps(body)


def parse(raw: bytes) -> Completion:
    """The completion in a reply with status 200. Raises `GarbledError` when it is not one."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise GarbledError(f"the reply is not JSON: {_excerpt(raw)}") from None
    if not isinstance(body, dict):
        raise GarbledError(f"the reply is not a chat completion: {_excerpt(raw)}")
    _raise_embedded_error(body)
    choices = body.get("choices")
    if not isinstance(choices, list):
        raise GarbledError(f"the reply is not a chat completion: {_excerpt(raw)}")
    if not choices:
        raise GarbledError("the reply has no choices")
    try:
        return _completion([_choice(c) for c in choices], body.get("usage"))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise GarbledError(f"the reply is not a chat completion: {_excerpt(raw)}") from None


def _choice(raw: Mapping[str, Any]) -> Choice:
    message = raw["message"]
    text = message.get("content")
    if isinstance(text, list):
        text = "".join(part.get("text", "") for part in text)
    if text is not None and not isinstance(text, str):
        raise TypeError
    logprobs = raw.get("logprobs")
    return Choice(
        text,
        raw.get("finish_reason"),
        tuple(message.get("tool_calls") or ()),
        message.get("reasoning_content") or message.get("reasoning"),
        _logprobs(logprobs["content"]) if logprobs and logprobs.get("content") else None,
    )


def _logprobs(content: list[dict[str, Any]]) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            t["token"],
            float(t["logprob"]),
            tuple((top["token"], float(top["logprob"])) for top in t.get("top_logprobs") or ()),
        )
        for t in content
    )


def _completion(choices: list[Choice], usage: Any) -> Completion:
    usage = usage if isinstance(usage, dict) else {}
    prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
    if completion is not None and len(choices) > 1:
        # llama.cpp counts the tokens of one choice only; where the tokens are listed, count them.
        completion = max(completion, sum(len(c.logprobs) for c in choices if c.logprobs))
    cost = usage.get("cost")
    return Completion(
        tuple(choices), prompt, completion, float(cost) if isinstance(cost, int | float) else None
    )


class StreamAssembler:
    """Puts a stream of server-sent events together to the completion they would have been."""

    def __init__(self, on_delta: OnDelta) -> None:
        self._on_delta = on_delta
        self._parts: dict[int, dict[str, Any]] = {}
        self._usage: Any = None
        self.done = False

    def feed(self, line: bytes) -> None:
        """Take one line of the stream. Raises `GarbledError` or the error that the stream carries."""
        if not line.startswith(b"data:"):
            return
        data = line[5:].strip()
        if data == b"[DONE]":
            self.done = True
            return
        try:
            chunk = orjson.loads(data)
            _raise_embedded_error(chunk)
            self._usage = chunk.get("usage") or self._usage
            for choice in chunk.get("choices") or ():
                self._merge(choice)
        except ModelError:
            raise
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError):
            raise GarbledError(f"a piece of the stream cannot be read: {_excerpt(data)}") from None

    def _merge(self, raw: dict[str, Any]) -> None:
        index = raw.get("index", 0)
        part = self._parts.setdefault(
            index, {"text": [], "reasoning": [], "tools": {}, "logprobs": [], "finish_reason": None}
        )
        delta = raw.get("delta") or {}
        if text := delta.get("content"):
            part["text"].append(text)
            self._on_delta(Delta(index, text))
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            part["reasoning"].append(reasoning)
        for call in delta.get("tool_calls") or ():
            _merge_tool_call(part["tools"], call)
        logprobs = raw.get("logprobs")
        if logprobs and logprobs.get("content"):
            part["logprobs"].extend(_logprobs(logprobs["content"]))
        part["finish_reason"] = raw.get("finish_reason") or part["finish_reason"]

    def completion(self) -> Completion:
        """The whole, once the stream has ended. Raises `GarbledError` when it broke off before."""
        finished = all(p["finish_reason"] for p in self._parts.values())
        if not self._parts:
            raise GarbledError("the stream has no choices")
        if not (self.done or finished):
            raise GarbledError("the stream broke off before its end")
        choices = [
            Choice(
                "".join(p["text"]) or None,
                p["finish_reason"],
                tuple(p["tools"][i] for i in sorted(p["tools"])),
                "".join(p["reasoning"]) or None,
                tuple(p["logprobs"]) or None,
            )
            for _, p in sorted(self._parts.items())
        ]
        return _completion(choices, self._usage)


def _merge_tool_call(calls: dict[int, dict[str, Any]], piece: dict[str, Any]) -> None:
    call = calls.setdefault(
        piece.get("index", 0), {"type": "function", "function": {"name": "", "arguments": ""}}
    )
    if piece.get("id"):
        call["id"] = piece["id"]
    function = piece.get("function") or {}
    call["function"]["name"] += function.get("name") or ""
    call["function"]["arguments"] += function.get("arguments") or ""


def refusal(status: int, raw: bytes, headers: Mapping[str, str], *, model: str, where: str) -> ModelError:
    """The error that a reply with another status than 200 stands for, in the provider's own words."""
    said = _said(raw)
    code = f"{where} answered {status}"
    text = f"{code}: {said}" if said else code
    wait = retry_after(headers)
    if status == 429 and _EXHAUSTED.search(said):
        return AccountError(text, status=status, model=model)
    if status == 429:
        return RateLimitError(text, status=status, retry_after=wait, model=model)
    if status in _ACCOUNT_STATUSES:
        return AccountError(text, status=status, model=model)
    if status >= 500 or status in (408, 409, 425):
        return ServerError(text, status=status, retry_after=wait, model=model)
    decoded = raw[:4000].decode(errors="replace")
    if _OVERFLOW.search(decoded):
        return ContextOverflowError(text, limit=overflow_limit(decoded), status=status, model=model)
    return RequestError(text, status=status, model=model)


def overflow_limit(text: str) -> int | None:
    """The context window in tokens that a refusal names, if it does."""
    found = _LIMIT.search(text)
    return int(found[1]) if found else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The wait in seconds that the provider asks for, in whichever of the three forms."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        if re.fullmatch(r"\s*[\d.]+\s*", value):
            return float(value)
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None


def _raise_embedded_error(body: Any) -> None:
    """Some servers answer 200 and put the error inside."""
    error = body.get("error")
    if not error:
        return
    said = error.get("message") if isinstance(error, dict) else error
    code = error.get("code") if isinstance(error, dict) else None
    if code == 429:
        raise RateLimitError(f"the reply carries an error: {_short(said)}", status=429)
    raise ServerError(
        f"the reply carries an error: {_short(said)}", status=code if isinstance(code, int) else None
    )


def _said(raw: bytes) -> str:
    """The sentence in an error body, whatever shape it has."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return "" if raw.lstrip()[:1] == b"<" else _excerpt(raw)
    if isinstance(body, list) and body:
        body = body[0]
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        said = error.get("message") or error.get("detail") or error.get("msg") or ""
        code = error.get("code")
        return _short(f"{said} ({code})" if isinstance(code, str) and code not in str(said) else said)
    return _short(error)


def _excerpt(raw: bytes) -> str:
    return _short(raw[:400].decode(errors="replace"))


def _short(text: Any) -> str:
    return " ".join(str(text).split())[:300]
