"""The chat endpoint with OpenAI's own Python client."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import openai
import pytest

from catagent.cat import CaT
from catagent.models.client import Choice, Completion, Delta, ModelRequest, OnDelta
from tests.cast import SYNTHESIS, cast, cat_on
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall, prompt_of
from tests.server.running import FOURS, QUESTION, Running, asking, running, until


def client(server: Running, **options: Any) -> openai.AsyncOpenAI:
    kept = {"api_key": "none", "max_retries": 0, **options}
    return openai.AsyncOpenAI(base_url=f"{server.url}/v1", **kept)


async def test_a_completion() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        cat_on(double) as cat,
        running(cat) as server,
        client(server) as ai,
    ):
        extra = {"catagent": {"n": 3, "estimator": "majority"}}
        made = await ai.chat.completions.create(model="cat", messages=QUESTION, extra_body=extra)
    assert made.choices[0].message.content == "It is \\boxed{4}."
    assert made.usage
    assert made.usage.total_tokens > 0
    assert made.model_extra
    assert made.model_extra["catagent"]["agreement"] == pytest.approx(2 / 3)


async def test_a_stream() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), pace=0.002) as double,
        cat_on(double) as cat,
        running(cat) as server,
        client(server) as ai,
    ):
        stream = await ai.chat.completions.create(
            model="cat", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "So it is \\boxed{4}."
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage
    assert chunks[-1].usage.total_tokens > 0
    assert len({c.id for c in chunks}) == 1


class Halting:
    """A model that writes its synthesis up to the middle, and the rest when it may."""

    name = "halting"

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        if SYNTHESIS not in str(request.messages):
            return Completion((Choice("\\boxed{4}", "stop"),) * request.n, 1, 1)
        pieces = [f"{SYNTHESIS}\n", "First", " and", " second: \\boxed{4}"]
        for piece in pieces:
            if piece == " and":
                await self.may_go_on.wait()
            if on_delta:
                on_delta(Delta(0, piece))
        return Completion((Choice("".join(pieces), "stop"),), 1, 1)

    async def aclose(self) -> None:
        pass


async def test_the_synthesis_is_sent_while_it_is_written() -> None:
    model = Halting()
    async with CaT(model, n=2) as cat, running(cat) as server, client(server) as ai:
        stream = await ai.chat.completions.create(model="cat", messages=QUESTION, stream=True)
        text = ""
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            if text == "First":
                model.may_go_on.set()  # what had come by then did not wait for the rest
        assert text == "First and second: \\boxed{4}"
        events = []
        model.may_go_on.clear()
        async for event in await ai.responses.create(model="cat", input="2 + 2?", stream=True):
            events.append(event.type)
            if event.type == "response.output_text.delta":
                model.may_go_on.set()
        assert events.count("response.output_text.delta") >= 2


async def test_progress_comes_as_comments() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), latency=0.1) as double,
        cat_on(double) as cat,
        running(cat, heartbeat=0.02) as server,
        asking() as http,
    ):
        body = {"messages": QUESTION, "stream": True}
        async with http.post(f"{server.url}/v1/chat/completions", json=body) as reply:
            assert reply.content_type == "text/event-stream"
            lines = (await reply.text()).splitlines()
    assert lines[0] == ": rollouts 0/4, 0 pieces"
    assert ": synthesis" in lines
    assert lines[-2] == "data: [DONE]"


async def test_tools_with_the_clients_helpers() -> None:
    reply = Reply("", tool_calls=[ToolCall("weather", {"city": "Lima"})])
    tools: Any = [
        {"type": "function", "function": {"name": "weather", "parameters": {}, "strict": True}},
    ]
    async with (
        ProviderDouble(reply=lambda _: reply) as double,
        cat_on(double) as cat,
        running(cat) as server,
        client(server) as ai,
    ):
        async with ai.chat.completions.stream(model="cat", messages=QUESTION, tools=tools) as stream:
            final = await stream.get_final_completion()
        assert len(double.requests) == 1
    calls = final.choices[0].message.tool_calls
    assert calls
    assert calls[0].function.arguments == '{"city": "Lima"}'


async def test_json_with_the_clients_parser() -> None:
    from pydantic import BaseModel

    class Place(BaseModel):
        city: str

    def reply(body: dict[str, Any], _: int) -> str:
        return '{"city": "Cusco"}' if "Each was to be JSON" in prompt_of(body) else '{"city": "Lima"}'

    async with (
        ProviderDouble(reply=reply) as double,
        cat_on(double) as cat,
        running(cat) as server,
        client(server) as ai,
    ):
        made = await ai.chat.completions.parse(model="cat", messages=QUESTION, response_format=Place)
    assert made.choices[0].message.parsed == Place(city="Cusco")


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault.status_code(400), openai.BadRequestError),
        (Fault.status_code(404), openai.NotFoundError),
        (Fault.rate_limited(1), openai.RateLimitError),
        (Fault.status_code(500), openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_errors_are_the_clients_own(fault: Fault, kind: type[Exception], stream: bool) -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), faults=lambda _: fault) as double,
        cat_on(double, provider={"attempts": 1, "patience": 0}) as cat,
        running(cat) as server,
        client(server) as ai,
    ):
        with pytest.raises(kind):
            await ai.chat.completions.create(model="cat", messages=QUESTION, stream=stream)  # type: ignore[call-overload]


async def test_what_is_not_worth_another_try_is_not_tried_again() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), faults=lambda _: Fault.status_code(401)) as double,
        cat_on(double) as cat,
        running(cat) as server,
        client(server, max_retries=3) as ai,
    ):
        with pytest.raises(openai.InternalServerError):
            await ai.chat.completions.create(model="cat", messages=QUESTION)
        assert double.received == 1


async def test_an_upstream_that_dies_in_the_middle_of_every_stream() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), faults=lambda _: Fault.cut_in_body(), pace=0.01) as double,
        cat_on(double, provider={"attempts": 1}) as cat,
        running(cat) as server,
        client(server) as ai,
    ):
        tools: Any = [{"type": "function", "function": {"name": "f"}}]
        stream = await ai.chat.completions.create(model="cat", messages=QUESTION, tools=tools, stream=True)
        with pytest.raises(openai.APIError, match="broke"):
            [chunk async for chunk in stream]
        with pytest.raises(openai.InternalServerError, match="0 of 4 rollouts survived"):
            await ai.chat.completions.create(model="cat", messages=QUESTION)
        double.faults = ()
        assert (await ai.chat.completions.create(model="cat", messages=QUESTION)).choices


async def test_an_upstream_that_dies_in_the_synthesis_leaves_the_vote() -> None:
    def faults(body: dict[str, Any]) -> Fault | None:
        return Fault.cut_in_body() if SYNTHESIS in prompt_of(body) else None

    async with (
        ProviderDouble(reply=cast(FOURS), faults=faults, pace=0.01) as double,
        cat_on(double, provider={"attempts": 1}) as cat,
        running(cat) as server,
        client(server) as ai,
    ):
        stream = await ai.chat.completions.create(model="cat", messages=QUESTION, stream=True)
        chunks = [chunk async for chunk in stream]
    final = next(c.model_extra["catagent"] for c in chunks if c.model_extra and "catagent" in c.model_extra)
    text = "".join(c.choices[0].delta.content or "" for c in chunks)
    assert final["method"] == "majority"
    assert text[final["streamed"]["offset"] :] == "It is \\boxed{4}."


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_goes_cancels_the_work_upstream(stream: bool) -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), latency=60) as double,
        cat_on(double) as cat,
        running(cat, heartbeat=0.01) as server,
        asking() as http,
    ):
        body = {"messages": QUESTION, "stream": stream}
        task = asyncio.create_task(_post(http, f"{server.url}/v1/chat/completions", body))
        await until(lambda: double.in_flight)
        task.cancel()
        await until(lambda: double.disconnected and not server.app.gate.working)
        await until(lambda: b"catagent_clients_gone_total 1.0" in server.app.metrics.page())


async def _post(http: Any, url: str, body: Any) -> bytes:
    async with http.post(url, json=body) as reply:
        return bytes(await reply.read())


async def test_a_timeout_of_the_client() -> None:
    async with (
        ProviderDouble(reply=cast(FOURS), latency=60) as double,
        cat_on(double) as cat,
        running(cat) as server,
        client(server, timeout=0.3) as ai,
    ):
        with pytest.raises(openai.APITimeoutError):
            await ai.chat.completions.create(model="cat", messages=QUESTION)
        await until(lambda: double.disconnected)


async def test_a_client_that_reads_slowly_costs_no_memory_and_is_given_up() -> None:
    long = ("x" * 50_000 + " ") * 160  # far beyond what sockets hold
    async with (
        ProviderDouble(reply=cast(FOURS, f"{SYNTHESIS}\n{long}\\boxed{{4}}")) as double,
        cat_on(double) as cat,
        running(cat, send_seconds=0.2) as server,
    ):
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(narrow, ("127.0.0.1", server.port))
        reader, writer = await asyncio.open_connection(sock=narrow, limit=1024)
        body = b'{"messages":[{"role":"user","content":"x"}],"stream":true}'
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
        writer.write(head.encode() + b"Content-Type: application/json\r\n\r\n" + body)
        await until(lambda: double.served >= 2 and not server.app.gate.working)
        assert b"200" in await reader.readline()
        writer.close()
