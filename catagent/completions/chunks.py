"""A stream's items as `chat.completion.chunk` objects, in the order that OpenAI's clients expect."""

from __future__ import annotations

from collections.abc import Iterator

from catagent.completions.listening import ContentDelta, Final, StreamItem
from catagent.completions.reply import Body, Head

__all__ = ["Chunks"]


class Chunks:
    """Makes the chunks of one stream. `usage` says whether its last chunk tells what it cost."""

    def __init__(self, head: Head, *, usage: bool = False) -> None:
        self._head = head
        self._usage = usage
        self._opened: set[int] = set()

    def of(self, item: StreamItem) -> Iterator[Body]:
        """The chunks of one item; `Progress` has none."""
        if isinstance(item, ContentDelta):
            yield from self._opening(item.index)
            yield self._chunk(item.index, self._delta(item))
        elif isinstance(item, Final):
            yield from self._end(item.completion)

    def _delta(self, item: ContentDelta) -> Body:
        delta: Body = {}
        if item.text:
            delta["content"] = item.text
        if item.reasoning:
            delta["reasoning_content"] = item.reasoning
        if item.tool_calls:
            delta["tool_calls"] = list(item.tool_calls)
        return delta

    def _opening(self, index: int) -> Iterator[Body]:
        if index not in self._opened:
            self._opened.add(index)
            yield self._chunk(index, {"role": "assistant", "content": ""})

    def _end(self, completion: Body) -> Iterator[Body]:
        for choice in completion["choices"]:
            index = choice["index"]
            yield from self._opening(index)
            more = {"catagent": completion["catagent"]} if index == 0 else choice.get("catagent")
            extra = more if index == 0 else ({"catagent": more} if more else {})
            yield self._chunk(index, {}, choice["finish_reason"], choice["logprobs"], **(extra or {}))
        if self._usage:
            yield self._head.chunk([], usage=completion["usage"])

    def _chunk(
        self, index: int, delta: Body, reason: str | None = None, logprobs: Body | None = None, **more: object
    ) -> Body:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        if self._usage:
            more["usage"] = None
        return self._head.chunk([choice], **more)
