"""Endpoints whose limits are shared with other processes that use the same keys.

A registry like any other, but that the limiter of each hosted model asks an allowance elsewhere. A server
on the loopback address is another one on every machine, so `machine` is part of its key. Embedded models
are in the process and have limits of their own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from catagent.models.config import Config, ProviderConfig
from catagent.models.endpoint import Endpoint
from catagent.models.limiter import Limits
from catagent.models.registry import Registry
from catagent.models.shared_limiter import Exchange, SharedLimiter

__all__ = ["Front", "SharedRegistry"]

Front = Callable[[str, Limits], Exchange]
"""For a key and what is known of its limits: the way to its allowance."""

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - compared, not bound


class SharedRegistry(Registry):
    """`front` leads to the allowance of a key."""

    def __init__(self, config: Config, *, front: Front, machine: str = "", **options: Any) -> None:
        super().__init__(config, **options)
        self._front = front
        self._machine = machine

    async def _fast(self, model: str, provider: str, name: str, config: ProviderConfig) -> Endpoint:
        endpoint = await super()._fast(model, provider, name, config)
        return self._shared(endpoint, provider, name, config)

    def _wide(self, model: str, config: ProviderConfig, name: str) -> Endpoint:
        endpoint = super()._wide(model, config, name)
        return self._shared(endpoint, model.partition("/")[0], name or model, config)

    def _shared(self, endpoint: Endpoint, provider: str, name: str, config: ProviderConfig) -> Endpoint:
        secret = config.api_key.get_secret_value() if config.api_key else ""
        account = hashlib.sha256(secret.encode()).hexdigest()[:12]
        base = config.base_url or ""
        machine = self._machine if urlsplit(base).hostname in _LOOPBACK else ""
        key = " ".join((provider, base, machine, account, name))
        endpoint.limiter = SharedLimiter(self._front(key, config.limits_for(name)))
        return endpoint
