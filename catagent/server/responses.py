"""OpenAI's Responses API on top of chat: text, images and function calls in, text and calls out.

The server keeps nothing, so what needs a memory (`previous_response_id`, `conversation`, `background`) is
refused rather than ignored.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catagent.completions import ApiError, Body, CatOptions, ContentDelta, Final, StreamItem
from catagent.completions.request import problem_of

__all__ = ["ResponseEvents", "ResponsesRequest", "chat_body", "response_of", "responses_request"]

_KEPT = ("previous_response_id", "conversation", "background", "prompt")
_NOT_SENT = frozenset(
    ("model", "input", "instructions", "tools", "tool_choice", "text", "reasoning", "max_output_tokens")
) | frozenset(("stream", "stream_options", "store", "include", "truncation", "max_tool_calls", *_KEPT))


class ResponsesRequest(BaseModel):
    """The body of `POST /v1/responses`; further fields are sampling parameters."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str = Field(default="cat", min_length=1, max_length=500)
    input: str | list[dict[str, Any]] = Field(min_length=1)
    instructions: str | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    max_output_tokens: int | None = Field(default=None, ge=1, strict=True)
    stream: bool | None = Field(default=None, strict=True)
    catagent: CatOptions | None = None


def responses_request(body: object) -> ResponsesRequest:
    """The request in a JSON body. Raises `ApiError` (400)."""
    try:
        request = ResponsesRequest.model_validate(body)
    except ValidationError as error:
        raise problem_of(error) from None
    extra = request.model_extra or {}
    if kept := [name for name in _KEPT if extra.get(name)]:
        raise ApiError(
            400,
            f"{kept[0]}: this server keeps nothing between requests; send the whole conversation as input",
            code="unsupported_parameter",
            param=kept[0],
        )
    return request


def chat_body(request: ResponsesRequest) -> Body:
    """The chat request that asks the same. Raises `ApiError` (400) for what chat has no word for."""
    messages: list[Body] = []
    if request.instructions:
        messages.append({"role": "system", "content": request.instructions})
    if isinstance(request.input, str):
        messages.append({"role": "user", "content": request.input})
    else:
        for place, item in enumerate(request.input):
            _add(messages, item, place)
    body: Body = {k: v for k, v in (request.model_extra or {}).items() if k not in _NOT_SENT}
    body |= {"model": request.model, "messages": messages}
    if request.max_output_tokens is not None:
        body["max_completion_tokens"] = request.max_output_tokens
    if request.reasoning and request.reasoning.get("effort") is not None:
        body["reasoning_effort"] = request.reasoning["effort"]
    text = request.text or {}
    if isinstance(wanted := text.get("format"), Mapping):
        body["response_format"] = _format(wanted)
    if text.get("verbosity") is not None:
        body["verbosity"] = text["verbosity"]
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.tool_choice is not None:
        body["tool_choice"] = _choice(request.tool_choice)
    if request.stream is not None:
        body["stream"] = request.stream
    if request.catagent is not None:
        body["catagent"] = request.catagent.model_dump(exclude_unset=True)
    return body


def _unsupported(what: str, param: str) -> ApiError:
    return ApiError(400, f"{what} is not supported here", code="unsupported_value", param=param)


def _add(messages: list[Body], item: Body, place: int) -> None:
    kind = item.get("type") or "message"
    if kind == "message" and isinstance(item.get("role"), str):
        messages.append({"role": item["role"], "content": _content(item.get("content"), place)})
    elif kind == "function_call":
        call = {
            "id": item.get("call_id"),
            "type": "function",
            "function": {"name": item.get("name"), "arguments": item.get("arguments")},
        }
        if messages and messages[-1].get("tool_calls"):
            messages[-1]["tool_calls"].append(call)
        else:
            messages.append({"role": "assistant", "content": None, "tool_calls": [call]})
    elif kind == "function_call_output":
        messages.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")})
    elif kind != "reasoning":  # thinking of an earlier turn is not sent again
        raise _unsupported(f"an item of type {str(kind)[:40]!r}", f"input.{place}")


def _content(content: Any, place: int) -> Any:
    if isinstance(content, str) or content is None:
        return content
    parts: list[Body] = []
    for given in content if isinstance(content, list) else [None]:
        part = given if isinstance(given, dict) else {}
        kind = part.get("type")
        if kind in ("input_text", "output_text", "text"):
            parts.append({"type": "text", "text": str(part.get("text") or "")})
        elif kind == "refusal":
            parts.append({"type": "text", "text": str(part.get("refusal") or "")})
        elif kind == "input_image" and isinstance(part.get("image_url"), str):
            image = {"url": part["image_url"], **({"detail": part["detail"]} if part.get("detail") else {})}
            parts.append({"type": "image_url", "image_url": image})
        elif kind == "input_file":
            parts.append({"type": "file", "file": {k: v for k, v in part.items() if k != "type"}})
        else:
            raise _unsupported(f"content of type {str(kind)[:40]!r}", f"input.{place}.content")
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts)
    return parts


def _format(wanted: Mapping[str, Any]) -> Body:
    if wanted.get("type") != "json_schema":
        return dict(wanted)
    schema = {k: v for k, v in wanted.items() if k != "type"}
    return {"type": "json_schema", "json_schema": {"name": "reply", **schema}}


