"""What a model client takes and gives: one request, one attempt, one completion.

A client knows a wire protocol and nothing else. Limits, retries, usage and the journal are the request
path's business (`catagent.models.endpoint`), so that every way to reach a model has them alike and a new
way to reach one is a class with two methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

from catagent.messages import ChatMessage

__all__ = ["Choice", "Client", "Completion", "Delta", "ModelRequest", "OnDelta", "TokenLogprob", "told"]


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One chat request: `n` samples for one conversation. `params` go to the endpoint untouched.

    `tag` tells apart requests that are otherwise equal, as several samples of one conversation are
    (`role:index`), and is never sent.
    """

    model: str
    messages: Sequence[ChatMessage]
    n: int = 1
    params: Mapping[str, Any] = field(default_factory=dict)
    tag: str = ""


class TokenLogprob(NamedTuple):
    """A sampled token, its log-probability in nats, and the likeliest tokens in its place."""

    token: str
    logprob: float
    top: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """One sample."""

    text: str | None
    finish_reason: str | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()
    reasoning: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What else the message held (`refusal`, `annotations`, `audio`, …), for who passes it on."""


@dataclass(frozen=True, slots=True)
class Completion:
    """What one request brought. Counts and cost are `None` where the endpoint does not say."""

    choices: tuple[Choice, ...]
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    usd: float | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of text of sample `index`, as it is generated. `attempt` grows when a retry starts over.

    Pieces of thinking and of tool calls (in the protocol's shape) have no text; only who asks for them
    hears of them (`Model.samples(whole_deltas=True)`).
    """

    index: int
    text: str
    attempt: int = 1
    reasoning: str | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()


OnDelta: TypeAlias = Callable[[Delta], None]


def told(completion: Completion, on_delta: OnDelta | None) -> Completion:
    """The completion, after its texts were told in one piece each: for what came whole."""
    for index, choice in enumerate(completion.choices):
        if on_delta is not None and choice.text:
            on_delta(Delta(index, choice.text))
    return completion


@runtime_checkable
class Client(Protocol):
    """A way to reach models. Implement it to plug in one that catagent does not know."""

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        """Send `request` once.

        With `on_delta` the reply is streamed: the callback sees the text as it comes, and the return
        value is the same as without. Raises a `ModelError` that says whether another attempt makes
        sense; must not retry by itself. Cancelling it must cancel the work at the endpoint.
        """
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...
