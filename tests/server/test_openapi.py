"""The OpenAPI document against the server, by schemathesis: no request makes it fail or lie."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.cast import cast, cat_on
from tests.doubles import ProviderDouble
from tests.server.running import FOURS, running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
OPERATIONS = [
    ("/v1/chat/completions", "POST"),
    ("/v1/responses", "POST"),
    ("/v1/score", "POST"),
    ("/v1/models", "GET"),
    ("/v1/models/{name}", "GET"),
    ("/healthz", "GET"),
    ("/metrics", "GET"),
    ("/openapi.json", "GET"),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server in a loop of its own: schemathesis is synchronous."""
    ready: Future[str] = Future()
    stop: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        ended = asyncio.Event()
        stop.append((asyncio.get_running_loop(), ended))
        async with (
            ProviderDouble(reply=cast(FOURS), record=False) as double,
            cat_on(double, n=2) as cat,
            running(cat, allow=("cat",), heartbeat=0.5) as server,
        ):
            ready.set_result(server.url)
            await ended.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    yield ready.result(30)
    loop, ended = stop[0]
    loop.call_soon_threadsafe(ended.set)
    thread.join(30)
    assert not thread.is_alive()


def test_every_page_is_in_the_document(url: str) -> None:
    document = schemathesis.openapi.from_url(f"{url}/openapi.json").raw_schema
    described = {(path, method.upper()) for path, ways in document["paths"].items() for method in ways}
    assert described == set(OPERATIONS)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_no_request_makes_the_server_fail_or_lie(url: str, path: str, method: str) -> None:
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operation = schema[path][method]
    modes = [GenerationMode.POSITIVE, *([GenerationMode.NEGATIVE] if method == "POST" else [])]
    for mode in modes:

        @settings(
            max_examples=20 if method == "POST" else 5,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def probe(case: schemathesis.Case) -> None:
            response = case.call(timeout=30)
            case.validate_response(response, checks=CHECKS)

        probe()
