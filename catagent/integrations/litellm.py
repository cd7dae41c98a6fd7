"""LiteLLM: CaT behind model strings `cat` and `cat/…`, wherever a LiteLLM string is taken.

    import catagent.integrations.litellm

    await litellm.acompletion(model="cat/openai/gpt-5-mini", messages=…, catagent={"n": 8})

Importing it registers the provider and changes nothing else in LiteLLM. In the proxy's YAML:

    litellm_settings:
      custom_provider_map:
        - {provider: cat, custom_handler: catagent.integrations.litellm.provider}

Parameters go to the rollouts as they are. What LiteLLM itself sends upstream for CaT is reached by
catagent's own way to models, not through the provider again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from catagent.background import run_in_background
from catagent.cat import CaT
from catagent.completions import ApiError, Body, ContentDelta
from catagent.integrations.chat import Chat, in_background, status_of

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # read by the import: no request for prices

import httpx
import litellm
from litellm.llms.custom_llm import CustomLLM, CustomLLMError
from litellm.types.utils import Delta, ModelResponse, ModelResponseStream, StreamingChoices
from litellm.utils import custom_llm_setup

__all__ = ["Provider", "provider", "register"]

_STATUSES = {402: 400, 403: 401}
"""Statuses that LiteLLM has no error of its own for, and what it takes as their kind: not worth a retry."""


class Provider(CustomLLM):
    """The handler behind `cat/…`. `cat` has the connections; without one, the process's own is used."""

    def __init__(self, cat: CaT | None = None) -> None:
        super().__init__()
        self.cat = cat

    async def acompletion(self, model: str, messages: Sequence[Any], **call: Any) -> ModelResponse:
        """One reply; LiteLLM's time limit counts for the whole of it."""
        chat, params = self._chat(model, call)
        limit = call.get("timeout")
        try:
            async with asyncio.timeout(limit if isinstance(limit, int | float) else None):
                body = await chat.complete(messages, **params)
        except ApiError as error:
            raise _refusal(error) from error
        except TimeoutError as error:
            raise litellm.Timeout(
                f"no reference within {limit} s", model=model, llm_provider="cat"
            ) from error
        return _response(body, call.get("model_response"))

    def completion(self, model: str, messages: Sequence[Any], **call: Any) -> ModelResponse:
        """The same for callers that are not async."""
        return run_in_background(self.acompletion(model, messages, **call))

    async def astreaming(self, model: str, messages: Sequence[Any], **call: Any) -> AsyncGenerator[Any, None]:
        """The pieces as they come. Closing the stream cancels the work upstream."""
        chat, params = self._chat(model, call)
        try:
            async with aclosing(chat.stream(messages, **params)) as items:
                async for item in items:
                    if isinstance(item, ContentDelta):
                        yield _piece(item)
                    else:
                        for end in _end(item.completion):
                            yield end
        except ApiError as error:
            raise _refusal(error) from error

    def streaming(self, model: str, messages: Sequence[Any], **call: Any) -> Iterator[Any]:
        """The same for callers that are not async."""
        return in_background(self.astreaming(model, messages, **call))

    def _chat(self, model: str, call: Mapping[str, Any]) -> tuple[Chat, dict[str, Any]]:
        """Who is asked, and the parameters. A key or an address for one call is refused, not ignored."""
        given = [name for name in ("api_key", "api_base") if call.get(name)]
        if given:
            raise CustomLLMError(
                400,
                f"cat/{model} takes no {' and no '.join(given)}: name the provider in providers.yaml, "
                "with its key and base_url",
            )
        params = dict(call.get("optional_params") or {})
        params.update(params.pop("extra_body", None) or {})
        params.pop("stream", None)
        return Chat("cat" if model == "cat" else f"cat/{model}", cat=self.cat), params


def _refusal(error: ApiError) -> CustomLLMError:
    """LiteLLM makes its own kind of error from the status."""
    status = status_of(error)
    refusal = CustomLLMError(_STATUSES.get(status, status), error.message)
    headers = {"retry-after": f"{error.retry_after:g}"} if error.retry_after is not None else {}
    refusal.response = httpx.Response(
        refusal.status_code, headers=headers, request=httpx.Request("POST", "catagent:")
    )
    return refusal


def _response(body: Body, made: ModelResponse | None) -> ModelResponse:
    # The wrapper that LiteLLM makes carries what its logging knows of the call.
    response = ModelResponse(**{**body, "usage": body["usage"] or {}})
    if made is not None:
        response._hidden_params = made._hidden_params  # noqa: SLF001 - where LiteLLM keeps it
    _priced(response, body)
    return response


def _priced(response: Any, body: Body) -> None:
    """The true cost, over all rollouts and roles, for LiteLLM's budgets and logs."""
    usd = body["catagent"]["usage"]["usd"]
    if usd is not None:
        response._hidden_params["response_cost"] = usd  # noqa: SLF001


def _piece(item: ContentDelta) -> ModelResponseStream:
    delta = Delta(
        role="assistant",
        content=item.text or None,
        reasoning_content=item.reasoning,
        tool_calls=[dict(call) for call in item.tool_calls] or None,
    )
    return ModelResponseStream(choices=[StreamingChoices(index=item.index, delta=delta, finish_reason=None)])


def _end(body: Body) -> Iterator[Any]:
    """The last chunk: why it ended, what it cost, and how the reference came about."""
    yield {
        "text": "",
        "is_finished": True,
        "finish_reason": body["choices"][0]["finish_reason"],
        "usage": body["usage"],
        "index": 0,
        "tool_use": None,
        "provider_specific_fields": {"catagent": body["catagent"]},
    }


def register(handler: Provider | None = None) -> Provider:
    """Make `cat/…` known to LiteLLM, with a handler of one's own or the one that is there."""
    handler = handler or provider
    litellm.custom_provider_map = [
        item for item in litellm.custom_provider_map if item["provider"] != "cat"
    ] + [{"provider": "cat", "custom_handler": handler}]
    custom_llm_setup()
    return handler


provider = Provider()
register()
