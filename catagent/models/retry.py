"""When a failed attempt is worth another one, and how long to wait before it.

Policies for `tenacity`. A transient failure spends the retry budget; a refusal for the rate limit
(429) spends none, since a storm of them says nothing about the request, and is bounded by patience.
Time in the limiter's queue is nobody's failure: it never counts.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_random_exponential

from catagent.errors import ModelError, RateLimitError, TransientError

__all__ = ["OnWait", "RetryPolicy", "retrying"]

OnWait = Callable[[ModelError, int, float], None]
"""Called before a wait with the error, the number of the failed attempt and the seconds to wait."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to go on.

    `attempts` for transient failures, the first included. `patience` in seconds for refusals: what one
    request may spend in waits between attempts, and how long an endpoint may accept nothing at all. A
    provider that asks for a longer wait has refused for good. `outage` in seconds is how long to wait for
    an endpoint that fails for everyone: for so long a transient failure spends no attempt, since it says
    nothing about the request.
    """

    attempts: int = 4
    patience: float = 900.0
    longest_wait: float = 30.0
    outage: float = 0.0


class _Stop:
    """Out of attempts, or out of patience. Called once for each failed attempt."""

    def __init__(
        self, policy: RetryPolicy, accepted_at: Callable[[], float], failing: Callable[[], int]
    ) -> None:
        self._policy = policy
        self._accepted_at = accepted_at
        self._failing = failing
        self._refused_at: float | None = None
        self._failed_at: float | None = None
        self._first_failed_at = 0.0
        self._spent = 0

    def __call__(self, state: RetryCallState) -> bool:
        error = _error(state)
        wait = (error.retry_after if error else None) or 0.0
        now = time.monotonic()
        if not isinstance(error, RateLimitError):
            self._spent += not self._down(now)
            return self._spent >= self._policy.attempts or wait > self._policy.patience
        if self._refused_at is None:
            self._refused_at = now
        refusing = now - max(self._refused_at, self._accepted_at())
        return max(state.idle_for, refusing) + wait > self._policy.patience

    def _down(self, now: float) -> bool:
        """Whether the endpoint fails for everyone, and not for longer than one is to wait for it.

        That is known from the second failure on: it accepted nobody since the one before.
        """
        before, self._failed_at = self._failed_at, now
        if before is None:
            self._first_failed_at = now
            return False
        nobody = self._accepted_at() < before and self._failing() > 1
        return nobody and now - self._first_failed_at < self._policy.outage


class _Wait:
    """What the provider asks for; else a random wait that grows. Refusals grow less: the pace slows them,
    and not at all when they come by chance.
    """

    def __init__(self, policy: RetryPolicy, by_chance: Callable[[], bool]) -> None:
        self._by_chance = by_chance
        self._backoff = wait_random_exponential(multiplier=0.5, max=policy.longest_wait)

    def __call__(self, state: RetryCallState) -> float:
        error = _error(state)
        if error is not None and error.retry_after is not None:
            return error.retry_after * random.uniform(1.0, 1.1)
        if isinstance(error, RateLimitError):
            return random.uniform(0.25, 0.5) * (
                2.0 if self._by_chance() else min(16, 2.0**state.attempt_number)
            )
        return self._backoff(state)


def _error(state: RetryCallState) -> ModelError | None:
    failure = state.outcome.exception() if state.outcome else None
    return failure if isinstance(failure, TransientError | RateLimitError) else None


def retrying(
    policy: RetryPolicy,
    on_wait: OnWait | None = None,
    accepted_at: Callable[[], float] = lambda: 0.0,
    failing: Callable[[], int] = lambda: 1,
    by_chance: Callable[[], bool] = lambda: False,
) -> AsyncRetrying:
    """The retry loop for one request; the last error is raised as it came.

    `accepted_at` says when (`time.monotonic()`) the endpoint last accepted any request, `failing` how many
    requests to it have failed and are not given up, `by_chance` whether its refusals are known to come so.
    """

    def before_sleep(state: RetryCallState) -> None:
        error = _error(state)
        if on_wait and error is not None:
            on_wait(error, state.attempt_number, state.upcoming_sleep)

    return AsyncRetrying(
        stop=_Stop(policy, accepted_at, failing),
        wait=_Wait(policy, by_chance),
        retry=retry_if_exception_type((TransientError, RateLimitError)),
        before_sleep=before_sleep,
        reraise=True,
    )
