"""The provider double is itself held to the protocol, with nothing but aiohttp."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.doubles import (
    ConcurrencyLimit,
    Fault,
    Jitter,
    ProviderDouble,
    RateLimit,
    Reply,
    Storm,
    ToolCall,
    at_random,
    prompt_of,
    when,
)

ASK: dict[str, Any] = {"model": "double-1", "messages": [{"role": "user", "content": "What is 6 times 7?"}]}


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def post(http: aiohttp.ClientSession, double: ProviderDouble, **more: Any) -> tuple[int, Any, Any]:
    async with http.post(f"{double.base_url}/chat/completions", json=ASK | more) as response:
        return response.status, await response.json(content_type=None), response.headers


async def events(http: aiohttp.ClientSession, double: ProviderDouble, **more: Any) -> list[Any]:
    body = ASK | {"stream": True} | more
    async with http.post(f"{double.base_url}/chat/completions", json=body) as response:
        assert response.content_type == "text/event-stream"
        blocks = (await response.text()).split("\n\n")
    assert blocks.pop() == ""
    return [
        text if text == "[DONE]" else json.loads(text) for text in (b.removeprefix("data: ") for b in blocks)
    ]


async def drain(response: aiohttp.ClientResponse, into: bytearray) -> None:
    async for piece in response.content.iter_any():
        into += piece


async def test_completion_has_the_protocols_shape(http: aiohttp.ClientSession) -> None:
    with ProviderDouble() as double:
        status, body, headers = await post(http, double, n=3, logprobs=True, top_logprobs=2)
    assert status == 200
    assert body["object"] == "chat.completion"
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in body["choices"]}) == 3
    first = body["choices"][0]
    assert first["finish_reason"] == "stop"
    marks = first["logprobs"]["content"]
    assert "".join(mark["token"] for mark in marks) == first["message"]["content"]
    assert all(mark["logprob"] < 0 and len(mark["top_logprobs"]) == 2 for mark in marks)
    usage = body["usage"]
    assert usage["completion_tokens"] == sum(len(c["logprobs"]["content"]) for c in body["choices"])
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert headers["x-ratelimit-remaining-requests"]
    assert headers["x-request-id"]
    assert double.served == 1
    assert double.requests[0].body["n"] == 3
    assert double.requests[0].prompt == "What is 6 times 7?"


async def test_default_replies_depend_on_seed_prompt_and_turn_alone(http: aiohttp.ClientSession) -> None:
    seen = []
    for seed in (1, 1, 2):
        with ProviderDouble(seed=seed) as double:
            seen.append([(await post(http, double))[1]["choices"][0]["message"]["content"] for _ in range(3)])
    assert seen[0] == seen[1] != seen[2]
    assert len(set(seen[0])) == 3
    with ProviderDouble() as double:
        cold = [
            (await post(http, double, temperature=0))[1]["choices"][0]["message"]["content"] for _ in range(3)
        ]
    assert len(set(cold)) == 1


async def test_a_test_plays_roles_by_looking_at_the_prompt(http: aiohttp.ClientSession) -> None:
    async def reply(body: dict[str, Any], index: int) -> str | Reply:
        if "judge" in prompt_of(body):
            return Reply('{"verdict": "met"}', cached_tokens=5, prompt_tokens=20, completion_tokens=4)
        return f"rollout {index}"

    judge = [{"role": "system", "content": [{"type": "text", "text": "You judge."}]}, *ASK["messages"]]
    with ProviderDouble(reply=reply) as double:
        _, rollouts, _ = await post(http, double, n=2)
        _, verdict, _ = await post(http, double, messages=judge)
        double.reply = lambda body: ["a", "b", "c"]
        _, listed, _ = await post(http, double)
    assert [choice["message"]["content"] for choice in rollouts["choices"]] == ["rollout 0", "rollout 1"]
    assert verdict["choices"][0]["message"]["content"] == '{"verdict": "met"}'
    assert verdict["usage"]["prompt_tokens_details"]["cached_tokens"] == 5
    assert verdict["usage"]["total_tokens"] == 24
    assert len(listed["choices"]) == 3


async def test_stop_length_tools_and_schema(http: aiohttp.ClientSession) -> None:
    schema = {
        "type": "object",
        "properties": {
            "criteria": {"type": "array", "items": {"$ref": "#/$defs/c"}, "minItems": 2},
            "verdict": {"enum": ["met", "unmet"]},
        },
        "$defs": {"c": {"type": "object", "properties": {"weight": {"type": "integer", "minimum": 1}}}},
    }
    shape = {"type": "json_schema", "json_schema": {"name": "r", "schema": schema}}
    with ProviderDouble(reply=lambda body: "one two three STOP four") as double:
        _, short, _ = await post(http, double, max_tokens=2)
        _, stopped, _ = await post(http, double, stop=["STOP"])
        double.reply = lambda body: Reply(tool_calls=[ToolCall("look", {"x": 1})])
        _, called, _ = await post(http, double, tools=[{"type": "function"}])
        double.reply = None
        _, shaped, _ = await post(http, double, response_format=shape)
    assert short["choices"][0]["message"]["content"] == "one two"
    assert short["choices"][0]["finish_reason"] == "length"
    assert stopped["choices"][0]["message"]["content"] == "one two three "
    call = called["choices"][0]["message"]["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"x": 1}
    assert called["choices"][0]["finish_reason"] == "tool_calls"
    value = json.loads(shaped["choices"][0]["message"]["content"])
    assert value["verdict"] in {"met", "unmet"}
    assert all(item["weight"] >= 1 for item in value["criteria"])


async def test_a_stream_says_what_the_whole_says(http: aiohttp.ClientSession) -> None:
    def reply(body: dict[str, Any], index: int) -> Reply:
        return Reply(f"text of {index}", reasoning="well now", tool_calls=[ToolCall("f", {"k": "v"})])

    with ProviderDouble(reply=reply) as double:
        _, whole, _ = await post(http, double, n=2)
        parts = await events(
            http, double, n=2, stream_options={"include_usage": True}, logprobs=True, tools=[]
        )
        plain = await events(http, double)
    assert parts.pop() == "[DONE]"
    last = parts.pop()
    assert last["choices"] == []
    assert last["usage"] == whole["usage"]
    assert all(part["usage"] is None for part in parts)
    for index in (0, 1):
        mine = [part["choices"][0] for part in parts if part["choices"][0]["index"] == index]
        message = whole["choices"][index]["message"]
        assert mine[0]["delta"]["role"] == "assistant"
        assert "".join(c["delta"].get("content") or "" for c in mine) == message["content"]
        assert "".join(c["delta"].get("reasoning_content") or "" for c in mine) == "well now"
        calls = [call for c in mine for call in c["delta"].get("tool_calls", ())]
        assert calls[0]["function"]["name"] == "f"
        assert "".join(call["function"]["arguments"] for call in calls) == '{"k": "v"}'
        assert mine[-1]["finish_reason"] == whole["choices"][index]["finish_reason"]
    assert plain[-1] == "[DONE]"
    assert all("usage" not in part for part in plain[:-1])


async def test_key_models_and_unknown_paths(http: aiohttp.ClientSession) -> None:
    key = "sk-abcdefghijklmnopqrstuvwx"
    with ProviderDouble(key=key, check_model=True) as double:
        status, missing, _ = await post(http, double)
        http.headers["Authorization"] = "Bearer sk-wrongkey-0123456789"
        wrong_status, wrong, _ = await post(http, double)
        http.headers["Authorization"] = f"Bearer {key}"
        assert (await post(http, double))[0] == 200
        assert (await post(http, double, model="other"))[0] == 404
        async with http.get(f"{double.base_url}/nothing") as response:
            assert response.status == 404
    assert (status, wrong_status) == (401, 401)
    assert "didn't provide" in missing["error"]["message"]
    assert wrong["error"]["code"] == "invalid_api_key"
    assert "sk-wrong***" in wrong["error"]["message"]
    assert len(double.requests) == 2


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (Fault.insufficient_quota(), 429, "exceeded your current quota"),
        (Fault.status_code(401), 401, "API key"),
        (Fault.status_code(402), 402, "credits"),
        (Fault.status_code(403), 403, "not supported"),
        (Fault.status_code(404), 404, "does not exist"),
        (Fault.status_code(500), 500, "Sorry"),
        (Fault.status_code(502), 502, "Bad Gateway"),
        (Fault.status_code(503), 503, "overloaded"),
        (Fault.status_code(529), 529, "Overloaded"),
        (Fault.n_unsupported(), 400, "at most 1"),
        (Fault.unknown_parameter("min_p"), 400, "'min_p'"),
        (Fault.context_overflow(answer=100), 400, "context_length_exceeded"),
        (Fault.context_overflow(wording="vllm", limit=2048, prompt=3000), 400, "2048 tokens. However"),
        (Fault.context_overflow(wording="vllm-old"), 400, '"object":"error"'),
        (Fault.context_overflow(wording="llama.cpp", limit=512), 400, '"n_ctx":512'),
        (Fault.html(), 200, "<!doctype"),
        (Fault.wrong_shape(), 200, '"result"'),
        (Fault.error_in_ok("no upstream"), 200, "no upstream"),
    ],
    ids=lambda value: value.name if isinstance(value, Fault) else None,
)
async def test_refusals_and_odd_bodies(
    http: aiohttp.ClientSession, fault: Fault, status: int, words: str
) -> None:
    with ProviderDouble(faults=[fault]) as double:
        async with http.post(f"{double.base_url}/chat/completions", json=ASK) as response:
            assert response.status == status
            assert words in await response.text()
        assert (await post(http, double))[0] == 200
    assert [record.fault for record in double.requests] == [fault.name, None]


async def test_retry_after_in_every_form(http: aiohttp.ClientSession) -> None:
    faults = [
        Fault.rate_limited(),
        Fault.rate_limited(1.2),
        Fault.rate_limited(0.25, form="ms"),
        Fault.rate_limited(30, form="date"),
    ]
    with ProviderDouble(faults=faults) as double:
        heads = [(await post(http, double))[2] for _ in faults]
    assert "Retry-After" not in heads[0]
    assert heads[1]["Retry-After"] == "2"
    assert heads[2]["retry-after-ms"] == "250"
    assert heads[3]["Retry-After"].endswith("GMT")


async def test_spoilt_answers(http: aiohttp.ClientSession) -> None:
    faults = [Fault.empty_choices(), Fault.fewer_choices(2), Fault.null_content(1), Fault.no_usage()]
    with ProviderDouble(faults=faults) as double:
        empty, fewer, null, bare = [(await post(http, double, n=3))[1] for _ in faults]
        double.max_n = 1
        _, ignored, _ = await post(http, double, n=8)
    assert empty["choices"] == []
    assert len(fewer["choices"]) == 2
    assert [choice["message"]["content"] is None for choice in null["choices"]] == [False, True, False]
    assert "usage" not in bare
    assert len(ignored["choices"]) == 1


async def test_garbage_is_not_json(http: aiohttp.ClientSession) -> None:
    with ProviderDouble(faults=[Fault.garbage()]) as double:
        async with http.post(f"{double.base_url}/chat/completions", json=ASK) as response:
            raw = await response.read()
    with pytest.raises(ValueError, match=r".+"):
        json.loads(raw)


async def test_cut_connections(http: aiohttp.ClientSession) -> None:
    faults = [Fault.cut_before_headers(), Fault.cut_in_body(), Fault.cut_in_body(), Fault.error_in_stream()]
    with ProviderDouble(faults=faults) as double:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await post(http, double)
        with pytest.raises(aiohttp.ClientPayloadError):
            await post(http, double)
        body = ASK | {"stream": True}
        async with http.post(f"{double.base_url}/chat/completions", json=body) as response:
            got = bytearray()
            with pytest.raises(aiohttp.ClientPayloadError):
                await drain(response, got)
        broken = await events(http, double)
    assert b"data: " in got
    assert b"[DONE]" not in got
    assert broken[-1]["error"]["code"] == 500
    assert "[DONE]" not in broken
    assert double.disconnected == 0
    assert [record.status for record in double.requests] == [None, None, None, 200]


async def test_slow_and_hanging_answers_and_who_left(http: aiohttp.ClientSession) -> None:
    faults = [Fault.slow_headers(0.15), Fault.slow_body(0.15), Fault.hangs()]
    with ProviderDouble(faults=faults) as double:
        for _ in range(2):
            start = time.monotonic()
            assert (await post(http, double))[0] == 200
            assert time.monotonic() - start >= 0.14
        waiting = asyncio.create_task(post(http, double))
        await double.until(lambda: len(double.requests) == 3)
        assert double.in_flight == 1
        waiting.cancel()
        await double.until(lambda: double.disconnected == 1)
        assert double.requests[2].disconnected
        assert double.in_flight == 0
    assert double.served == 2


async def test_plans_by_condition_and_chance(http: aiohttp.ClientSession) -> None:
    plan = [
        when(lambda body: body.get("n", 1) > 1, Fault.n_unsupported(), times=1),
        at_random(0.5, Fault.status_code(503), seed=3),
    ]
    with ProviderDouble(faults=plan) as double:
        assert (await post(http, double, n=2))[0] == 400
        statuses = [(await post(http, double))[0] for _ in range(40)]
    assert 10 <= statuses.count(503) <= 30
    assert set(statuses) == {200, 503}


async def test_parameters_and_prompts_that_do_not_fit(http: aiohttp.ClientSession) -> None:
    with ProviderDouble(rejects=["n", "min_p"], context=50, flavour="vllm") as double:
        assert (await post(http, double, n=1))[0] == 200
        assert "at most 1" in (await post(http, double, n=2))[1]["error"]["message"]
        assert (await post(http, double, min_p=0.1))[1]["error"]["param"] == "min_p"
        long = [{"role": "user", "content": "word " * 60}]
        status, body, _ = await post(http, double, messages=long)
        assert status == 400
        assert "maximum context length is 50" in body["error"]["message"]
        assert (await post(http, double, max_tokens=49))[0] == 400
        async with http.get(f"{double.base_url}/models") as response:
            assert (await response.json())["data"][0]["max_model_len"] == 50


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("kind", ["bucket", "sliding", "fixed"])
async def test_rate_limits_admit_the_rate_and_say_when(kind: Any) -> None:
    clock = Clock()
    limit = RateLimit(10, kind=kind, clock=clock, retry_form="ms")
    first = [await limit.enter(ASK) for _ in range(12)]
    assert [fault is None for fault in first] == [True] * 10 + [False] * 2
    assert first[-1] is not None
    wait = int(first[-1].headers["retry-after-ms"]) / 1000
    assert wait == pytest.approx({"bucket": 0.1, "sliding": 1.0, "fixed": 1.0}[kind], abs=0.01)
    clock.now += wait / 2
    assert await limit.enter(ASK) is not None
    clock.now += wait / 2 + 0.001
    assert await limit.enter(ASK) is None
    assert (limit.admitted, limit.refused) == (11, 3)


async def test_rate_limit_over_http(http: aiohttp.ClientSession) -> None:
    with ProviderDouble(limits=[RateLimit(0.01, burst=5)]) as double:
        replies = await asyncio.gather(*(post(http, double) for _ in range(20)))
    assert sorted(status for status, _, _ in replies) == [200] * 5 + [429] * 15
    assert all(int(head["Retry-After"]) >= 1 for status, _, head in replies if status == 429)
    assert double.statuses == {200: 5, 429: 15}


async def test_slots_refuse(http: aiohttp.ClientSession) -> None:
    with ProviderDouble(limits=[ConcurrencyLimit(2, retry_after=3)], latency=30.0) as double:
        tasks = [asyncio.create_task(post(http, double)) for _ in range(2)]
        await double.until(lambda: double.in_flight == 2)
        refused = [await post(http, double) for _ in range(4)]
        for task in tasks:
            task.cancel()
        await double.until(lambda: double.disconnected == 2)
        double.latency = 0.0
        assert (await post(http, double))[0] == 200
    assert [status for status, _, _ in refused] == [429] * 4
    assert refused[0][2]["Retry-After"] == "3"


async def test_slots_queue(http: aiohttp.ClientSession) -> None:
    slots = ConcurrencyLimit(2, queue=True)
    with ProviderDouble(limits=[slots], latency=0.05) as double:
        start = time.monotonic()
        replies = await asyncio.gather(*(post(http, double) for _ in range(6)))
        assert time.monotonic() - start >= 0.14
        assert {status for status, _, _ in replies} == {200}
        double.latency = 30.0
        tasks = [asyncio.create_task(post(http, double)) for _ in range(5)]
        await double.until(lambda: slots.waiting == 3)
        assert double.in_flight == 5
        for task in tasks:
            task.cancel()
        await double.until(lambda: double.disconnected == 5)
        double.latency = 0.0
        assert (await post(http, double))[0] == 200


async def test_a_storm_passes() -> None:
    clock = Clock()
    storm = Storm(10.0, 0.5, clock=clock)
    refused = sum([await storm.enter(ASK) is not None for _ in range(400)])
    assert 150 < refused < 250
    clock.now += 10.0
    assert not any([await storm.enter(ASK) for _ in range(50)])


async def test_a_storm_by_requests_passes() -> None:
    storm = Storm(requests=400)
    refused = sum([await storm.enter(ASK) is not None for _ in range(400)])
    assert 150 < refused < 250
    assert not any([await storm.enter(ASK) for _ in range(50)])


def test_jitter_repeats_by_seed() -> None:
    draws = [[jitter(1) for _ in range(50)] for jitter in (Jitter(0.2, seed=1), Jitter(0.2, seed=1))]
    assert draws[0] == draws[1]
    assert sorted(draws[0])[25] == pytest.approx(0.2, rel=0.3)


@pytest.mark.parametrize(
    ("flavour", "path", "key"),
    [
        ("llama.cpp", "/props", "total_slots"),
        ("llama.cpp", "/v1/models", "meta"),
        ("ollama", "/api/tags", "models"),
        ("ollama", "/api/version", "version"),
    ],
)
async def test_local_servers_pages(http: aiohttp.ClientSession, flavour: Any, path: str, key: str) -> None:
    with ProviderDouble(flavour=flavour, context=2048) as double, ProviderDouble() as hosted:
        async with http.get(double.url + path) as response:
            assert response.status == 200
            assert key in await response.text()
        if path != "/v1/models":
            async with http.get(hosted.url + path) as response:
                assert response.status == 404


async def test_a_reply_that_raises_fails_the_test(http: aiohttp.ClientSession) -> None:
    def reply(body: dict[str, Any]) -> str:
        raise LookupError("the test's own bug")

    with pytest.raises(LookupError, match="own bug"):
        async with ProviderDouble(reply=reply) as double:
            assert (await post(http, double))[0] == 500


async def test_as_a_process(http: aiohttp.ClientSession) -> None:
    command = [sys.executable, "-m", "tests.doubles.provider", "--canned-tokens", "7", "--latency", "0.01"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    try:
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().strip()
        async with http.post(f"{url}/chat/completions", json=ASK | {"n": 4}) as response:
            body = await response.json()
        streamed = {"stream": True, "stream_options": {"include_usage": True}}
        async with http.post(f"{url}/chat/completions", json=ASK | streamed) as response:
            text = await response.text()
        async with http.post(f"{url}/_control", json={"faults": [["status_code", 503]]}) as response:
            assert response.status == 200
        async with http.post(f"{url}/chat/completions", json=ASK) as response:
            assert response.status == 503
        async with http.get(f"{url}/_control") as response:
            stats = await response.json()
    finally:
        process.terminate()
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert [choice["message"]["content"] for choice in body["choices"]] == [
        "word word word word word word word"
    ] * 4
    assert body["usage"]["completion_tokens"] == 28
    assert text.endswith("data: [DONE]\n\n")
    assert '"completion_tokens":7' in text
    assert stats["statuses"] == {"200": 2, "503": 1}
