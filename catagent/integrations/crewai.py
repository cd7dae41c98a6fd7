"""CrewAI: `Agent(llm=CatLLM(model="cat/openai/gpt-5-mini", rollouts=8), …)`.

The model is CrewAI's own for OpenAI's chat protocol, with CaT in the process behind it: tools, typed output,
streams, events and token counts are CrewAI's, sync and async.
"""

from __future__ import annotations

from typing import Any

from catagent.cat import CaT
from catagent.integrations.answering import BASE_URL
from catagent.integrations.extras import absent

try:
    from crewai.llms.providers.openai.completion import OpenAICompletion
except ImportError as error:
    raise absent("crewai", error) from error

from pydantic import Field

from catagent.integrations.openai import async_client, client

__all__ = ["CatLLM"]


class CatLLM(OpenAICompletion):
    """A `BaseLLM`: `cat`, `cat/provider/model` or a profile of the configuration.

    `rollouts` and `catagent` are how references are made. CrewAI itself asks again after a rate limit; what
    catagent's limiter handles never gets there.
    """

    base_url: str | None = BASE_URL
    api_key: str | None = "in-process"
    rollouts: int | None = None
    catagent: dict[str, Any] = Field(default_factory=dict)
    cat: CaT | None = Field(default=None, exclude=True, repr=False)

    def __init__(self, model: str = "cat", **options: Any) -> None:
        super().__init__(model=model, **options)

    @property
    def _chosen(self) -> dict[str, Any]:
        n = {} if self.rollouts is None else {"n": self.rollouts}
        return {**n, **self.catagent}

    def _build_sync_client(self) -> Any:
        return client(self.cat, self._chosen)

    def _build_async_client(self) -> Any:
        return async_client(self.cat, self._chosen)
