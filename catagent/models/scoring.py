"""Scoring a given text: the log-probability of each of its tokens after some context.

Chat endpoints say how likely the tokens are that they generate. How likely a text is that one brings along,
only some say (`catagent.models.scoring_wire`). A client that can is a `Scorer`. Scoring takes the request
path that everything else takes, as a client of its own in front of the one that it belongs to.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol, runtime_checkable

from catagent.errors import ConfigError, GarbledError, RequestError
from catagent.models.client import Client, Completion, ModelRequest, OnDelta, TokenLogprob
from catagent.models.model import Model
from catagent.models.scoring_wire import SCORING_REMEDY

__all__ = ["Scorer", "mean_logprob", "scoring_model", "token_logprobs"]


@runtime_checkable
class Scorer(Protocol):
    """A client that can also score. What it gives holds one choice: `text`, and `logprobs` of its tokens."""

    async def score(self, model: str, context: str, text: str) -> Completion:
        """The log-probabilities, in nats, of the tokens of `text` after `context`.

        Raises a `ModelError`; a `RequestError` where the endpoint cannot.
        """
        ...


class _Scoring:
    """A client that scores the last message of a request after the one before."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        """See `Client.complete`."""
        context, text = (str(m.get("content") or "") for m in request.messages)
        completion = await self._scorer.score(request.model, context, text)
        if not completion.choices[0].logprobs:
            raise RequestError(f"the endpoint gave no log-probabilities of the text; {SCORING_REMEDY}")
        return completion

    async def aclose(self) -> None:
        """Nothing to close: the client in front of which this stands is closed by its owner."""


def scoring_model(model: Model, what: str) -> Model:
    """The same model to be scored with, under the same limits, retries, budget and journal.

    `what` needs it, for the error. Raises `ConfigError` when the model's client cannot score.
    """
    client: Client = model.endpoint.client
    if not isinstance(client, Scorer):
        raise ConfigError(f"{what}: {model.name} cannot score given text; {SCORING_REMEDY}")
    endpoint = replace(
        model.endpoint,
        client=_Scoring(client),
        identity=f"{model.endpoint.identity}#scores",
        params={},
        widest=1,
    )
    return Model(model.role, [endpoint], ledger=model.ledger, journal=model.journal, on_wait=model.on_wait)


async def mean_logprob(scoring: Model, context: str, text: str) -> float:
    """The mean log-probability of the tokens of `text` after `context`, in nats. Raises a `ModelError`."""
    tokens = await token_logprobs(scoring, context, text)
    return sum(t.logprob for t in tokens) / len(tokens)


async def token_logprobs(scoring: Model, context: str, text: str) -> tuple[TokenLogprob, ...]:
    """The tokens of `text` after `context`, with their log-probabilities in nats. Raises a `ModelError`."""
    messages = [{"role": "user", "content": context}, {"role": "assistant", "content": text}]
    tokens = (await scoring.sample(messages)).logprobs or ()
    if not tokens:
        raise GarbledError("the scores of a text are empty")
    return tokens