def _tool(tool: Body) -> Body:
    if tool.get("type") != "function" or not isinstance(tool.get("name"), str):
        raise _unsupported(f"a tool of type {str(tool.get('type'))[:40]!r}", "tools")
    return {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}


def _choice(choice: str | Body) -> Any:
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "function", "function": {"name": choice.get("name")}}
    return choice


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def _item(text: str, ident: str, status: str) -> Body:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    content = [part] if status == "completed" else []
    return {"id": ident, "type": "message", "role": "assistant", "status": status, "content": content}


def _call(call: Mapping[str, Any]) -> Body:
    function = call.get("function") or {}
    return {
        "id": _id("fc"),
        "type": "function_call",
        "status": "completed",
        "call_id": call.get("id"),
        "name": function.get("name"),
        "arguments": function.get("arguments"),
    }


def _usage(usage: Mapping[str, Any] | None) -> Body | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage["total_tokens"],
    }


def _frame(request: ResponsesRequest, ident: str, created: int, status: str) -> Body:
    extra = request.model_extra or {}
    return {
        "id": ident,
        "object": "response",
        "created_at": created,
        "status": status,
        "model": request.model,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "metadata": extra.get("metadata") or {},
        "parallel_tool_calls": extra.get("parallel_tool_calls", True),
        "temperature": extra.get("temperature"),
        "top_p": extra.get("top_p"),
        "text": request.text or {"format": {"type": "text"}},
        "tool_choice": request.tool_choice or "auto",
        "tools": request.tools or [],
        "previous_response_id": None,
        "store": False,
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
    }


def response_of(
    completion: Body, request: ResponsesRequest, *, ident: str | None = None, message: str | None = None
) -> Body:
    """The `response` object of a chat completion. `ident` and `message` are the ids that a stream gave."""
    first = completion["choices"][0]["message"]
    output = [_call(call) for call in first.get("tool_calls") or ()]
    if first.get("content"):
        output.insert(0, _item(first["content"], message or _id("msg"), "completed"))
    body = _frame(request, ident or _id("resp"), completion["created"], "completed")
    if completion["choices"][0]["finish_reason"] == "length":
        body |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    return {
        **body,
        "output": output,
        "usage": _usage(completion["usage"]),
        "catagent": completion["catagent"],
    }


class ResponseEvents:
    """The events of one streamed response, numbered."""

    def __init__(self, request: ResponsesRequest) -> None:
        self._request = request
        self._ident, self._message = _id("resp"), _id("msg")
        self._number = -1
        self._text: list[str] = []

    def _event(self, kind: str, **fields: Any) -> Body:
        self._number += 1
        return {"type": kind, "sequence_number": self._number, **fields}

    def _place(self) -> Body:
        return {"item_id": self._message, "output_index": 0, "content_index": 0}

    def opening(self) -> Iterator[Body]:
        """What comes before anything is known."""
        body = _frame(self._request, self._ident, int(time.time()), "in_progress")
        yield self._event("response.created", response=body)
        yield self._event("response.in_progress", response=body)

    def of(self, item: StreamItem) -> Iterator[Body]:
        """The events of one item. Tool calls are told whole, at the end."""
        if isinstance(item, ContentDelta) and item.index == 0 and item.text:
            if not self._text:
                started = _item("", self._message, "in_progress")
                yield self._event("response.output_item.added", output_index=0, item=started)
                part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
                yield self._event("response.content_part.added", part=part, **self._place())
            self._text.append(item.text)
            yield self._event("response.output_text.delta", delta=item.text, logprobs=[], **self._place())
        elif isinstance(item, Final):
            yield from self._end(item.completion)

    def _end(self, completion: Body) -> Iterator[Body]:
        if self._text:
            text = "".join(self._text)
            part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
            yield self._event("response.output_text.done", text=text, logprobs=[], **self._place())
            yield self._event("response.content_part.done", part=part, **self._place())
            done = _item(text, self._message, "completed")
            yield self._event("response.output_item.done", output_index=0, item=done)
        body = response_of(completion, self._request, ident=self._ident, message=self._message)
        calls = [item for item in body["output"] if item["type"] == "function_call"]
        for place, call in enumerate(calls, len(body["output"]) - len(calls)):
            begun = {**call, "arguments": "", "status": "in_progress"}
            yield self._event("response.output_item.added", output_index=place, item=begun)
            where = {"item_id": call["id"], "output_index": place}
            said = call["arguments"] or ""
            yield self._event("response.function_call_arguments.delta", delta=said, **where)
            yield self._event(
                "response.function_call_arguments.done", arguments=said, name=call["name"], **where
            )
            yield self._event("response.output_item.done", output_index=place, item=call)
        kind = "response.completed" if body["status"] == "completed" else "response.incomplete"
        yield self._event(kind, response=body)

    def failed(self, error: ApiError) -> Body:
        """The last event of a stream that broke."""
        body = _frame(self._request, self._ident, int(time.time()), "failed")
        body["error"] = {"code": "server_error", "message": error.message}
        return self._event("response.failed", response=body)
