from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from catagent.errors import (
    AccountError,
    BudgetError,
    ContextOverflowError,
    GarbledError,
    ModelError,
    RateLimitError,
    RequestError,
    ServerError,
)
from catagent.models.client import Choice, Completion, Delta, ModelRequest, OnDelta
from catagent.models.endpoint import Endpoint, estimate_tokens
from catagent.models.journal import MemoryJournal
from catagent.models.ledger import Budget, Ledger, Price
from catagent.models.limiter import Limits
from catagent.models.model import Model, Sample
from tests.doubles import Fault, ProviderDouble, Reply, in_order, when
from tests.models.lanes import ASK, BOTH, QUICK, Lane, drawing, endpoint_at


def numbered(body: dict[str, Any], index: int) -> str:
    return f"answer {index}"


def texts(samples: list[Sample]) -> list[str | None]:
    return [s.choice.text if s.choice else None for s in samples]


def asked(double: ProviderDouble) -> list[int]:
    """How many samples each request asked for."""
    return [record.body.get("n", 1) for record in double.requests]


def sent(model: Model) -> Any:
    return model.ledger.usage().total


class Canned:
    """A client of one's own: gives what it is told to, one after the other."""

    def __init__(self, *ends: Completion | Exception) -> None:
        self.ends = list(ends)
        self.requests: list[ModelRequest] = []

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        self.requests.append(request)
        await asyncio.sleep(0)
        end = self.ends.pop(0) if self.ends else Completion((Choice("x"),) * request.n)
        if isinstance(end, Exception):
            raise end
        return end

    async def aclose(self) -> None:
        """Nothing is open."""


def canned(*ends: Completion | Exception, **known: Any) -> tuple[Model, Canned]:
    client = Canned(*ends)
    endpoint = Endpoint.of(client, "canned", **{"policy": QUICK, **known})
    return Model("judge", [endpoint], ledger=Ledger()), client


# How many samples a request asks for.


@BOTH
async def test_samples_come_with_one_request_in_order(lane: Lane) -> None:
    seen: list[int] = []
    with ProviderDouble(reply=numbered) as double:
        async with drawing(lane, double) as model:
            samples = await model.samples(ASK, 5, on_sample=lambda index, _: seen.append(index))
        assert asked(double) == [5]
    assert texts(samples) == [f"answer {i}" for i in range(5)]
    assert seen == [0, 1, 2, 3, 4]
    assert (sent(model).calls, sent(model).failed, sent(model).discarded) == (1, 0, 0)


@BOTH
async def test_a_refused_n_is_learnt_and_not_asked_again(lane: Lane) -> None:
    with ProviderDouble(rejects=["n"]) as double:
        async with drawing(lane, double) as model:
            assert None not in texts(await model.samples(ASK, 6))
            assert asked(double) == [6, *[1] * 6]
            assert model.endpoint.widest == 1
            await model.samples(ASK, 3)
            assert asked(double)[7:] == [1, 1, 1]
    assert (sent(model).calls, sent(model).failed) == (10, 1)


