from __future__ import annotations

import asyncio
import os
import socket
import traceback
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from aiohttp import web

from catagent.errors import (
    AccountError,
    AttemptTimeout,
    ConnectError,
    ContextOverflowError,
    GarbledError,
    ModelError,
    RateLimitError,
    RequestError,
    ServerError,
    TransientError,
)
from catagent.models.client import Completion, Delta, ModelRequest
from catagent.models.fast_lane import FastLane
from catagent.models.ledger import Ledger
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall
from tests.doubles.loopback import Loopback
from tests.models.lanes import ASK, BOTH, KEY, Lane, endpoint_at, lane_at, model_name

STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


async def ask(
    lane: Lane, base_url: str, n: int = 1, params: dict[str, Any] | None = None, *, on_delta: Any = None
) -> Completion:
    """One attempt, nothing round it."""
    client = lane_at(lane, base_url)
    try:
        return await client.complete(ModelRequest(model_name(lane), ASK, n, params or {}), on_delta)
    finally:
        await client.aclose()


def listener(streamed: bool) -> Callable[[Delta], None] | None:
    return (lambda _: None) if streamed else None


# What a good answer gives.


@BOTH
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize(
    "reply",
    [
        Reply("6 times 7 is 42"),
        Reply("forty-two", reasoning="well now then"),
        Reply(None, tool_calls=[ToolCall("f", {"a": 1}), ToolCall("g", {})]),
        Reply("look", tool_calls=[ToolCall("f", {"a": 1})]),
        Reply(None),
        Reply("cut off", finish_reason="length"),
    ],
    ids=["text", "reasoning", "tools", "text-and-tools", "nothing", "length"],
)
async def test_every_way_gives_the_same_completion(lane: Lane, n: int, reply: Reply) -> None:
    async def asked(way: Lane, on_delta: Any) -> Completion:
        with ProviderDouble(reply=lambda _: reply) as double:
            params = {"logprobs": True, "top_logprobs": 2}
            return await ask(way, double.base_url, n, params, on_delta=on_delta)

    heard: list[Delta] = []
    expected = await asked("fast", None)
    assert len(expected.choices) == n
    assert await asked(lane, None) == expected
    assert await asked(lane, heard.append) == expected
    for index in range(n):
        assert "".join(d.text for d in heard if d.index == index) == (reply.text or "")


@BOTH
async def test_a_stream_is_heard_as_it_comes(lane: Lane) -> None:
    loop, times = asyncio.get_running_loop(), []
    with ProviderDouble(reply=lambda _: "a b c d e f", pace=0.03) as double:
        await ask(lane, double.base_url, on_delta=lambda _: times.append(loop.time()))
    assert len(times) >= 5
    assert times[-1] - times[0] > 0.06


@BOTH
@STREAMED
async def test_usage_that_is_not_told_is_unknown(lane: Lane, streamed: bool) -> None:
    with ProviderDouble(faults=[Fault.no_usage()]) as double:
        result = await ask(lane, double.base_url, on_delta=listener(streamed))
    assert (result.prompt_tokens, result.completion_tokens) == (None, None)


@BOTH
async def test_parameters_go_through_untouched(lane: Lane) -> None:
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    params = {"temperature": 0.3, "tools": tools, "seed": 5, "top_p": 0.9, "max_tokens": 64}
    with ProviderDouble() as double:
        await ask(lane, double.base_url, 2, params)
        body = double.requests[0].body
    assert {name: body[name] for name in params} == params
    assert (body["n"], body["model"], body["messages"]) == (2, "double-1", ASK)


@pytest.mark.parametrize("pieces", [1, 7, 10_000])
async def test_a_stream_in_pieces_of_any_size_is_one_stream(pieces: int) -> None:
    class Chopped(Loopback):
        async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
            parts = [{"choices": [{"delta": {"content": c}}]} for c in "grüße 🌍"]
            parts.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
            raw = b"".join(b": hi\r\n\r\ndata: %b\r\n\r\n" % orjson.dumps(p) for p in parts) + b"data: [DONE]"
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream; charset=utf-8"})
            await response.prepare(request)
            for start in range(0, len(raw), pieces):
                await response.write(raw[start : start + pieces])
            return response

    with Chopped() as server:
        result = await ask("fast", server.url, on_delta=lambda _: None)
    assert result.choices[0].text == "grüße 🌍"


async def test_a_connection_is_used_again_after_a_stream() -> None:
    sockets: set[Any] = set()

    class Counting(ProviderDouble):
        async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
            sockets.add(request.transport.get_extra_info("peername"))  # type: ignore[union-attr]
            return await super().handle(request)

    with Counting() as double:
        client = lane_at("fast", double.base_url)
        for _ in range(6):
            await client.complete(ModelRequest("m", ASK), lambda _: None)
        await client.aclose()
    assert len(sockets) == 1


