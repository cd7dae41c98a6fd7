"""What the official SDKs of OpenAI and Together have in common: one generator makes both."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catagent.models.provider_batches import BatchState, BatchTerms, imported, translated

__all__ = ["URL", "SdkBatches"]

URL = "/v1/chat/completions"


class SdkBatches(ABC):
    """`files` and `batches` over an SDK, without its retries: a repeated `create` buys twice.

    Raises `ConfigError` when the SDK is not installed.
    """

    terms = BatchTerms()

    def __init__(
        self,
        sdk: str,
        client: str,
        base_url: str,
        *,
        api_key: str | None,
        headers: Mapping[str, str] | None,
        name: str,
        terms: BatchTerms | None,
    ) -> None:
        self.name = name
        if terms is not None:
            self.terms = terms
        self._sdk = imported(sdk, sdk)
        self._secrets = (api_key or "", *(headers or {}).values())
        self._client = getattr(self._sdk, client)(
            api_key=api_key or "none", base_url=base_url, default_headers=dict(headers or {}), max_retries=0
        )

    @staticmethod
    @abstractmethod
    def _state(batch: Any) -> BatchState: ...

    async def retrieve(self, batch_id: str) -> BatchState:
        """See `BatchApi.retrieve`."""
        with translated(self._sdk, self.name, *self._secrets):
            return self._state(await self._client.batches.retrieve(batch_id))

    async def download(self, file_id: str, path: Path) -> None:
        """See `BatchApi.download`."""
        with translated(self._sdk, self.name, *self._secrets):
            async with self._client.files.with_streaming_response.content(file_id) as reply:
                await reply.stream_to_file(path)

    async def cancel(self, batch_id: str) -> None:
        """See `BatchApi.cancel`."""
        with translated(self._sdk, self.name, *self._secrets):
            await self._client.batches.cancel(batch_id)

    async def aclose(self) -> None:
        """See `BatchApi.aclose`."""
        await self._client.close()
