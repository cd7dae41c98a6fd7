"""OpenAI's chat protocol: requests to JSON, replies to completions, refusals to errors.

Pure functions over bytes and dictionaries. Whatever a server sends is checked here; what does not have
the protocol's shape is a `GarbledError`, which the request path retries.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from catagent.errors import GarbledError, RequestError
from catagent.models.client import Choice, Completion, Delta, ModelRequest, OnDelta, TokenLogprob
from catagent.models.refusals import error_of, short

__all__ = ["StreamAssembler", "encode", "parse"]

_KNOWN = frozenset(("role", "content", "tool_calls", "reasoning_content", "reasoning"))
_UNREADABLE = (KeyError, TypeError, ValueError, AttributeError)  # of JSON that has another shape


def encode(request: ModelRequest, *, stream: bool = False) -> bytes:
    """The JSON body of a request. Raises `RequestError` for what JSON cannot hold."""
    body: dict[str, Any] = {**request.params, "model": request.model, "messages": list(request.messages)}
    body.pop("n", None)  # how many samples a request asks for, and how they come, is not a parameter
    body.pop("stream", None)
    if request.n != 1:
        body["n"] = request.n
    if stream:
        body["stream"] = True
        body.setdefault("stream_options", {"include_usage": True})
    try:
        return orjson.dumps(body)
    except TypeError as error:  # lone surrogates, integers of more than 64 bits, objects
        raise RequestError(f"the request cannot be written as JSON: {error}", model=request.model) from None


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
    except _UNREADABLE:
        raise GarbledError(f"the reply is not a chat completion: {_excerpt(raw)}") from None


def _choice(raw: Mapping[str, Any]) -> Choice:
    message = raw["message"]
    calls = message.get("tool_calls") or ()
    if not all(isinstance(call, dict) for call in calls):
        raise TypeError
    return Choice(
        _text(message.get("content")),
        _string(raw.get("finish_reason")),
        tuple(calls),
        _string(message.get("reasoning_content") or message.get("reasoning")),
        _logprobs(raw.get("logprobs")) or None,
        _extra(message),
    )


def _extra(message: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in message.items() if v is not None and k not in _KNOWN}


def _string(value: Any) -> str | None:
    """A string or nothing; what is empty is nothing."""
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value or None


def _text(content: Any) -> str | None:
    """The text of a message's content, which may come in parts."""
    if isinstance(content, list):
        content = "".join(_string(part.get("text")) or "" for part in content)
    return _string(content)


def _logprobs(raw: Any) -> tuple[TokenLogprob, ...]:
    content = raw.get("content") if raw else None
    return tuple(
        TokenLogprob(
            _string(t["token"]) or "",
            float(t["logprob"]),
            tuple(
                (_string(top["token"]) or "", float(top["logprob"])) for top in t.get("top_logprobs") or ()
            ),
        )
        for t in content or ()
    )


def _completion(choices: list[Choice], usage: Any) -> Completion:
    usage = usage if isinstance(usage, dict) else {}
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if completion is not None and len(choices) > 1:
        # llama.cpp counts the tokens of one choice only; where the tokens are listed, count them.
        completion = max(completion, sum(len(c.logprobs) for c in choices if c.logprobs))
    cost = usage.get("cost")
    priced = isinstance(cost, int | float) and not isinstance(cost, bool) and cost >= 0
    return Completion(tuple(choices), prompt, completion, float(cost) if priced else None)


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


class _Part:
    """One choice of a stream, as far as it has come."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.calls: list[dict[str, Any]] = []
        self.logprobs: list[TokenLogprob] = []
        self.finish_reason: str | None = None
        self.extra: dict[str, Any] = {}
        self._places: dict[int, dict[str, Any]] = {}

    def add_call(self, piece: Mapping[str, Any]) -> None:
        """A piece of a tool call: told apart by index, where there is none by id."""
        function = piece.get("function") or {}
        index, name = piece.get("index"), piece.get("id")
        if index is not None:
            call = self._places.get(index)
        else:
            call = self.calls[-1] if self.calls and name in (None, "", self.calls[-1].get("id")) else None
        if call is None:
            call = {"type": "function", "function": {"name": "", "arguments": ""}}
            self.calls.append(call)
            if index is not None:
                self._places[index] = call
        if name:
            call["id"] = name
        call["function"]["name"] += function.get("name") or ""
        call["function"]["arguments"] += function.get("arguments") or ""

    def choice(self) -> Choice:
        return Choice(
            "".join(self.text) or None,
            self.finish_reason,
            tuple(self.calls),
            "".join(self.reasoning) or None,
            tuple(self.logprobs) or None,
            self.extra,
        )

    def add_extra(self, extra: Mapping[str, Any]) -> None:
        """Further fields of the message: texts come in pieces, anything else whole."""
        for name, value in extra.items():
            mine = self.extra.get(name)
            joined = isinstance(mine, str) and isinstance(value, str)
            self.extra[name] = mine + value if joined else value


class StreamAssembler:
    """Puts a stream of server-sent events together to the completion they would have been."""

    def __init__(self, on_delta: OnDelta) -> None:
        self._on_delta = on_delta
        self._parts: dict[int, _Part] = {}
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
        except orjson.JSONDecodeError:
            raise GarbledError(f"a piece of the stream cannot be read: {_excerpt(data)}") from None
        self.add(chunk)

    def add(self, chunk: Any) -> None:
        """Take one chunk. Raises as `feed` does."""
        try:
            _raise_embedded_error(chunk)
            self._usage = chunk.get("usage") or self._usage
            deltas = [self._merge(choice) for choice in chunk.get("choices") or ()]
        except _UNREADABLE:
            raise GarbledError(f"a piece of the stream cannot be read: {short(chunk)}") from None
        for delta in deltas:
            if delta.text or delta.reasoning or delta.tool_calls:
                self._on_delta(delta)

    def _merge(self, raw: Mapping[str, Any]) -> Delta:
        index = raw.get("index") or 0
        if not isinstance(index, int) or index < 0:
            raise TypeError
        part = self._parts.setdefault(index, _Part())
        delta = raw.get("delta") or {}
        text = _text(delta.get("content")) or ""
        part.text.append(text)
        thought = _string(delta.get("reasoning_content") or delta.get("reasoning"))
        part.reasoning.append(thought or "")
        calls = tuple(delta.get("tool_calls") or ())
        for piece in calls:
            part.add_call(piece)
        if extra := _extra(delta):
            part.add_extra(extra)
        part.logprobs.extend(_logprobs(raw.get("logprobs")))
        part.finish_reason = _string(raw.get("finish_reason")) or part.finish_reason
        return Delta(index, text, 1, thought, calls)

    def completion(self) -> Completion:
        """The whole, once the stream has ended. Raises `GarbledError` when it broke off before."""
        if not self._parts:
            raise GarbledError("the stream has no choices")
        if not (self.done or all(p.finish_reason for p in self._parts.values())):
            raise GarbledError("the stream broke off before its end")
        return _completion([p.choice() for _, p in sorted(self._parts.items())], self._usage)


def _raise_embedded_error(body: Any) -> None:
    """Some servers answer 200 and put the error inside."""
    error = body.get("error")
    if not error:
        return
    said, code = (error.get("message"), error.get("code")) if isinstance(error, dict) else (error, None)
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    text = f"the reply carries an error: {short(said)}"
    raise error_of(status, text, f"{text} {short(code)}", wait=None, model=None)


def _excerpt(raw: bytes) -> str:
    return short(raw[:400].decode(errors="replace"))
