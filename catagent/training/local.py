"""The model in training as one more `Client`, and the registry that knows it.

What the agents ask goes over the same request path as to any other model: journal, usage, context window.
Only the wire is another: the exchange with the thread that owns the weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from catagent.errors import RequestError
from catagent.models.client import Client, Completion, ModelRequest, OnDelta, told
from catagent.models.endpoint import Endpoint
from catagent.models.journal import Journal
from catagent.models.ledger import Price
from catagent.models.limiter import Limiter, Limits
from catagent.models.registry import Registry
from catagent.models.retry import RetryPolicy
from catagent.training.exchange import Exchange

__all__ = ["LocalClient", "Sampling", "ScoreRequest", "StepJournal", "TrainingRegistry"]

_MANY = 1 << 20
_IGNORED = frozenset({"seed", "stream", "user", "n"})


@dataclass(frozen=True, slots=True)
class Sampling:
    """How one sample is drawn. `temperature` 0 is greedy; `top_k` 0 is off; `tokens` bounds the new ones."""

    tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float | None = None
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()

    def with_params(self, params: Mapping[str, Any]) -> Sampling:
        """These settings, with those of a request over them.

        Raises `RequestError` for a parameter that cannot be honoured, so that nothing is dropped silently.
        """
        known = dict(params)
        tokens = known.pop("max_tokens", None) or known.pop("max_completion_tokens", None) or self.tokens
        stop = known.pop("stop", None) or self.stop
        values: dict[str, Any] = {
            name: known.pop(name, None)
            for name in ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
        }
        known.pop("max_completion_tokens", None)
        if strange := sorted(name for name, value in known.items() if name not in _IGNORED and value):
            raise RequestError(f"the model in training does not take the parameter {strange[0]!r}")
        given = {name: value for name, value in values.items() if value is not None}
        return Sampling(
            tokens=int(tokens),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            **{name: getattr(self, name) for name in values if name not in given},
            **given,
        )


class ScoreRequest(ModelRequest):
    """What asks for the log-probabilities of a text after a context, instead of a sample."""

    @classmethod
    def of(cls, model: str, context: str, text: str) -> ScoreRequest:
        """The request for `text` after `context`, both plain."""
        return cls(model, [{"role": "user", "content": context}, {"role": "assistant", "content": text}])

    @property
    def context(self) -> str:
        """What stands before the text."""
        return str(self.messages[0]["content"])

    @property
    def text(self) -> str:
        """What is scored."""
        return str(self.messages[1]["content"])


class LocalClient:
    """A `Client` over the model in training, and a `Scorer`.

    `context` is its window in tokens, where it is known.
    """

    def __init__(self, exchange: Exchange, sampling: Sampling, *, name: str, context: int | None) -> None:
        self.name = name
        self.sampling = sampling
        self.context = context
        self._exchange = exchange

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        """Wait for the next batch of the anchor; see `Client.complete`."""
        self.sampling.with_params(request.params)  # refused before it is queued
        return told(await self._exchange.ask(request), on_delta)

    async def score(self, model: str, context: str, text: str) -> Completion:
        """The log-probabilities of a given text under the anchor's weights; see `Scorer.score`."""
        return await self._exchange.ask(ScoreRequest.of(model, context, text))

    async def aclose(self) -> None:
        """Nothing to give back: the model belongs to the trainer."""


class TrainingRegistry(Registry):
    """A registry that gives the model in training no limits of its own and knows its context window."""

    async def endpoint(self, model: str | Client) -> Endpoint:
        """See `Registry.endpoint`."""
        if not isinstance(model, LocalClient):
            return await super().endpoint(model)
        return self._endpoints.setdefault(
            id(model),
            Endpoint(
                name=model.name,
                client=model,
                model=model.name,
                identity=model.name,
                limiter=Limiter(Limits(start=_MANY, max_concurrency=_MANY)),
                policy=RetryPolicy(attempts=1),
                timeout=float(_MANY),
                price=Price(0.0, 0.0),
                context=model.context,
                params={"max_tokens": model.sampling.tokens},
            ),
        )


class StepJournal:
    """A journal whose keys hold the step: what was bought for a step is there again after a resume, and a
    later step that asks the same thing gets a sample of its own.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.step = ""

    def get(self, key: str) -> bytes | None:
        """See `Journal.get`."""
        return self._journal.get(self._scoped(key))

    def put(self, key: str, value: bytes) -> None:
        """See `Journal.put`."""
        self._journal.put(self._scoped(key), value)

    def _scoped(self, key: str) -> str:
        stage, _, digest = key.rpartition(":")
        return f"{stage}:{hashlib.sha256(f'{self.step}|{digest}'.encode()).hexdigest()}"
