"""LangChain: `ChatCaT(model="cat/openai/gpt-5-mini", n=8)`, a chat model like any other.

Tools, structured output, streams, batches and callbacks work as with LangChain's own models, async and sync.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any

from catagent.cat import CaT
from catagent.completions import ApiError, Body, ContentDelta, Final
from catagent.integrations.chat import Chat, status_of
from catagent.integrations.extras import absent

try:
    from langchain_core import exceptions
    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_openai_messages
    from langchain_core.messages.ai import UsageMetadata
    from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
    from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
    from langchain_core.runnables import Runnable, RunnableMap, RunnablePassthrough
    from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
except ImportError as error:
    raise absent("langchain", error) from error

from pydantic import ConfigDict, Field

__all__ = ["ChatCaT"]

_KINDS = {
    400: "ModelInvalidRequestError",
    401: "ModelAuthenticationError",
    402: "ModelPermissionDeniedError",
    403: "ModelPermissionDeniedError",
    404: "ModelNotFoundError",
    429: "ModelRateLimitError",
    504: "ModelTimeoutError",
}


class ChatCaT(BaseChatModel):
    """A chat model whose answer is the reference of several rollouts.

    `model` is `cat`, `cat/provider/model` or a profile of the configuration. `n` and `catagent` are how
    references are made, `params` go with every request. The reply's `response_metadata["catagent"]` says
    how the reference came about; its `usage_metadata` is the total over all rollouts and roles.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: str = "cat"
    n: int | None = None
    catagent: dict[str, Any] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)
    cat: CaT | None = Field(default=None, exclude=True, repr=False)

    @property
    def _llm_type(self) -> str:
        return "catagent"

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {"model": self.model, "n": self.n, "catagent": self.catagent, "params": self.params}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> Any:
        return {
            **super()._get_ls_params(stop, **kwargs),
            "ls_provider": "catagent",
            "ls_model_name": self.model,
        }

    def _asked(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, given: Mapping[str, Any]
    ) -> tuple[Chat, list[dict[str, Any]], dict[str, Any]]:
        params = {**self.params, **given}
        model = params.pop("model", self.model)
        params.pop("ls_structured_output_format", None)
        if stop is not None:
            params["stop"] = stop
        chat = Chat(model, cat=self.cat, options={"n": self.n, **self.catagent})
        spoken: list[dict[str, Any]] = convert_to_openai_messages(list(messages))
        return chat, spoken, params

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        chat, spoken, params = self._asked(messages, stop, kwargs)
        try:
            return _result(await chat.complete(spoken, **params))
        except ApiError as error:
            raise _problem(error) from error

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        chat, spoken, params = self._asked(messages, stop, kwargs)
        try:
            return _result(chat.complete_sync(spoken, **params))
        except ApiError as error:
            raise _problem(error) from error

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        chat, spoken, params = self._asked(messages, stop, kwargs)
        try:
            async with aclosing(chat.stream(spoken, **params)) as items:
                async for item in items:
                    if (chunk := _chunk(item)) is not None:
                        if run_manager:
                            await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        except ApiError as error:
            raise _problem(error) from error

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        chat, spoken, params = self._asked(messages, stop, kwargs)
        try:
            with closing(chat.stream_sync(spoken, **params)) as items:
                for item in items:
                    if (chunk := _chunk(item)) is not None:
                        if run_manager:
                            run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                        yield chunk
        except ApiError as error:
            raise _problem(error) from error

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | Any],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Runnable[Any, AIMessage]:
        """The model with tools, which it may call; such requests pass through to the sampler's model."""
        asked: dict[str, Any] = {"tools": [convert_to_openai_tool(tool) for tool in tools], **kwargs}
        if tool_choice is not None:
            words = {
                "any": "required",
                True: "required",
                "auto": "auto",
                "none": "none",
                "required": "required",
            }
            named = {"type": "function", "function": {"name": tool_choice}}
            asked["tool_choice"] = (
                tool_choice if isinstance(tool_choice, dict) else words.get(tool_choice, named)
            )
        return super().bind(**asked)

    def with_structured_output(
        self, schema: Any, *, include_raw: bool = False, strict: bool | None = None, **kwargs: Any
    ) -> Runnable[Any, Any]:
        """The model answering as `schema` (a pydantic class, a typed dict or a JSON schema) wants it.

        The reference is made from rollouts that follow the schema, and follows it.
        """
        described = convert_to_json_schema(schema, strict=strict)
        name = str(described.get("title") or "answer")
        wanted = {"type": "json_schema", "json_schema": {"name": name, "schema": described}}
        if strict is not None:
            wanted["json_schema"]["strict"] = strict  # type: ignore[index]
        model = self.bind(response_format=wanted, **kwargs)
        typed = isinstance(schema, type) and hasattr(schema, "model_validate")
        parser: Any = PydanticOutputParser(pydantic_object=schema) if typed else JsonOutputParser()
        if not include_raw:
            return model | parser
        parsed = RunnablePassthrough.assign(
            parsed=lambda told: parser.invoke(told["raw"]), parsing_error=lambda _: None
        )
        failed = RunnablePassthrough.assign(parsed=lambda _: None)
        return RunnableMap(raw=model) | parsed.with_fallbacks([failed], exception_key="parsing_error")


