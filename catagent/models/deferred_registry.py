"""Endpoints whose requests go as provider batches, for jobs that can wait a day to pay half.

A registry like any other, but that hosted models are reached through a `DeferredLane`. Limits and
time-outs are for requests that are sent one by one, so they do not apply; `widest` and the rest do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from catagent.errors import ConfigError
from catagent.models.config import Config, ProviderConfig
from catagent.models.deferred_lane import DeferredLane
from catagent.models.endpoint import Endpoint
from catagent.models.ledger import Price
from catagent.models.limiter import Limiter, Limits
from catagent.models.openai_batches import OpenAIBatches
from catagent.models.provider_batch import Hear, Polling
from catagent.models.provider_batches import BatchApi, BatchTerms
from catagent.models.registry import Registry
from catagent.models.together_batches import TogetherBatches

__all__ = ["VIA", "DeferredRegistry", "Via"]

Via: TypeAlias = Literal["openai", "together"]
VIA: dict[Via, Callable[..., BatchApi]] = {"openai": OpenAIBatches, "together": TogetherBatches}
"""The ways to submit batches, by the SDK they take."""

_TOGETHER = frozenset({"together", "together_ai"})


class DeferredRegistry(Registry):
    """Hosted models through provider batches, those on this machine as always.

    `folder` is where the record of batches is kept, one for each job. No more than `parked` requests of a
    model wait in batches at once. Raises `ConfigError` for a model that cannot be reached in batches, and
    for an SDK that is not installed.
    """

    def __init__(
        self,
        config: Config,
        *,
        via: Via,
        folder: Path,
        parked: int = 100_000,
        settle: float = 5.0,
        polling: Polling | None = None,
        terms: BatchTerms | None = None,
        hear: Hear | None = None,
        **options: Any,
    ) -> None:
        if via not in VIA:
            raise ConfigError(f"batches go via {' or '.join(VIA)}, not {via!r}")
        super().__init__(config, **options)
        self.lanes: dict[str, DeferredLane] = {}
        self._via: Via = via
        self._folder = folder
        self._cap = parked
        self._terms = terms
        self._waits: Mapping[str, Any] = {"settle": settle, "polling": polling, "hear": hear}

    async def _fast(self, model: str, provider: str, name: str, config: ProviderConfig) -> Endpoint:
        endpoint = await super()._fast(model, provider, name, config)
        if config.local:
            self._say(f"{model} is on this machine: it is asked directly")
            return endpoint
        if (provider in _TOGETHER) != (self._via == "together"):
            fitting = "models of together_ai" if self._via == "together" else "other models than Together's"
            raise ConfigError(f"batches via {self._via} are for {fitting}; {model} cannot go that way")
        lane = self._lane(provider, config)
        factor = lane.api.price_factor(name)
        return replace(
            endpoint,
            client=lane,
            limiter=Limiter(Limits(start=self._cap, max_concurrency=self._cap)),
            timeout=math.inf,
            widest=min(endpoint.widest, lane.width(name) or endpoint.widest),
            price=endpoint.price and Price(*(part * factor for part in endpoint.price)),
        )

    def _lane(self, provider: str, config: ProviderConfig) -> DeferredLane:
        assert config.base_url is not None
        place = f"{provider}@{config.base_url}"
        if place not in self.lanes:
            api = VIA[self._via](
                config.base_url,
                api_key=config.api_key.get_secret_value() if config.api_key else None,
                headers={k: v.get_secret_value() for k, v in config.headers.items()},
                name=provider,
                terms=self._terms,
            )
            self.lanes[place] = DeferredLane(api, self._folder, place=place, **self._waits)
            self._clients[place] = self.lanes[place]
        return self.lanes[place]

    def _wide(self, model: str, config: ProviderConfig, name: str) -> Endpoint:
        raise ConfigError(
            f"{model} is reached through LiteLLM, which cannot make batches of it: with --via {self._via} "
            "every hosted model has to be one of a provider with `api: openai`"
        )

    async def aclose(self) -> None:
        """See `Registry.aclose`. Batches that were made go on at the provider."""
        await super().aclose()
        self.lanes.clear()
