"""Requests that go as provider batches: what is sent, what comes back, what goes wrong on the way."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from catagent.errors import (
    AccountError,
    ConfigError,
    ContextOverflowError,
    GarbledError,
    ModelError,
    RequestError,
    ServerError,
)
from catagent.models.batch_lines import OWED, outcome_of
from catagent.models.client import Completion, Delta, ModelRequest
from catagent.models.config import ProviderConfig, load_config
from catagent.models.deferred_lane import DeferredLane
from catagent.models.deferred_registry import VIA, DeferredRegistry
from catagent.models.provider_batch import BatchNews, Polling
from catagent.models.provider_batches import BatchTerms
from tests.doubles import prompt_of
from tests.doubles.batch_api import BatchApiDouble, Job

VIAS = pytest.mark.parametrize("via", ["openai", "together"])
POLLING = Polling(first=0.005, longest=0.02, patience=20)
KEY = "sk-very-secret-key"


def echo(body: dict[str, Any], index: int) -> str:
    return f"{prompt_of(body)} {index}"


def ask(text: str, tag: str = "sampler:0", n: int = 1, **params: Any) -> ModelRequest:
    return ModelRequest("m", [{"role": "user", "content": text}], n, params, tag)


def double_of(via: str, **options: Any) -> BatchApiDouble:
    return BatchApiDouble(via, **{"reply": echo, **options})  # type: ignore[arg-type]


@asynccontextmanager
async def lane_on(
    double: BatchApiDouble, folder: Path, *, terms: BatchTerms | None = None, **options: Any
) -> AsyncIterator[DeferredLane]:
    api = VIA[double.flavour](double.base_url, api_key=KEY, terms=terms)
    lane = DeferredLane(api, folder, **{"settle": 0.02, "polling": POLLING, **options})
    try:
        yield lane
    finally:
        await lane.aclose()


async def settled(lane: DeferredLane, *requests: ModelRequest) -> list[Completion | BaseException]:
    return await asyncio.gather(*(lane.complete(r) for r in requests), return_exceptions=True)


def texts(results: list[Completion | BaseException]) -> list[str | None]:
    return [r.choices[0].text if isinstance(r, Completion) else type(r).__name__ for r in results]


@VIAS
async def test_requests_of_one_moment_are_one_batch(via: str, tmp_path: Path) -> None:
    news: list[BatchNews] = []
    with double_of(via) as double:
        async with lane_on(double, tmp_path, hear=news.append) as lane:
            heard: list[Delta] = []
            first = lane.complete(ask("a", n=2, temperature=0.5), heard.append)
            results = await asyncio.gather(first, *(lane.complete(ask(t)) for t in "bcd"))
        assert [c.text for c in results[0].choices] == ["a 0", "a 1"]
        assert [d.text for d in heard] == ["a 0", "a 1"]
        assert texts(list(results[1:])) == ["b 0", "c 0", "d 0"]
        assert results[0].prompt_tokens
        assert results[0].completion_tokens
        (job,) = double.made
        bodies = [line["body"] for line in job.lines]
        assert {"temperature": 0.5, "n": 2}.items() <= bodies[0].items()
        assert all(set(body) == {"model", "messages"} for body in bodies[1:])
        if via == "openai":
            assert job.metadata["stage"] == "rollouts"
            assert {(line["method"], line["url"]) for line in job.lines} == {("POST", "/v1/chat/completions")}
    steps = [one.text.partition(": ")[2].partition(",")[0] for one in news if one.batch_id]
    told = ["validating", "in progress", "finalizing", "completed"]
    assert list(dict.fromkeys(steps)) == [s for s in told if via == "openai" or s != "finalizing"]
    assert any("2 of 4" in one.text or "50 %" in one.text for one in news)
    left = {path.name for path in await asyncio.to_thread(lambda: list(tmp_path.iterdir()))}
    assert left == {"batches.sqlite"}


@VIAS
async def test_models_and_stages_have_files_of_their_own(via: str, tmp_path: Path) -> None:
    with double_of(via) as double:
        async with lane_on(double, tmp_path) as lane:
            other = ModelRequest("other", [{"role": "user", "content": "x"}], tag="sampler:0")
            await settled(lane, ask("a"), ask("b", "judge:0"), ask("c"), other)
        sizes = sorted((job.lines[0]["body"]["model"], len(job.lines)) for job in double.made)
        assert sizes == [("m", 1), ("m", 2), ("other", 1)]


async def test_a_sample_is_known_by_its_tag(tmp_path: Path) -> None:
    with double_of("openai", reply=lambda body, index: "x") as double:
        async with lane_on(double, tmp_path) as lane:
            results = await settled(lane, ask("a", "judge:0"), ask("a", "judge:1"), ask("a", "judge:1"))
            assert double.bought == 2
            counted = [r.prompt_tokens for r in results if isinstance(r, Completion)]
            assert sorted(counted) == [0, *[max(counted)] * 2]  # type: ignore[type-var]
            await settled(lane, ask("b", ""), ask("b", ""))
            assert double.bought == 4
            await settled(lane, ask("a", "judge:0"))  # what was delivered is not what is asked now
            assert double.bought == 5


@VIAS
async def test_files_are_split_by_requests_and_by_bytes(via: str, tmp_path: Path) -> None:
    with double_of(via) as double:
        async with lane_on(double, tmp_path / "a", terms=BatchTerms(requests=3)) as lane:
            results = await settled(lane, *(ask(f"q{i}") for i in range(7)))
            assert texts(results) == [f"q{i} 0" for i in range(7)]
        assert sorted(len(job.lines) for job in double.made) == [1, 3, 3]
        double.jobs.clear()
        terms = BatchTerms(size=2000)
        async with lane_on(double, tmp_path / "b", terms=terms) as lane:
            results = await settled(lane, *(ask(f"q{i}" + "x" * 500) for i in range(7)))
            assert not [r for r in results if isinstance(r, BaseException)]
        assert len(double.made) >= 3
        assert all(len(double.files[job.input_file]) <= terms.size for job in double.made)


async def test_what_cannot_go_is_refused_before_anything_is_uploaded(tmp_path: Path) -> None:
    with double_of("openai") as double:
        async with lane_on(double, tmp_path, terms=BatchTerms(size=1000)) as lane:
            with pytest.raises(RequestError, match=r"does not fit a batch file of openai, which holds 1000"):
                await lane.complete(ask("x" * 1000))
            with pytest.raises(RequestError, match="cannot be written as JSON"):
                await lane.complete(ask("a", seed=2**70))
        assert not double.hits


@VIAS
async def test_a_provider_that_stumbles_is_asked_again(via: str, tmp_path: Path) -> None:
    troubles = {
        "upload": [500, 429, None],
        "create": [503, None],
        "retrieve": [429, 500, "lost", None, 502],
        "content": [500, "lost"],
        "list": [500],
    }
    news: list[BatchNews] = []
    with double_of(via, troubles=troubles) as double:
        async with lane_on(double, tmp_path, hear=news.append) as lane:
            assert texts(await settled(lane, ask("a"), ask("b"))) == ["a 0", "b 0"]
        assert (len(double.made), double.bought) == (1, 2)
    assert any("429" in one.text and one.seconds for one in news)


@VIAS
async def test_a_lost_reply_to_create_does_not_make_a_second_batch(via: str, tmp_path: Path) -> None:
    with double_of(via, troubles={"create": ["lost", "lost"], "list": [500]}) as double:
        async with lane_on(double, tmp_path) as lane:
            for i in range(4):  # so that the batch is not on the first page of the list
                await double_made(double, i)
            assert texts(await settled(lane, ask("a"))) == ["a 0"]
        assert double.bought == 1
        assert double.hits["create"] == 1


async def double_made(double: BatchApiDouble, number: int) -> None:
    """Somebody else's batch."""
    double.files[f"other-{number}"] = b"{}"
    double.jobs[f"other-{number}"] = Job(f"other-{number}", f"other-{number}", [{"body": {"model": "x"}}])


