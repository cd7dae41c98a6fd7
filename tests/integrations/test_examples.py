"""The examples as they stand, each in a process of its own, with the provider double behind."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cast import SYNTHESIS
from tests.doubles import ProviderDouble, prompt_of
from tests.integrations.support import environment

FOLDER = Path(__file__).parents[2] / "examples"
EXAMPLES = {
    "litellm_router": ("litellm", "main"),
    "mcp_tools": ("mcp.server.mcpserver", "main"),
    "trl_reward": ("trl", "main"),
    "openai_client": ("openai", "main"),
    "langchain_chat": ("langchain_core", "agents"),
    "pydantic_ai_agent": ("pydantic_ai", "agents"),
    "openai_agents_run": ("agents", "agents"),
    "llama_index_chat": ("llama_index", "agents"),
    "dspy_program": ("dspy", "agents"),
    "inspect_task": ("inspect_ai", "agents"),
    "llm_prompt": ("llm", "agents"),
    "crewai_crew": ("crewai", "crewai"),
    "art_group": ("art", "rl"),
}
"""Example: what it imports, and the environment that has it."""


def reply(body: dict[str, Any], index: int) -> str:
    prompt = prompt_of(body)
    answer = "[[ ## answer ## ]]\n4\n\n[[ ## completed ## ]]" if "[[ ##" in prompt else "So it is \\boxed{4}."
    return f"# UNIFIED RESPONSE\n{answer}" if SYNTHESIS in prompt else answer


def here(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def test_every_example_is_run() -> None:
    assert set(EXAMPLES) == {path.stem for path in FOLDER.glob("*.py")}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_an_example_runs(name: str, tmp_path: Path) -> None:
    module, home = EXAMPLES[name]
    if os.environ.get("CATAGENT_INTEGRATIONS", "main") != home:
        pytest.skip(f"`make test-integrations` runs it in .venvs/{home}")
    assert here(module), f"{module} is not installed in the environment {home!r}"
    arguments = [str(FOLDER / f"{name}.py")]
    if name == "trl_reward":
        from tests.training import tiny

        tiny.model().save_pretrained(tmp_path / "model")
        tiny.tokenizer().save_pretrained(tmp_path / "model")
        arguments.append(str(tmp_path / "model"))
    with ProviderDouble(reply=reply) as double:
        quiet = {
            "LLM_USER_PATH": str(tmp_path),
            "CREWAI_DISABLE_TELEMETRY": "true",
            "OTEL_SDK_DISABLED": "true",
        }
        done = subprocess.run(
            [sys.executable, *arguments],
            env=environment(double, **quiet, HOME=str(tmp_path)),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=110,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        assert double.received >= 1
    if name != "trl_reward":
        assert "4" in done.stdout or "1.0" in done.stdout


def test_the_proxys_configuration_names_the_provider() -> None:
    import yaml

    from catagent.integrations.litellm import Provider

    configuration = yaml.safe_load((FOLDER / "litellm_proxy.yaml").read_text())
    (entry,) = configuration["litellm_settings"]["custom_provider_map"]
    module, _, name = entry["custom_handler"].rpartition(".")
    assert isinstance(getattr(importlib.import_module(module), name), Provider)
