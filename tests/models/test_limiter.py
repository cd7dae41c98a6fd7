from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from asyncio_throttle import Throttler
from hypothesis import given, settings
from hypothesis import strategies as st

from catagent.errors import RateLimitError, ServerError
from catagent.models.endpoint import Endpoint
from catagent.models.ledger import Ledger
from catagent.models.limiter import Concurrency, Limiter, LimiterState, Limits
from catagent.models.model import Model
from catagent.models.pace import Pace
from catagent.models.retry import RetryPolicy
from tests.doubles import ConcurrencyLimit, ProviderDouble, RateLimit, Storm
from tests.doubles.limits import Limit
from tests.models import virtual
from tests.models.lanes import ASK, drawing
from tests.models.simulated import Simulated

FIXED = Limits(start=4, max_concurrency=4)


async def held(limiter: Limiter, leave: asyncio.Event, tokens: int = 0) -> None:
    async with limiter.lease(tokens):
        await leave.wait()


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


# Who may go, and in which order.


async def test_never_more_in_flight_than_the_limit_and_first_come_first_served() -> None:
    limiter, order, most = Limiter(FIXED), list[int](), 0

    async def work(number: int) -> None:
        nonlocal most
        async with limiter.lease():
            order.append(number)
            most = max(most, limiter.state.in_flight)
            await asyncio.sleep(0.001)

    await asyncio.gather(*(work(i) for i in range(40)))
    assert order == list(range(40))
    assert most == 4
    assert limiter.state[:2] == (0, 0)


async def test_a_newcomer_does_not_overtake_those_who_wait() -> None:
    limiter, leave, order = Limiter(FIXED), asyncio.Event(), list[str]()

    async def late() -> None:
        async with limiter.lease():
            order.append("newcomer")

    async def early() -> None:
        async with limiter.lease():
            order.append("waiter")

    holding = [asyncio.create_task(held(limiter, leave)) for _ in range(4)]
    await settled()
    waiting = asyncio.create_task(early())
    await settled()
    holding[0].cancel()
    await asyncio.gather(late(), waiting)
    assert order == ["waiter", "newcomer"]
    leave.set()
    await asyncio.gather(*holding, return_exceptions=True)


@given(st.lists(st.tuples(st.integers(0, 29), st.integers(0, 3)), max_size=40), st.booleans())
@settings(max_examples=60)
def test_cancelled_waiters_leave_no_trace(cancels: list[tuple[int, int]], paced: bool) -> None:
    async def check() -> None:
        limiter, leave = Limiter(FIXED), asyncio.Event()
        if paced:
            limiter.pace.refused(time.monotonic(), time.monotonic(), paced=False)
        tasks = [asyncio.create_task(held(limiter, leave)) for _ in range(30)]
        for victim, steps in cancels:
            for _ in range(steps):
                await asyncio.sleep(0)
            tasks[victim].cancel()
        await settled()
        state = limiter.state
        assert state.in_flight <= 4
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert limiter.state[:2] == (0, 0)
        again = [asyncio.create_task(held(limiter, leave)) for _ in range(6)]
        await asyncio.sleep(30)
        assert limiter.state[:2] == (4, 2)  # as many as ever, and no more
        leave.set()
        await asyncio.gather(*again)

    virtual.run(check())


async def test_a_slot_that_comes_as_its_waiter_leaves_is_handed_on() -> None:
    limiter, leave = Limiter(Limits(1, 1)), asyncio.Event()
    first, second, third = (asyncio.create_task(held(limiter, leave)) for _ in range(3))
    await settled()
    first.cancel()
    await asyncio.sleep(0)  # the slot has been given to the second, which does not know yet
    second.cancel()
    await settled()
    assert limiter.state[:2] == (1, 0)
    leave.set()
    await third


async def test_whatever_ends_a_request_gives_its_slot_back() -> None:
    limiter = Limiter(Limits(1, 1))
    for error in (ServerError("x"), RateLimitError("x"), KeyError("x"), asyncio.CancelledError()):
        with suppress(BaseException):
            async with asyncio.timeout(5), limiter.lease():
                raise error
        assert limiter.state.in_flight == 0


