"""Whether a text is the JSON that a request asked for (`response_format`).

Schema and text both come from strangers: references are never fetched, patterns run against the clock and
a check takes a bounded number of steps. What cannot be checked within them does not count as valid.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jsonschema
import orjson
import referencing
import regex

from catagent.completions.problems import ApiError
from catagent.models.journal import canonical

__all__ = ["Reading", "Schema", "schema_of"]

_FENCE = re.compile(r"\A\s*```(?:json)?[ \t]*\n(.*?)\n?```\s*\Z", re.S | re.I)
_STEPS = 20_000
_LARGEST_SCHEMA = 64 * 1024
_LARGEST_TEXT = 1024 * 1024
_PATTERN_SECONDS = 0.05


class Reading(NamedTuple):
    """The JSON text without its fence and its canonical bytes, or what is wrong with it."""

    text: str
    canonical: bytes = b""
    problem: str | None = None


class _TooMuch(Exception):
    pass


class Schema:
    """A JSON schema, or with `None` any JSON object."""

    def __init__(self, schema: Mapping[str, Any] | None) -> None:
        self.schema = schema
        self._left = 0
        if schema is None:
            return
        if len(canonical(dict(schema))) > _LARGEST_SCHEMA:
            raise _refused(f"the schema is larger than {_LARGEST_SCHEMA >> 10} KiB")
        if b'"patternProperties"' in canonical(dict(schema)):
            raise _refused("patternProperties is not supported in a schema")
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            raise _refused(f"the schema is not a JSON schema: {error.message[:200]}") from None
        except RecursionError:
            raise _refused("the schema is nested too deeply") from None
        kinds = jsonschema.Draft202012Validator.VALIDATORS
        counted = {name: self._counted(check) for name, check in {**kinds, **_BOUNDED}.items()}
        made = jsonschema.validators.extend(jsonschema.Draft202012Validator, counted)
        self._validator = made(schema, registry=referencing.Registry())

    def _counted(self, check: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
        def steps(*arguments: Any) -> Iterator[Any]:
            self._left -= 1
            if self._left < 0:
                raise _TooMuch
            yield from check(*arguments) or ()

        return steps

    def read(self, text: str | None) -> Reading:
        """The JSON in a text, which may stand in a fence of three backticks."""
        if not text or len(text) > _LARGEST_TEXT:
            return Reading("", problem="there is no text" if not text else "the text is too long to check")
        fenced = _FENCE.match(text)
        bare = (fenced[1] if fenced else text).strip()
        try:
            value = orjson.loads(bare)
        except orjson.JSONDecodeError as error:
            return Reading(bare, problem=f"it is not JSON: {error}")
        problem = self._problem(value)
        return Reading(bare, b"" if problem else canonical(value), problem)

    def _problem(self, value: Any) -> str | None:
        if self.schema is None:
            return None if isinstance(value, dict) else "it is not a JSON object"
        self._left = _STEPS
        try:
            error = next(self._validator.iter_errors(value), None)
        except (_TooMuch, TimeoutError, RecursionError):
            return "the schema takes too long to check"
        except referencing.exceptions.Unresolvable as unknown:
            return f"the schema refers to what is not in it: {str(unknown)[:100]}"
        if error is None:
            return None
        where = "/".join(str(part) for part in error.absolute_path)
        return f"{where or 'it'}: {error.message[:200]}"


def schema_of(response_format: Mapping[str, Any] | None) -> Schema | None:
    """The schema in a `response_format`, `None` where plain text is asked for.

    Raises `ApiError` (400) for a format that is none of OpenAI's and a schema that cannot be used.
    """
    kind = (response_format or {}).get("type", "text")
    if response_format is None or kind == "text":
        return None
    if kind == "json_object":
        return Schema(None)
    given = response_format.get("json_schema")
    schema = given.get("schema") if isinstance(given, Mapping) else None
    if kind != "json_schema" or not isinstance(schema, Mapping):
        raise ApiError(
            400,
            "response_format: its type is text, json_object or json_schema, the last with json_schema.schema",
            code="invalid_value",
            param="response_format",
        )
    return Schema(schema)


def _refused(sentence: str) -> ApiError:
    return ApiError(400, sentence, code="invalid_schema", param="response_format")


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[Any]:
    if isinstance(instance, str):
        try:
            found = regex.search(pattern, instance, timeout=_PATTERN_SECONDS)
        except regex.error:
            yield jsonschema.ValidationError("the pattern of the schema cannot be read")
            return
        if not found:
            yield jsonschema.ValidationError("it does not match the pattern of the schema")


def _unique(_: Any, wanted: Any, instance: Any, __: Any) -> Iterator[Any]:
    if (
        wanted is True
        and isinstance(instance, list)
        and len({canonical(i) for i in instance}) < len(instance)
    ):
        yield jsonschema.ValidationError("two items are the same")


_BOUNDED = {"pattern": _pattern, "uniqueItems": _unique}
