"""CaT's environment in verifiers: its own task, trace and environment classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.integrations.support import needs

needs("verifiers", "rl")

import verifiers.v1 as vf  # noqa: E402
from verifiers.v1.trace import Error, Trace, TraceTask  # noqa: E402
from verifiers.v1.utils import loaders  # noqa: E402

from catagent.errors import AccountError  # noqa: E402
from catagent.integrations.verifiers import CatEnv, CatEnvConfig, reward_traces  # noqa: E402
from tests.cast import cast, cat_on  # noqa: E402
from tests.doubles import Fault, ProviderDouble  # noqa: E402

TASK = vf.Task(vf.TaskData(prompt="What is 2+2?", system_prompt="Add."))


def trace_of(text: str | None) -> Any:
    trace = Trace[vf.TaskData, vf.State, Any].model_construct(
        **{name: field.get_default(call_default_factory=True) for name, field in Trace.model_fields.items()}
    )
    trace.task = TraceTask(type="Task", data=TASK.data)
    trace.root_reply = text
    if text is None:
        trace.errors = [Error(type="ProviderError", message="gone")]
    return trace


async def test_the_siblings_of_an_episode_are_rewarded_by_their_reference() -> None:
    traces = [trace_of(text) for text in ("\\boxed{4}", "\\boxed{5}", None, "\\boxed{4.0}")]
    with ProviderDouble(reply=cast([])) as double:
        async with cat_on(double) as cat:
            await reward_traces(cat, TASK, traces, weight=2.0)
        assert double.received == 1
    assert [t.rewards["cat"] and t.rewards["cat"].value for t in traces] == [2.0, 0.0, None, 2.0]
    assert traces[0].reward == 2.0
    assert traces[0].metrics["cat_agreement"] == pytest.approx(2 / 3)
    assert traces[2].info["cat_unknown"] == "the completion is missing"
    assert traces[0].extra_usage[0].prompt_tokens > 0


async def test_what_ends_a_job_is_raised() -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(401, "said so")) as double:
        async with cat_on(double) as cat:
            with pytest.raises(AccountError, match="said so"):
                await reward_traces(cat, TASK, [trace_of("\\boxed{4}")])


def test_the_environment_is_found_by_a_module_that_exports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_cat_env.py").write_text(
        "from catagent.integrations.verifiers import CatEnv\n__all__ = ['CatEnv']\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert loaders.environment_class("", "my_cat_env") is CatEnv
    assert loaders.env_config_type("", "my_cat_env") is CatEnvConfig
