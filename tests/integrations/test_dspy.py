"""CaT as DSPy's engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integrations.support import needs, until

needs("dspy", "agents")

import dspy  # noqa: E402

from catagent.integrations.dspy import CatEngine, cat_lm  # noqa: E402
from tests.cast import cast, cat_on  # noqa: E402
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall  # noqa: E402

BOXED = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}"]
FIELDS = "[[ ## answer ## ]]\n{}\n\n[[ ## completed ## ]]"


async def test_sync_async_and_options() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double) as cat:
            lm = cat_lm("cat/double/other", cat=cat, catagent={"n": 3}, cache=False, temperature=0.5)
            assert await asyncio.to_thread(lm, "What is 2+2?") == ["So it is \\boxed{4}."]
            assert await lm.acall("What is 2+2?") == ["So it is \\boxed{4}."]
        body = double.requests[0].body
    assert (body["n"], body["model"], body["temperature"]) == (3, "other", 0.5)
    used = lm.history[-1]["usage"]
    assert used["prompt_tokens"] > sum(len(m["content"].split()) for m in body["messages"])


async def test_a_program_of_dspys_runs_on_references() -> None:
    synthesis = "# UNIFIED RESPONSE\n" + FIELDS.format("4")
    with ProviderDouble(reply=cast([FIELDS.format("4"), FIELDS.format("5")], synthesis)) as double:
        async with cat_on(double) as cat:
            with dspy.context(lm=cat_lm(cat=cat, cache=False)):
                predicted = await dspy.Predict("question -> answer: int").acall(question="What is 2+2?")
    assert predicted.answer == 4


async def test_streams() -> None:
    synthesis = "# UNIFIED RESPONSE\n" + FIELDS.format("four and not five")
    with ProviderDouble(reply=cast([FIELDS.format("four")], synthesis), pace=0.01) as double:
        async with cat_on(double) as cat:
            with dspy.context(lm=cat_lm(cat=cat, cache=False)):
                program = dspy.streamify(
                    dspy.Predict("question -> answer"),
                    stream_listeners=[dspy.streaming.StreamListener(signature_field_name="answer")],
                )
                pieces = [piece async for piece in program(question="What is 2+2?")]
    said = "".join(p.chunk for p in pieces if isinstance(p, dspy.streaming.StreamResponse))
    assert said.strip() == "four and not five"
    assert pieces[-1].answer == "four and not five"


async def test_tools_are_forwarded() -> None:
    def weather(city: str) -> str:
        """The weather in a city."""
        return f"rain in {city}"

    call = Reply(tool_calls=[ToolCall("weather", {"city": "Lima"})])
    with ProviderDouble(reply=lambda body, index: call) as double:
        async with cat_on(double) as cat:
            request = dspy.lm15.Request(
                model="cat",
                messages=(dspy.lm15.Message.user("Weather in Lima?"),),
                tools=(dspy.lm15.FunctionTool(name="weather", parameters={"type": "object"}),),
            )
            response = await asyncio.to_thread(CatEngine(cat).complete, request)
        assert double.received == 1
        assert double.requests[0].body["tools"][0]["function"]["name"] == "weather"
    assert [(c.name, c.input) for c in response.tool_calls] == [("weather", {"city": "Lima"})]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, "LMInvalidRequestError"), (401, "LMAuthError"), (404, "LMUnsupportedModelError")],
)
async def test_errors_are_dspys_own(status: int, kind: str) -> None:
    expected = getattr(dspy.utils.exceptions, kind)
    with ProviderDouble(faults=lambda body: Fault.status_code(status, "said so")) as double:
        async with cat_on(double) as cat:
            lm = cat_lm(cat=cat, cache=False, num_retries=0)
            with pytest.raises(expected, match="said so"):
                await lm.acall("2+2?")
            with pytest.raises(expected, match="said so"):
                await asyncio.to_thread(lm, "2+2?")


async def test_cancelling_reaches_upstream() -> None:
    with ProviderDouble(faults=lambda body: Fault.hangs()) as double:
        async with cat_on(double) as cat:
            call: Any = asyncio.ensure_future(cat_lm(cat=cat, cache=False).acall("2+2?"))
            await until(lambda: double.in_flight)
            call.cancel()
            await until(lambda: double.disconnected == 1)


def test_an_engine_is_saved_without_models_or_keys() -> None:
    kept = CatEngine(catagent={"n": 3}).dump_state()
    assert kept == {"catagent": {"n": 3}}
    assert CatEngine.load_state(kept).catagent == {"n": 3}
