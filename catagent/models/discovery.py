"""Which model servers already run on this machine, and which models they hold."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, NamedTuple

from catagent.errors import ModelError
from catagent.models.config import ProviderConfig
from catagent.models.fast_lane import FastLane

__all__ = ["LocalServer", "context_of", "find_local", "list_models"]

_PATIENCE = 0.5


class LocalServer(NamedTuple):
    """A server that answered, and the models it lists (as the OpenAI protocol describes them)."""

    provider: str
    base_url: str
    models: tuple[dict[str, Any], ...]


async def list_models(
    provider: str, config: ProviderConfig, *, patience: float = 10.0
) -> list[dict[str, Any]]:
    """What an endpoint lists, waiting at most `patience` seconds. Raises `ModelError` or `TimeoutError`."""
    key = config.api_key.get_secret_value() if config.api_key else None
    headers = {name: value.get_secret_value() for name, value in config.headers.items()}
    lane = FastLane(config.base_url or "", api_key=key, headers=headers, name=provider)
    try:
        async with asyncio.timeout(patience):
            return await lane.models()
    finally:
        await lane.aclose()


async def find_local(providers: Mapping[str, ProviderConfig]) -> list[LocalServer]:
    """The local servers that answer and hold a chat model, in the order of the configuration."""

    async def ask(name: str, config: ProviderConfig) -> LocalServer | None:
        try:
            models = await list_models(name, config, patience=_PATIENCE)
        except (ModelError, TimeoutError):
            return None
        chat = tuple(m for m in models if isinstance(m.get("id"), str) and "embed" not in m["id"].lower())
        return LocalServer(name, config.base_url or "", chat) if chat else None

    local = [(n, c) for n, c in providers.items() if c.local and c.api == "openai" and c.base_url]
    found = await asyncio.gather(*(ask(name, config) for name, config in local))
    return [server for server in found if server is not None]


def context_of(listing: Mapping[str, Any]) -> int | None:
    """The context window in tokens that a listing names: vLLM's way, or llama.cpp's."""
    meta = listing.get("meta")
    for value in (
        listing.get("max_model_len"),
        listing.get("context_length"),
        meta.get("n_ctx") if isinstance(meta, dict) else None,
        meta.get("n_ctx_train") if isinstance(meta, dict) else None,
    ):
        if isinstance(value, int) and value > 0:
            return value
    return None