async def test_a_stream_that_stays_open_after_its_end_keeps_nobody_waiting() -> None:
    class Lingering(Loopback):
        async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await response.write(b'data: {"choices":[{"delta":{"content":"x"}}]}\n\ndata: [DONE]\n\n')
            await asyncio.sleep(30)
            return response

    with Lingering() as server:
        async with asyncio.timeout(5):
            result = await ask("fast", server.url, on_delta=lambda _: None)
    assert result.choices[0].text == "x"


@BOTH
async def test_a_whole_reply_where_a_stream_was_asked_is_told_too(lane: Lane) -> None:
    heard: list[Delta] = []
    with ProviderDouble(reply=lambda _: "one piece") as double:
        await ask(lane, double.base_url, 2, on_delta=heard.append)
    texts = {index: "".join(d.text for d in heard if d.index == index) for index in (0, 1)}
    assert texts == {0: "one piece", 1: "one piece"}


async def test_a_server_that_does_not_stream_is_told_too() -> None:
    class Deaf(Loopback):
        async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
            return web.json_response({"choices": [{"message": {"content": "all at once"}}]})

    heard: list[Delta] = []
    with Deaf() as server:
        result = await ask("fast", server.url, on_delta=heard.append)
    assert [d.text for d in heard] == ["all at once"] == [c.text for c in result.choices]


# What goes wrong, and what becomes of it.

OVERFLOWS = [
    Fault.context_overflow(wording=w, limit=4096) for w in ("openai", "vllm", "vllm-old", "llama.cpp")
]
CASES: list[tuple[Fault, type[ModelError]]] = [
    (Fault.rate_limited(), RateLimitError),
    (Fault.insufficient_quota(), AccountError),
    *((Fault.status_code(status), AccountError) for status in (401, 402, 403, 404)),
    *((Fault.status_code(status), RequestError) for status in (400, 413, 422)),
    (Fault.n_unsupported(), RequestError),
    (Fault.unknown_parameter("min_p"), RequestError),
    *((overflow, ContextOverflowError) for overflow in OVERFLOWS),
    *((Fault.status_code(status), ServerError) for status in (408, 409, 425, 500, 502, 503, 504, 529)),
    (Fault.cut_before_headers(), ConnectError),
    (Fault.cut_in_body(), TransientError),
    (Fault.garbage(), TransientError),
    (Fault.html(), TransientError),
    (Fault.wrong_shape(), TransientError),
    (Fault.empty_choices(), GarbledError),
    (Fault.error_in_ok(), TransientError),
    (Fault.error_in_stream(), TransientError),
]
FAULTS = pytest.mark.parametrize(
    ("fault", "expected"), CASES, ids=[f"{i}-{fault.name}" for i, (fault, _) in enumerate(CASES)]
)


@BOTH
@STREAMED
@FAULTS
async def test_each_fault_is_one_request_and_its_error(
    lane: Lane, fault: Fault, expected: type[ModelError], streamed: bool
) -> None:
    with ProviderDouble(faults=[fault]) as double:
        with pytest.raises(ModelError) as caught:
            await ask(lane, double.base_url, on_delta=listener(streamed))
        assert double.received == 1
    error = caught.value
    assert isinstance(error, expected), repr(error)
    if expected not in (TransientError, ConnectError, GarbledError):
        assert type(error) is expected
        assert error.status == fault.status
    if isinstance(error, ContextOverflowError):
        assert error.limit == 4096
    assert str(error)
    assert "\n" not in str(error)


@BOTH
@FAULTS
async def test_only_faults_that_may_pass_are_tried_again(
    lane: Lane, fault: Fault, expected: type[ModelError]
) -> None:
    passing = issubclass(expected, TransientError | RateLimitError)
    ledger = Ledger()
    with ProviderDouble(faults=[fault]) as double:
        async with endpoint_at(lane, double.base_url) as endpoint:
            if passing:
                await endpoint.complete("sampler", ledger, ASK, 1, {})
            else:
                with pytest.raises(expected):
                    await endpoint.complete("sampler", ledger, ASK, 1, {})
        assert double.received == (2 if passing else 1)
    usage = ledger.usage().roles["sampler"]
    assert (usage.calls, usage.failed) == (double.received, 1)
    assert usage.refused == (expected is RateLimitError)


