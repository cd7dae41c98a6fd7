"""Requests that pass through to the sampler's model: one request upstream, the reply as it came.

An agent's loop needs its tools called as it asked. The request still goes the one way that all go, so it
is limited, retried and counted like any other.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from catagent.cat import CaT
from catagent.completions.listening import ContentDelta
from catagent.completions.problems import ApiError
from catagent.completions.reply import Body, Head, accounts_of, choice_of, numbered
from catagent.completions.request import ChatRequest
from catagent.errors import GarbledError
from catagent.models.client import Delta
from catagent.models.model import Sample

__all__ = ["Passage", "passed"]


class Passage:
    """Hears the deltas of a request that passes through, and keeps them until the reader takes them."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self._pending: list[Delta] = []
        self._attempts: dict[int, int] = {}
        self._taken: set[int] = set()
        self._texts: dict[int, int] = defaultdict(int)
        self._told: set[int] = set()
        self.broken = False

    def __call__(self, delta: Delta) -> None:
        """Take a delta. A new attempt after the reader has seen a piece of the old one cannot be hidden."""
        known = self._attempts.setdefault(delta.index, delta.attempt)
        if delta.attempt != known:
            self._attempts[delta.index] = delta.attempt
            if delta.index in self._taken:
                self.broken = True
            self._pending = [d for d in self._pending if d.index != delta.index]
        if not self.broken:
            self._pending.append(delta)
        self.changed.set()

    def news(self) -> list[ContentDelta]:
        """The pieces since the last time; texts that follow each other in one. Raises `ApiError`."""
        self.changed.clear()
        if self.broken:
            raise ApiError(
                502,
                "the model's reply broke off in the middle; ask again",
                type="upstream_error",
                code="stream_broken",
                again=True,
            )
        pending, self._pending = self._pending, []
        items: list[ContentDelta] = []
        for delta in pending:
            self._taken.add(delta.index)
            self._texts[delta.index] += len(delta.text)
            if delta.reasoning or delta.tool_calls:
                self._told.add(delta.index)
            last = items[-1] if items else None
            plain = not (delta.reasoning or delta.tool_calls)
            if last and plain and last.index == delta.index and not (last.reasoning or last.tool_calls):
                items[-1] = ContentDelta(delta.index, last.text + delta.text)
            else:
                items.append(ContentDelta(delta.index, delta.text, delta.reasoning, delta.tool_calls))
        return items

    def rest(self, choices: list[Body]) -> list[ContentDelta]:
        """What a lane that does not stream left untold."""
        items = []
        for choice in choices:
            index, message = choice["index"], choice["message"]
            text = (message.get("content") or "")[self._texts[index] :]
            whole = message.get("tool_calls") or () if index not in self._told else ()
            calls = numbered(whole)
            if text or calls:
                items.append(ContentDelta(index, text, None, calls))
        return items


async def passed(
    request: ChatRequest, cat: CaT, head: Head, params: Body, hear: Passage | None = None
) -> Body:
    """The `chat.completion` of a request that passed through. Raises the model's error when nothing came."""
    run = await cat.begin()
    model = await run.model("sampler")
    samples: list[Sample] = await model.samples(
        request.messages, request.n or 1, params, on_delta=hear, whole_deltas=hear is not None
    )
    alive = [(i, s.choice) for i, s in enumerate(samples) if s.choice is not None]
    if not alive:
        raise samples[0].error or GarbledError("the model gave nothing")
    failed = [f"choice {i} failed: {s.error}" for i, s in enumerate(samples) if s.choice is None]
    usage = run.ledger.usage()
    details = {
        "method": "passed",
        "model": samples[alive[0][0]].model,
        "partial": bool(failed),
        "usage": accounts_of(usage),
        "notes": [*run.registry.notes, *failed],
    }
    return head.completion([choice_of(i, choice) for i, choice in alive], usage, details)
