"""From a line of input to a row: what is to be solved, under which id, and what makes two rows the same.

Lines are what people have: `{"prompt": …}`, `{"messages": […]}`, lines of OpenAI's batch files
(`custom_id`, `body`), or any field named by `prompt_field`. Gold labels in a line are never looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from pydantic import ValidationError

from catagent.errors import ConfigError
from catagent.messages import ChatMessage, Task
from catagent.models.journal import canonical

__all__ = ["BadLineError", "Fields", "Row", "row_of"]

_NOT_SENT = frozenset({"model", "messages", "n", "stream", "stream_options"})


class BadLineError(ValueError):
    """A line holds no row; the text says why."""


@dataclass(frozen=True, slots=True)
class Fields:
    """Where in a line things are: names, with dots for fields inside fields. `None` takes the usual ones."""

    prompt: str | None = None
    id: str | None = None
    completions: str | None = None
    reference: str | None = None
    rubric: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a job. `number` counts the lines that are not blank, over all files, from 0."""

    number: int
    id: str | int
    messages: tuple[ChatMessage, ...]
    content: bytes
    """Hash of all that is solved: equal for rows that are the same but for their ids."""
    params: Mapping[str, Any] = field(default_factory=dict)
    completions: tuple[Any, ...] | None = None
    reference: str | None = None
    rubric: tuple[Any, ...] | None = None


def row_of(number: int, line: bytes | str | Mapping[str, Any], fields: Fields, *, scored: bool) -> Row:
    """The row in a line. Raises `BadLineError`. `scored` rows bring their completions with them."""
    raw = _parsed(line)
    if isinstance(raw, str):
        raw = {"prompt": raw}
    if not isinstance(raw, Mapping):
        raise BadLineError("the line is JSON but no object")
    params: dict[str, Any] = {}
    body = raw.get("body")
    if fields.prompt is None and isinstance(body, Mapping) and "messages" in body:
        params = {name: value for name, value in body.items() if name not in _NOT_SENT}
        messages = _messages(body["messages"], "body.messages")
    else:
        messages = _messages(*_prompt(raw, fields))
    completions = _completions(raw, fields) if scored else None
    reference = _reference(raw, fields) if scored else None
    rubric = _rubric(raw, fields) if scored else None
    try:
        content = canonical([messages, params, completions, reference, rubric])
    except TypeError as error:
        raise BadLineError(f"the row cannot be written as JSON: {error}") from None
    digest = hashlib.sha256(content).digest()[:16]
    found = _at(raw, fields.id) if fields.id else raw.get("custom_id", raw.get("id"))
    if fields.id and found is None:
        raise BadLineError(f"there is no field {fields.id!r} for the id")
    if found is not None and (not isinstance(found, str | int) or isinstance(found, bool)):
        raise BadLineError("the id is neither text nor a whole number")
    ident = digest.hex() if found is None else found
    return Row(number, ident, messages, digest, params, completions, reference, rubric)


def _parsed(line: bytes | str | Mapping[str, Any]) -> Any:
    if not isinstance(line, bytes):
        return line
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadLineError(f"not JSON: {error}") from None


def _at(raw: Any, path: str) -> Any:
    """The field at a path; a field whose own name has dots comes first."""
    if isinstance(raw, Mapping) and path in raw:
        return raw[path]
    for step in path.split("."):
        if not isinstance(raw, Mapping):
            return None
        raw = raw.get(step)
    return raw


def _prompt(raw: Mapping[str, Any], fields: Fields) -> tuple[Any, str]:
    if fields.prompt:
        found = _at(raw, fields.prompt)
        if found is None:
            known = ", ".join(sorted(map(str, raw)))[:200]
            raise BadLineError(f"there is no field {fields.prompt!r}; there are: {known}")
        return found, fields.prompt
    for name in ("messages", "prompt"):
        if raw.get(name) is not None:
            return raw[name], name
    known = ", ".join(sorted(map(str, raw)))[:200]
    raise BadLineError(f"there is neither `prompt` nor `messages`; name the field of the prompt: {known}")


def _messages(found: Any, name: str) -> tuple[ChatMessage, ...]:
    if isinstance(found, str):
        if not found.strip():
            raise BadLineError(f"{name} is empty")
        return ({"role": "user", "content": found},)
    try:
        return Task.of(found).messages
    except (ValidationError, ConfigError, TypeError):
        raise BadLineError(f"{name} is neither text nor a list of messages") from None


def _completions(raw: Mapping[str, Any], fields: Fields) -> tuple[Any, ...]:
    names = [fields.completions] if fields.completions else ["completions", "completion", "responses"]
    for name in names:
        found = _at(raw, name)
        if isinstance(found, str):
            return (found,)
        if isinstance(found, list) and found and all(_is_completion(one) for one in found):
            return tuple(_assistant(one) for one in found)
        if found is not None:
            raise BadLineError(f"{name} is no list of texts or assistant messages")
    raise BadLineError(f"there is nothing to score: no field {names[0]!r}")


def _is_completion(one: Any) -> bool:
    return one is None or isinstance(one, str | Mapping) or (isinstance(one, list) and len(one) == 1)


def _assistant(one: Any) -> Any:
    """TRL writes a completion as a list of one message."""
    return one[0] if isinstance(one, list) else one


def _reference(raw: Mapping[str, Any], fields: Fields) -> str | None:
    found = _at(raw, fields.reference) if fields.reference else None
    if fields.reference and not isinstance(found, str):
        raise BadLineError(f"there is no text in the field {fields.reference!r} for the reference")
    return found


def _rubric(raw: Mapping[str, Any], fields: Fields) -> tuple[Any, ...] | None:
    found = _at(raw, fields.rubric) if fields.rubric else None
    if fields.rubric and not isinstance(found, list):
        raise BadLineError(f"there is no list in the field {fields.rubric!r} for the rubric")
    return tuple(found) if found is not None else None
