"""What the adapters share: CaT as a chat model for a framework, async and sync, whole and as a stream."""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from catagent.background import run_in_background
from catagent.cat import CaT
from catagent.completions import ApiError, Body, ContentDelta, Final, complete, stream
from catagent.messages import ChatMessage

__all__ = ["Chat", "default_cat", "in_background", "status_of"]

T = TypeVar("T")


@functools.cache
def default_cat() -> CaT:
    """The `CaT` of adapters that were given none: the configuration in force when it is first needed."""
    return CaT()


class Chat:
    """A model name (`cat`, `cat/provider/model`, a profile) and the options of `extra_body["catagent"]`.

    The connections belong to `cat`, by default one for the whole process. Every method raises
    `catagent.completions.ApiError`, which the adapter turns into its framework's own kinds.
    """

    def __init__(
        self, model: str = "cat", *, cat: CaT | None = None, options: Mapping[str, Any] | None = None
    ) -> None:
        self.model = model
        self.options = {k: v for k, v in (options or {}).items() if v is not None}
        self._cat = cat

    @property
    def cat(self) -> CaT:
        """The `CaT` that is asked."""
        return self._cat or default_cat()

    def body(self, messages: Sequence[ChatMessage], params: Mapping[str, Any]) -> Body:
        """An OpenAI chat request. Parameters go along as they are, `catagent` among them over the options."""
        rest = {k: v for k, v in params.items() if k != "catagent"}
        options = {**self.options, **(params.get("catagent") or {})}
        own = {"catagent": options} if options else {}
        return {**rest, **own, "model": self.model, "messages": list(messages)}

    async def complete(self, messages: Sequence[ChatMessage], **params: Any) -> Body:
        """The `chat.completion`."""
        return await complete(self.body(messages, params), self.cat)

    async def stream(
        self, messages: Sequence[ChatMessage], **params: Any
    ) -> AsyncGenerator[ContentDelta | Final, None]:
        """The pieces as they come, then the whole. Closing it cancels the work upstream."""
        async with aclosing(stream(self.body(messages, params), self.cat)) as items:
            async for item in items:
                if isinstance(item, ContentDelta | Final):
                    yield item

    def complete_sync(self, messages: Sequence[ChatMessage], **params: Any) -> Body:
        """`complete` for callers that are not async."""
        return run_in_background(self.complete(messages, **params))

    def stream_sync(
        self, messages: Sequence[ChatMessage], **params: Any
    ) -> Generator[ContentDelta | Final, None, None]:
        """`stream` for callers that are not async. Closing the iterator cancels the work upstream."""
        return in_background(self.stream(messages, **params))


def status_of(error: ApiError) -> int:
    """The HTTP status for a caller who owns the keys: 401, 402 or 403 where a provider refuses theirs."""
    if error.code == "upstream_account":
        return getattr(error.__cause__, "status", None) or 401
    return error.status


def in_background(items: AsyncGenerator[T, None]) -> Generator[T, None, None]:
    """An async generator as a plain one: it runs in the background loop, a step at a time."""

    async def step() -> tuple[T, ...]:
        try:
            return (await anext(items),)
        except StopAsyncIteration:
            return ()

    try:
        while step_made := run_in_background(step()):
            yield step_made[0]
    finally:
        run_in_background(items.aclose())
