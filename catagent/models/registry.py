"""From model strings to endpoints: one endpoint a key, shared by all who name it.

A registry belongs to one event loop, since connections and limiters do. It resolves
`provider/model` by the configuration: listed providers over the fast lane, the embedded catalogue in
the process, everything else through LiteLLM.
"""

from __future__ import annotations

import asyncio
import difflib
import hashlib
import os
from collections.abc import AsyncGenerator, Callable
from typing import Any

from catagent.errors import ConfigError, ModelError
from catagent.models.catalogue import CATALOGUE, choose
from catagent.models.client import Client
from catagent.models.config import Config, KnownModel, Preference, ProviderConfig
from catagent.models.discovery import context_of, find_local, list_models
from catagent.models.embedded import SLOTS, EmbeddedClient
from catagent.models.endpoint import Endpoint
from catagent.models.fast_lane import FastLane
from catagent.models.limiter import Limiter, Limits
from catagent.models.litellm_lane import LiteLLMLane
from catagent.models.prices import known_context, known_price

__all__ = ["Registry"]

Note = Callable[[str], None]
Progress = Callable[[int, int | None], None]


class Registry:
    """The endpoints of one event loop. `note` hears what a user should know; `progress` sees downloads."""

    def __init__(self, config: Config, *, note: Note | None = None, progress: Progress | None = None) -> None:
        self.config = config
        self.notes: list[str] = []
        self._note = note
        self._progress = progress
        self._auto: str | None = None
        self._embedded_name: str | None = None
        self._endpoints: dict[Any, Endpoint] = {}
        self._clients: dict[Any, Client] = {}
        self._building = asyncio.Lock()
        self._keeper: AsyncGenerator[None, None] | None = None

    def _say(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
            if self._note:
                self._note(text)

    async def endpoint(self, model: str | Client) -> Endpoint:
        """The endpoint for a model string, or around a client of the user's own.

        Raises `ConfigError` for a string that names nothing.
        """
        if not isinstance(model, str):
            name = getattr(model, "name", None) or type(model).__name__
            return self._endpoints.setdefault(id(model), Endpoint.of(model, str(name)))
        async with self._building:  # two who ask at once must not get two limiters
            if model == "auto":
                model = await self._settle_auto()
            if self._is_embedded(model, "auto"):
                model = f"embedded/{await self._best_embedded()}"
            if model not in self._endpoints:
                self._endpoints[model] = await self._build(model)
            return self._endpoints[model]

    def _is_embedded(self, model: str, name: str) -> bool:
        provider, _, rest = model.partition("/")
        config = self.config.providers.get(provider)
        return rest == name and (config.api == "embedded" if config else provider == "embedded")

    async def _best_embedded(self) -> str:
        if self._embedded_name is None:
            self._embedded_name = (await choose(progress=self._progress, note=self._say)).name
        return self._embedded_name

    async def _build(self, model: str) -> Endpoint:
        provider, _, name = model.partition("/")
        if not name:
            near = difflib.get_close_matches(model, CATALOGUE, 1)
            hint = f"embedded/{near[0]}" if near else f"openai/{model}"
            raise ConfigError(f"the model {model!r} does not name a provider: write {hint!r}, for example")
        config = self.config.providers.get(provider)
        if config is None and provider == "embedded":
            config = ProviderConfig(api="embedded")
        if config is None:
            return self._wide(model, ProviderConfig(), "")
        if config.api == "embedded":
            return self._embedded(name, config)
        if config.api == "litellm":
            return self._wide(model, config, name)
        return await self._fast(model, provider, name, config)

    async def _fast(self, model: str, provider: str, name: str, config: ProviderConfig) -> Endpoint:
        if not config.base_url:
            raise ConfigError(f"{self.config.source}: the provider {provider!r} has no base_url")
        if not config.base_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"the base_url of {provider!r} is {config.base_url!r}: write it as http://host:port/v1"
            )
        key = config.api_key.get_secret_value() if config.api_key else None
        account = hashlib.sha256((key or "").encode()).hexdigest()[:12]
        client_key = (provider, config.base_url, account)
        client = self._clients.get(client_key)
        if client is None:
            headers = {k: v.get_secret_value() for k, v in config.headers.items()}
            client = FastLane(config.base_url, api_key=key, headers=headers, name=provider)
            self._clients[client_key] = client
        known = config.models.get(name, KnownModel())
        context = known.context or (
            await self._listed_context(provider, name, config) if config.local else None
        )
        return Endpoint(
            name=model,
            client=client,
            model=name,
            identity=f"{model}@{config.base_url}",
            limiter=Limiter(config.limits_for(name)),
            policy=config.policy,
            timeout=config.timeout,
            price=config.price_of(name) or known_price(model),
            context=context or known_context(model),
            params={**config.params, **known.params},
        )

    async def _listed_context(self, provider: str, name: str, config: ProviderConfig) -> int | None:
        try:
            listing = await list_models(provider, config, patience=2.0)
        except (ModelError, TimeoutError):
            return None
        return next((context_of(m) for m in listing if m.get("id") == name), None)

    def _wide(self, model: str, config: ProviderConfig, name: str) -> Endpoint:
        options: dict[str, Any] = {}
        if config.base_url:
            options["api_base"] = config.base_url
        if config.api_key:
            options["api_key"] = config.api_key.get_secret_value()
        if config.headers:
            options["extra_headers"] = {k: v.get_secret_value() for k, v in config.headers.items()}
        known = config.models.get(name, KnownModel())
        return Endpoint(
            name=model,
            client=self._clients.setdefault(("litellm", model), LiteLLMLane(options)),
            model=model,
            identity=f"{model}@{config.base_url or ''}",
            limiter=Limiter(config.limits_for(name)),
            policy=config.policy,
            timeout=config.timeout,
            price=config.price_of(name) or known_price(model),
            context=known.context or known_context(model),
            params={**config.params, **known.params},
        )

    def _embedded(self, name: str, config: ProviderConfig) -> Endpoint:
        entry = CATALOGUE.get(name)
        if entry is None:
            near = difflib.get_close_matches(name, CATALOGUE, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(CATALOGUE)}"
            raise ConfigError(f"there is no embedded model {name!r}; {hint}")
        self._say(
            f"embedded/{name} is a small model inside this process: it shows how catagent works and is "
            "often wrong; name a better one with --model or in providers.yaml"
        )
        known = config.models.get(name, KnownModel())
        return Endpoint(
            name=f"embedded/{name}",
            client=self._clients.setdefault(("embedded", name), EmbeddedClient(name, self._progress)),
            model=name,
            identity=f"embedded/{name}",
            limiter=Limiter(Limits(start=SLOTS, max_concurrency=2 * SLOTS)),
            policy=config.policy,
            timeout=config.timeout,
            price=config.price_of(name),
            context=known.context or min(entry.context, 8192),
            widest=SLOTS,
            params={**config.params, **known.params},
        )

    async def _settle_auto(self) -> str:
        """The first line of `auto` in the configuration that applies."""
        if self._auto is None:
            self._auto = await self._first_that_applies()
        return self._auto

    async def _first_that_applies(self) -> str:
        for line in self.config.auto:
            if isinstance(line, Preference):
                if os.environ.get(line.env):
                    model = await self._at_custom_base(line.model)
                    self._say(f"using {model}, since {line.env} is set")
                    return model
            elif line == "local":
                for server in await find_local(self.config.providers):
                    model = f"{server.provider}/{server.models[0]['id']}"
                    self._say(f"using {model}, which is running at {server.base_url}")
                    return model
            else:
                return f"embedded/{await self._best_embedded()}"
        raise ConfigError(f"{self.config.source}: no line of `auto` applies; name a model for the sampler")

    async def _at_custom_base(self, model: str) -> str:
        """With `OPENAI_BASE_URL` elsewhere, the default model may not exist there: take what is listed."""
        provider, _, name = model.partition("/")
        if provider != "openai" or not os.environ.get("OPENAI_BASE_URL"):
            return model
        try:
            listed = [m["id"] for m in await list_models(provider, self.config.providers[provider])]
        except (ModelError, TimeoutError, KeyError):
            return model
        return model if name in listed or not listed else f"{provider}/{listed[0]}"

    async def close_with_loop(self, then: Callable[[], object]) -> None:
        """See that the clients are closed when the event loop is, and call `then`.

        A loop closes the asynchronous generators that it has seen when it ends: here is one to close.
        """

        async def keeper() -> AsyncGenerator[None, None]:
            try:
                yield
            finally:
                then()
                await self.aclose()

        self._keeper = keeper()
        await anext(self._keeper)

    async def aclose(self) -> None:
        """Close the clients that this registry made; a client of the user's own is the user's to close."""
        clients = list(self._clients.values())
        self._endpoints.clear()
        self._clients.clear()
        self._auto = None
        for client in clients:
            await client.aclose()
