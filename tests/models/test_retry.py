from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catagent.errors import (
    AccountError,
    AttemptTimeout,
    BudgetError,
    ConnectError,
    GarbledError,
    ModelError,
    RateLimitError,
    RequestError,
    ServerError,
)
from catagent.models.retry import RetryPolicy, retrying
from tests.models import virtual

TRANSIENT = [ServerError, ConnectError, AttemptTimeout, GarbledError]


class Tried:
    """How often something was tried, for how long in all, and how it ended."""

    def __init__(self) -> None:
        self.attempts = 0
        self.waits: list[tuple[int, float]] = []
        self.seconds = 0.0
        self.end: BaseException | str | None = None


def tried(
    policy: RetryPolicy,
    fail: Callable[[int], Exception | None],
    *,
    took: float = 0.0,
    accepted_at: Callable[[], float] = lambda: 0.0,
) -> Tried:
    """`fail` says how the attempt of that number ends; each takes `took` seconds of virtual time."""
    told = Tried()

    async def attempt() -> str:
        told.attempts += 1
        await asyncio.sleep(took)
        if (error := fail(told.attempts)) is not None:
            raise error
        return "done"

    async def work() -> None:
        began = time.monotonic()
        retries = retrying(policy, lambda e, n, s: told.waits.append((n, s)), accepted_at)
        try:
            told.end = await retries(attempt)
        except Exception as error:  # noqa: BLE001 - the end is what is looked at
            told.end = error
        told.seconds = time.monotonic() - began

    virtual.run(work())
    return told


def until(number: int, error: Exception) -> Callable[[int], Exception | None]:
    return lambda attempt: error if attempt < number else None


@pytest.mark.parametrize("kind", TRANSIENT)
def test_transient_failures_spend_the_attempts(kind: type[ModelError]) -> None:
    error = kind("again")
    assert tried(RetryPolicy(attempts=4), until(4, error)).end == "done"
    lost = tried(RetryPolicy(attempts=4), until(5, error))
    assert (lost.attempts, lost.end) == (4, error)


@pytest.mark.parametrize(
    "error", [RequestError("x"), AccountError("x"), BudgetError("x"), ModelError("x"), KeyError("x")]
)
def test_what_will_not_pass_is_not_tried_again(error: Exception) -> None:
    told = tried(RetryPolicy(attempts=9), lambda _: error)
    assert (told.attempts, told.end, told.waits) == (1, error, [])


@pytest.mark.parametrize("refusals", [1, 20])
def test_refusals_spend_no_attempt(refusals: int) -> None:
    def fail(attempt: int) -> Exception | None:
        if attempt <= refusals:
            return RateLimitError("slow down")
        return ServerError("x") if attempt <= refusals + 2 else None

    told = tried(RetryPolicy(attempts=3), fail)
    assert (told.attempts, told.end) == (refusals + 3, "done")
    assert tried(RetryPolicy(attempts=2), fail).attempts == refusals + 2


def test_patience_with_refusals_ends() -> None:
    told = tried(RetryPolicy(patience=60), lambda _: RateLimitError("never"))
    assert isinstance(told.end, RateLimitError)
    assert 50 < told.seconds < 70
    assert told.attempts < 40


def test_patience_does_not_run_while_the_request_waits_for_its_turn() -> None:
    told = tried(RetryPolicy(patience=10), until(2, RateLimitError("x")), took=1000)
    assert told.end == "done"


def test_patience_with_a_provider_that_accepts_others_is_measured_in_waits() -> None:
    told = tried(
        RetryPolicy(patience=20), until(4, RateLimitError("x")), took=15, accepted_at=lambda: time.monotonic()
    )
    assert told.end == "done"
    alone = tried(RetryPolicy(patience=20), until(4, RateLimitError("x")), took=15)
    assert isinstance(alone.end, RateLimitError)


@pytest.mark.parametrize("kind", [RateLimitError, ServerError])
def test_a_wait_longer_than_the_patience_is_not_begun(kind: type[ModelError]) -> None:
    told = tried(RetryPolicy(patience=100), lambda _: kind("come back tomorrow", retry_after=86_400))
    assert (told.attempts, told.seconds) == (1, 0.0)


@given(st.floats(0, 100), st.sampled_from([RateLimitError, ServerError]))
def test_the_providers_wish_is_kept_and_hardly_exceeded(wish: float, kind: type[ModelError]) -> None:
    told = tried(RetryPolicy(), until(2, kind("x", retry_after=wish)))
    ((attempt, wait),) = told.waits
    assert attempt == 1
    assert wish <= wait <= wish * 1.1
    assert told.seconds == pytest.approx(wait)


def test_waits_grow_and_are_bounded_and_random() -> None:
    random.seed(0)
    policy = RetryPolicy(attempts=12, longest_wait=30)
    runs = [[w for _, w in tried(policy, lambda _: ServerError("x")).waits] for _ in range(30)]
    assert all(0 <= wait <= 30 for run in runs for wait in run)
    mean = [sum(column) / len(runs) for column in zip(*runs, strict=True)]
    assert mean[0] < mean[3] < mean[6]
    assert len({run[5] for run in runs}) == len(runs)
    refused = tried(RetryPolicy(patience=80), lambda _: RateLimitError("x")).waits
    assert all(wait <= 8 for _, wait in refused)


def test_an_outage_for_everyone_is_waited_for_when_the_policy_says_so() -> None:
    async def work(outage: float) -> int:
        attempts = 0

        async def attempt() -> None:
            nonlocal attempts
            attempts += 1
            if time.monotonic() - began < 100:
                raise ConnectError("down")

        began = time.monotonic()
        policy = RetryPolicy(attempts=3, outage=outage)
        await retrying(policy, None, lambda: 0.0, lambda: 2)(attempt)
        return attempts

    assert virtual.run(work(outage=200)) > 3
    with pytest.raises(ConnectError):
        virtual.run(work(outage=0))
