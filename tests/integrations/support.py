"""What the tests of integrations share."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Callable

import pytest

from tests.doubles import ProviderDouble

__all__ = ["environment", "needs", "until"]


def needs(module: str, environment: str) -> None:
    """Skip a test module whose framework lives in another virtual environment, and say which.

    `make test-integrations` sets CATAGENT_INTEGRATIONS to the name of the environment it runs in: there,
    an absent framework is a failure.
    """
    if importlib.util.find_spec(module) is not None:
        return
    here = os.environ.get("CATAGENT_INTEGRATIONS")
    if here is not None:
        raise ModuleNotFoundError(f"{module} is not installed in the environment {here!r}")
    pytest.skip(
        f"{module} is not here: `make test-integrations` tests it in .venvs/{environment}",
        allow_module_level=True,
    )


def environment(double: ProviderDouble, **more: str) -> dict[str, str]:
    """The environment of a process whose `openai/…` models are the double."""
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    return {**clean, "OPENAI_BASE_URL": double.base_url, "OPENAI_API_KEY": "sk-test-123456789", **more}


async def until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait for what another thread brings about; `seconds` guards against hanging."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the double lives in a thread of its own
            await asyncio.sleep(0.01)