@BOTH
async def test_attempts_are_bounded(lane: Lane) -> None:
    ledger = Ledger()
    with ProviderDouble(faults=lambda _: Fault.status_code(503)) as double:
        async with endpoint_at(lane, double.base_url) as endpoint:
            with pytest.raises(ServerError, match="overloaded"):
                await endpoint.complete("sampler", ledger, ASK, 1, {})
        assert double.received == endpoint.policy.attempts
    assert ledger.usage().roles["sampler"].failed == endpoint.policy.attempts


@BOTH
@pytest.mark.parametrize("form", ["seconds", "ms", "both"])
async def test_retry_after_is_waited_for(lane: Lane, form: Any) -> None:
    seconds = 1.0 if form == "seconds" else 0.4
    with ProviderDouble(faults=[Fault.rate_limited(seconds, form=form)]) as double:
        async with endpoint_at(lane, double.base_url) as endpoint:
            waits: list[float] = []
            await endpoint.complete(
                "sampler", Ledger(), ASK, 1, {}, None, lambda e, attempt, s: waits.append(s)
            )
        first, second = double.requests
    assert second.at - first.at >= seconds * 0.99
    assert [seconds <= wait <= seconds * 1.11 for wait in waits] == [True]


@BOTH
async def test_retry_after_as_a_date_is_read(lane: Lane) -> None:
    with (
        ProviderDouble(faults=[Fault.rate_limited(30, form="date")]) as double,
        pytest.raises(RateLimitError) as caught,
    ):
        await ask(lane, double.base_url)
    assert caught.value.retry_after == pytest.approx(30, abs=3)


@BOTH
async def test_a_stream_that_breaks_is_begun_anew(lane: Lane) -> None:
    heard: list[Delta] = []
    with ProviderDouble(reply=lambda _: "a b c d e f", faults=[Fault.cut_in_body()]) as double:
        async with endpoint_at(lane, double.base_url) as endpoint:
            result = await endpoint.complete("sampler", Ledger(), ASK, 1, {}, heard.append)
        assert double.received == 2
    assert result.choices[0].text == "a b c d e f"
    texts = {attempt: "".join(d.text for d in heard if d.attempt == attempt) for attempt in (1, 2)}
    assert texts[2] == "a b c d e f"
    assert "a b c d e f".startswith(texts[1])
    assert texts[1] not in ("", texts[2])


@BOTH
@STREAMED
async def test_what_hangs_is_given_up_and_left(lane: Lane, streamed: bool) -> None:
    ledger = Ledger()
    with ProviderDouble(faults=[Fault.hangs()]) as double:
        async with endpoint_at(lane, double.base_url, timeout=3.0) as endpoint:
            result = await endpoint.complete("sampler", ledger, ASK, 1, {}, listener(streamed))
        await double.until(lambda: double.disconnected == 1)
        assert double.received == 2
    assert result.choices[0].text
    assert ledger.usage().roles["sampler"].failed == 1


@BOTH
async def test_the_last_attempt_that_hangs_says_how_long_it_had(lane: Lane) -> None:
    with ProviderDouble(faults=lambda _: Fault.slow_body(30)) as double:
        ledger = Ledger()
        async with endpoint_at(lane, double.base_url, timeout=0.1) as endpoint:
            with pytest.raises(AttemptTimeout, match=r"did not answer within 0\.1 s"):
                await endpoint.complete("sampler", ledger, ASK, 1, {})
        assert ledger.usage().calls == 3


@BOTH
@STREAMED
async def test_cancelling_reaches_the_provider(lane: Lane, streamed: bool) -> None:
    with ProviderDouble(latency=0.0 if streamed else 30, pace=30 if streamed else 0) as double:
        async with endpoint_at(lane, double.base_url) as endpoint:
            ledger, on_delta = Ledger(), listener(streamed)
            running = [
                asyncio.create_task(endpoint.complete("sampler", ledger, ASK, 1, {}, on_delta))
                for _ in range(8)
            ]
            await double.until(lambda: double.in_flight == 8)
            if streamed:
                await asyncio.sleep(0.05)
            for task in running:
                task.cancel()
            assert all(
                isinstance(end, asyncio.CancelledError)
                for end in await asyncio.gather(*running, return_exceptions=True)
            )
            await double.until(lambda: double.disconnected == 8)
            assert endpoint.limiter.state.in_flight == 0
    usage = ledger.usage().roles["sampler"]
    assert (usage.calls, usage.failed) == (8, 8)


@BOTH
@STREAMED
async def test_what_a_listener_raises_comes_out_as_it_is(lane: Lane, streamed: bool) -> None:
    def broken(_: Delta) -> None:
        raise BrokenPipeError("nobody reads")

    with ProviderDouble() as double:
        async with endpoint_at(lane, double.base_url) as endpoint:
            with pytest.raises(BrokenPipeError, match="nobody reads"):
                await endpoint.complete("sampler", Ledger(), ASK, 1 if streamed else 2, {}, broken)
        assert double.received == 1


