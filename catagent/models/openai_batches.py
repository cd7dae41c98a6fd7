"""OpenAI's batches over its official SDK, and those of every provider that speaks its files and batches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from catagent.models.provider_batches import BatchFault, BatchState, BatchStatus, BatchTerms, translated
from catagent.models.sdk_batches import URL, SdkBatches

__all__ = ["OpenAIBatches"]

_CLOCKS_APART = 86_400.0


class OpenAIBatches(SdkBatches):
    """`files` and `batches` under one base URL, without the SDK's retries: a repeated `create` buys twice.

    Raises `ConfigError` when the SDK is not installed.
    """

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        name: str = "openai",
        terms: BatchTerms | None = None,
    ) -> None:
        super().__init__(
            "openai", "AsyncOpenAI", base_url, api_key=api_key, headers=headers, name=name, terms=terms
        )

    def line(self, custom_id: str, body: bytes) -> bytes:
        """See `BatchApi.line`."""
        return b'{"custom_id":"%b","method":"POST","url":"%b","body":%b}' % (
            custom_id.encode(),
            URL.encode(),
            body,
        )

    def price_factor(self, model: str) -> float:
        """Half."""
        return 0.5

    async def upload(self, path: Path) -> str:
        """See `BatchApi.upload`."""
        with translated(self._sdk, self.name, *self._secrets):
            return str((await self._client.files.create(file=path, purpose="batch")).id)

    async def create(self, file_id: str, label: Mapping[str, str]) -> BatchState:
        """See `BatchApi.create`."""
        with translated(self._sdk, self.name, *self._secrets):
            made = await self._client.batches.create(
                input_file_id=file_id, endpoint=URL, completion_window="24h", metadata=dict(label)
            )
            return self._state(made)

    async def find(self, file_id: str, since: float) -> BatchState | None:
        """See `BatchApi.find`. The list is ordered by time, so it is read as far back as `since`."""
        with translated(self._sdk, self.name, *self._secrets):
            async for batch in self._client.batches.list(limit=100):
                if batch.input_file_id == file_id and batch.status != "failed":
                    return self._state(batch)
                if batch.created_at < since - _CLOCKS_APART:
                    return None
        return None

    @staticmethod
    def _state(batch: Any) -> BatchState:
        counts, errors = batch.request_counts, batch.errors
        return BatchState(
            id=batch.id,
            status=cast("BatchStatus", batch.status),
            input_file=batch.input_file_id,
            output_file=batch.output_file_id,
            error_file=batch.error_file_id,
            total=counts.total if counts else None,
            completed=counts.completed if counts else None,
            failed=counts.failed if counts else None,
            faults=tuple(
                BatchFault(e.message or e.code or "no reason given", e.code, e.line)
                for e in (errors.data if errors else None) or ()
            ),
        )
