"""LlamaIndex: `Settings.llm = CatLLM(model="cat/openai/gpt-5-mini", rollouts=8)`.

A model that chats, completes, streams and calls tools, async and sync.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import aclosing, closing
from typing import Any

from catagent.cat import CaT
from catagent.completions import Body, ContentDelta, Final
from catagent.integrations.chat import Chat
from catagent.integrations.extras import absent

try:
    from llama_index.core.base.llms.types import (
        ChatMessage,
        ChatResponse,
        CompletionResponse,
        ImageBlock,
        LLMMetadata,
        MessageRole,
        TextBlock,
        ToolCallBlock,
    )
    from llama_index.core.bridge.pydantic import Field, PrivateAttr
    from llama_index.core.llms.callbacks import llm_chat_callback, llm_completion_callback
    from llama_index.core.llms.function_calling import FunctionCallingLLM
    from llama_index.core.llms.llm import ToolSelection
except ImportError as error:
    raise absent("llama-index", error) from error

__all__ = ["CatLLM"]


class CatLLM(FunctionCallingLLM):
    """An `LLM` whose answers are references: `cat`, `cat/provider/model` or a profile of the configuration.

    `rollouts` and `catagent` are how references are made, `params` go with every request. How a reference
    came about is in a response's `raw["catagent"]`. Raises `catagent.completions.ApiError`: LlamaIndex has
    no errors of its own for models.
    """

    model: str = "cat"
    rollouts: int | None = None
    catagent: dict[str, Any] = Field(default_factory=dict)
    params: dict[str, Any] = Field(default_factory=dict)
    context_window: int = 128_000
    _cat: CaT | None = PrivateAttr(default=None)

    def __init__(self, model: str = "cat", *, cat: CaT | None = None, **options: Any) -> None:
        super().__init__(model=model, **options)
        self._cat = cat

    @classmethod
    def class_name(cls) -> str:
        """The name in serialised indices."""
        return "catagent_llm"

    @property
    def metadata(self) -> LLMMetadata:
        """What LlamaIndex asks of a model."""
        return LLMMetadata(
            context_window=self.context_window,
            model_name=self.model,
            is_chat_model=True,
            is_function_calling_model=True,
        )

    def _asked(self, given: Mapping[str, Any]) -> tuple[Chat, dict[str, Any]]:
        chat = Chat(self.model, cat=self._cat, options={"n": self.rollouts, **self.catagent})
        return chat, {**self.params, **given}

    # Chat.

    @llm_chat_callback()
    async def achat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The reference for a conversation."""
        chat, params = self._asked(kwargs)
        return _response(await chat.complete(_spoken(messages), **params))

    @llm_chat_callback()
    def chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> ChatResponse:
        """The same for callers that are not async."""
        chat, params = self._asked(kwargs)
        return _response(chat.complete_sync(_spoken(messages), **params))

    @llm_chat_callback()
    async def astream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        """The pieces as they come; leaving the stream cancels the work upstream."""
        chat, params = self._asked(kwargs)

        async def pieces() -> AsyncGenerator[ChatResponse, None]:
            said = _Said()
            async with aclosing(chat.stream(_spoken(messages), **params)) as items:
                async for item in items:
                    if (piece := said.take(item)) is not None:
                        yield piece

        return pieces()

    @llm_chat_callback()
    def stream_chat(self, messages: Sequence[ChatMessage], **kwargs: Any) -> Any:
        """The same for callers that are not async."""
        chat, params = self._asked(kwargs)

        def pieces() -> Generator[ChatResponse, None, None]:
            said = _Said()
            with closing(chat.stream_sync(_spoken(messages), **params)) as items:
                for item in items:
                    if (piece := said.take(item)) is not None:
                        yield piece

        return pieces()

    # Completion: a conversation of one message.

    @llm_completion_callback()
    async def acomplete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The reference for a prompt."""
        chat, params = self._asked(kwargs)
        return _completion(_response(await chat.complete(_prompt(prompt), **params)))

    @llm_completion_callback()
    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        """The same for callers that are not async."""
        chat, params = self._asked(kwargs)
        return _completion(_response(chat.complete_sync(_prompt(prompt), **params)))

    @llm_completion_callback()
    async def astream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        """The pieces as they come."""
        chat, params = self._asked(kwargs)

        async def pieces() -> AsyncGenerator[CompletionResponse, None]:
            said = _Said()
            async with aclosing(chat.stream(_prompt(prompt), **params)) as items:
                async for item in items:
                    if (piece := said.take(item)) is not None:
                        yield _completion(piece)

        return pieces()

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        """The same for callers that are not async."""
        chat, params = self._asked(kwargs)

        def pieces() -> Generator[CompletionResponse, None, None]:
            said = _Said()
            with closing(chat.stream_sync(_prompt(prompt), **params)) as items:
                for item in items:
                    if (piece := said.take(item)) is not None:
                        yield _completion(piece)

        return pieces()

    # Tools.

    def _prepare_chat_with_tools(
        self,
        tools: Sequence[Any],
        user_msg: str | ChatMessage | None = None,
        chat_history: list[ChatMessage] | None = None,
        verbose: bool = False,
        allow_parallel_tool_calls: bool = False,
        tool_required: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        messages = list(chat_history or [])
        if user_msg is not None:
            own = (
                ChatMessage(role=MessageRole.USER, content=user_msg)
                if isinstance(user_msg, str)
                else user_msg
            )
            messages.append(own)
        asked: dict[str, Any] = {"messages": messages, **kwargs}
        if tools:
            asked["tools"] = [tool.metadata.to_openai_tool(skip_length_check=True) for tool in tools]
            asked.setdefault("tool_choice", "required" if tool_required else "auto")
            asked["parallel_tool_calls"] = allow_parallel_tool_calls
        return asked

    def get_tool_calls_from_response(
        self, response: ChatResponse, error_on_no_tool_call: bool = True, **kwargs: Any
    ) -> list[ToolSelection]:
        """The calls that a response asks for. Raises `ValueError` when there are none and some must be."""
        calls = [block for block in response.message.blocks if isinstance(block, ToolCallBlock)]
        if not calls and error_on_no_tool_call:
            raise ValueError("the model called no tool")
        return [
            ToolSelection(
                tool_id=call.tool_call_id or "",
                tool_name=call.tool_name,
                tool_kwargs=_arguments(call.tool_kwargs),
            )
            for call in calls
        ]


def _arguments(given: Any) -> dict[str, Any]:
    if isinstance(given, dict):
        return given
    try:
        read = json.loads(given or "{}")
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}


def _prompt(prompt: str) -> list[Body]:
    return [{"role": "user", "content": prompt}]


def _spoken(messages: Sequence[ChatMessage]) -> list[Body]:
    return [_one(message) for message in messages]


def _one(message: ChatMessage) -> Body:
    content: list[Body] = []
    calls: list[Body] = []
    for block in message.blocks:
        if isinstance(block, TextBlock):
            content.append({"type": "text", "text": block.text})
        elif isinstance(block, ImageBlock):
            content.append({"type": "image_url", "image_url": {"url": _address(block)}})
        elif isinstance(block, ToolCallBlock):
            arguments = block.tool_kwargs
            text = arguments if isinstance(arguments, str) else json.dumps(arguments)
            function = {"name": block.tool_name, "arguments": text}
            calls.append({"id": block.tool_call_id, "type": "function", "function": function})
        else:
            raise TypeError(f"a {type(block).__name__} cannot be sent as a chat message")
    plain = all(part["type"] == "text" for part in content)
    said: Body = {
        "role": str(getattr(message.role, "value", message.role)),
        "content": "".join(part["text"] for part in content) if plain else content,
    }
    if calls:
        said["tool_calls"] = calls
        said["content"] = said["content"] or None
    if (answered := message.additional_kwargs.get("tool_call_id")) is not None:
        said["tool_call_id"] = answered
    return said


def _address(block: ImageBlock) -> str:
    if block.url:
        return str(block.url)
    data = block.resolve_image(as_base64=True).read().decode()
    return f"data:{block.image_mimetype or 'image/png'};base64,{data}"


def _message(said: Mapping[str, Any]) -> ChatMessage:
    blocks: list[Any] = [TextBlock(text=said["content"])] if said.get("content") else []
    for call in said.get("tool_calls") or ():
        function = call["function"]
        blocks.append(
            ToolCallBlock(
                tool_call_id=call.get("id"),
                tool_name=function["name"],
                tool_kwargs=_arguments(function.get("arguments")),
            )
        )
    return ChatMessage(role=MessageRole.ASSISTANT, blocks=blocks)


def _response(body: Body) -> ChatResponse:
    choice = body["choices"][0]
    return ChatResponse(
        message=_message(choice["message"]),
        raw=body,
        additional_kwargs={**(body["usage"] or {}), "finish_reason": choice["finish_reason"]},
    )


def _completion(response: ChatResponse) -> CompletionResponse:
    return CompletionResponse(
        text=response.message.content or "",
        delta=response.delta,
        raw=response.raw,
        additional_kwargs=response.additional_kwargs,
    )


class _Said:
    """The reference as far as it has come: every piece of a LlamaIndex stream carries all of it."""

    def __init__(self) -> None:
        self._text = ""

    def take(self, item: ContentDelta | Final) -> ChatResponse | None:
        if isinstance(item, Final):
            whole = _response(item.completion)
            whole.delta = ""
            return whole
        if item.index or not item.text:
            return None
        self._text += item.text
        message = ChatMessage(role=MessageRole.ASSISTANT, content=self._text)
        return ChatResponse(message=message, delta=item.text)
