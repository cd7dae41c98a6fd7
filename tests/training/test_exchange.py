"""The counter between scored groups and the thread that owns the model."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest

from catagent.models.client import Choice, Completion, ModelRequest
from catagent.training.exchange import Exchange


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    made = Exchange()
    yield made
    made.close()
    assert made.closed


def asking(text: str) -> ModelRequest:
    return ModelRequest("m", [{"role": "user", "content": text}])


class Counter:
    """Serves by echoing; remembers the batches and the thread."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: set[int] = set()

    def __call__(self, requests: Sequence[ModelRequest]) -> list[Completion | Exception]:
        self.threads.add(threading.get_ident())
        self.batches.append([str(r.messages[0]["content"]) for r in requests])
        return [Completion((Choice(f"echo {text}"),)) for text in self.batches[-1]]


def test_what_all_groups_ask_is_answered_in_one_batch_on_the_calling_thread(exchange: Exchange) -> None:
    serve = Counter()

    async def job(number: int) -> str:
        first = await exchange.ask(asking(f"a{number}"))
        second = await exchange.ask(asking(f"b{number}"))
        return f"{first.choices[0].text} {second.choices[0].text}"

    results = exchange.run([lambda n=n: job(n) for n in range(5)], serve)
    assert results == [f"echo a{n} echo b{n}" for n in range(5)]
    assert serve.batches == [[f"a{n}" for n in range(5)], [f"b{n}" for n in range(5)]]
    assert serve.threads == {threading.get_ident()}


def test_several_requests_of_one_group_go_together(exchange: Exchange) -> None:
    serve = Counter()

    async def job(number: int) -> list[str | None]:
        asked = [exchange.ask(asking(f"{number}{letter}")) for letter in "abc"]
        return [c.choices[0].text for c in await asyncio.gather(*asked)]

    assert exchange.run([lambda: job(1), lambda: job(2)], serve)[1] == ["echo 2a", "echo 2b", "echo 2c"]
    assert serve.batches == [["1a", "1b", "1c", "2a", "2b", "2c"]]


def test_a_group_that_waits_for_others_does_not_hold_up_the_rest(exchange: Exchange) -> None:
    """A judge's reply comes only after another group's synthesis was made: they overlap."""
    served = threading.Event()

    def serve(requests: Sequence[ModelRequest]) -> list[Completion | Exception]:
        served.set()
        return [Completion((Choice("made"),)) for _ in requests]

    async def judged() -> str:
        while not served.is_set():  # noqa: ASYNC110 - set by another thread
            await asyncio.sleep(0.01)
        return "judged"

    async def synthesised() -> str | None:
        return (await exchange.ask(asking("x"))).choices[0].text

    assert exchange.run([judged, synthesised], serve) == ["judged", "made"]


def test_an_exception_belongs_to_who_asked_for_it(exchange: Exchange) -> None:
    def serve(requests: Sequence[ModelRequest]) -> list[Completion | Exception]:
        return [
            ValueError("no") if "bad" in str(r.messages) else Completion((Choice("yes"),)) for r in requests
        ]

    async def job(text: str) -> str | None:
        return (await exchange.ask(asking(text))).choices[0].text

    good, bad = exchange.run([lambda: job("good"), lambda: job("bad")], serve)
    assert good == "yes"
    assert isinstance(bad, ValueError)


def test_a_failure_of_the_model_ends_everything_and_the_exchange_goes_on(exchange: Exchange) -> None:
    cancelled = []

    def serve(requests: Sequence[ModelRequest]) -> list[Completion | Exception]:
        raise MemoryError("out of memory")

    async def job() -> None:
        try:
            await exchange.ask(asking("x"))
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    with pytest.raises(MemoryError):
        exchange.run([job, job], serve)
    assert cancelled == [True, True]
    assert exchange.run([lambda: asyncio.sleep(0, "again")], Counter()) == ["again"]


def test_patience_is_for_waiting_only(exchange: Exchange) -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async def quick() -> str | None:
        return (await exchange.ask(asking("x"))).choices[0].text

    hung, done = exchange.run([forever, quick], Counter(), patience=0.3)
    assert isinstance(hung, TimeoutError)
    assert done == "echo x"


def test_in_lockstep_every_process_takes_part_until_none_has_work(exchange: Exchange) -> None:
    """The other process has work for three rounds more than this one."""
    others = iter([True] * 4)
    serve = Counter()

    async def job() -> str | None:
        return (await exchange.ask(asking("x"))).choices[0].text

    rounds = []

    def lockstep(mine: bool) -> bool:
        rounds.append(mine)
        return mine or next(others, False)

    assert exchange.run([job], serve, lockstep=lockstep) == ["echo x"]
    assert ["x"] in serve.batches
    assert rounds[-1] is False
    assert len(serve.batches) == len(rounds) - 1, "one call of the model a round, with or without requests"
