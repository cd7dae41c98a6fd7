"""CaT in inspect_ai: the model API by its entry point, and the solver."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.support import needs, until

needs("inspect_ai", "agents")

from inspect_ai import Task, eval_async  # noqa: E402
from inspect_ai.dataset import Sample  # noqa: E402
from inspect_ai.model import GenerateConfig, get_model  # noqa: E402
from inspect_ai.scorer import includes  # noqa: E402
from inspect_ai.solver import generate, use_tools  # noqa: E402
from inspect_ai.tool import tool  # noqa: E402

from catagent.integrations.inspect import CatAPI, cat_solver  # noqa: E402
from tests.cast import cast, cat_on  # noqa: E402
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall  # noqa: E402

# inspect_ai's own: streams that it leaves open, a parameter of tenacity.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
BOXED = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}"]
SUMS = [Sample(input="What is 2+2?", target="4")]


@tool
def weather() -> Any:
    async def execute(city: str) -> str:
        """The weather in a city.

        Args:
            city: Which one.
        """
        return f"rain in {city}"

    return execute


async def evaluated(task: Task, model: Any, folder: Path) -> Any:
    (log,) = await eval_async(task, model=model, log_dir=str(folder), log_samples=True, max_retries=0)
    return log


def test_the_entry_point_makes_the_provider_known() -> None:
    model = get_model("cat/openai/m", n=3, memoize=False)
    assert isinstance(model.api, CatAPI)
    assert model.api.service_model_name() == "cat/openai/m"


async def test_an_evaluation_on_references(tmp_path: Path) -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double) as cat:
            model = get_model(
                "cat/double/other", cat=cat, n=3, config=GenerateConfig(temperature=0.5), memoize=False
            )
            log = await evaluated(Task(dataset=SUMS, solver=generate(), scorer=includes()), model, tmp_path)
        body = double.requests[0].body
    assert log.status == "success", log.error
    assert log.samples[0].output.completion == "So it is \\boxed{4}."
    assert log.results.scores[0].metrics["accuracy"].value == 1.0
    assert (body["n"], body["model"], body["temperature"]) == (3, "other", 0.5)
    assert sum(u.total_tokens for u in log.samples[0].model_usage.values()) > 0


async def test_tools_run_in_inspects_loop(tmp_path: Path) -> None:
    def reply(body: dict[str, Any], index: int) -> Any:
        if body["messages"][-1]["role"] == "tool":
            return f"There is {body['messages'][-1]['content']}."
        return Reply(tool_calls=[ToolCall("weather", {"city": "Lima"})])

    with ProviderDouble(reply=reply) as double:
        async with cat_on(double) as cat:
            model = get_model("cat/double/m", cat=cat, memoize=False)
            task = Task(dataset=[Sample(input="Weather in Lima?")], solver=[use_tools(weather()), generate()])
            log = await evaluated(task, model, tmp_path)
        assert double.requests[0].body["tools"][0]["function"]["name"] == "weather"
    assert log.samples[0].output.completion == "There is rain in Lima."


async def test_the_solver_and_what_it_leaves_in_the_store(tmp_path: Path) -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double) as cat:
            task = Task(dataset=SUMS, solver=cat_solver("cat", over=cat, n=3), scorer=includes())
            log = await evaluated(task, "mockllm/model", tmp_path)
    assert log.results.scores[0].metrics["accuracy"].value == 1.0
    assert log.samples[0].store["catagent"]["answer"] == "4"
    assert log.samples[0].output.usage.total_tokens > 0


async def test_errors_are_seen_by_inspect(tmp_path: Path) -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(401, "said so")) as double:
        async with cat_on(double) as cat:
            model = get_model("cat/double/m", cat=cat, memoize=False)
            log = await evaluated(Task(dataset=SUMS, solver=generate()), model, tmp_path)
        assert double.received == 1, "a key that is refused is not tried again"
    assert log.status == "error"
    assert "said so" in log.error.message


async def test_cancelling_reaches_upstream() -> None:
    with ProviderDouble(faults=lambda body: Fault.hangs()) as double:
        async with cat_on(double) as cat:
            call = asyncio.ensure_future(get_model("cat/double/m", cat=cat, memoize=False).generate("2+2?"))
            await until(lambda: double.in_flight)
            call.cancel()
            await until(lambda: double.disconnected == 1)


@pytest.mark.parametrize("status", [400])
async def test_a_refused_request(status: int, tmp_path: Path) -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(status, "said so")) as double:
        async with cat_on(double) as cat:
            task = Task(dataset=SUMS, solver=cat_solver(over=cat))
            log = await evaluated(task, "mockllm/model", tmp_path)
    assert log.status == "error"
    assert "said so" in log.error.message
