"""The OpenAI chat protocol as hosted providers speak it: replies, chunks and error bodies, all plain data."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

__all__ = [
    "Body",
    "Reply",
    "ToolCall",
    "chunks",
    "completion",
    "count_tokens",
    "default_text",
    "error_body",
    "instance",
    "prompt_of",
    "prompt_tokens",
    "tokens",
]

Body = dict[str, Any]

PIECES = re.compile(r"\s*\S+|\s+")


@dataclass(frozen=True)
class ToolCall:
    """One call of a tool that a reply asks for."""

    name: str
    arguments: Any


@dataclass(frozen=True)
class Reply:
    """What one choice says. Counts left None are computed from the text."""

    text: str | None = None
    finish_reason: str | None = None
    tool_calls: Sequence[ToolCall] = ()
    reasoning: str | None = None
    refusal: str | None = None
    logprobs: Sequence[float] | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    delay: float = 0.0


def tokens(text: str) -> list[str]:
    """Cut into pieces that join to the same text: a word with its leading space is a token."""
    return PIECES.findall(text)


def count_tokens(text: str | None) -> int:
    return len(tokens(text)) if text else 0


def text_of(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def prompt_of(body: Body) -> str:
    """All messages' text joined: what a test looks at to know which role is asking."""
    return "\n\n".join(text_of(message.get("content")) for message in body.get("messages", ()))


def prompt_tokens(body: Body) -> int:
    return 3 + sum(3 + count_tokens(text_of(message.get("content"))) for message in body.get("messages", ()))


def rng(*parts: object) -> random.Random:
    return random.Random(hashlib.blake2b(repr(parts).encode(), digest_size=8).digest())


def default_text(body: Body, *, seed: int, turn: int) -> str:
    """A short worked answer: the same for the same (prompt, seed, turn), mostly agreeing across turns."""
    prompt = prompt_of(body)
    draw = rng(seed, prompt, turn)
    schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    if schema is not None:
        return json.dumps(instance(schema, draw))
    if (body.get("response_format") or {}).get("type") == "json_object":
        return json.dumps({"answer": draw.randint(0, 9)})
    right = rng(seed, prompt).randint(10, 99)
    answer = right if draw.random() < 0.6 else right + draw.randint(1, 9)
    return f"Attempt {draw.randint(100, 999)}: step by step.\nThe answer is \\boxed{{{answer}}}."


def instance(schema: Any, draw: random.Random, root: Any = None) -> Any:
    """Some value that the JSON schema allows; covers what strict structured output allows."""
    root = schema if root is None else root
    if not isinstance(schema, dict):
        return None
    if ref := schema.get("$ref"):
        target = root
        for step in ref.removeprefix("#/").split("/"):
            target = target[step]
        return instance(target, draw, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return draw.choice(schema["enum"])
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return instance(schema[word][0], draw, root)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) else kind
    if kind == "object" or "properties" in schema:
        return {key: instance(value, draw, root) for key, value in schema.get("properties", {}).items()}
    if kind == "array":
        length = max(schema.get("minItems", 1), min(schema.get("maxItems", 2), 2))
        return [instance(schema.get("items", {"type": "string"}), draw, root) for _ in range(length)]
    if kind == "integer":
        return draw.randint(int(schema.get("minimum", 0)), int(schema.get("maximum", 9)))
    if kind == "number":
        return round(draw.uniform(schema.get("minimum", 0.0), schema.get("maximum", 1.0)), 3)
    if kind == "boolean":
        return draw.random() < 0.5
    return None if kind == "null" else f"word{draw.randint(0, 99)}"


def logprobs_of(pieces: Sequence[str], body: Body, given: Sequence[float] | None) -> dict[str, Any]:
    wanted = int(body.get("top_logprobs") or 0)
    content = []
    for place, piece in enumerate(pieces):
        value = (
            given[place]
            if given is not None and place < len(given)
            else -round(rng(piece, place).uniform(0.01, 1), 4)
        )
        entry: dict[str, Any] = {"token": piece, "logprob": value, "bytes": list(piece.encode())}
        others = [
            {"token": f" other{k}", "logprob": value - k, "bytes": list(f" other{k}".encode())}
            for k in range(1, wanted)
        ]
        own = [{key: entry[key] for key in ("token", "logprob", "bytes")}] if wanted else []
        content.append({**entry, "top_logprobs": own + others})
    return {"content": content, "refusal": None}


