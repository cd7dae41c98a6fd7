"""The lines of a provider batch: which is whose, and what each brought.

Output comes in any order, in two files, and may lack lines. Files can be large, so they stay on disk: an
index says where the line of each request is, and a line is read when someone waits for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from catagent.errors import GarbledError, ModelError, RateLimitError, RequestError, ServerError
from catagent.models.client import Completion
from catagent.models.redaction import redact
from catagent.models.refusals import error_of, refusal, short
from catagent.models.wire import parse

__all__ = ["OWED", "LineIndex", "Outcome", "Owed", "custom_id_of", "key_of", "outcome_of"]

_UNDONE = re.compile(r"expired|cancel", re.I)
_PASSING = re.compile(r"time.?out|rate.?limit|overload|internal|server|unavailable|try again", re.I)


class Owed(Enum):
    """What a request is that the provider did not get to: to be submitted again, at no one's fault."""

    OWED = "owed"


OWED = Owed.OWED
Outcome: TypeAlias = Completion | ModelError | Owed


def custom_id_of(key: str, nonce: str) -> str:
    """The name of a request in one file: its content key, and what makes the file like no other."""
    return f"{key}-{nonce}"


def key_of(custom_id: str) -> str:
    """The content key in a name."""
    return custom_id.partition("-")[0]


class LineIndex:
    """Where in the downloaded files the line of each request is. What came first counts."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[Path, int, int]] = {}
        self.lines = 0

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def add(self, path: Path) -> None:
        """Take in a file, the output file before the error file.

        Raises `GarbledError` for a line that is none: the download broke off.
        """
        offset = 0
        with path.open("rb") as file:
            for raw in file:
                if raw.strip():
                    key = key_of(_custom_id(raw, path))
                    self._places.setdefault(key, (path, offset, len(raw)))
                    self.lines += 1
                offset += len(raw)

    def outcomes(self, keys: Iterable[str], where: str) -> Iterator[tuple[str, Outcome]]:
        """What each of these requests brought; `OWED` for those without a line."""
        by_file: dict[Path, list[tuple[int, int, str]]] = {}
        for key in keys:
            if (place := self._places.get(key)) is None:
                yield key, OWED
            else:
                by_file.setdefault(place[0], []).append((place[1], place[2], key))
        for path, places in by_file.items():
            with path.open("rb") as file:
                for offset, length, key in sorted(places):
                    file.seek(offset)
                    yield key, outcome_of(file.read(length), where)


def _custom_id(raw: bytes, path: Path) -> str:
    try:
        found = orjson.loads(raw)["custom_id"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        found = None
    if not isinstance(found, str):
        raise GarbledError(f"a line of the provider's file {path.name} cannot be read")
    return found


def outcome_of(raw: bytes, where: str) -> Outcome:
    """What a line says, in OpenAI's form or Together's."""
    line = orjson.loads(raw)
    error, response = line.get("error"), line.get("response")
    if error:
        return _failure(error, where)
    if not isinstance(response, dict):
        return OWED
    status, body = response.get("status_code", 200), response.get("body")
    if status == 200:
        try:
            return parse(orjson.dumps(body))
        except ModelError as unreadable:
            return unreadable
    if not isinstance(status, int):
        return GarbledError(f"{where} gave a line without a status")
    said = redact(orjson.dumps(body).decode()).encode()
    return _settled(refusal(status, said, {}, model="", where=f"{where} (batch)"))


def _failure(error: Any, where: str) -> Outcome:
    """A failure outside HTTP: a code and a sentence."""
    fields = error if isinstance(error, dict) else {"message": error}
    code, said = str(fields.get("code") or ""), redact(short(fields.get("message") or ""))
    if _UNDONE.search(code):
        return OWED
    text = f"{where} (batch): {said or 'no reason given'}" + (f" ({code})" if code else "")
    if code.isdecimal() and 400 <= int(code) < 600:
        return _settled(error_of(int(code), text, f"{said} {code}", wait=None, model=None))
    if _PASSING.search(f"{code} {said}"):
        return ServerError(text)
    return RequestError(text)


def _settled(error: ModelError) -> Outcome:
    """A refusal for the rate (429) inside a batch is the provider's own affair: the request is owed."""
    return OWED if isinstance(error, RateLimitError) else error
