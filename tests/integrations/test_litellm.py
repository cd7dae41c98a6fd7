"""`cat/…` in LiteLLM: calls, streams, the Router."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import catagent.integrations.litellm as ours
from catagent.models.ledger import Budget
from tests.cast import SYNTHESIS, cast, cat_on
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall, prompt_of
from tests.integrations.support import until

litellm = ours.litellm
pytestmark = [
    # LiteLLM's own.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*Pydantic.*:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*ReadOnly.*:UserWarning"),
]
ASKED = [{"role": "user", "content": "What is 2+2?"}]
BOXED = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}"]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    before, litellm.suppress_debug_info = litellm.suppress_debug_info, True
    yield
    litellm.suppress_debug_info = before
    ours.register()


async def test_a_completion_carries_the_true_total_and_how_it_came_about() -> None:
    price = {"price": {"prompt": 1.0, "completion": 2.0}}
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double, provider=price) as cat:
            ours.register(ours.Provider(cat))
            reply = await litellm.acompletion(
                model="cat/double/other", messages=ASKED, temperature=0.3, top_k=7, n=2, catagent={"n": 3}
            )
        sampled = double.requests[0].body
    assert reply.choices[0].message.content == "So it is \\boxed{4}."
    assert reply.choices[1].message.content == "\\boxed{4}"
    assert reply.catagent["answer"] == "4"
    assert [r["value"] for r in reply.catagent["rewards"]] == [1.0, 0.0, 1.0]
    assert reply.usage.total_tokens == sum(
        role["prompt_tokens"] + role["completion_tokens"]
        for role in reply.catagent["usage"]["roles"].values()
    )
    assert (sampled["model"], sampled["temperature"], sampled["top_k"], sampled["n"]) == ("other", 0.3, 7, 3)
    assert "catagent" not in sampled
    assert reply._hidden_params["response_cost"] == pytest.approx(reply.catagent["usage"]["usd"])


def test_sync_whole_and_streamed() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        ours.register(ours.Provider(cat_on(double)))
        whole = litellm.completion(model="cat/cat", messages=ASKED)
        pieces = list(litellm.completion(model="cat/cat", messages=ASKED, stream=True))
    assert whole.choices[0].message.content == "So it is \\boxed{4}."
    assert "".join(p.choices[0].delta.content or "" for p in pieces) == "So it is \\boxed{4}."


async def test_a_stream_comes_in_pieces_and_ends_with_reason_usage_and_details() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double) as cat:
            ours.register(ours.Provider(cat))
            stream = await litellm.acompletion(
                model="cat/cat", messages=ASKED, stream=True, stream_options={"include_usage": True}
            )
            pieces = [piece async for piece in stream]
    said = [p.choices[0].delta.content for p in pieces if p.choices and p.choices[0].delta.content]
    assert "".join(said) == "So it is \\boxed{4}."
    assert [p.choices[0].finish_reason for p in pieces if p.choices and p.choices[0].finish_reason] == [
        "stop"
    ]
    details = next(p.catagent for p in pieces if getattr(p, "catagent", None))
    used = [p.usage for p in pieces if getattr(p, "usage", None)]
    assert used[-1].prompt_tokens == sum(r["prompt_tokens"] for r in details["usage"]["roles"].values())
    whole = litellm.stream_chunk_builder(pieces, messages=ASKED)
    assert whole.choices[0].message.content == "So it is \\boxed{4}."


async def test_a_request_with_tools_passes_through_untouched() -> None:
    call = Reply(tool_calls=[ToolCall("weather", {"city": "Lima"})])
    history = [
        *ASKED,
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    ]
    with ProviderDouble(reply=lambda body, index: call) as double:
        async with cat_on(double) as cat:
            ours.register(ours.Provider(cat))
            reply = await litellm.acompletion(
                model="cat/cat", messages=history, tools=[TOOL], tool_choice="auto"
            )
            stream = await litellm.acompletion(model="cat/cat", messages=history, tools=[TOOL], stream=True)
            whole = litellm.stream_chunk_builder([piece async for piece in stream])
        first = double.requests[0].body
        assert double.received == 2, "one request upstream for each"
    assert first["messages"] == history
    assert first["tools"] == [TOOL]
    assert first["tool_choice"] == "auto"
    for each in (reply, whole):
        asked = each.choices[0].message.tool_calls[0].function
        assert (asked.name, asked.arguments) == ("weather", '{"city": "Lima"}')
        assert each.choices[0].finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, litellm.BadRequestError),
        (401, litellm.AuthenticationError),
        (403, litellm.AuthenticationError),
        (404, litellm.NotFoundError),
    ],
)
async def test_errors_are_litellms_own(status: int, kind: type[Exception]) -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(status, "said so")) as double:
        async with cat_on(double) as cat:
            ours.register(ours.Provider(cat))
            with pytest.raises(kind, match="said so"):
                await litellm.acompletion(model="cat/cat", messages=ASKED)
            with pytest.raises(kind, match="said so"):
                async for _ in await litellm.acompletion(model="cat/cat", messages=ASKED, stream=True):
                    pass


async def test_a_rate_limit_a_budget_and_a_name_that_is_none() -> None:
    with ProviderDouble(faults=lambda body: Fault.rate_limited(30)) as double:
        provider = {"patience": 0.0, "attempts": 1}
        async with cat_on(double, provider=provider) as cat:
            ours.register(ours.Provider(cat))
            with pytest.raises(litellm.RateLimitError) as limited:
                await litellm.acompletion(model="cat/cat", messages=ASKED)
        assert limited.value.litellm_response_headers["retry-after"] == "30"
        async with cat_on(double, budget=Budget(calls=0)) as cat:
            ours.register(ours.Provider(cat))
            with pytest.raises(litellm.BadRequestError, match="budget"):
                await litellm.acompletion(model="cat/cat", messages=ASKED)
            with pytest.raises(litellm.NotFoundError, match="no model 'cat/nobody'"):
                await litellm.acompletion(model="cat/nobody", messages=ASKED)
            with pytest.raises(litellm.BadRequestError, match="takes no api_base"):
                await litellm.acompletion(model="cat/cat", messages=ASKED, api_base="http://elsewhere")


async def test_cancelling_and_the_time_limit_reach_upstream() -> None:
    with ProviderDouble(faults=lambda body: Fault.hangs()) as double:
        async with cat_on(double) as cat:
            ours.register(ours.Provider(cat))
            call = asyncio.ensure_future(litellm.acompletion(model="cat/cat", messages=ASKED))
            await until(lambda: double.in_flight)
            call.cancel()
            await until(lambda: double.disconnected == 1)
            with pytest.raises(litellm.Timeout):
                await litellm.acompletion(model="cat/cat", messages=ASKED, timeout=0.2)
            await until(lambda: double.disconnected == 2)


async def test_a_stream_that_is_left_cancels_upstream() -> None:
    slow = cast(BOXED, "# UNIFIED RESPONSE\n" + "word " * 2000)
    with ProviderDouble(reply=slow, pace=0.01) as double:
        async with cat_on(double) as cat:
            ours.register(ours.Provider(cat))
            stream = await litellm.acompletion(model="cat/cat", messages=ASKED, stream=True)
            async for piece in stream:
                if piece.choices[0].delta.content:
                    break
            await stream.aclose()
            await until(lambda: double.disconnected and not double.in_flight)


async def test_the_router_balances_and_falls_back() -> None:
    def reply(body: dict[str, Any], index: int) -> str:
        return "# UNIFIED RESPONSE\n\\boxed{4}" if SYNTHESIS in prompt_of(body) else "\\boxed{4}"

    with ProviderDouble(
        faults=lambda body: Fault.status_code(404, "gone") if body["model"] == "dead" else None
    ) as double:
        double.reply = reply
        async with cat_on(double) as cat:
            ours.register(ours.Provider(cat))
            router = litellm.Router(
                model_list=[
                    {"model_name": "teacher", "litellm_params": {"model": "cat/double/dead"}},
                    {"model_name": "spare", "litellm_params": {"model": "cat/double/alive", "n": 2}},
                ],
                fallbacks=[{"teacher": ["spare"]}],
                num_retries=0,
            )
            answer = await router.acompletion(model="teacher", messages=ASKED)
            streamed = await router.acompletion(model="spare", messages=ASKED, stream=True)
            pieces = [piece async for piece in streamed]
            router.discard()
    assert answer.choices[0].message.content == "\\boxed{4}"
    assert len(answer.choices) == 2
    for index in (0, 1):
        said = [c.delta.content or "" for p in pieces for c in p.choices if c.index == index]
        assert "".join(said) == "\\boxed{4}"


def test_importing_registers_the_provider_and_changes_nothing_else() -> None:
    check = (
        "import os; os.environ['LITELLM_LOCAL_MODEL_COST_MAP'] = 'True'\n"
        "import litellm\n"
        "keep = ('drop_params', 'callbacks', 'success_callback', 'num_retries', 'api_key', 'modify_params',\n"
        "        'suppress_debug_info', 'set_verbose', 'request_timeout')\n"
        "before = {k: str(getattr(litellm, k)) for k in keep}\n"
        "litellm.custom_provider_map = [{'provider': 'mine', 'custom_handler': litellm.CustomLLM()}]\n"
        "import catagent.integrations.litellm, catagent.integrations.litellm as again\n"
        "again.register()\n"
        "assert {k: str(getattr(litellm, k)) for k in keep} == before\n"
        "assert [i['provider'] for i in litellm.custom_provider_map] == ['mine', 'cat']\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", check],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
