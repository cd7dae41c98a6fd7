from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from catagent.errors import ConfigError
from catagent.models.catalogue import CATALOGUE
from catagent.models.client import Choice, Completion, ModelRequest, OnDelta
from catagent.models.config import Config, load_config
from catagent.models.discovery import context_of, find_local, list_models
from catagent.models.embedded import EmbeddedClient
from catagent.models.fast_lane import FastLane
from catagent.models.ledger import Ledger, Price
from catagent.models.litellm_lane import LiteLLMLane
from catagent.models.registry import Registry
from tests.doubles import ProviderDouble
from tests.doubles.loopback import Loopback
from tests.models.lanes import ASK, KEY

KEYS = ["OPENAI", "ANTHROPIC", "GEMINI", "TOGETHER", "GROQ", "OPENROUTER"]
SMALL = "smollm2-135m"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No keys, no configuration, no model in the cache."""
    for name in [
        *(f"{name}_API_KEY" for name in KEYS),
        "CATAGENT_CONFIG",
        "CATAGENT_EMBEDDED",
        "OPENAI_BASE_URL",
    ]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CATAGENT_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@asynccontextmanager
async def registry_of(config: Config | dict[str, Any], **options: Any) -> AsyncIterator[Registry]:
    config = (
        config if isinstance(config, Config) else Config.model_validate({**config, "source": "mine.yaml"})
    )
    registry = Registry(config, **options)
    try:
        yield registry
    finally:
        await registry.aclose()


def fast(double: ProviderDouble | str, **more: Any) -> dict[str, Any]:
    url = double if isinstance(double, str) else double.base_url
    return {"api": "openai", "base_url": url, **more}


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nobody answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}/v1"


# What a model string names.


async def test_listed_providers_are_reached_over_the_fast_lane() -> None:
    known = {"context": 9000, "price": {"prompt": 1, "completion": 2}, "params": {"top_k": 5}}
    with ProviderDouble(key=KEY) as double:
        provider = fast(double, api_key=KEY, params={"top_p": 0.5}, timeout=7, models={"double-1": known})
        async with registry_of({"providers": {"mine": provider}}) as registry:
            endpoint = await registry.endpoint("mine/double-1")
            assert isinstance(endpoint.client, FastLane)
            await endpoint.once("check", Ledger(), ASK, {})
        body = double.requests[0].body
    assert (body["model"], body["top_p"], body["top_k"]) == ("double-1", 0.5, 5)
    assert (endpoint.context, endpoint.timeout, endpoint.price) == (9000, 7, Price(1e-6, 2e-6))
    assert KEY not in repr(endpoint) + endpoint.identity


async def test_a_model_name_may_have_slashes() -> None:
    with ProviderDouble(models=["org/model"], check_model=True) as double:
        async with registry_of({"providers": {"mine": fast(double)}}) as registry:
            endpoint = await registry.endpoint("mine/org/model")
            await endpoint.once("check", Ledger(), ASK, {})
        assert double.requests[0].body["model"] == "org/model"


async def test_every_other_provider_goes_through_litellm() -> None:
    async with registry_of(load_config()) as registry:
        endpoint = await registry.endpoint("mistral/mistral-large-latest")
        assert isinstance(endpoint.client, LiteLLMLane)
        assert endpoint.model == "mistral/mistral-large-latest"
        assert endpoint.price is not None
        assert endpoint.context


async def test_a_provider_may_be_sent_through_litellm_with_its_key_and_headers() -> None:
    with ProviderDouble(key=KEY) as double:
        provider = {
            "api": "litellm",
            "base_url": double.base_url,
            "api_key": KEY,
            "headers": {"x-tenant": "t1"},
        }
        async with registry_of({"providers": {"openai": provider}}) as registry:
            endpoint = await registry.endpoint("openai/double-1")
            assert isinstance(endpoint.client, LiteLLMLane)
            await endpoint.once("check", Ledger(), ASK, {})
        assert double.requests[0].headers["x-tenant"] == "t1"


async def test_embedded_models_are_named_by_the_catalogue() -> None:
    async with registry_of({}) as registry:
        endpoint = await registry.endpoint(f"embedded/{SMALL}")
        assert isinstance(endpoint.client, EmbeddedClient)
        assert (endpoint.price, endpoint.context) == (Price(0, 0), CATALOGUE[SMALL].context)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("gpt-5-mini", "does not name a provider: write 'openai/gpt-5-mini'"),
        ("smollm2-135", "write 'embedded/smollm2-135m'"),
        ("", "does not name a provider"),
        ("openai/", "does not name a provider"),
        ("embedded/qwen3-0.6", "no embedded model 'qwen3-0.6'; did you mean 'qwen3-0.6b'?"),
        ("embedded/zzz", f"there are {', '.join(CATALOGUE)}"),
        ("nourl/m", "mine.yaml: the provider 'nourl' has no base_url"),
        ("odd/m", "base_url of 'odd' is 'localhost:8000': write it as http://host:port/v1"),
    ],
)
async def test_a_string_that_names_nothing_is_refused_with_the_remedy(model: str, said: str) -> None:
    providers = {"nourl": {"api": "openai"}, "odd": fast("localhost:8000")}
    async with registry_of({"providers": providers}) as registry:
        with pytest.raises(ConfigError) as caught:
            await registry.endpoint(model)
    assert said in str(caught.value)


async def test_a_client_of_ones_own_is_an_endpoint_and_stays_open() -> None:
    class Own:
        name = "mine"
        closed = False

        async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
            return Completion((Choice("own"),))

        async def aclose(self) -> None:
            self.closed = True

    own = Own()
    async with registry_of({}) as registry:
        endpoint = await registry.endpoint(own)
        assert endpoint is await registry.endpoint(own)
        assert (endpoint.name, (await endpoint.once("r", Ledger(), ASK, {})).choices[0].text) == (
            "mine",
            "own",
        )
    assert not own.closed


# One limiter a key.


async def test_all_who_name_a_model_share_its_limiter() -> None:
    with ProviderDouble() as double:
        providers = {"mine": fast(double, local=True), "other": fast(double)}
        async with registry_of({"providers": providers}) as registry:
            one, two, *_ = await asyncio.gather(*(registry.endpoint("mine/double-1") for _ in range(8)))
            assert one is two
            another_model = await registry.endpoint("mine/double-2")
            another_provider = await registry.endpoint("other/double-1")
    assert one.client is another_model.client
    assert len({id(e.limiter) for e in (one, another_model, another_provider)}) == 3


async def test_the_best_embedded_model_by_name_and_by_auto_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    class Told:
        name = SMALL

    async def choose(**_: Any) -> Any:
        await asyncio.sleep(0)
        return Told

    monkeypatch.setattr("catagent.models.registry.choose", choose)
    async with registry_of({"auto": ["embedded"]}) as registry:
        ends = await asyncio.gather(
            *(registry.endpoint(m) for m in ("auto", "embedded/auto", f"embedded/{SMALL}"))
        )
        assert len({id(e) for e in ends}) == 1
        assert "often wrong" in registry.notes[0]


async def test_a_closed_registry_can_be_used_again() -> None:
    with ProviderDouble() as double:
        async with registry_of({"providers": {"mine": fast(double)}}) as registry:
            for _ in range(2):
                endpoint = await registry.endpoint("mine/double-1")
                await endpoint.once("check", Ledger(), ASK, {})
                await registry.aclose()
        assert double.served == 2


# `auto`.


@pytest.mark.parametrize("first", range(len(KEYS)))
async def test_auto_takes_the_first_key_that_is_set(monkeypatch: pytest.MonkeyPatch, first: int) -> None:
    for name in reversed(KEYS[first:]):
        monkeypatch.setenv(f"{name}_API_KEY", KEY)
    heard: list[str] = []
    async with registry_of(load_config(), note=heard.append) as registry:
        endpoint = await registry.endpoint("auto")
        assert await registry.endpoint("auto") is endpoint
        line = registry.config.auto[first]
        assert endpoint.name == line.model  # type: ignore[union-attr]
    assert heard == [f"using {endpoint.name}, since {KEYS[first]}_API_KEY is set"]


async def test_an_empty_key_is_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "")
    monkeypatch.setenv("GROQ_API_KEY", KEY)
    async with registry_of(load_config()) as registry:
        assert (await registry.endpoint("auto")).name.startswith("groq/")


async def test_auto_takes_a_local_server_in_the_order_of_the_configuration() -> None:
    with (
        nobody() as gone,
        ProviderDouble(flavour="llama.cpp", models=["nomic-embed-text"]) as embeddings,
        ProviderDouble(flavour="vllm", models=["qwen"], context=8192) as second,
        ProviderDouble(flavour="ollama", models=["llama"]) as third,
    ):
        providers = {
            "gone": fast(gone, local=True),
            "remote": fast(third),
            "embeddings": fast(embeddings, local=True),
            "second": fast(second, local=True),
            "third": fast(third, local=True),
        }
        async with registry_of({"auto": ["local", "embedded"], "providers": providers}) as registry:
            endpoint = await registry.endpoint("auto")
            assert (endpoint.name, endpoint.context, endpoint.price) == ("second/qwen", 8192, Price(0, 0))
            assert registry.notes == [f"using second/qwen, which is running at {second.base_url}"]
            await endpoint.once("check", Ledger(), ASK, {})
        assert second.served == 1


async def test_without_any_line_that_applies_auto_says_so() -> None:
    async with registry_of({"auto": [{"env": "X_NOT_SET", "model": "a/b"}]}) as registry:
        with pytest.raises(ConfigError, match=r"mine\.yaml: no line of `auto` applies"):
            await registry.endpoint("auto")


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (["served"], "openai/served"),
        (["gpt-5-mini", "served"], "openai/gpt-5-mini"),
        ([], "openai/gpt-5-mini"),
    ],
)
async def test_another_openai_base_url_has_other_models(
    monkeypatch: pytest.MonkeyPatch, models: list[str], expected: str
) -> None:
    with ProviderDouble(models=models, key=KEY) as double:
        monkeypatch.setenv("OPENAI_BASE_URL", double.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        async with registry_of(load_config()) as registry:
            endpoint = await registry.endpoint("auto")
            assert endpoint.name == expected
            await endpoint.once("check", Ledger(), ASK, {})
        assert double.requests[0].body["model"] == expected.removeprefix("openai/")


async def test_another_openai_base_url_that_lists_nothing_keeps_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with nobody() as url:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
        async with registry_of(load_config()) as registry:
            assert (await registry.endpoint("auto")).name == "openai/gpt-5-mini"


# Servers on this machine.


async def test_whatever_answers_at_a_port_breaks_nothing() -> None:
    class Odd(Loopback):
        body = b""

        async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(body=self.body, content_type="application/json")

    odd = [
        b"",
        b"<html>",
        b"[]",
        b"5",
        b"null",
        b'{"data": 5}',
        b'{"data": {"id": "x"}}',
        b'{"data": [1, null]}',
    ]
    odd += [b'{"data": [{"id": 7}, {}]}', b'{"models": []}']
    with Odd() as server:
        config = Config.model_validate({"providers": {"mine": fast(f"{server.url}/v1", local=True)}})
        for server.body in odd:
            assert await find_local(config.providers) == []
        server.body = orjson.dumps({"data": [{"id": "m"}]})
        (found,) = await find_local(config.providers)
        assert (found.provider, [m["id"] for m in found.models]) == ("mine", ["m"])


async def test_a_server_that_does_not_answer_is_not_waited_for() -> None:
    class Silent(Loopback):
        async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
            await asyncio.sleep(30)
            return web.Response()

    with Silent() as one, Silent() as two:
        providers = {str(i): fast(f"{s.url}/v1", local=True) for i, s in enumerate((one, two))}
        async with asyncio.timeout(5):
            assert await find_local(Config.model_validate({"providers": providers}).providers) == []


async def test_models_are_listed_with_key_and_headers() -> None:
    seen: dict[str, str] = {}

    class Guarded(ProviderDouble):
        async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
            seen.update(request.headers)
            return await super().handle(request)

    with Guarded(key=KEY, models=["a", "b"]) as double:
        config = Config.model_validate(
            {"providers": {"mine": fast(double, api_key=KEY, headers={"X-Tenant": "t1"})}}
        )
        assert [m["id"] for m in await list_models("mine", config.providers["mine"])] == ["a", "b"]
    assert seen["X-Tenant"] == "t1"


@pytest.mark.parametrize(
    ("listing", "context"),
    [
        ({}, None),
        ({"max_model_len": 4096}, 4096),
        ({"context_length": 8192}, 8192),
        ({"meta": {"n_ctx": 2048, "n_ctx_train": 32768}}, 2048),
        ({"meta": {"n_ctx_train": 32768}}, 32768),
        ({"meta": None, "max_model_len": "many"}, None),
        ({"max_model_len": 0}, None),
    ],
)
def test_the_window_is_read_from_every_kind_of_listing(listing: dict[str, Any], context: int | None) -> None:
    assert context_of(listing) == context
