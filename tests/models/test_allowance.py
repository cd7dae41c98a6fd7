"""What is allowed is divided, never multiplied; who is gone gives back; a cut is one cut."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from catagent.errors import BudgetError, RateLimitError
from catagent.messages import Usage
from catagent.models.allowance import Allowance, Done, Report
from catagent.models.endpoint import Endpoint
from catagent.models.ledger import Budget, Price
from catagent.models.limiter import Limits
from catagent.models.model import Model
from catagent.models.retry import RetryPolicy
from catagent.models.shared_ledger import Ask, Purse, Raise, SharedLedger
from catagent.models.shared_limiter import SharedLimiter
from tests.doubles import Storm
from tests.models import virtual
from tests.models.lanes import ASK
from tests.models.simulated import Simulated


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_slots_are_divided_and_never_exceeded() -> None:
    clock = Clock()
    allowance = Allowance(Limits(start=10), clock)
    assert allowance.exchange("a", Report(waiting=50)).slots == 10
    assert allowance.exchange("b", Report(waiting=50)).slots == 0  # until the first gives back
    assert allowance.exchange("a", Report(in_flight=5, waiting=45)).slots == 5
    assert allowance.exchange("b", Report(waiting=50)).slots == 5
    assert allowance.exchange("b", Report(waiting=1)).slots == 3
    assert allowance.exchange("a", Report(in_flight=5, waiting=45)).slots == 7


def test_who_is_not_heard_of_gives_the_share_back() -> None:
    clock = Clock()
    allowance = Allowance(Limits(start=10), clock, lapses=5.0)
    allowance.exchange("dead", Report(waiting=50))
    clock.now += 5.1
    assert allowance.exchange("b", Report(waiting=50)).slots == 10
    assert allowance.holders == 1


def test_refusals_of_two_processes_cut_once_and_the_pace_is_divided() -> None:
    clock = Clock()
    allowance = Allowance(Limits(start=10), clock)
    for who in "ab":
        allowance.exchange(who, Report(waiting=20))
    for who in "ab":
        sent = tuple((i, 0.5 - i / 20) for i in range(10))
        allowance.exchange(who, Report(in_flight=10, waiting=20, sent=sent))
    refused = Done(9, 0.0, "refused", paced=False, saturated=True, cuts=0)
    shares = [allowance.exchange(who, Report(9, 20, done=(refused,))) for who in "abab"]
    clock.now += 1.0
    allowance.exchange("a", Report(9, 20, done=(refused._replace(number=8),)))
    assert allowance.cuts == 1, "news of the cut had not reached the second process"
    paces = [share.pace for share in shares[2:]]
    assert all(pace is not None for pace in paces)
    whole = allowance.pace.at(100.0)
    assert whole is not None
    assert sum(pace or 0.0 for pace in paces) <= whole + 1e-9


def test_requests_and_tokens_a_minute_are_handed_out_once() -> None:
    clock = Clock()
    allowance = Allowance(Limits(start=100, rpm=30, tpm=1000), clock)
    given = [allowance.exchange(who, Report(waiting=40)).requests or 0 for who in "ababab"]
    assert sum(given) == 30
    assert allowance.exchange("a", Report(waiting=40, unused=4)).requests == 2  # a half of those
    clock.now += 61
    assert (allowance.exchange("a", Report(waiting=40)).requests or 0) > 0
    tokens = [allowance.exchange(who, Report(waiting=5, tokens_wanted=300.0)).tokens or 0 for who in "abab"]
    assert 900 <= sum(tokens) <= 1000


@pytest.mark.parametrize("limits", [Limits(start=4), Limits(start=4, rpm=100_000, tpm=10_000_000)])
async def test_two_limiters_in_front_of_one_allowance(limits: Limits) -> None:
    loop = asyncio.get_running_loop()
    allowance = Allowance(Limits(4, 4, limits.rpm, limits.tpm), loop.time, again=0.01)

    async def exchange(who: str, report: Report) -> object:
        await asyncio.sleep(0.001)
        return allowance.exchange(who, report)

    limiters = [SharedLimiter(partial(exchange, who)) for who in "ab"]  # type: ignore[arg-type]
    most = now = done = 0

    async def request(limiter: SharedLimiter) -> None:
        nonlocal most, now, done
        async with limiter.lease(10) as lease:
            now += 1
            most = max(most, now)
            await asyncio.sleep(0.002)
            now -= 1
            lease.used = 5
        done += 1

    await asyncio.gather(*(request(limiter) for limiter in limiters for _ in range(60)))
    assert (done, most) == (120, 4)
    await _left(allowance)
    with pytest.raises(RateLimitError):
        async with limiters[0].lease():
            raise RateLimitError("no")
    await _left(allowance)
    assert allowance.cuts == 1


def test_two_processes_go_on_through_refusals_that_come_by_chance() -> None:
    async def work() -> tuple[float, int]:
        loop = asyncio.get_running_loop()
        allowance = Allowance(Limits(32, 32), loop.time)

        async def exchange(who: str, report: Report) -> object:
            await asyncio.sleep(0.001)
            return allowance.exchange(who, report)

        client, began = Simulated([Storm(1e9, 0.5, seed=1, clock=loop.time)], 0.2), loop.time()

        def process(who: str) -> Model:
            limiter = SharedLimiter(partial(exchange, who))  # type: ignore[arg-type]
            policy = RetryPolicy(attempts=1)
            return Model("sampler", [Endpoint("m", client, "m", limiter=limiter, policy=policy, widest=1)])

        await asyncio.gather(*(process(who).samples(ASK, 300) for who in "ab"))
        return loop.time() - began, client.sent

    seconds, sent = virtual.run(work())
    assert seconds <= 90
    assert sent <= 2.3 * 600


async def _left(allowance: Allowance) -> None:
    """Until everyone has given everything back."""
    while allowance.holders:  # noqa: ASYNC110 - nobody says so
        await asyncio.sleep(0.01)


async def test_a_way_that_is_lost_is_told_to_everyone() -> None:
    async def exchange(_: Report) -> object:
        raise OSError("gone")

    limiter = SharedLimiter(exchange)  # type: ignore[arg-type]
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            async with limiter.lease():
                pass


async def test_one_budget_for_two_ledgers() -> None:
    budget = Budget(tokens=1000)
    purse = Purse(budget, Usage())

    async def raising(who: str, ask: Ask) -> Raise:
        return purse.ask(who, ask)

    ledgers = [SharedLedger(budget, partial(raising, who)) for who in "ab"]
    sent = 0
    while True:
        ledger = ledgers[sent % 2]
        try:
            await ledger.afford(90, Price(0, 0))
        except BudgetError:
            break
        ledger.reserve("sampler", 90, Price(0, 0))
        sent += 1
    assert 8 <= sent <= 11
    assert "1000 tokens" in (ledgers[sent % 2].exhausted or "")
