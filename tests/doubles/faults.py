"""What can go wrong at a provider, one constructor a fault, and plans that say when."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal

import orjson

from tests.doubles.protocol import Body, error_body

__all__ = ["Fault", "Plan", "at_random", "first_of", "in_order", "when"]

Cut = Literal["headers", "body"]


@dataclass(frozen=True)
class Fault:
    """One departure from a good answer. Without `status` the good answer is made and then spoilt.

    Seconds everywhere. `cut="headers"` closes before anything is sent; `cut="body"` sends half of the
    body, or of the stream's chunks, and closes.
    """

    name: str
    status: int | None = None
    body: bytes = b""
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    hang: bool = False
    head_delay: float = 0.0
    body_delay: float = 0.0
    cut: Cut | None = None
    spoil: Callable[[Body], Any] | None = None
    stream_error: bytes | None = None

    @classmethod
    def rate_limited(
        cls, retry_after: float | None = None, *, form: Literal["seconds", "ms", "date", "both"] = "seconds"
    ) -> Fault:
        """429. `form` is how the wish to wait is told; None leaves it unsaid."""
        message = (
            "Rate limit reached for double-1 in organization org-double on requests per min (RPM): "
            "Limit 60, Used 60, Requested 1. Please slow down."
        )
        body = error_body(message, kind="requests", code="rate_limit_exceeded")
        return cls("rate_limited", 429, body, headers=retry_headers(retry_after, form))

    @classmethod
    def insufficient_quota(cls) -> Fault:
        message = "You exceeded your current quota, please check your plan and billing details."
        return cls(
            "insufficient_quota",
            429,
            error_body(message, kind="insufficient_quota", code="insufficient_quota"),
        )

    @classmethod
    def status_code(cls, status: int, message: str | None = None, **headers: str) -> Fault:
        """A refusal in the wording providers use for this status; 502 comes as a gateway's HTML page."""
        name = f"status_{status}"
        real = {key.replace("_", "-"): value for key, value in headers.items()}
        if status == 502 and message is None:
            page = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
            return cls(name, status, page, "text/html", headers=real)
        if status == 529 and message is None:
            said = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
            return cls(name, status, orjson.dumps(said), headers=real)
        text, kind, code = WORDING.get(status, (f"Status {status}.", "invalid_request_error", None))
        return cls(name, status, error_body(message or text, kind=kind, code=code), headers=real)

    @classmethod
    def n_unsupported(cls) -> Fault:
        return cls(
            "n_unsupported", 400, error_body("'n' : number must be at most 1", kind="invalid_request_error")
        )

    @classmethod
    def unknown_parameter(cls, name: str) -> Fault:
        body = error_body(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
        return cls("unknown_parameter", 400, body)

    @classmethod
    def context_overflow(
        cls, *, wording: str = "openai", limit: int = 8192, prompt: int = 9000, answer: int = 0
    ) -> Fault:
        """400 in the words of `openai`, `vllm`, `vllm-old` (no `error` wrapper) or `llama.cpp`. Tokens."""
        body: Any
        if wording == "openai":
            asked = (
                f"you requested {prompt + answer} tokens ({prompt} in the messages, "
                f"{answer} in the completion)"
                if answer
                else f"your messages resulted in {prompt} tokens"
            )
            text = (
                f"This model's maximum context length is {limit} tokens. However, {asked}. "
                "Please reduce the length of the messages."
            )
            return cls(
                "context_overflow",
                400,
                error_body(text, param="messages", code="context_length_exceeded"),
            )
        if wording == "llama.cpp":
            text = (
                f"request ({prompt} tokens) exceeds the available context size ({limit} tokens), "
                "try increasing it"
            )
            error = {"code": 400, "message": text, "type": "exceed_context_size_error"}
            body = {"error": {**error, "n_prompt_tokens": prompt, "n_ctx": limit}}
        else:
            asked = (
                f"'max_tokens' or 'max_completion_tokens' is too large: {answer}. This model's maximum "
                f"context length is {limit} tokens and your request has {prompt} input tokens "
                f"({answer} > {limit} - {prompt})."
                if answer
                else f"This model's maximum context length is {limit} tokens. However, your request has "
                f"{prompt} input tokens. Please reduce the length of the input messages."
            )
            error = {"message": asked, "type": "BadRequestError", "param": None, "code": 400}
            body = {"object": "error", **error} if wording == "vllm-old" else {"error": error}
        return cls("context_overflow", 400, orjson.dumps(body))

    @classmethod
    def hangs(cls) -> Fault:
        """The request is taken and never answered."""
        return cls("hangs", hang=True)

    @classmethod
    def slow_headers(cls, seconds: float) -> Fault:
        return cls("slow_headers", head_delay=seconds)

    @classmethod
    def slow_body(cls, seconds: float) -> Fault:
        """Headers come at once, the body (or the stream) is spread over `seconds`."""
        return cls("slow_body", body_delay=seconds)

    @classmethod
    def cut_before_headers(cls) -> Fault:
        return cls("cut_before_headers", cut="headers")

    @classmethod
    def cut_in_body(cls) -> Fault:
        """Half of the body, or half of the stream, and the connection closes."""
        return cls("cut_in_body", cut="body")

    @classmethod
    def garbage(cls) -> Fault:
        return cls("garbage", 200, b'{"id": "chatcmpl-1", "choices": [{"index": 0, "mess\x00\xff')

    @classmethod
    def html(cls) -> Fault:
        page = b"<!doctype html><html><body><h1>Sign in to continue</h1></body></html>"
        return cls("html", 200, page, "text/html; charset=utf-8")

    @classmethod
    def wrong_shape(cls, value: Any = None) -> Fault:
        """Valid JSON that is no chat completion."""
        return cls(
            "wrong_shape", 200, orjson.dumps({"result": ["hello"], "ok": True} if value is None else value)
        )

    @classmethod
    def empty_choices(cls) -> Fault:
        return cls("empty_choices", spoil=lambda whole: {**whole, "choices": []})

    @classmethod
    def fewer_choices(cls, count: int = 1) -> Fault:
        """Only `count` choices come, whatever `n` asked."""
        return cls("fewer_choices", spoil=lambda whole: {**whole, "choices": whole["choices"][:count]})

    @classmethod
    def null_content(cls, index: int = 0) -> Fault:
        """The choice at `index` comes with content null and nothing in its place."""

        def spoil(whole: Body) -> Body:
            whole["choices"][index]["message"]["content"] = None
            return whole

        return cls("null_content", spoil=spoil)

    @classmethod
    def no_usage(cls) -> Fault:
        return cls(
            "no_usage", spoil=lambda whole: {key: value for key, value in whole.items() if key != "usage"}
        )

    @classmethod
    def error_in_ok(cls, message: str = "Provider returned error", code: int = 502) -> Fault:
        """Status 200 with an error object in the body, as routers send."""
        return cls("error_in_ok", 200, orjson.dumps({"error": {"message": message, "code": code}}))

    @classmethod
    def error_in_stream(cls, message: str = "The server had an error mid-stream", code: int = 500) -> Fault:
        """Half of the stream, then an error event. Without `stream` it is an error in a 200 body."""
        event = orjson.dumps({"error": {"message": message, "type": "server_error", "code": code}})
        return cls("error_in_stream", stream_error=event)


WORDING: dict[int, tuple[str, str, str | None]] = {
    401: ("Incorrect API key provided.", "invalid_request_error", "invalid_api_key"),
    402: ("Insufficient credits. Add more to go on.", "invalid_request_error", "402"),
    403: (
        "Country, region, or territory not supported",
        "request_forbidden",
        "unsupported_country_region_territory",
    ),
    404: (
        "The model `double-1` does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    ),
    429: ("Rate limit reached.", "requests", "rate_limit_exceeded"),
    500: ("The server had an error while processing your request. Sorry about that!", "server_error", None),
    503: ("The engine is currently overloaded, please try again later.", "server_error", None),
    504: ("Gateway time-out.", "server_error", None),
}


def retry_headers(seconds: float | None, form: str) -> dict[str, str]:
    if seconds is None:
        return {}
    whole = str(int(seconds)) if seconds == int(seconds) else str(int(seconds) + 1)
    if form == "date":
        return {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)}
    if form == "ms":
        return {"retry-after-ms": str(round(seconds * 1000))}
    if form == "both":
        return {"retry-after-ms": str(round(seconds * 1000)), "Retry-After": whole}
    return {"Retry-After": whole}


Plan = Callable[[Body], Fault | None]
"""Asked once a chat request with its body; None lets the request pass."""


def in_order(*faults: Fault | None) -> Plan:
    """The k-th request meets the k-th fault (None passes); then all is well."""
    left = iter(faults)
    return lambda _: next(left, None)


def at_random(probability: float, *faults: Fault, seed: int = 0) -> Plan:
    """Each request meets one of `faults` with this probability; the same seed gives the same sequence."""
    draw = random.Random(seed)

    def plan(_: Body) -> Fault | None:
        return draw.choice(faults) if draw.random() < probability else None

    return plan


def when(condition: Callable[[Body], bool], fault: Fault, *, times: int | None = None) -> Plan:
    """Requests that meet `condition` meet the fault, the first `times` of them or all."""
    left = [times]

    def plan(body: Body) -> Fault | None:
        if left[0] == 0 or not condition(body):
            return None
        if left[0] is not None:
            left[0] -= 1
        return fault

    return plan


def first_of(plans: Iterable[Plan]) -> Plan:
    """The first plan with a fault wins; the later ones are not asked then."""
    rules = list(plans)

    def plan(body: Body) -> Fault | None:
        for rule in rules:
            if (fault := rule(body)) is not None:
                return fault
        return None

    return plan