@VIAS
async def test_a_file_that_is_not_known_yet_is_waited_for(via: str, tmp_path: Path) -> None:
    with double_of(via) as double:
        files, misses = double.files, iter([True, True])

        class Slow(dict[str, bytes]):
            def get(self, name: str, default: Any = None) -> Any:
                return None if next(misses, False) else super().get(name, default)

        double.files = Slow(files)
        async with lane_on(double, tmp_path) as lane:
            assert texts(await settled(lane, ask("a"))) == ["a 0"]
        assert double.hits["create"] == 3


@VIAS
async def test_half_a_download_is_not_taken_for_the_whole(via: str, tmp_path: Path) -> None:
    with double_of(via, troubles={"content": ["half", None]}) as double:
        async with lane_on(double, tmp_path) as lane:
            assert texts(await settled(lane, *(ask(t) for t in "abc"))) == ["a 0", "b 0", "c 0"]
        assert double.bought == 3


@pytest.mark.parametrize(
    ("fate", "error"),
    [
        (400, RequestError),
        (401, AccountError),
        (404, AccountError),
        (500, ServerError),
        ("garbage", GarbledError),
        (("timeout", "Request timeout"), ServerError),
        (("invalid_model", "Invalid model specified"), RequestError),
    ],
)
@VIAS
async def test_the_error_of_a_row_is_its_own(
    via: str, fate: Any, error: type[ModelError], tmp_path: Path
) -> None:
    def of(body: dict[str, Any], before: int) -> Any:
        return fate if prompt_of(body) == "bad" else None

    with double_of(via, fate=of) as double:
        async with lane_on(double, tmp_path) as lane:
            good, bad = await settled(lane, ask("good"), ask("bad"))
            assert texts([good]) == ["good 0"]
            assert type(bad) is error
            double.fate = lambda body, before: None
            assert texts(await settled(lane, ask("bad"))) == ["bad 0"]  # it is owed, not remembered


