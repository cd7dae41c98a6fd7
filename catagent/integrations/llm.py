"""The command and library `llm`: `llm -m cat -o sampler openai/gpt-5-mini -o rollouts 8 "…"`.

The package's entry point registers `cat` and the profiles of the configuration (`cat/NAME`), for sync and
async use. They are `llm`'s own models for OpenAI's chat protocol with CaT in the process behind them, so that
schemas, tools, attachments, conversations and logs work as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from catagent.integrations.extras import absent

try:
    import llm
    from llm.default_plugins.openai_models import AsyncChat, Chat, build_options_class
except ImportError as error:
    raise absent("llm", error) from error

from pydantic import Field

from catagent.cat import CaT
from catagent.completions import model_names
from catagent.errors import CatError
from catagent.integrations.chat import default_cat
from catagent.integrations.openai import async_client, client

__all__ = ["AsyncCatModel", "CatModel", "register_models"]

_OURS = {"rollouts": "n", "estimator": "estimator", "kind": "kind", "question_aware": "question_aware"}


class _Options(build_options_class()):  # type: ignore[misc]
    sampler: str | None = Field(default=None, description="The model of the rollouts, as provider/name.")
    rollouts: int | None = Field(default=None, ge=1, description="How many rollouts.")
    estimator: str | None = Field(default=None, description="How the reference is made.")
    kind: str | None = Field(default=None, description="auto, verifiable or open.")
    question_aware: bool | None = Field(default=None, description="Whether the anchor sees the question.")


class _Shared:
    """What the sync and the async model have in common."""

    needs_key = None
    Options = _Options

    def __init__(self, model_id: str = "cat", cat: CaT | None = None) -> None:
        super().__init__(model_id, vision=True, supports_schema=True, supports_tools=True)  # type: ignore[call-arg]
        self._cat = cat

    def get_client(self, key: str | None, *, async_: bool = False) -> Any:
        """The client in this process; no key is needed for it."""
        return (async_client if async_ else client)(self._cat)

    def build_kwargs(self, prompt: Any, stream: bool) -> dict[str, Any]:
        """The request, with CaT's options where they belong."""
        asked: dict[str, Any] = super().build_kwargs(prompt, stream)  # type: ignore[misc]
        options = {ours: asked.pop(name) for name, ours in _OURS.items() if name in asked}
        sampler = asked.pop("sampler", None)
        asked["extra_body"] = {**({"catagent": options} if options else {})}
        if sampler:
            asked["extra_body"]["model"] = f"cat/{sampler}"
        return asked


class CatModel(_Shared, Chat):
    """`cat`, or a profile, for callers that are not async."""

    def __str__(self) -> str:
        return f"catagent: {self.model_id}"


class AsyncCatModel(_Shared, AsyncChat):
    """The same for async callers."""

    def __str__(self) -> str:
        return f"catagent (async): {self.model_id}"


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Called by `llm` when it looks for models."""
    try:
        names = model_names(default_cat())
    except CatError:
        names = ["cat"]  # what is wrong with the configuration is said when the model is asked
    for name in names:
        register(CatModel(name), AsyncCatModel(name))
