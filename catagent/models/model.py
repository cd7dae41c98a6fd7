"""What an agent holds: one role's way to its model.

Adds to the request path what is said of samples rather than requests: the journal, `n` in one request
and the top-up of what is missing, fall-back models, and which sample is which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import orjson

from catagent.errors import (
    AccountError,
    BudgetError,
    ContextOverflowError,
    GarbledError,
    ModelError,
    RequestError,
)
from catagent.gathering import gathered
from catagent.messages import ChatMessage
from catagent.models.client import Choice, Delta, OnDelta, TokenLogprob
from catagent.models.endpoint import Endpoint
from catagent.models.journal import Journal, sample_keys
from catagent.models.ledger import Ledger
from catagent.models.retry import OnWait

__all__ = ["Model", "OnSample", "Sample"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample and the endpoint it came from, or the error in its place."""

    choice: Choice | None
    model: str
    error: ModelError | None = None


OnSample: TypeAlias = Callable[[int, Sample], None]


class Model:
    """The model behind one role, in one run.

    `endpoints` are the model and its fall-backs in order; `params` the role's sampling parameters.
    """

    def __init__(
        self,
        role: str,
        endpoints: Sequence[Endpoint],
        params: Mapping[str, Any] | None = None,
        *,
        ledger: Ledger | None = None,
        journal: Journal | None = None,
        on_wait: OnWait | None = None,
    ) -> None:
        self.role = role
        self.params = dict(params or {})
        self.endpoints = tuple(endpoints)
        self.ledger = ledger or Ledger()
        self.journal = journal
        self.on_wait = on_wait

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint that is asked first."""
        return self.endpoints[0]

    @property
    def name(self) -> str:
        """The model string of the endpoint that is asked first."""
        return self.endpoints[0].name

    async def sample(
        self,
        messages: Sequence[ChatMessage],
        params: Mapping[str, Any] | None = None,
        *,
        index: int = 0,
        on_delta: OnDelta | None = None,
    ) -> Choice:
        """One sample. Raises the `ModelError` in its place. `index` tells repeated questions apart."""
        sample = (await self.samples(messages, 1, params, first=index, on_delta=on_delta))[0]
        if sample.choice is None:
            raise sample.error or GarbledError("the model gave nothing")
        return sample.choice

    async def samples(
        self,
        messages: Sequence[ChatMessage],
        n: int,
        params: Mapping[str, Any] | None = None,
        *,
        first: int = 0,
        on_delta: OnDelta | None = None,
        on_sample: OnSample | None = None,
        whole_deltas: bool = False,
    ) -> list[Sample]:
        """`n` samples of one conversation, in order; `on_sample` sees each as it comes.

        `on_delta` hears pieces of text; with `whole_deltas` also pieces of thinking and of tool calls.

        A sample that could not be had is a `Sample` with an error. Raises only what ends a whole job
        when no fall-back is left: `AccountError` and `BudgetError`.
        """
        draw = _Draw(self, messages, {**self.params, **(params or {})}, n, first, on_delta, on_sample)
        draw.whole_deltas = whole_deltas
        return await draw.run()


class _Draw:
    """One call of `samples`: who is missing, and the requests that fetch them."""

    def __init__(
        self,
        model: Model,
        messages: Sequence[ChatMessage],
        params: dict[str, Any],
        n: int,
        first: int,
        on_delta: OnDelta | None,
        on_sample: OnSample | None,
    ) -> None:
        self._model = model
        self._messages = messages
        self._params = params
        self._on_delta = on_delta
        self._on_sample = on_sample
        self._results: list[Sample | None] = [None] * n
        self._first = first
        self.whole_deltas = False
        self._keys: list[str] = []
        if model.journal is not None:
            identity, sent = model.endpoint.identity, {**model.endpoint.params, **params}
            self._keys = sample_keys(model.role, identity, messages, sent, range(first, first + n))

    async def run(self) -> list[Sample]:
        fetch = getattr(self._model.journal, "fetch", None)
        if fetch is not None:  # a journal that is elsewhere (`FarJournal`)
            await fetch(self._keys)
        claim = getattr(self._model.journal, "claim", None)
        async with claim(self._keys) if claim is not None else nullcontext():  # a `SharedJournal`
            missing = [i for i in range(len(self._results)) if not self._recall(i)]
            if missing:
                await self._fill(missing, 0)
        return [r if r is not None else _nothing(self._model.name) for r in self._results]

    def _recall(self, index: int) -> bool:
        journal = self._model.journal
        if journal is None or (kept := journal.get(self._keys[index])) is None:
            return False
        try:
            sample = _thaw(kept)
        except (ValueError, KeyError, TypeError):
            return False  # torn or of another version: owed again
        self._model.ledger.cached(self._model.role)
        if self._on_delta and sample.choice and sample.choice.text:
            self._on_delta(Delta(index, sample.choice.text))
        self._give(index, sample)
        return True

    def _give(self, index: int, sample: Sample) -> None:
        self._results[index] = sample
        if self._on_sample:
            self._on_sample(index, sample)

    async def _fill(self, missing: list[int], rank: int) -> None:
        """Ask the endpoint of that rank for the missing samples, as wide as it goes, the rest in parallel."""
        width = max(1, self._model.endpoints[rank].widest)
        if width >= len(missing):
            await self._request(missing, rank)
            return
        jobs = [missing[i : i + width] for i in range(0, len(missing), width)]
        await gathered(self._request(job, rank) for job in jobs)

    async def _request(self, indices: list[int], rank: int) -> None:
        endpoint = self._model.endpoints[rank]
        on_delta = self._on_delta
        if on_delta is not None:
            tell = on_delta

            def on_delta(delta: Delta) -> None:
                if delta.index < len(indices) and (delta.text or self.whole_deltas):
                    tell(replace(delta, index=indices[delta.index]))

        try:
            completion = await endpoint.complete(
                self._model.role,
                self._model.ledger,
                self._messages,
                len(indices),
                self._params,
                on_delta,
                self._model.on_wait,
                tag=f"{self._model.role}:{self._first + indices[0]}",
            )
        except BudgetError:
            raise
        except ModelError as error:
            await self._failed(error, indices, rank)
            return
        for index, choice in zip(indices, completion.choices, strict=False):
            sample = Sample(choice, endpoint.name)
            if self._model.journal is not None and (choice.text or choice.tool_calls):
                self._model.journal.put(self._keys[index], _freeze(sample))
            self._give(index, sample)
        came, wanted = len(completion.choices), len(indices)
        if came > wanted:
            self._model.ledger.discarded(self._model.role, came - wanted)
        elif came < wanted:
            endpoint.widest = min(endpoint.widest, came)
            await self._fill(indices[came:], rank)

    async def _failed(self, error: ModelError, indices: list[int], rank: int) -> None:
        endpoint = self._model.endpoints[rank]
        if (
            isinstance(error, RequestError)
            and not isinstance(error, ContextOverflowError)
            and len(indices) > 1
        ):
            # Some endpoints refuse `n`. One sample alone tells whether that was it.
            await self._request(indices[:1], rank)
            if (
                (alone := self._results[indices[0]]) is not None
                and alone.model == endpoint.name
                and alone.choice is not None
            ):
                endpoint.widest = 1
                await self._fill(indices[1:], rank)
                return
            error = (alone.error if alone else None) or error
            indices = indices[1:]
        if rank + 1 < len(self._model.endpoints):
            await self._fill(indices, rank + 1)
            return
        if isinstance(error, AccountError):
            raise error
        for index in indices:
            self._give(index, Sample(None, endpoint.name, error))


def _nothing(name: str) -> Sample:
    return Sample(None, name, GarbledError(f"{name} gave fewer samples than were asked for"))


def _freeze(sample: Sample) -> bytes:
    choice = sample.choice
    assert choice is not None
    return orjson.dumps(
        {
            "model": sample.model,
            "text": choice.text,
            "finish_reason": choice.finish_reason,
            "tool_calls": choice.tool_calls,
            "reasoning": choice.reasoning,
            "logprobs": [tuple(t) for t in choice.logprobs] if choice.logprobs else None,
            **({"extra": choice.extra} if choice.extra else {}),
        }
    )


def _thaw(kept: bytes) -> Sample:
    raw = orjson.loads(kept)
    logprobs = raw["logprobs"]
    return Sample(
        Choice(
            raw["text"],
            raw["finish_reason"],
            tuple(raw["tool_calls"]),
            raw["reasoning"],
            tuple(TokenLogprob(t, p, tuple((a, b) for a, b in top)) for t, p, top in logprobs)
            if logprobs
            else None,
            raw.get("extra", {}),
        ),
        raw["model"],
    )