@VIAS
async def test_what_the_provider_does_not_get_to_is_submitted_again(via: str, tmp_path: Path) -> None:
    def fate(body: dict[str, Any], before: int) -> Any:
        kind, times = prompt_of(body).split()
        return None if before >= int(times) else int(kind) if kind.isdecimal() else kind

    with double_of(via, fate=fate) as double:
        async with lane_on(double, tmp_path) as lane:
            asked = ["expired 1", "missing 2", "429 1", "expired 3", "expired 99"]
            results = await settled(lane, *(ask(text) for text in asked))
            assert texts(results) == [*(f"{text} 0" for text in asked[:4]), "ServerError"]
            assert "5 batches" in str(results[4])
        assert [len(job.lines) for job in double.made] == [5, 5, 3, 2, 1]


async def test_lines_that_the_provider_names_are_at_fault_and_no_others(tmp_path: Path) -> None:
    def fate(body: dict[str, Any], before: int) -> Any:
        return "unfit" if before < 0 and prompt_of(body) in "bd" else None

    with double_of("openai", fate=fate) as double:
        async with lane_on(double, tmp_path) as lane:
            results = await settled(lane, *(ask(t) for t in "abcd"))
        assert texts(results) == ["a 0", "RequestError", "c 0", "RequestError"]
        assert "The body of this line will not do." in str(results[1])
        assert [(len(job.lines), job.status) for job in double.made] == [(4, "failed"), (2, "completed")]


@VIAS
async def test_a_batch_refused_whole_says_why(via: str, tmp_path: Path) -> None:
    with double_of(via, models=frozenset({"others"})) as double:
        async with lane_on(double, tmp_path) as lane:
            results = await settled(lane, ask("a"), ask("b"))
            assert texts(results) == ["AccountError"] * 2
            assert "The provided model 'm' is not supported here." in str(results[0])
            double.models = None
            assert texts(await settled(lane, ask("a"), ask("b"))) == ["a 0", "b 0"]
        assert double.bought == 2


async def test_a_queue_too_short_for_the_batch_is_filled_piece_by_piece(tmp_path: Path) -> None:
    news: list[BatchNews] = []
    with double_of("openai", queue=3) as double:
        async with lane_on(double, tmp_path, hear=news.append) as lane:
            results = await settled(lane, *(ask(f"q{i}") for i in range(10)))
            assert texts(results) == [f"q{i} 0" for i in range(10)]
        assert double.bought == 10
        assert all(len(job.lines) <= 3 for job in double.made if job.status == "completed")
    assert any("Enqueued token limit" in one.text for one in news)


@VIAS
async def test_another_process_finds_the_batch_by_what_is_asked(via: str, tmp_path: Path) -> None:
    with double_of(via, held=lambda job: job.looks < 3) as double:
        async with lane_on(double, tmp_path) as lane:
            asked = [asyncio.ensure_future(lane.complete(ask(t))) for t in "abc"]
            await double.until(lambda: double.hits["retrieve"] > 0)
            assert len(lane.running) == 1
        await asyncio.gather(*asked, return_exceptions=True)
        async with lane_on(double, tmp_path) as lane:
            assert texts(await settled(lane, ask("c"), ask("d"))) == ["c 0", "d 0"]
            assert texts(await settled(lane, ask("a"))) == ["a 0"]  # later than the batch was collected
        assert (double.bought, len(double.made)) == (4, 2)


async def test_results_that_the_provider_has_thrown_away_are_owed(tmp_path: Path) -> None:
    news: list[BatchNews] = []
    with double_of("openai") as double:
        async with lane_on(double, tmp_path) as lane:
            await settled(lane, ask("a"))
        double.files.clear()
        async with lane_on(double, tmp_path, hear=news.append) as lane:
            assert texts(await settled(lane, ask("a"))) == ["a 0"]
        assert double.bought == 2
    assert any("is gone" in one.text for one in news)


