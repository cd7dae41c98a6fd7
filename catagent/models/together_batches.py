"""Together's batches over its official SDK: the same idea as OpenAI's with other file lines and statuses."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from catagent.models.provider_batches import BatchFault, BatchState, BatchStatus, BatchTerms, translated
from catagent.models.sdk_batches import URL, SdkBatches

__all__ = ["TogetherBatches"]

_DISCOUNTED = frozenset(
    {
        "Qwen/Qwen2.5-7B-Instruct-Turbo",
        "meta-llama/Llama-3-70b-chat-hf",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "mistralai/Mixtral-8x7B-Instruct-v0.1",
        "zai-org/GLM-4.5-Air-FP8",
    }
)
"""Models that Together lists at half price in batches; all others cost there what they cost elsewhere."""


class TogetherBatches(SdkBatches):
    """`files` and `batches` of Together, without the SDK's retries: a repeated `create` buys twice.

    Raises `ConfigError` when the SDK is not installed.
    """

    terms = BatchTerms(size=100_000_000)

    def __init__(
        self,
        base_url: str,
        *,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        name: str = "together",
        terms: BatchTerms | None = None,
    ) -> None:
        super().__init__(
            "together",
            "AsyncTogether",
            base_url.rstrip("/").removesuffix("/v1"),
            api_key=api_key,
            headers=headers,
            name=name,
            terms=terms,
        )

    def line(self, custom_id: str, body: bytes) -> bytes:
        """See `BatchApi.line`."""
        return b'{"custom_id":"%b","body":%b}' % (custom_id.encode(), body)

    def price_factor(self, model: str) -> float:
        """Half for the models that Together says so of, else the whole price."""
        return 0.5 if model in _DISCOUNTED else 1.0

    async def upload(self, path: Path) -> str:
        """See `BatchApi.upload`. A file that is there already is not uploaded again."""
        with translated(self._sdk, self.name, *self._secrets):
            return str((await self._client.files.upload(path, purpose="batch-api", check=False)).id)

    async def create(self, file_id: str, label: Mapping[str, str]) -> BatchState:
        """See `BatchApi.create`. Together keeps no labels."""
        with translated(self._sdk, self.name, *self._secrets):
            made = await self._client.batches.create(
                input_file_id=file_id, endpoint=URL, completion_window="24h"
            )
            return self._state(made.job)

    async def find(self, file_id: str, since: float) -> BatchState | None:
        """See `BatchApi.find`."""
        with translated(self._sdk, self.name, *self._secrets):
            for job in await self._client.batches.list() or ():
                if job.input_file_id == file_id and job.status != "FAILED":
                    return self._state(job)
        return None

    @staticmethod
    def _state(job: Any) -> BatchState:
        if not job.id or not job.status:
            raise ValueError("a batch without an id or a status")
        return BatchState(
            id=job.id,
            status=cast("BatchStatus", job.status.lower()),
            input_file=job.input_file_id,
            output_file=job.output_file_id or None,
            error_file=job.error_file_id or None,
            percent=job.progress,
            faults=(BatchFault(job.error),) if job.error else (),
        )