async def test_thousands_who_are_cancelled_in_any_order_leave_nothing_behind() -> None:
    limiter, leave = Limiter(Limits(1, 1)), asyncio.Event()
    tasks = [asyncio.create_task(held(limiter, leave)) for _ in range(8000)]
    await settled()
    assert limiter.state[:2] == (1, 7999)
    random.Random(0).shuffle(tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert limiter.state[:2] == (0, 0)
    leave.set()
    await asyncio.wait_for(held(limiter, leave), 5)


# How many at once.

OUTCOMES = st.lists(
    st.tuples(st.sampled_from(["ok", "free", "refused"]), st.floats(0.0, 3.0), st.integers(1, 600)),
    max_size=200,
)


@given(OUTCOMES, st.integers(1, 64), st.integers(1, 512), st.booleans())
def test_concurrency_stays_within_its_bounds(
    outcomes: list[tuple[str, float, int]], start: int, most: int, queues: bool
) -> None:
    concurrency, now = Concurrency(Limits(start, most, queues=queues)), 1000.0
    for what, passed, in_flight in outcomes:
        now += passed
        before = concurrency.limit
        if what == "refused":
            concurrency.refused(now, in_flight)
            assert concurrency.limit <= max(1.0, before * 0.8)
        else:
            concurrency.succeeded(now, saturated=what == "ok")
            assert concurrency.limit <= before + max(1.0, (1 + now - 1000.0) / before)
            if what == "free" and not queues:
                assert concurrency.limit == before
        assert 1 <= concurrency.limit <= max(most, 1)


def test_concurrency_doubles_a_round_until_it_is_refused() -> None:
    concurrency = Concurrency(Limits(start=8))
    for _ in range(8):
        concurrency.succeeded(1.0, saturated=True)
    assert concurrency.limit == 16
    concurrency.refused(2.0, 16)
    after = concurrency.limit
    for _ in range(12):
        concurrency.succeeded(2.0, saturated=True)
    assert after == pytest.approx(12.8)
    assert concurrency.limit < after + 1.1  # a round now adds one


# How many a second.


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.booleans(), st.booleans()), max_size=120))
def test_pace_is_never_nothing_and_never_far_beyond_what_was_sent(
    steps: list[tuple[float, bool, bool]],
) -> None:
    pace, now, cut = Pace(), 1000.0, 0.0
    for passed, refused, paced in steps:
        now += passed
        request = pace.sent(now)
        pace.came_back(request, now, refused=refused)
        if refused:
            before = pace.at(now)
            pace.refused(now, now, paced=paced)
            cut = now
            after = pace.at(now)
            assert after is not None
            assert before is None or after <= max(before, 0.2)
        current = pace.at(now)
        assert (current is None) == (not pace.active)
        if current is not None:
            sent = sum(now - one.sent_at <= 1 for one in pace._sent)
            assert current >= 0.2
            assert current <= max(pace.at(cut) or 0.0, 2 * sent + 2, 60.0 if now == cut else 0.0)


def test_the_first_refusal_sets_a_pace_under_what_was_accepted() -> None:
    pace = Pace()
    assert pace.at(1000.0) is None
    requests = [pace.sent(1000.0 + i / 100) for i in range(80)]
    for request in requests[50:]:
        pace.came_back(request, 1000.8, refused=True)
    pace.refused(1000.8, requests[50].sent_at, paced=False)
    assert 44 <= (pace.at(1000.8) or 0) <= 50


def test_one_early_refusal_does_not_stall_a_small_job() -> None:
    pace = Pace()
    pace.came_back(pace.sent(1000.0), 1000.0, refused=True)
    pace.refused(1000.0, 1000.0, paced=False)
    assert (pace.at(1000.0) or 0) >= 1.0


def test_a_pace_is_forgotten_after_a_long_calm() -> None:
    async def check() -> None:
        limiter = Limiter()
        for error in (RateLimitError("x"), None):
            with suppress(RateLimitError):
                async with limiter.lease():
                    if error:
                        raise error
        assert limiter.pace.active
        await asyncio.sleep(31)
        async with limiter.lease():
            assert not limiter.pace.active

    virtual.run(check())


def test_a_burst_of_refusals_cuts_once() -> None:
    async def check() -> None:
        limiter = Limiter(Limits(start=20))

        async def refused() -> None:
            async with limiter.lease():
                await asyncio.sleep(0.1)
                raise RateLimitError("x")

        await asyncio.gather(*(refused() for _ in range(20)), return_exceptions=True)
        assert limiter.concurrency.limit == pytest.approx(16)

    virtual.run(check())


@pytest.mark.parametrize("error", [ServerError("x"), TimeoutError()])
def test_other_failures_say_nothing_of_the_limit(error: Exception) -> None:
    async def check() -> None:
        limiter = Limiter(Limits(start=4))
        for _ in range(5):
            with suppress(type(error)):
                async with limiter.lease():
                    raise error
        assert limiter.state == LimiterState(0, 0, 4.0, None)

    virtual.run(check())