@BOTH
@pytest.mark.parametrize("most", [1, 3])
async def test_missing_samples_are_topped_up_side_by_side(lane: Lane, most: int) -> None:
    with ProviderDouble(max_n=most, latency=0.05) as double:
        async with drawing(lane, double) as model:
            assert None not in texts(await model.samples(ASK, 7))
            assert model.endpoint.widest == most
        assert double.max_in_flight == -(-(7 - most) // most)
        assert asked(double)[0] == 7
        assert sum(min(n, most) for n in asked(double)) == 7
    assert sent(model).discarded == 0


async def test_samples_beyond_what_was_asked_are_counted() -> None:
    with ProviderDouble(reply=lambda _: ["a", "b", "c", "d", "e"]) as double:
        async with drawing("fast", double) as model:
            assert texts(await model.samples(ASK, 3)) == ["a", "b", "c"]
    assert sent(model).discarded == 2


async def test_a_refusal_that_has_nothing_to_do_with_n_costs_two_requests() -> None:
    with ProviderDouble(rejects=["min_p"]) as double:
        async with drawing("fast", double, params={"min_p": 0.1}) as model:
            samples = await model.samples(ASK, 8)
            assert model.endpoint.widest == 128
        assert asked(double) == [8, 1]
    assert {type(s.error) for s in samples} == {RequestError}
    assert "min_p" in str(samples[7].error)


async def test_an_overflow_is_not_taken_for_a_refused_n() -> None:
    with ProviderDouble(context=5) as double:
        async with drawing("fast", double) as model:
            samples = await model.samples(ASK, 4)
        assert asked(double) == [4]
    assert {type(s.error) for s in samples} == {ContextOverflowError}


async def test_a_completion_without_choices_is_garbled_and_never_asked_for_ever() -> None:
    model, client = canned(*[Completion(())] * 3)
    (sample,) = await model.samples(ASK, 1)
    assert isinstance(sample.error, GarbledError)
    assert len(client.requests) == 3
    assert sent(model).failed == 3


async def test_params_of_provider_role_and_call_are_laid_over_one_another() -> None:
    model, client = canned(params={"top_p": 0.5, "a": 1})
    model.params = {"a": 2, "b": 2}
    await model.samples(ASK, 2, {"b": 3})
    assert client.requests[0].params == {"top_p": 0.5, "a": 2, "b": 3}


@pytest.mark.parametrize("text", ["", None])
async def test_an_empty_text_is_a_sample_without_text(text: str | None) -> None:
    journal = MemoryJournal()
    with ProviderDouble(reply=lambda _: Reply(text)) as double:
        async with drawing("fast", double, journal=journal) as model:
            assert (await model.sample(ASK)).text is None
        assert double.received == 1
    assert len(journal) == 0  # what is empty is owed again


# Fall-backs.


async def test_a_fall_back_takes_over_what_is_missing() -> None:
    with ProviderDouble(faults=lambda _: Fault.status_code(503)) as broken, ProviderDouble() as double:
        async with endpoint_at("fast", double.base_url) as second:
            second.name = "second"
            async with drawing("fast", broken, second) as model:
                samples = await model.samples(ASK, 3)
        assert (asked(broken), asked(double)) == ([3, 3, 3], [3])
    assert [s.model for s in samples] == ["second"] * 3
    assert (sent(model).calls, sent(model).failed) == (4, 3)


async def test_a_bad_account_ends_nothing_while_there_is_a_fall_back() -> None:
    with ProviderDouble(key="right") as broken, ProviderDouble() as double:
        async with endpoint_at("fast", double.base_url) as second, drawing("fast", broken, second) as model:
            assert None not in texts(await model.samples(ASK, 2))


async def test_all_samples_of_a_refused_request_fall_back() -> None:
    with ProviderDouble(rejects=["min_p"]) as strict, ProviderDouble() as double:
        async with (
            endpoint_at("fast", double.base_url) as second,
            drawing("fast", strict, second, params={"min_p": 0.1}) as model,
        ):
            second.name = "second"
            assert None not in texts(await model.samples(ASK, 5))
        assert asked(strict) == [5, 1]
        assert sum(asked(double)) == 5


async def test_without_another_fall_back_the_last_error_stands_in_each_place() -> None:
    always = lambda _: Fault.status_code(503)  # noqa: E731
    with ProviderDouble(faults=always) as first, ProviderDouble(faults=always) as last:
        async with endpoint_at("fast", last.base_url) as second, drawing("fast", first, second) as model:
            samples = await model.samples(ASK, 2)
            with pytest.raises(ServerError):
                await model.sample(ASK)
    assert {type(s.error) for s in samples} == {ServerError}


# What ends a job.


@BOTH
@pytest.mark.parametrize("status", [401, 402, 403, 404])
async def test_a_bad_account_ends_the_job_at_once_in_the_providers_words(lane: Lane, status: int) -> None:
    sentence = f"The provider's own sentence on {status}."
    fault = Fault.status_code(status, sentence)
    with ProviderDouble(latency=30, faults=when(lambda body: "bad" in str(body), fault)) as double:
        async with drawing(lane, double) as model:
            model.endpoint.widest = 1
            running = [asyncio.create_task(model.samples(ASK, 4)) for _ in range(1)]
            await double.until(lambda: double.in_flight == 4)
            began = time.monotonic()
            with pytest.raises(AccountError, match="own sentence"):
                await model.sample([{"role": "user", "content": "bad"}])
            assert time.monotonic() - began < 5
            running[0].cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def test_a_bad_account_cancels_the_siblings() -> None:
    faults = in_order(*[None] * 5, Fault.status_code(402))
    with ProviderDouble(faults=faults, latency=lambda in_flight: 30.0) as double:
        async with drawing("fast", double) as model:
            model.endpoint.widest = 1
            with pytest.raises(AccountError, match="Insufficient credits"):
                await model.samples(ASK, 8)
            await double.until(lambda: double.in_flight == 0)
        assert double.disconnected == 7
    assert (sent(model).calls, sent(model).failed) == (8, 8)


@BOTH
async def test_a_budget_of_calls_is_never_overshot(lane: Lane) -> None:
    ledger = Ledger(Budget(calls=10))
    with ProviderDouble(latency=0.02) as double:
        async with drawing(lane, double, ledger=ledger, limits=Limits(start=64)) as model:
            model.endpoint.widest = 1
            with pytest.raises(BudgetError, match="10 calls"):
                await model.samples(ASK, 64)
        assert double.received <= 10
    assert ledger.usage().calls == 10


async def test_retries_count_against_the_budget() -> None:
    ledger = Ledger(Budget(calls=2))
    with ProviderDouble(faults=lambda _: Fault.status_code(500)) as double:
        async with drawing("fast", double, ledger=ledger) as model:
            with pytest.raises(BudgetError):
                await model.sample(ASK)
        assert double.received == 2


async def test_a_budget_of_money_counts_what_is_in_flight() -> None:
    ledger = Ledger(Budget(usd=1.0))
    with ProviderDouble(latency=0.05) as double:
        async with drawing(
            "fast", double, ledger=ledger, price=Price(0, 0.01), params={"max_tokens": 10}
        ) as model:
            model.endpoint.widest = 1
            with pytest.raises(BudgetError, match=r"\$1 "):
                await model.samples(ASK, 64)
        assert double.received <= 5
    assert sent(model).calls == 5  # of at most 20 cents each


# The journal.


async def test_what_was_bought_is_not_bought_again() -> None:
    journal, heard = MemoryJournal(), list[Delta]()
    reply = Reply("x y", reasoning="hm", finish_reason="length")
    with ProviderDouble(reply=lambda _: reply) as double:
        async with drawing("fast", double, journal=journal, params={"logprobs": True}) as model:
            bought = await model.samples(ASK, 4)
            again = await model.samples(ASK, 4, on_delta=heard.append)
            assert double.received == 1
            assert again == bought
            assert [(d.index, d.text) for d in heard] == [(i, "x y") for i in range(4)]
            await model.samples(ASK, 6)
            assert asked(double) == [4, 2]
    assert bought[0].choice is not None
    assert bought[0].choice.logprobs
    assert sent(model).cached == 8


async def test_each_index_has_a_sample_of_its_own() -> None:
    with ProviderDouble() as double:
        async with drawing("fast", double, journal=MemoryJournal()) as model:
            first = [await model.sample(ASK, index=i) for i in range(3)]
            assert double.received == 3
            assert [await model.sample(ASK, index=i) for i in range(3)] == first
            assert double.received == 3
        assert all("index" not in record.body for record in double.requests)


async def test_other_parameters_of_the_provider_buy_anew() -> None:
    journal = MemoryJournal()
    with ProviderDouble() as double:
        for temperature in (0.2, 0.9, 0.9):
            async with drawing("fast", double, journal=journal) as model:
                model.endpoint.params = {"temperature": temperature}
                await model.sample(ASK)
        assert double.received == 2


async def test_what_failed_is_owed_again() -> None:
    journal = MemoryJournal()
    with ProviderDouble(faults=[Fault.status_code(400)]) as double:
        async with drawing("fast", double, journal=journal) as model:
            with pytest.raises(RequestError):
                await model.sample(ASK)
            assert (await model.sample(ASK)).text
        assert double.received == 2


async def test_a_torn_entry_is_owed_again() -> None:
    journal = MemoryJournal()
    with ProviderDouble() as double:
        async with drawing("fast", double, journal=journal) as model:
            await model.sample(ASK)
            for torn in (b"", b'{"model": "x", "te', b"[]", b"{}", b"null"):
                journal.put(next(iter(journal._samples)), torn)
                assert (await model.sample(ASK)).text
        assert double.received == 6


async def test_prompts_that_json_cannot_hold_are_refused_in_a_sentence() -> None:
    with ProviderDouble() as double:
        async with drawing("fast", double, journal=MemoryJournal()) as model:
            with pytest.raises(RequestError, match="cannot be written as JSON"):
                await model.sample([{"role": "user", "content": "half an emoji: \ud83d"}])
        assert double.received == 0


# Clients of one's own, and small things.


async def test_a_time_out_of_the_clients_own_is_a_failed_attempt() -> None:
    model, client = canned(TimeoutError(), OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        await model.samples(ASK, 1)
    assert len(client.requests) == 2
    assert sent(model).failed == 2


async def test_errors_name_the_model() -> None:
    model, _ = canned(*[ServerError("boom")] * 3)
    (sample,) = await model.samples(ASK, 1)
    assert sample.error is not None
    assert sample.error.model == "canned"


async def test_once_does_not_retry() -> None:
    with ProviderDouble(faults=[Fault.status_code(503)]) as double:
        async with endpoint_at("fast", double.base_url) as endpoint:
            with pytest.raises(ServerError):
                await endpoint.once("check", Ledger(), ASK, {})
        assert double.received == 1


async def test_who_waits_is_told_why_and_how_long() -> None:
    told: list[tuple[type[ModelError], int, float]] = []
    with ProviderDouble(faults=[Fault.rate_limited(0.1, form="ms"), Fault.status_code(500)]) as double:
        async with drawing("fast", double, on_wait=lambda e, a, s: told.append((type(e), a, s))) as model:
            await model.sample(ASK)
    assert [(error, attempt) for error, attempt, _ in told] == [(RateLimitError, 1), (ServerError, 2)]
    assert 0.1 <= told[0][2] <= 0.111


async def test_waiting_in_the_queue_is_no_part_of_an_attempt() -> None:
    with ProviderDouble(latency=0.15) as double:
        async with drawing("fast", double, limits=Limits(1, 1), timeout=0.4) as model:
            model.endpoint.widest = 1
            assert None not in texts(await model.samples(ASK, 6))
    assert sent(model).failed == 0


@pytest.mark.parametrize(
    ("messages", "least", "most"),
    [
        ([], 1, 1),
        ([{"role": "user", "content": "x" * 3500}], 1000, 1010),
        ([{"role": "user", "content": [{"type": "text", "text": "x" * 3500}]}], 1000, 1010),
        (
            [{"role": "user", "content": None, "tool_calls": [{"function": {"arguments": "x" * 700}}]}],
            200,
            210,
        ),
        ([{"role": "user", "content": [{"image_url": {"url": "data:" + "A" * 10**6}}]}], 500, 2000),
    ],
)
def test_tokens_are_estimated_from_what_is_read(messages: Any, least: int, most: int) -> None:
    assert least <= estimate_tokens(messages) <= most
