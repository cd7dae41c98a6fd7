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
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

from catagent.errors import AccountError, AttemptTimeout, ConnectError, GarbledError, ModelError
from catagent.models.client import Choice, Completion, ModelRequest, OnDelta, TokenLogprob, told
from catagent.models.redaction import redact
from catagent.models.refusals import error_of, retry_after
from catagent.models.wire import StreamAssembler

__all__ = ["LiteLLMLane"]

_SECRET = ("key", "token", "secret", "password", "credential", "header")

_open: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, int] = weakref.WeakKeyDictionary()
"""How many lanes of an event loop are open: they share the library's connections."""


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
        self._loop: asyncio.AbstractEventLoop | None = None

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        """Send `request` once; see `Client.complete`."""
        await self._enter()
        arguments: dict[str, Any] = {
            **self._options,
            **request.params,
            "model": request.model,
            "messages": list(request.messages),
            "num_retries": 0,
            "max_retries": 0,
            "stream": False,
        }
        arguments.pop("n", None)
        if "tools" in arguments:
            arguments["_skip_mcp_handler"] = True  # tools are the caller's; looking into them needs an extra
        if request.n != 1:
            arguments["n"] = request.n
        try:
            if on_delta is None or request.n != 1:  # its streams keep one sample's end only
                return told(_completion(await self._litellm.acompletion(**arguments)), on_delta)
            arguments |= {"stream": True, "stream_options": {"include_usage": True}}
            return await _assembled(await self._litellm.acompletion(**arguments), on_delta)
        except ModelError:
            raise
        except Exception as error:  # noqa: BLE001 - the library raises a class per provider and then some
            raise self._translated(error, request.model) from None

    async def _enter(self) -> None:
        if self._litellm is None:
            self._litellm = await asyncio.to_thread(_load)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            _open[self._loop] = _open.get(self._loop, 0) + 1

    def _translated(self, error: Exception, model: str) -> ModelError:
        """The library's error in our terms, without its advertisements and without secrets."""
        lib = self._litellm
        status = getattr(error, "status_code", None)
        said = redact(" ".join(str(error).split()), *_secrets(self._options))
        text = f"{model}: {said[:400]}"
        unknown = getattr(lib.exceptions, "LiteLLMUnknownProvider", ())
        if isinstance(error, unknown) or "LLM Provider NOT provided" in said:
            return AccountError(
                f"no provider is known for the model {model!r}: write it as provider/model, "
                "for example openai/gpt-5-mini",
                status=404,
                model=model,
            )
        if not isinstance(status, int):
            return GarbledError(text, model=model)
        if isinstance(error, lib.Timeout) and status == 408:  # its own clock, not the provider's
            return AttemptTimeout(text, model=model)
        if any(isinstance(e, OSError) or _is_openais(e, "APIConnectionError") for e in _causes(error)):
            where = self._options.get("api_base") or "the provider"
            return ConnectError(redact(f"cannot reach {where}: {text}"), model=model)
        headers = getattr(error, "litellm_response_headers", None) or {}
        # Some classes stand for a context overflow whatever the provider's words are.
        evidence = said.replace("ContextWindowExceededError", "context window exceeded")
        return error_of(status, text, evidence, wait=retry_after(headers), model=model)

    async def aclose(self) -> None:
        """Close the library's connections of this event loop, if no other lane is open there."""
        loop, self._loop = self._loop, None
        if loop is None:
            return
        _open[loop] -= 1
        if _open[loop] == 0 and loop is asyncio.get_running_loop():
            await _close_clients(self._litellm.in_memory_llm_clients_cache, loop)


async def _close_clients(cache: Any, loop: asyncio.AbstractEventLoop) -> None:
    """Take what the library keeps for a loop out of its cache and close it.

    Its own way of closing leaves closed clients in the cache, and closes those of other loops.
    """
    for key in [k for k in cache.cache_dict if str(k).endswith(f"-{id(loop)}")]:
        client = cache.cache_dict.pop(key)
        cache.ttl_dict.pop(key, None)
        close = getattr(client, "aclose", None) or getattr(client, "close", None)
        if close is not None and asyncio.iscoroutinefunction(close):
            await close()


async def _assembled(stream: Any, on_delta: OnDelta) -> Completion:
    """The completion of a stream.

    The library ends a stream that broke off as if it were whole, and counts tokens itself where the
    provider does not: what the provider said is told apart here.
    """
    assembler = StreamAssembler(on_delta)
    try:
        async for chunk in stream:
            assembler.add(chunk.model_dump(exclude={"usage"}))
        if not (stream.received_finish_reason or stream.intermittent_finish_reason):
            raise GarbledError("the stream broke off before its end, or was none")
        counted = [usage for chunk in stream.chunks if (usage := getattr(chunk, "usage", None))]
        if counted:
            assembler.add({"usage": counted[-1].model_dump()})
    finally:
        await stream.aclose()
    return assembler.completion()


def _completion(response: Any) -> Completion:
    choices = getattr(response, "choices", None)
    if not choices:
        raise GarbledError("the reply has no choices")
    usage = getattr(response, "usage", None)
    prompt = getattr(usage, "prompt_tokens", None) or None  # it says 0 where the provider says nothing
    cost = (getattr(response, "_hidden_params", None) or {}).get("response_cost")
    return Completion(
        tuple(_choice(c) for c in choices),
        prompt,
        getattr(usage, "completion_tokens", None) if prompt else None,
        float(cost) if isinstance(cost, int | float) and cost > 0 else None,
    )


def _choice(raw: Any) -> Choice:
    message = raw.message
    logprobs = getattr(getattr(raw, "logprobs", None), "content", None)
    return Choice(
        message.content or None,
        raw.finish_reason,
        tuple(_tool_call(c) for c in getattr(message, "tool_calls", None) or ()),
        getattr(message, "reasoning_content", None) or None,
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
        _extra(message),
    )


def _extra(message: Any) -> dict[str, Any]:
    """What the message holds beside what is read above; the library's own notes stay behind."""
    known = {"role", "content", "tool_calls", "reasoning_content", "reasoning"}
    known |= {"provider_specific_fields"}
    return {k: v for k, v in message.model_dump(exclude_none=True).items() if k not in known}


def _tool_call(call: Any) -> dict[str, Any]:
    return dict(call) if isinstance(call, dict) else call.model_dump(exclude_none=True)


def _secrets(options: Mapping[str, Any]) -> Iterator[str]:
    for name, value in options.items():
        if any(word in name.lower() for word in _SECRET):
            yield from (str(v) for v in (value.values() if isinstance(value, Mapping) else (value,)))


def _is_openais(error: BaseException, name: str) -> bool:
    return type(error).__name__ == name and type(error).__module__.startswith("openai")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