@VIAS
async def test_a_batch_that_the_provider_does_not_know_is_not_bought_again(via: str, tmp_path: Path) -> None:
    with double_of(via) as double:
        async with lane_on(double, tmp_path) as lane:
            await settled(lane, ask("a"))
        double.jobs.clear()
        async with lane_on(double, tmp_path) as lane:
            with pytest.raises(AccountError, match="use the key that it was made with"):
                await lane.complete(ask("a"))
        assert double.bought == 1


async def test_who_leaves_in_time_is_not_submitted(tmp_path: Path) -> None:
    with double_of("openai") as double:
        async with lane_on(double, tmp_path, settle=0.2) as lane:
            left = asyncio.ensure_future(lane.complete(ask("left")))
            stays = asyncio.ensure_future(lane.complete(ask("stays")))
            await asyncio.sleep(0.05)
            left.cancel()
            await stays
        assert [prompt_of(line["body"]) for job in double.made for line in job.lines] == ["stays"]


@VIAS
async def test_patience_ends_and_says_how_to_go_on(via: str, tmp_path: Path) -> None:
    polling = Polling(first=0.005, longest=0.01, patience=0.05)
    with double_of(via, troubles={"retrieve": [500] * 1000}) as double:
        async with lane_on(double, tmp_path, polling=polling) as lane:
            with pytest.raises(AccountError, match="the same command goes on from here"):
                await lane.complete(ask("a"))
        double.troubles.clear()
        async with lane_on(double, tmp_path) as lane:
            assert texts(await settled(lane, ask("a"))) == ["a 0"]
        assert double.bought == 1


@VIAS
async def test_no_key_in_any_error(via: str, tmp_path: Path) -> None:
    with double_of(via, troubles={"upload": [401]}) as double:
        double.refusing = lambda name: f"Incorrect API key provided: {KEY}"
        async with lane_on(double, tmp_path) as lane:
            with pytest.raises(AccountError, match="Incorrect API key") as caught:
                await lane.complete(ask("a"))
        assert KEY not in str(caught.value)


@VIAS
def test_an_sdk_that_is_not_there_says_how_to_get_it(via: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, via, None)
    with pytest.raises(
        ConfigError, match=rf"need the package {via}: python -m pip install 'catagent\[batches\]'"
    ):
        VIA[via]("http://127.0.0.1:1/v1")


@pytest.mark.parametrize(
    ("via", "model", "factor"),
    [
        ("openai", "openai/gpt-4o-mini", 0.5),
        ("together", "together_ai/meta-llama/Llama-3.3-70B-Instruct-Turbo", 0.5),
        ("together", "together_ai/somebody/else", 1.0),
    ],
)
async def test_endpoints_in_batches(
    via: Any, model: str, factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = load_config()
    price = {"prompt": 4, "completion": 8}
    providers = {
        name: ProviderConfig.model_validate(
            {"api": "openai", "base_url": "http://127.0.0.1:1/v1", "api_key": KEY, "price": price, **extra}
        )
        for name, extra in (("openai", {}), ("together_ai", {}), ("here", {"local": True}))
    }
    config = base.model_copy(update={"providers": providers})
    registry = DeferredRegistry(config, via=via, folder=tmp_path, parked=77)
    try:
        endpoint = await registry.endpoint(model)
        assert endpoint.price is not None
        assert endpoint.price == pytest.approx((4e-6 * factor, 8e-6 * factor))
        assert endpoint.limiter.state.concurrency == 77
        assert endpoint.timeout == math.inf
        assert endpoint.identity == f"{model}@http://127.0.0.1:1/v1"
        assert isinstance(endpoint.client, DeferredLane)
        assert (await registry.endpoint("here/m")).timeout == 300
        assert len(registry.lanes) == 1
    finally:
        await registry.aclose()


def test_lines_of_both_forms() -> None:
    refused = (
        b'{"custom_id":"a","response":{"status_code":400,"body":{"error":{"message":"%b"}}},"error":null}'
    )
    assert isinstance(
        outcome_of(refused % b"maximum context length is 8192 tokens", "x"), ContextOverflowError
    )
    assert outcome_of(b'{"custom_id":"a","response":null,"error":{"code":"batch_expired"}}', "x") is OWED
    assert outcome_of(b'{"custom_id":"a","response":null,"error":null}', "x") is OWED
    assert isinstance(outcome_of(b'{"custom_id":"a","error":"odd"}', "x"), RequestError)
    assert isinstance(outcome_of(b'{"custom_id":"a","response":{"status_code":"?"}}', "x"), GarbledError)
    good: Callable[[bytes], Any] = lambda line: outcome_of(line, "x")  # noqa: E731
    body = b'{"choices":[{"message":{"content":"hi"}}]}'
    assert good(b'{"custom_id":"a","response":{"body":%b}}' % body).choices[0].text == "hi"
