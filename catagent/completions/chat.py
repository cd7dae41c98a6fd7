"""A chat request in, a chat completion out, whole or as a stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from catagent.cat import CaT
from catagent.completions import structured, voting
from catagent.completions.casting import cast_of
from catagent.completions.listening import ContentDelta, Final, Listener, Progress, StreamItem
from catagent.completions.passing import Passage, passed
from catagent.completions.problems import ApiError, api_error
from catagent.completions.reply import Body, Head, completion, numbered
from catagent.completions.request import ChatRequest, request_of
from catagent.completions.schema import Schema, schema_of
from catagent.events import Emit
from catagent.messages import Solution, Task

__all__ = ["OnSolution", "complete", "stream"]

OnSolution: TypeAlias = Callable[[Solution], None]


@dataclass(frozen=True, slots=True)
class _Plan:
    """One request, settled: by whom, how, and what to check."""

    request: ChatRequest
    head: Head
    cat: CaT
    rewards: bool
    params: Body
    schema: Schema | None

    @classmethod
    def of(cls, body: ChatRequest | Mapping[str, Any], cat: CaT, head: Head | None) -> _Plan:
        request = request_of(body)
        cast = cast_of(request.model, cat, request.options)
        params = {**cast.params, **request.params}
        plan = cls(
            request,
            head or Head(request.model),
            cast.cat,
            cast.rewards,
            params,
            None if request.calls_tools else schema_of(params.get("response_format")),
        )
        if not plan.passes and (request.n or 1) > cast.cat.n + 1:
            raise ApiError(
                400,
                f"n is {request.n}: there are {cast.cat.n} rollouts beside the reference; "
                "ask for more of them with catagent.n",
                code="invalid_value",
                param="n",
            )
        return plan

    @property
    def passes(self) -> bool:
        return self.request.calls_tools and self.request.options.tools == "pass"

    @property
    def live(self) -> bool:
        """Whether the synthesis may be shown before it is settled."""
        return self.schema is None and not self.request.calls_tools and self.request.options.stream == "live"

    async def solve(self, emit: Emit | None = None) -> Solution:
        cat, kind, estimator = self.cat, self.cat.kind, self.cat.estimator
        if self.request.calls_tools:
            kind, estimator = "auto", voting.NAME
        elif self.schema is not None:
            kind = "open"  # a final answer in a box would not be JSON
            estimator = structured.NAME if estimator == "synthesis" else estimator
        task = Task.of(list(self.request.messages), kind=kind, params=self.params)
        solution = await cat.solve(task, estimator=estimator, rewards=self.rewards, emit=emit)
        return solution if self.schema is None else await structured.conforming(solution, self.schema)

    def completion(self, solution: Solution) -> Body:
        texts = self.request.options.rollouts
        return completion(self.head, solution, self.request.n or 1, texts=texts)


async def complete(
    body: ChatRequest | Mapping[str, Any],
    cat: CaT,
    *,
    head: Head | None = None,
    on_solution: OnSolution | None = None,
) -> Body:
    """The `chat.completion` for an OpenAI chat request, with the reference as its first choice.

    `head` gives the reply its id; `on_solution` sees the whole solution, unless the request passed through.

    Raises `ApiError`, whatever went wrong.
    """
    try:
        await cat.begin()
        plan = _Plan.of(body, cat, head)
        if plan.passes:
            return await passed(plan.request, plan.cat, plan.head, plan.params)
        solution = await plan.solve()
        if on_solution is not None:
            on_solution(solution)
        return plan.completion(solution)
    except Exception as error:
        raise api_error(error) from error


async def stream(
    body: ChatRequest | Mapping[str, Any],
    cat: CaT,
    *,
    head: Head | None = None,
    every: float = 10.0,
    on_solution: OnSolution | None = None,
) -> AsyncGenerator[StreamItem, None]:
    """The same as `complete`, as it happens; the last item is `Final`.

    Where nothing else happens, a `Progress` comes `every` so many seconds. Closing the generator cancels
    the work: use it with `contextlib.aclosing`. Raises `ApiError`, before the first item for what is wrong
    with the request itself.
    """
    try:
        await cat.begin()
        plan = _Plan.of(body, cat, head)
        made = _passing(plan, every) if plan.passes else _solving(plan, every, on_solution)
        async with aclosing(made) as items:
            async for item in items:
                yield item
    except Exception as error:
        raise api_error(error) from error


async def _solving(
    plan: _Plan, every: float, on_solution: OnSolution | None
) -> AsyncGenerator[StreamItem, None]:
    listener = Listener(plan.cat.n, live=plan.live)
    work = asyncio.ensure_future(plan.solve(listener))
    try:
        while (pulse := await _pulse(work, listener.changed, every)) != "done":
            for item in listener.news() if pulse == "news" else [listener.progress]:
                yield item
        solution = await work
    finally:
        await _ended(work)
    if on_solution is not None:
        on_solution(solution)
    body = plan.completion(solution)
    reference, draft = solution.reference, listener.draft
    reason = (reference.fallback if reference else None) or "another synthesis took its place"
    for choice in body["choices"]:
        message = choice["message"]
        text, calls = message["content"] or "", message.get("tool_calls") or ()
        if choice["index"] == 0:
            text = draft.settle(text, reason)
        if text or calls:
            yield ContentDelta(choice["index"], text, None, numbered(calls))
    body["catagent"]["streamed"] = {"superseded": draft.superseded, "offset": draft.offset}
    yield Final(body)


async def _passing(plan: _Plan, every: float) -> AsyncGenerator[StreamItem, None]:
    hear = Passage()
    work = asyncio.ensure_future(passed(plan.request, plan.cat, plan.head, plan.params, hear))
    try:
        while (pulse := await _pulse(work, hear.changed, every)) != "done":
            if pulse == "quiet":
                yield Progress("rollouts", n=plan.request.n or 1)
            for item in hear.news():
                yield item
        body = await work
    finally:
        await _ended(work)
    for rest in (*hear.news(), *hear.rest(body["choices"])):
        yield rest
    yield Final(body)


async def _pulse(
    work: asyncio.Future[Any], changed: asyncio.Event, every: float
) -> Literal["news", "quiet", "done"]:
    """Wait for news, for the end of the work, or until it is time for a sign of life."""

    def wake(_: object) -> None:
        changed.set()

    if not work.done():
        work.add_done_callback(wake)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every):
                await changed.wait()
        work.remove_done_callback(wake)
    if work.done():
        return "done"
    return "news" if changed.is_set() else "quiet"


async def _ended(work: asyncio.Future[Any]) -> None:
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
