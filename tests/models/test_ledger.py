from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catagent.errors import BudgetError
from catagent.messages import Usage
from catagent.models.client import Choice, Completion
from catagent.models.ledger import Budget, Ledger, Price
from tests.models import virtual

PRICE = Price(0.001, 0.01)


def reply(prompt: int | None = 10, made: int | None = 5, usd: float | None = None) -> Completion:
    return Completion((Choice("x"),), prompt, made, usd)


def buy(ledger: Ledger, role: str = "sampler", price: Price | None = PRICE, **said: float | None) -> None:
    ledger.succeeded(role, ledger.reserve(role, 20, price), 1.0, reply(**said), price)  # type: ignore[arg-type]


def test_each_role_is_counted_apart_and_together() -> None:
    ledger = Ledger()
    buy(ledger, "sampler")
    buy(ledger, "judge")
    buy(ledger, "judge")
    ledger.cached("judge", 3)
    ledger.discarded("sampler", 2)
    ledger.failed("sampler", ledger.reserve("sampler", 20, PRICE), 0.5, refused=True)
    usage = ledger.usage()
    sampler, judge = usage.roles["sampler"], usage.roles["judge"]
    assert (sampler.calls, sampler.failed, sampler.refused, sampler.discarded) == (2, 1, 1, 2)
    assert (judge.calls, judge.cached, judge.prompt_tokens, judge.completion_tokens) == (2, 3, 20, 10)
    assert (usage.calls, usage.tokens) == (4, 45)
    assert usage.usd == pytest.approx(3 * 0.06)
    assert sampler.seconds == 1.5


def test_what_is_not_told_is_counted_as_unknown() -> None:
    ledger = Ledger()
    buy(ledger, prompt=None)
    buy(ledger, price=None)
    usage = ledger.usage().total
    assert (usage.unmetered, usage.unpriced, usage.usd) == (1, 2, 0.0)
    assert ledger.usage().usd is None


def test_a_cost_that_the_provider_tells_goes_before_the_list() -> None:
    ledger = Ledger()
    buy(ledger, usd=0.5)
    assert ledger.usage().usd == 0.5


def test_a_budget_of_calls() -> None:
    ledger = Ledger(Budget(calls=2))
    buy(ledger)
    ledger.failed("sampler", ledger.reserve("sampler", 0, None), 0.1, refused=False)
    with pytest.raises(BudgetError, match="2 calls"):
        ledger.reserve("judge", 0, None)
    assert ledger.usage().calls == 2


def test_a_budget_of_tokens_counts_what_is_in_flight() -> None:
    ledger = Ledger(Budget(tokens=100))
    first = ledger.reserve("sampler", 40, None)
    ledger.reserve("sampler", 40, None)
    with pytest.raises(BudgetError, match=r"80 spent or in flight, about 40 needed"):
        ledger.reserve("sampler", 40, None)
    ledger.succeeded("sampler", first, 0.1, reply(10, 5), None)  # it took 15 of its 40
    ledger.reserve("sampler", 40, None)


def test_a_budget_of_money_counts_what_is_in_flight() -> None:
    ledger = Ledger(Budget(usd=1.0))
    ledger.reserve("sampler", 60, PRICE)
    with pytest.raises(BudgetError, match=r"\$1 .*\$0\.6000"):
        ledger.reserve("sampler", 60, PRICE)


def test_a_budget_of_money_is_not_kept_blindly() -> None:
    ledger = Ledger(Budget(usd=1.0))
    buy(ledger, price=None)
    with pytest.raises(BudgetError, match="price of a call is not known"):
        ledger.reserve("sampler", 1, PRICE)
    free = Ledger(Budget(usd=1.0))
    for _ in range(50):
        buy(free, price=Price(0, 0))
    assert free.usage().usd == 0


def test_a_budget_of_seconds() -> None:
    async def check() -> None:
        ledger = Ledger(Budget(seconds=10))
        buy(ledger)
        await asyncio.sleep(10.5)
        with pytest.raises(BudgetError, match="10 seconds"):
            ledger.reserve("sampler", 0, None)
        assert ledger.usage().seconds == pytest.approx(time.monotonic() - ledger._began)

    virtual.run(check())


operations = st.lists(st.tuples(st.sampled_from(["send", "win", "lose"]), st.integers(0, 30)), max_size=60)


@given(operations, st.integers(1, 20), st.integers(1, 200))
def test_no_order_of_events_overshoots_a_budget(
    steps: list[tuple[str, int]], calls: int, tokens: int
) -> None:
    """As long as a request takes no more than was reserved for it."""
    ledger, flying = Ledger(Budget(calls=calls, tokens=tokens)), list[tuple[int, float]]()
    for what, size in steps:
        if what == "send":
            try:
                flying.append(ledger.reserve("r", size, PRICE))
            except BudgetError:
                continue
        elif flying and what == "win":
            reserved = flying.pop(0)
            ledger.succeeded("r", reserved, 0.1, reply(reserved[0] // 2, reserved[0] // 3), PRICE)
        elif flying:
            ledger.failed("r", flying.pop(), 0.1, refused=False)
        usage = ledger.usage()
        assert usage.calls <= calls
        assert usage.tokens + ledger._reserved_tokens <= tokens
        assert ledger._reserved_tokens == sum(reserved[0] for reserved in flying)
        total = usage.total
        assert total.failed <= total.calls
    for reserved in flying:
        ledger.failed("r", reserved, 0.0, refused=False)
    assert ledger._reserved_tokens == 0
    assert ledger._reserved_usd == pytest.approx(0)


def test_a_picture_does_not_change_with_the_ledger() -> None:
    ledger = Ledger()
    buy(ledger)
    before = ledger.usage()
    buy(ledger)
    assert before.calls == 1
    assert Usage.model_validate_json(before.model_dump_json()) == before


def test_a_timed_ledger_says_when_each_request_was_under_way() -> None:
    job = Ledger()
    ledger = Ledger(parent=job, timed=True)
    ledger.failed("sampler", ledger.reserve("sampler", 1, None), 0.0, refused=True)
    ledger.succeeded("anchor", ledger.reserve("anchor", 1, None), 0.0, Completion(()), None)
    timeline = ledger.usage().timeline
    assert [(call.role, call.outcome) for call in timeline] == [("sampler", "refused"), ("anchor", "ok")]
    assert 0 <= timeline[0].began <= timeline[1].began
    assert job.usage().timeline == ()
    assert (ledger.usage() + ledger.usage()).timeline == ()


def test_a_timeline_is_bounded() -> None:
    ledger = Ledger(timed=True)
    for _ in range(1_200):
        ledger.failed("sampler", ledger.reserve("sampler", 1, None), 0.0, refused=False)
    assert len(ledger.usage().timeline) == 1_000
