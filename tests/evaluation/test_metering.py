"""What methods cost is the same whoever paid, and seeds are samples of their own."""

from __future__ import annotations

import asyncio

import pytest

from catagent.evaluation.metering import Cost, Meter, total_cost
from catagent.evaluation.purchases import Purchases
from catagent.models.journal import MemoryJournal
from catagent.models.ledger import Ledger
from tests.cast import cast, cat_on
from tests.doubles import Fault, ProviderDouble

PRICE = {"price": {"prompt": 1, "completion": 2}}
DIFFERENT = cast(lambda i: f"\\boxed{{{i}}}")


async def drawn(cat: object, meter: Meter, n: int = 4) -> list[str | None]:
    twin = await cat.joined(totals=meter.ledger, journal=meter)  # type: ignore[attr-defined]
    run = await twin.begin()
    model = await run.model("sampler")
    samples = await model.samples([{"role": "user", "content": "What is 2 + 2?"}], n)
    return [s.choice.text if s.choice else None for s in samples]


async def test_the_cost_is_that_of_the_samples_bought_or_found() -> None:
    journal, totals = MemoryJournal(), Ledger()
    async with ProviderDouble(reply=DIFFERENT) as double, cat_on(double, provider=PRICE) as cat:
        first, again = Meter(journal, totals), Meter(journal, totals)
        texts = await drawn(cat, first)
        spent = totals.usage().total
        assert await drawn(cat, again) == texts
    assert totals.usage().total.calls == spent.calls == 1
    assert totals.usage().total.cached == 4
    assert first.by_role == again.by_role
    cost = again.by_role["sampler"]
    assert (cost.samples, cost.calls) == (4, 1)
    assert (cost.prompt_tokens, cost.completion_tokens) == (spent.prompt_tokens, spent.completion_tokens)
    assert cost.dollars == pytest.approx(spent.usd)
    assert again.usage.total.calls == 0


async def test_what_is_wanted_twice_at_once_is_bought_once() -> None:
    journal, totals, purchases = MemoryJournal(), Ledger(), Purchases()
    replies = iter(range(100))
    async with (
        ProviderDouble(reply=cast(lambda i: f"\\boxed{{{next(replies)}}}"), latency=0.05) as double,
        cat_on(double, provider=PRICE) as cat,
    ):
        meters = [Meter(journal, totals, purchases=purchases) for _ in range(3)]
        texts = await asyncio.gather(
            *(drawn(cat, meter, n) for meter, n in zip(meters, (4, 4, 2), strict=True))
        )
    assert texts[0] == texts[1]
    assert texts[2] == texts[0][:2]
    assert totals.usage().total.calls == 1
    assert meters[0].by_role == meters[1].by_role, "each counts what it asked for"


async def test_who_waited_buys_what_the_other_could_not() -> None:
    journal, purchases = MemoryJournal(), Purchases()
    faults = iter([Fault.status_code(400, "no")])
    async with (
        ProviderDouble(reply=DIFFERENT, faults=lambda body: next(faults, None), latency=0.05) as double,
        cat_on(double) as cat,
    ):
        meters = [Meter(journal, Ledger(), purchases=purchases) for _ in range(2)]
        texts = await asyncio.gather(*(drawn(cat, meter, 1) for meter in meters))
    assert texts[0] == [None]
    assert texts[1][0] is not None
    assert [meter.lost for meter in meters] == [1, 0]


async def test_who_gives_up_keeps_nobody_waiting() -> None:
    purchases = Purchases()

    async def buy() -> None:
        async with purchases.claim(["a", "b"]):
            await asyncio.sleep(60)

    first, second = asyncio.create_task(buy()), asyncio.create_task(buy())
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    async with asyncio.timeout(5), purchases.claim(["b"]):
        pass


async def test_a_part_of_a_request_costs_its_share() -> None:
    journal, totals = MemoryJournal(), Ledger()
    async with ProviderDouble(reply=cast(["\\boxed{1}"])) as double, cat_on(double, provider=PRICE) as cat:
        whole, half = Meter(journal, totals), Meter(journal, totals)
        await drawn(cat, whole, 4)
        await drawn(cat, half, 2)
    assert half.by_role["sampler"] == pytest.approx(Cost(*(v / 2 for v in whole.by_role["sampler"])))


async def test_equal_texts_of_requests_that_cost_differently_add_up() -> None:
    journal, totals = MemoryJournal(), Ledger()
    async with ProviderDouble(reply=cast(["\\boxed{1}"])) as double, cat_on(double, provider=PRICE) as cat:
        meter = Meter(journal, totals)
        twin = await cat.joined(totals=meter.ledger, journal=meter)
        model = await (await twin.begin()).model("sampler")
        asked = [[{"role": "user", "content": "word " * size}] for size in (3, 30, 300)]
        await asyncio.gather(*(model.samples(messages, 2) for messages in asked))
    spent = totals.usage().total
    cost = total_cost(meter.by_role)
    assert (cost.samples, cost.calls) == (6, 3)
    assert (cost.prompt_tokens, cost.completion_tokens) == (spent.prompt_tokens, spent.completion_tokens)


async def test_another_seed_is_another_sample() -> None:
    journal, totals = MemoryJournal(), Ledger()
    async with ProviderDouble(reply=DIFFERENT) as double, cat_on(double) as cat:
        by_seed = [await drawn(cat, Meter(journal, totals, seed=s)) for s in (0, 1, 0, 1)]
    assert by_seed[0] == by_seed[2] != by_seed[1] == by_seed[3]
    assert len(journal) == 8


async def test_what_nobody_metered_is_unknown_and_not_free() -> None:
    journal, totals = MemoryJournal(), Ledger()
    async with ProviderDouble(reply=cast(["\\boxed{1}"])) as double, cat_on(double, provider=PRICE) as cat:
        twin = await cat.joined(totals=Ledger(), journal=journal)
        run = await twin.begin()
        await (await run.model("sampler")).samples([{"role": "user", "content": "What is 2 + 2?"}], 4)
        meter = Meter(journal, totals)
        await drawn(cat, meter)
    cost = total_cost(meter.by_role)
    assert (cost.samples, cost.tokens, cost.dollars) == (4, None, None)


async def test_an_endpoint_without_a_price_costs_an_unknown_amount() -> None:
    async with ProviderDouble(reply=cast(["\\boxed{1}"])) as double, cat_on(double) as cat:
        meter = Meter(MemoryJournal(), Ledger())
        await drawn(cat, meter)
    cost = total_cost(meter.by_role)
    assert cost.dollars is None
    assert cost.tokens