# Limits that are known.


def test_requests_a_minute_are_kept() -> None:
    async def times(count: int) -> list[float]:
        limiter, began, at = Limiter(Limits(rpm=30)), time.monotonic(), list[float]()
        for _ in range(count):
            async with limiter.lease():
                at.append(time.monotonic() - began)
        return at

    at = virtual.run(times(90))
    assert at[29] < 1
    assert 60 <= at[30] < 61
    assert all(sum(t <= x < t + 60 for x in at) <= 30 for t in at)


def test_tokens_a_minute_are_kept_and_corrected() -> None:
    async def check(used: int | None) -> float:
        limiter, began = Limiter(Limits(tpm=6000)), time.monotonic()
        for _ in range(20):
            async with limiter.lease(600) as lease:
                lease.used = used
        return time.monotonic() - began

    assert virtual.run(check(None)) == pytest.approx(60, abs=1)  # 12,000 tokens, of which 6,000 at once
    assert virtual.run(check(300)) <= 3
    assert virtual.run(check(1200)) > 150


def test_a_request_of_more_tokens_than_a_minute_has_waits_for_a_full_minute_and_goes() -> None:
    async def check() -> float:
        limiter, began = Limiter(Limits(tpm=100)), time.monotonic()
        for _ in range(2):
            async with limiter.lease(1000):
                pass
        return time.monotonic() - began

    assert virtual.run(check()) == pytest.approx(600, abs=61)


def test_a_thousand_who_wait_for_their_turn_do_not_burn_a_core() -> None:
    """Measured against the plain use of a throttle, where each polls by itself."""

    async def burnt(wait: Callable[[], Coroutine[Any, Any, None]]) -> float:
        tasks = [asyncio.create_task(wait()) for _ in range(1000)]
        await asyncio.sleep(0.2)
        began = time.process_time()
        await asyncio.sleep(1.0)
        spent = time.process_time() - began
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return spent

    async def ours() -> float:
        limiter = Limiter(Limits(start=1000, max_concurrency=1000, rpm=5))
        return await burnt(lambda: held(limiter, asyncio.Event()))

    async def naive() -> float:
        throttler = Throttler(5, 60.0, 0.02)
        return await burnt(throttler.acquire)

    assert asyncio.run(ours()) < asyncio.run(naive()) / 5


# Finding out what a provider allows.


def simulate(
    limits: Callable[[], list[Limit]], latency: float, needed: int, known: Limits | None = None
) -> tuple[float, float, Model, Simulated]:
    """Requests sent for one needed, and samples a second, with the model and the provider."""

    async def work() -> tuple[float, float, Model, Simulated]:
        client = Simulated(limits(), latency)
        policy = RetryPolicy(attempts=1)
        endpoint = Endpoint.of(client, "simulated", limits=known, policy=policy, widest=1)
        model = Model("sampler", [endpoint], ledger=Ledger())
        began = time.monotonic()
        samples = await model.samples(ASK, needed)
        assert all(sample.choice for sample in samples)
        return client.sent / needed, needed / (time.monotonic() - began), model, client

    random.seed(1)
    return virtual.run(work())


@pytest.mark.parametrize("retry_form", ["seconds", "ms", None])
@pytest.mark.parametrize("kind", ["bucket", "sliding", "fixed"])
@pytest.mark.parametrize("latency", [0.01, 0.2, 0.5])
def test_an_unknown_rate_is_found_and_used(kind: Any, retry_form: Any, latency: float) -> None:
    sent, rate, model, _ = simulate(
        lambda: [RateLimit(50, kind=kind, retry_form=retry_form, clock=time.monotonic)], latency, 800
    )
    assert sent <= 1.2
    assert rate >= 0.85 * 50
    assert model.endpoint.limiter.pace.chance.share == 0


@pytest.mark.parametrize(("per_second", "most"), [(5, 1.4), (20, 1.25), (200, 1.1)])
def test_slow_and_fast_rates_are_found(per_second: int, most: float) -> None:
    sent, rate, model, _ = simulate(
        lambda: [RateLimit(per_second, kind="sliding", clock=time.monotonic)], 0.1, per_second * 30
    )
    assert model.endpoint.limiter.pace.chance.share == 0
    assert sent <= most
    assert rate >= 0.85 * per_second


