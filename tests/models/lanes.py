"""Both ways to reach a provider, pointed at its double."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias

import pytest

from catagent.models.client import Client
from catagent.models.endpoint import Endpoint
from catagent.models.fast_lane import FastLane
from catagent.models.ledger import Ledger
from catagent.models.limiter import Limits
from catagent.models.litellm_lane import LiteLLMLane
from catagent.models.model import Model
from catagent.models.retry import RetryPolicy
from tests.doubles import ProviderDouble

__all__ = ["ASK", "BOTH", "KEY", "QUICK", "Lane", "drawing", "endpoint_at", "lane_at", "model_name"]

Lane: TypeAlias = Literal["fast", "litellm"]
BOTH = pytest.mark.parametrize("lane", ["fast", "litellm"])
ASK = [{"role": "user", "content": "What is 6 times 7?"}]
KEY = "sk-abcdefghijklmnopqrstuvwx"

QUICK = RetryPolicy(attempts=3, patience=5.0, longest_wait=0.02)


def model_name(lane: Lane) -> str:
    return "openai/double-1" if lane == "litellm" else "double-1"


def lane_at(lane: Lane, base_url: str, key: str = KEY) -> Client:
    if lane == "litellm":
        return LiteLLMLane({"api_base": base_url, "api_key": key})
    return FastLane(base_url, api_key=key, name="double")


@asynccontextmanager
async def endpoint_at(lane: Lane, base_url: str, **known: Any) -> AsyncIterator[Endpoint]:
    client = lane_at(lane, base_url)
    limits = known.pop("limits", None) or Limits(start=64)
    try:
        endpoint = Endpoint.of(client, model_name(lane), limits=limits, **{"policy": QUICK, **known})
        yield endpoint
    finally:
        await client.aclose()


@asynccontextmanager
async def drawing(
    lane: Lane, double: ProviderDouble, *fallbacks: Endpoint, **known: Any
) -> AsyncIterator[Model]:
    """A sampler whose requests go to the double; keywords are the endpoint's, but for the model's own."""
    own: dict[str, Any] = {k: known.pop(k) for k in ("ledger", "journal", "on_wait", "params") if k in known}
    async with endpoint_at(lane, double.base_url, **known) as endpoint:
        yield Model("sampler", [endpoint, *fallbacks], **{"ledger": Ledger(), **own})
