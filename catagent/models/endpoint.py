"""The one request path: budget, limiter, client, retry, usage.

Everything that costs money goes through `Endpoint.complete`. Streaming is a view of this path, not a
second one. An endpoint is one model of one provider under one key, and is shared by all roles that use
it, so that they share its limiter.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from catagent.errors import AttemptTimeout, GarbledError, ModelError, RateLimitError, TransientError
from catagent.messages import ChatMessage
from catagent.models.client import Client, Completion, Delta, ModelRequest, OnDelta
from catagent.models.ledger import Ledger, Price
from catagent.models.limiter import Limiter, Limits
from catagent.models.retry import OnWait, RetryPolicy, retrying

__all__ = ["Endpoint", "estimate_tokens"]

_CHARACTERS_A_TOKEN = 3.5
_A_PAGE = 4000
_ENCODED = frozenset({"url", "data", "file_data"})


class _ListenerError(BaseException):
    """What a listener raised, on its way past clients that would take it for a failure of the wire."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _guarded(on_delta: OnDelta, attempt: int) -> OnDelta:
    def tell(delta: Delta) -> None:
        try:
            on_delta(delta if attempt == 1 else replace(delta, attempt=attempt))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the listener's
            raise _ListenerError(error) from None

    return tell


def estimate_tokens(messages: Sequence[ChatMessage]) -> int:
    """Roughly how many tokens a conversation has: from its length, without any model's tokenizer."""
    characters = sum(_length(m.get("content")) + _length(m.get("tool_calls")) + 16 for m in messages)
    return int(characters / _CHARACTERS_A_TOKEN) + 1


def _length(content: Any) -> int:
    """Characters of text; an image or a recording counts as a page, not as its encoded bytes."""
    if isinstance(content, str):
        return len(content)
    if isinstance(content, Mapping):
        return sum(min(_length(v), _A_PAGE) if k in _ENCODED else _length(v) for k, v in content.items())
    return sum(map(_length, content)) if isinstance(content, list | tuple) else 0


@dataclass(slots=True)
class Endpoint:
    """One model under one key, with all that is known and learnt about it.

    `timeout` is seconds for one attempt, from when it is sent. `context` is the context window in
    tokens. `widest` is the largest `n` to ask for in one request; it falls when the endpoint gives
    fewer. `identity` names the model in journals, whoever asks.
    """

    name: str
    client: Client
    model: str
    identity: str = ""
    limiter: Limiter = field(default_factory=Limiter)
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: float = 300.0
    price: Price | None = None
    context: int | None = None
    widest: int = 128
    params: Mapping[str, Any] = field(default_factory=dict)
    json_schema: bool = True
    """Whether `response_format` with a JSON schema is worth asking for; falls when it is refused."""
    failing: int = 0
    """Requests whose last attempt failed in transit and that are not given up."""

    @classmethod
    def of(cls, client: Client, name: str, *, limits: Limits | None = None, **known: Any) -> Endpoint:
        """An endpoint around a client of one's own."""
        return cls(name=name, client=client, model=name, identity=name, limiter=Limiter(limits), **known)

    async def complete(
        self,
        role: str,
        ledger: Ledger,
        messages: Sequence[ChatMessage],
        n: int,
        params: Mapping[str, Any],
        on_delta: OnDelta | None = None,
        on_wait: OnWait | None = None,
        *,
        tag: str = "",
    ) -> Completion:
        """Ask for `n` samples of one conversation, retrying as the policy allows.

        Raises the last `ModelError`, or `BudgetError` before anything is sent.
        """
        request = ModelRequest(self.model, messages, n, {**self.params, **params}, tag)
        longest = request.params.get("max_tokens") or request.params.get("max_completion_tokens")
        tokens = estimate_tokens(messages) + n * (longest if isinstance(longest, int) else 0)
        attempt = failed = 0

        async def attempt_once() -> Completion:
            nonlocal attempt, failed
            attempt += 1
            tell = _guarded(on_delta, attempt) if on_delta is not None else None
            try:
                return await self._attempt(role, ledger, request, tokens, tell)
            except TransientError:
                self.failing += 1 - failed
                failed = 1
                raise

        limiter = self.limiter
        retries = retrying(
            self.policy,
            on_wait,
            lambda: limiter.accepted_at,
            lambda: self.failing,
            lambda: limiter.by_chance > 0,
        )
        try:
            return await retries(attempt_once)
        except _ListenerError as failure:
            raise failure.error from None
        finally:
            self.failing -= failed

    async def once(
        self, role: str, ledger: Ledger, messages: Sequence[ChatMessage], params: Mapping[str, Any]
    ) -> Completion:
        """One sample in one attempt, without retries: to see whether the endpoint answers."""
        request = ModelRequest(self.model, messages, 1, {**self.params, **params})
        return await self._attempt(role, ledger, request, 0, None)

    async def _attempt(
        self, role: str, ledger: Ledger, request: ModelRequest, tokens: int, on_delta: OnDelta | None
    ) -> Completion:
        async with self.limiter.lease(tokens) as lease:
            await ledger.afford(tokens, self.price)
            reserved = ledger.reserve(role, tokens, self.price)
            began = time.monotonic()
            try:
                async with asyncio.timeout(self.timeout):
                    completion = await self.client.complete(request, on_delta)
                if not completion.choices:
                    raise GarbledError(f"{self.name} gave no choices")
            except BaseException as error:
                refused = isinstance(error, RateLimitError)
                ledger.failed(role, reserved, time.monotonic() - began, refused=refused)
                if isinstance(error, TimeoutError):
                    raise AttemptTimeout(
                        f"{self.name} did not answer within {self.timeout:g} s", model=self.model
                    ) from None
                if isinstance(error, ModelError) and error.model is None:
                    error.model = self.model
                raise
            ledger.succeeded(role, reserved, time.monotonic() - began, completion, self.price)
            if completion.prompt_tokens is not None:
                lease.used = completion.prompt_tokens + (completion.completion_tokens or 0)
            return completion