@pytest.mark.parametrize("slots", [10, 100])
def test_an_unknown_number_of_slots_is_found_and_used(slots: int) -> None:
    sent, rate, _, provider = simulate(lambda: [ConcurrencyLimit(slots)], 0.5, slots * 60)
    assert sent <= 1.1
    assert rate >= 0.7 * slots / 0.5
    assert provider.most <= 2 * slots


def test_a_server_that_queues_is_not_flooded() -> None:
    sent, rate, model, provider = simulate(
        lambda: [ConcurrencyLimit(8, queue=True)], 0.1, 2000, Limits(queues=True)
    )
    assert sent == 1.0
    assert rate >= 0.9 * 80
    assert provider.most <= 64
    assert model.endpoint.limiter.state.concurrency <= 32


def test_a_provider_without_limits_is_used_to_the_full() -> None:
    sent, rate, _, provider = simulate(list, 0.2, 10_000)
    assert (sent, provider.most) == (1.0, 512)
    assert rate >= 1500


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("seconds", [2.0, 20.0])
def test_a_storm_ends_with_everything_delivered(seed: int, seconds: float) -> None:
    """A policy of one attempt shows that no retry budget is spent: any other failure would be final."""
    needed = 2000
    sent, rate, model, _ = simulate(
        lambda: [Storm(seconds, 0.5, seed=seed, clock=time.monotonic)], 0.05, needed
    )
    usage = model.ledger.usage().total
    assert usage.failed == usage.refused > 0
    assert sent <= 1.1
    assert needed / rate <= seconds + 12  # and soon after it has passed


@pytest.mark.parametrize(("share", "seconds"), [(0.1, 60), (0.5, 60), (0.8, 120)])
def test_refusals_that_come_by_chance_are_not_waited_out_for_ever(share: float, seconds: float) -> None:
    """What an overloaded provider refuses is not refused less for being asked slowly."""
    needed = 1000
    sent, rate, model, _ = simulate(lambda: [by_chance(1e9, share)], 0.2, needed, Limits(64, 64))
    assert needed / rate <= seconds
    assert sent <= 1.1 / (1 - share)
    assert model.endpoint.limiter.pace.chance.share == pytest.approx(share, abs=0.15)


def test_a_limit_is_found_again_when_refusals_no_longer_come_by_chance() -> None:
    sent, rate, model, _ = simulate(lambda: [by_chance(60.0), rate_limit(50)], 0.2, 8000)
    assert sent <= 1.4  # of 8,000 some 1,500 went through the storm, at two requests each
    assert 8000 / rate <= 60 + 8000 / 50
    assert model.endpoint.limiter.pace.chance.share <= 0.1


def test_a_limit_behind_refusals_by_chance_is_kept() -> None:
    sent, rate, _, _ = simulate(lambda: [by_chance(1e9), rate_limit(20)], 0.2, 2000)
    assert sent <= 2.8
    assert rate >= 0.5 * 20


def by_chance(seconds: float, share: float = 0.5) -> Limit:
    return Storm(seconds, share, seed=1, clock=time.monotonic)


def rate_limit(per_second: float) -> Limit:
    return RateLimit(per_second, kind="sliding", clock=time.monotonic)


async def test_the_rate_of_a_real_server_is_found() -> None:
    limit, needed = RateLimit(50, kind="sliding"), 300
    with ProviderDouble(limits=[limit], latency=0.05) as double:
        async with drawing("fast", double, limits=Limits(), policy=RetryPolicy(attempts=1)) as model:
            model.endpoint.widest = 1
            samples = await model.samples(ASK, needed)
        first, last = double.requests[0].at, double.requests[-1].at
    assert all(sample.choice for sample in samples)
    assert double.served == limit.admitted == needed
    assert double.received == needed + limit.refused <= 1.3 * needed
    assert needed / (last - first) >= 0.8 * 50


@pytest.mark.parametrize("lane", ["fast", "litellm"])
async def test_a_storm_of_a_real_server_spends_no_retry_budget(lane: Any) -> None:
    storm = Storm(1.0, 0.5, seed=2)
    with ProviderDouble(limits=[storm], latency=0.02) as double:
        async with drawing(lane, double, limits=Limits(), policy=RetryPolicy(attempts=1)) as model:
            model.endpoint.widest = 1
            samples = await model.samples(ASK, 60)
    assert all(sample.choice for sample in samples)
    assert (double.served, double.received) == (60, 60 + storm.refused)
    assert model.ledger.usage().total.refused == storm.refused > 0