def _problem(error: ApiError) -> Exception:
    """LangChain's own kind of error, where this release of it has one."""
    status = status_of(error)
    name = "ModelAPIError" if status >= 500 else "ModelInvalidRequestError"
    name = "ContextOverflowError" if error.code == "context_length_exceeded" else _KINDS.get(status, name)
    kind: type[Exception] = getattr(exceptions, name, exceptions.LangChainException)
    return kind(error.message)


def _usage(body: Body) -> UsageMetadata | None:
    used = body["usage"]
    if used is None:
        return None
    return UsageMetadata(
        input_tokens=used["prompt_tokens"],
        output_tokens=used["completion_tokens"],
        total_tokens=used["total_tokens"],
    )


def _metadata(body: Body, choice: Body) -> dict[str, Any]:
    return {
        "model_name": body["model"],
        "id": body["id"],
        "finish_reason": choice["finish_reason"],
        "catagent": body["catagent"],
    }


def _result(body: Body) -> ChatResult:
    generations = []
    for choice in body["choices"]:
        said = choice["message"]
        calls, broken = [], []
        for call in said.get("tool_calls") or ():
            try:
                calls.append(parse_tool_call(call, return_id=True))
            except exceptions.OutputParserException as failure:
                broken.append(make_invalid_tool_call(call, str(failure)))
        thought = said.get("reasoning_content")
        message = AIMessage(
            content=said["content"] or "",
            tool_calls=[call for call in calls if call],
            invalid_tool_calls=broken,
            additional_kwargs={"reasoning_content": thought} if thought else {},
            response_metadata=_metadata(body, choice),
            usage_metadata=_usage(body) if choice["index"] == 0 else None,
        )
        generations.append(ChatGeneration(message=message))
    return ChatResult(generations=generations, llm_output={"model_name": body["model"]})


def _chunk(item: ContentDelta | Final) -> ChatGenerationChunk | None:
    if isinstance(item, Final):
        body = item.completion
        end = AIMessageChunk(
            content="",
            response_metadata=_metadata(body, body["choices"][0]),
            usage_metadata=_usage(body),
            chunk_position="last",
        )
        return ChatGenerationChunk(message=end)
    if item.index:
        return None  # a stream of LangChain's is one message: the reference
    calls = []
    for call in item.tool_calls:
        function = call.get("function") or {}
        arguments = function.get("arguments")
        calls.append(
            {
                "name": function.get("name"),
                "args": arguments if isinstance(arguments, str | None) else json.dumps(arguments),
                "id": call.get("id"),
                "index": call.get("index"),
                "type": "tool_call_chunk",
            }
        )
    thought = {"reasoning_content": item.reasoning} if item.reasoning else {}
    message = AIMessageChunk(content=item.text, tool_call_chunks=calls, additional_kwargs=thought)
    return ChatGenerationChunk(message=message)
