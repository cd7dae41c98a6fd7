"""Reading the XML and JSON that models write, which is seldom XML or JSON.

No parser that expands entities or follows references is involved: tags are found by name in flat text,
everything else is text, and five entities and numbers are unescaped once. Size and work are bounded,
since the text may be hostile.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from catagent.agents.fencing import cleaned

__all__ = ["Element", "elements", "json_values", "plain", "readable"]

_LONGEST = 60_000
_FAILURES = 50
_ENTITY = re.compile(r"&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|amp|lt|gt|quot|apos|nbsp);")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'", "nbsp": " "}
_ATTRIBUTE = re.compile(
    r"([\w-]{1,40})\s{0,4}=\s{0,4}(?:\"([^\"]{0,2000})\"|'([^']{0,2000})'|([^\s\"'>]{1,200}))"
)
_TRAILING = re.compile(r",\s*([}\]])")


@dataclass(frozen=True, slots=True)
class Element:
    """One element as it stands: `body` is raw, `start` and `end` are its place in the text."""

    name: str
    attributes: dict[str, str]
    body: str
    start: int
    end: int


def readable(reply: str | None) -> str:
    """A model's reply without thinking, comments, CDATA marks and what exceeds the bound."""
    text = cleaned((reply or "")[:_LONGEST])
    return _without(text, "<!--", "-->").replace("<![CDATA[", "").replace("]]>", "")


def _without(text: str, opening: str, closing: str) -> str:
    parts, at = [], 0
    while (start := text.find(opening, at)) >= 0 and (end := text.find(closing, start)) >= 0:
        parts.append(text[at:start])
        at = end + len(closing)
    return "".join([*parts, text[at:]])


def elements(text: str, names: Collection[str]) -> list[Element]:
    """The elements of these names, in order, not looking into them.

    One that is never closed ends where the next of these names begins, or with the text. Tags of other
    names are text.
    """
    known = "|".join(sorted(names, key=len, reverse=True))
    tag = re.compile(rf"<\s{{0,3}}(/?)\s{{0,3}}({known})(?![\w.:-])([^<>]{{0,4000}})>", re.I)
    found: list[Element] = []
    opened: re.Match[str] | None = None

    def close(end: int, after: int) -> None:
        if opened is not None:
            body = text[opened.end() : end]
            found.append(Element(opened[2].lower(), _attributes(opened[3]), body, opened.start(), after))

    for match in tag.finditer(text):
        if match[1]:
            if opened is not None and opened[2].lower() == match[2].lower():
                close(match.start(), match.end())
                opened = None
            continue
        close(match.start(), match.start())
        opened = match
        if match[3].rstrip().endswith("/"):
            close(match.end(), match.end())
            opened = None
    close(len(text), len(text))
    return found


def _attributes(raw: str) -> dict[str, str]:
    found = {}
    for name, double, single, bare in _ATTRIBUTE.findall(raw):
        found[name.lower()] = plain(double or single or bare.rstrip("/"))
    return found


def plain(raw: str) -> str:
    """The text of a body: entities unescaped once, white space made single spaces."""
    return " ".join(_ENTITY.sub(_unescaped, raw).split())


def _unescaped(match: re.Match[str]) -> str:
    name = match[1]
    if not name.startswith("#"):
        return _NAMED[name]
    code = int(name[2:], 16) if name[1] in "xX" else int(name[1:])
    character = chr(code) if 0x20 <= code < 0x110000 and not 0xD800 <= code < 0xE000 else " "
    return cleaned(character) or " "


def json_values(text: str) -> list[Any]:
    """Every JSON object or array that stands in the text, in order; trailing commas are forgiven."""
    values = list(_decoded(text))
    if not any(isinstance(v, dict | list) and v for v in values) and _TRAILING.search(text):
        values = list(_decoded(_TRAILING.sub(r"\1", text)))
    return values


def _decoded(text: str) -> Iterator[Any]:
    decoder = json.JSONDecoder()
    at = failures = 0
    opening = re.compile(r"[{\[]")
    while failures < _FAILURES and (match := opening.search(text, at)):
        try:
            value, at = decoder.raw_decode(text, match.start())
        except (ValueError, RecursionError):
            failures += 1
            at = match.end()
        else:
            yield value