@BOTH
async def test_a_refused_connection_says_so(lane: Lane) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    with pytest.raises(ConnectError, match="cannot reach") as caught:
        await ask(lane, url)
    assert url in str(caught.value)


@BOTH
async def test_a_host_that_does_not_exist_says_so(lane: Lane) -> None:
    with pytest.raises(ConnectError, match=r"cannot reach .*nowhere\.invalid"):
        await ask(lane, "http://nowhere.invalid/v1")


async def test_what_is_no_url_is_not_tried_again() -> None:
    with pytest.raises(AccountError, match="https://host/v1"):
        await ask("fast", "localhost:8000/v1")


# Keys stay where they are.


@BOTH
@STREAMED
@pytest.mark.parametrize("key", [KEY, "plainkey0123456789plain"])
async def test_no_error_carries_the_key(lane: Lane, streamed: bool, key: str) -> None:
    echo = f"Incorrect API key provided: {key}. Bearer {key} is not known."
    faults = [
        Fault.status_code(401, echo),
        Fault.status_code(500, "x" * 280 + key),
        Fault.error_in_ok(echo),
        Fault("echo", 200, f"<html>{key}</html>".encode(), "text/html"),
        Fault("echo", 400, f"no json: {key}".encode(), "text/plain"),
    ]
    for fault in faults:
        client = lane_at(lane, "", key)
        with ProviderDouble(faults=[fault]) as double:
            client = lane_at(lane, double.base_url, key)
            with pytest.raises(ModelError) as caught:
                await client.complete(ModelRequest(model_name(lane), ASK), listener(streamed))
            await client.aclose()
        error = caught.value
        shown = [str(error), repr(error), repr(client), *traceback.format_exception(error)]
        assert key[:12] not in "".join(shown)


async def test_headers_are_secrets_too() -> None:
    with ProviderDouble(faults=[Fault.status_code(400, "bad header tenant-0123456789")]) as double:
        client = FastLane(double.base_url, headers={"X-Tenant": "tenant-0123456789"})
        with pytest.raises(RequestError, match=r"bad header \[key\]"):
            await client.complete(ModelRequest("m", ASK))
        await client.aclose()
        assert double.requests[0].headers["X-Tenant"] == "tenant-0123456789"


@BOTH
async def test_the_key_is_sent_as_it_should_be(lane: Lane) -> None:
    with ProviderDouble(key=KEY) as double:
        assert (await ask(lane, double.base_url)).choices[0].text


async def test_a_key_with_a_newline_round_it_is_a_key() -> None:
    with ProviderDouble(key=KEY) as double:
        client = lane_at("fast", double.base_url, f"{KEY}\n")
        await client.complete(ModelRequest("m", ASK))
        await client.aclose()
        assert double.served == 1


# The library behind the wide lane.


async def test_a_closed_lane_opens_again() -> None:
    with ProviderDouble() as double:
        client = lane_at("litellm", double.base_url)
        for _ in range(3):
            await client.complete(ModelRequest("openai/double-1", ASK))
            await client.aclose()
        assert double.served == 3


async def test_closing_one_lane_leaves_another_its_connections() -> None:
    with ProviderDouble(latency=0.3) as double:
        first, second = lane_at("litellm", double.base_url), lane_at("litellm", double.base_url)
        running = asyncio.create_task(first.complete(ModelRequest("openai/double-1", ASK)))
        await double.until(lambda: double.in_flight == 1)
        await second.complete(ModelRequest("openai/double-1", ASK))
        await second.aclose()
        assert (await running).choices
        await first.complete(ModelRequest("openai/double-1", ASK))
        await first.aclose()
        assert double.served == 3


def test_a_lane_in_each_of_many_event_loops() -> None:
    with ProviderDouble() as double:
        for _ in range(5):
            asyncio.run(ask("litellm", double.base_url))
        assert double.served == 5


async def test_a_model_without_a_provider_is_refused_before_anything_is_sent() -> None:
    client = lane_at("litellm", "http://127.0.0.1:1/v1")
    with pytest.raises(AccountError, match="provider/model"):
        await client.complete(ModelRequest("no-such-model", ASK))
    await client.aclose()


async def test_the_library_fetches_no_price_map() -> None:
    client = lane_at("litellm", "http://127.0.0.1:1/v1")
    with pytest.raises(ModelError):
        await client.complete(ModelRequest("openai/x", ASK))
    await client.aclose()
    assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"
