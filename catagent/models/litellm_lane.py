"""The wide lane: every provider that LiteLLM knows.

LiteLLM is called with its own retries off, since retrying is the request path's business (by default it
sends three requests for one that fails). Its import takes seconds and would fetch a price map, so it
happens on first use, off the event loop, with the map that ships with it.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import warnings
from collections.abc import Mapping
from typing import Any

from catagent.errors import (
    AccountError,
    AttemptTimeout,
    ConnectError,
    ContextOverflowError,
    GarbledError,
    ModelError,
    RateLimitError,
    RequestError,
    ServerError,
)
from catagent.models.client import Choice, Completion, Delta, ModelRequest, OnDelta, TokenLogprob
from catagent.models.redaction import redact
from catagent.models.wire import overflow_limit, retry_after

__all__ = ["LiteLLMLane"]


def _load() -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        litellm: Any = importlib.import_module("litellm")
    # The library's own types make pydantic complain when the first reply is read.
    warnings.filterwarnings("ignore", message=r".*using the `ReadOnly` qualifier", category=UserWarning)
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    return litellm


class LiteLLMLane:
    """A client for any LiteLLM model string. `options` go with every call (`api_base`, `api_key`, …)."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        self._options = dict(options or {})
        self._litellm: Any = None

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        """Send `request` once; see `Client.complete`."""
        if self._litellm is None:
            self._litellm = await asyncio.to_thread(_load)
        arguments: dict[str, Any] = {
            "model": request.model,
            "messages": list(request.messages),
            **self._options,
            **request.params,
            "num_retries": 0,
            "max_retries": 0,
        }
        if request.n != 1:
            arguments["n"] = request.n
        try:
            if on_delta is None or request.n != 1:  # its streams keep one sample's end only
                return _told(self._completion(await self._litellm.acompletion(**arguments)), on_delta)
            arguments |= {"stream": True, "stream_options": {"include_usage": True}}
            return await self._stream(await self._litellm.acompletion(**arguments), arguments, on_delta)
        except (ModelError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - the library raises a class per provider and then some
            raise self._translated(error, request.model) from None

    def _completion(self, response: Any) -> Completion:
        choices = getattr(response, "choices", None)
        if not choices:
            raise GarbledError("the reply has no choices")
        usage = getattr(response, "usage", None)
        hidden = getattr(response, "_hidden_params", None) or {}
        cost = hidden.get("response_cost")
        return Completion(
            tuple(_choice(c) for c in choices),
            getattr(usage, "prompt_tokens", None),
            getattr(usage, "completion_tokens", None),
            float(cost) if isinstance(cost, int | float) and cost > 0 else None,
        )

    async def _stream(self, stream: Any, arguments: Mapping[str, Any], on_delta: OnDelta) -> Completion:
        chunks = []
        async for chunk in stream:
            chunks.append(chunk)
            for choice in chunk.choices:
                if text := getattr(choice.delta, "content", None):
                    on_delta(Delta(0, text))
        if not chunks:
            raise GarbledError("the stream has no choices")
        return self._completion(self._litellm.stream_chunk_builder(chunks, messages=arguments["messages"]))

    def _translated(self, error: Exception, model: str) -> ModelError:
        """The library's error in our terms, without its advertisements and without secrets."""
        lib = self._litellm
        raw_status = getattr(error, "status_code", None)
        status = raw_status if isinstance(raw_status, int) else None
        said = redact(" ".join(str(error).split()), *_secrets(self._options))[:400]
        headers = getattr(error, "litellm_response_headers", None) or {}
        text = f"{model}: {said}"
        if isinstance(error, lib.RateLimitError):
            if "quota" in said and "insufficient" in said:
                return AccountError(text, status=status, model=model)
            return RateLimitError(text, status=status, retry_after=retry_after(headers), model=model)
        if isinstance(error, lib.ContextWindowExceededError):
            return ContextOverflowError(text, limit=overflow_limit(said), status=status, model=model)
        if isinstance(error, lib.exceptions.LiteLLMUnknownProvider) or "LLM Provider NOT provided" in said:
            return AccountError(
                f"no provider is known for the model {model!r}: write it as provider/model, "
                "for example openai/gpt-5-mini",
                status=404,
                model=model,
            )
        if isinstance(error, lib.AuthenticationError | lib.PermissionDeniedError | lib.NotFoundError):
            return AccountError(text, status=status, model=model)
        if status == 402 or isinstance(error, lib.exceptions.PaymentRequiredError):
            return AccountError(text, status=402, model=model)
        if isinstance(error, lib.Timeout):
            return AttemptTimeout(text, status=status, model=model)
        if isinstance(error, lib.BadRequestError | lib.UnprocessableEntityError):
            return RequestError(text, status=status or 400, model=model)
        if isinstance(error, lib.APIConnectionError | OSError):
            return ConnectError(text, status=status, model=model)
        if status is not None and status >= 500:
            return ServerError(text, status=status, retry_after=retry_after(headers), model=model)
        return GarbledError(text, status=status, model=model)

    async def aclose(self) -> None:
        """Close the library's pooled connections."""
        if self._litellm is not None:
            await self._litellm.close_litellm_async_clients()


def _told(completion: Completion, on_delta: OnDelta | None) -> Completion:
    if on_delta is not None:
        for index, choice in enumerate(completion.choices):
            on_delta(Delta(index, choice.text or ""))
    return completion


def _choice(raw: Any) -> Choice:
    message = raw.message
    logprobs = getattr(getattr(raw, "logprobs", None), "content", None)
    return Choice(
        message.content,
        raw.finish_reason,
        tuple(_tool_call(c) for c in getattr(message, "tool_calls", None) or ()),
        getattr(message, "reasoning_content", None),
        tuple(
            TokenLogprob(
                t.token,
                t.logprob,
                tuple((top.token, top.logprob) for top in getattr(t, "top_logprobs", None) or ()),
            )
            for t in logprobs
        )
        if logprobs
        else None,
    )


def _tool_call(call: Any) -> dict[str, Any]:
    return dict(call) if isinstance(call, dict) else call.model_dump(exclude_none=True)


def _secrets(options: Mapping[str, Any]) -> list[str]:
    return [v for k, v in options.items() if isinstance(v, str) and ("key" in k or "token" in k)]
