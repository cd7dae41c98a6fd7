from __future__ import annotations

import email.utils
import math
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catagent.errors import (
    AccountError,
    ContextOverflowError,
    ModelError,
    RateLimitError,
    RequestError,
    ServerError,
)
from catagent.models.refusals import overflow_limit, refusal, retry_after
from tests.doubles import Fault
from tests.doubles.protocol import error_body


def refused(fault: Fault) -> ModelError:
    assert fault.status is not None
    headers = {name.lower(): value for name, value in fault.headers.items()}
    return refusal(fault.status, fault.body, headers, model="m", where="double")


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.rate_limited(), RateLimitError),
        (Fault.insufficient_quota(), AccountError),
        *[(Fault.status_code(status), AccountError) for status in (401, 402, 403, 404)],
        *[(Fault.status_code(status), RequestError) for status in (400, 413, 422)],
        *[(Fault.status_code(status), ServerError) for status in (408, 409, 425, 500, 502, 503, 504, 529)],
        *[(Fault.context_overflow(wording=w), ContextOverflowError) for w in ("openai", "vllm", "llama.cpp")],
        (Fault.n_unsupported(), RequestError),
        (Fault.status_code(301), RequestError),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else None,
)
def test_a_status_says_which_error_it_is(fault: Fault, expected: type[ModelError]) -> None:
    error = refused(fault)
    assert type(error) is expected
    assert error.status == fault.status
    assert str(error).startswith(f"double answered {fault.status}")


def test_the_providers_own_sentence_is_kept() -> None:
    assert "Add more to go on" in str(refused(Fault.status_code(402)))
    assert str(refused(Fault.status_code(502))) == "double answered 502"  # a gateway's page is no sentence


@pytest.mark.parametrize(
    ("raw", "sentence"),
    [
        (b'{"detail":"Not here"}', "Not here"),
        (b'{"message":"plain"}', "plain"),
        (b'[{"error":{"message":"in a list"}}]', "in a list"),
        (b'{"error":"a string"}', "a string"),
        (b"no json\n at all", "no json at all"),
        (b'{"error":{"message":"m","code":"model_gone"}}', "m (model_gone)"),
    ],
)
def test_error_bodies_of_all_shapes_are_read(raw: bytes, sentence: str) -> None:
    assert str(refusal(400, raw, {}, model="m", where="x")) == f"x answered 400: {sentence}"


@pytest.mark.parametrize(
    ("wording", "limit"), [("openai", 8192), ("vllm", 2048), ("vllm-old", 1024), ("llama.cpp", 512)]
)
@pytest.mark.parametrize("answer", [0, 100])
def test_the_window_is_read_from_an_overflow(wording: str, limit: int, answer: int) -> None:
    error = refused(Fault.context_overflow(wording=wording, limit=limit, prompt=9999, answer=answer))
    assert isinstance(error, ContextOverflowError)
    assert error.limit == limit


def test_an_overflow_without_a_number_has_no_limit() -> None:
    assert overflow_limit("prompt is too long") is None


GEMINI = (
    "You exceeded your current quota, please check your plan and billing details. * Quota exceeded for "
    "metric: generate_content_free_tier_requests, limit: 10. Please retry in 32.5s."
)


@pytest.mark.parametrize(
    ("message", "wait"),
    [(GEMINI, 32.5), ("Rate limit reached. Please try again in 1m6s.", 66.0), ("Try again in 250ms", 0.25)],
)
def test_a_wait_told_in_words_is_a_rate_limit_and_not_an_empty_account(message: str, wait: float) -> None:
    error = refusal(429, error_body(message), {}, model="m", where="x")
    assert isinstance(error, RateLimitError)
    assert error.retry_after == pytest.approx(wait)


def test_a_request_larger_than_the_limit_will_never_pass() -> None:
    message = "Request too large for m on tokens per min (TPM): Limit 30000, Requested 37456."
    error = refusal(429, error_body(message, code="rate_limit_exceeded"), {}, model="m", where="x")
    assert type(error) is RequestError


# Retry-After.


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0.5 "}, 0.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "-5"}, 0.0),
        ({"retry-after-ms": "nan"}, None),
        ({"retry-after-ms": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "1.2.3"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
    ],
)
def test_retry_after_in_seconds_and_milliseconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_retry_after_as_a_date() -> None:
    date = email.utils.formatdate(time.time() + 30, usegmt=True)
    assert retry_after({"retry-after": date}) == pytest.approx(30, abs=2)


@given(
    st.dictionaries(
        st.sampled_from(["retry-after", "retry-after-ms"]),
        st.text()
        | st.floats().map(str)
        | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ \w*"),
    )
)
def test_retry_after_is_a_sensible_wait_or_none(headers: dict[str, str]) -> None:
    wait = retry_after(headers)
    assert wait is None or (wait >= 0 and math.isfinite(wait))


@given(st.integers(201, 599), st.binary() | st.text().map(lambda t: orjson.dumps({"error": {"message": t}})))
def test_every_refusal_is_a_short_model_error(status: int, raw: bytes) -> None:
    error = refusal(status, raw, {}, model="m", where="x")
    assert isinstance(error, ModelError)
    assert len(str(error)) < 400
    assert "\n" not in str(error)