def cut_text(text: str, body: Body) -> tuple[str, str]:
    """Obey `stop` and the token limit as a provider does; the finish reason comes second."""
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.split(stop, 1)[0]
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    pieces = tokens(text) if limit else []
    if limit and len(pieces) > limit:
        return "".join(pieces[:limit]), "length"
    return text, "stop"


def choice_of(index: int, reply: Reply, body: Body, ident: str) -> dict[str, Any]:
    text, reason = (None, "stop") if reply.text is None else cut_text(reply.text, body)
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": reply.refusal}
    if reply.reasoning is not None:
        message["reasoning_content"] = reply.reasoning
    if reply.tool_calls:
        reason = "tool_calls"
        message["tool_calls"] = [
            {
                "id": f"call_{ident[-8:]}_{index}_{place}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for place, call in enumerate(reply.tool_calls)
        ]
    asked = bool(body.get("logprobs")) and text is not None
    return {
        "index": index,
        "message": message,
        "logprobs": logprobs_of(tokens(text or ""), body, reply.logprobs) if asked else None,
        "finish_reason": reply.finish_reason or reason,
    }


def usage_of(body: Body, replies: Sequence[Reply], choices: Sequence[Body]) -> Body:
    prompt = next((r.prompt_tokens for r in replies if r.prompt_tokens is not None), None)
    prompt = prompt_tokens(body) if prompt is None else prompt
    thought = sum(count_tokens(reply.reasoning) for reply in replies)
    made = thought + sum(
        count_tokens(choice["message"]["content"])
        if reply.completion_tokens is None
        else reply.completion_tokens
        for reply, choice in zip(replies, choices, strict=True)
    )
    cached = next((r.cached_tokens for r in replies if r.cached_tokens is not None), 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": made,
        "total_tokens": prompt + made,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": thought, "audio_tokens": 0},
    }


def completion(body: Body, replies: Sequence[Reply], *, ident: str, created: int) -> Body:
    """The whole `chat.completion` object."""
    choices = [choice_of(index, reply, body, ident) for index, reply in enumerate(replies)]
    return {
        "id": ident,
        "object": "chat.completion",
        "created": created,
        "model": body.get("model", "double"),
        "choices": choices,
        "usage": usage_of(body, replies, choices),
        "service_tier": "default",
        "system_fingerprint": "fp_double",
    }


def deltas(choice: Body) -> Iterator[tuple[Body, Body | None, str | None]]:
    """(delta, logprobs, finish reason) of one choice, in order."""
    message = choice["message"]
    yield {"role": "assistant", "content": "" if message.get("content") is not None else None}, None, None
    for piece in tokens(message.get("reasoning_content") or ""):
        yield {"reasoning_content": piece}, None, None
    marks = (choice.get("logprobs") or {}).get("content")
    for place, piece in enumerate(tokens(message.get("content") or "")):
        yield {"content": piece}, {"content": [marks[place]], "refusal": None} if marks else None, None
    for place, call in enumerate(message.get("tool_calls") or ()):
        head = {**call, "index": place, "function": {**call["function"], "arguments": ""}}
        yield {"tool_calls": [head]}, None, None
        text = call["function"]["arguments"]
        for part in (text[: len(text) // 2], text[len(text) // 2 :]):
            yield {"tool_calls": [{"index": place, "function": {"arguments": part}}]}, None, None
    yield {}, None, choice["finish_reason"]


def chunks(whole: Body, *, include_usage: bool) -> Iterator[Body]:
    """The `chat.completion.chunk` objects of a completion; the choices take turns, as on a busy server."""
    head: Body = {key: whole[key] for key in ("id", "created", "model", "system_fingerprint") if key in whole}
    head["object"] = "chat.completion.chunk"
    tail = {"usage": None} if include_usage else {}
    running = [(choice["index"], deltas(choice)) for choice in whole.get("choices", ())]
    while running:
        alive = []
        for index, source in running:
            if (step := next(source, None)) is None:
                continue
            delta, marks, reason = step
            choice = {"index": index, "delta": delta, "logprobs": marks, "finish_reason": reason}
            yield {**head, "choices": [choice], **tail}
            alive.append((index, source))
        running = alive
    if include_usage and "usage" in whole:
        yield {**head, "choices": [], "usage": whole["usage"]}


def error_body(
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | int | None = None,
) -> bytes:
    """An error in OpenAI's shape."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})
