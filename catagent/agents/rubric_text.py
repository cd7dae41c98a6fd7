"""From a model's reply to the criteria in it, whatever shape they came in.

Read in this order: elements `<criterion>` (the last `<rubric>` counts when there are several), JSON,
and at last a numbered or bulleted list, which is what small models write whatever they are asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from catagent.agents.markup import Element, elements, json_values, plain, readable

__all__ = ["Draft", "read_drafts"]

_MOST = 200
_LONGEST = 600
_ITEMS = ("criterion", "criteria_item", "item", "question", "requirement")
_TEXTS = (
    "text",
    "description",
    "statement",
    "question",
    "name",
    "title",
    "criterion",
    "requirement",
    "content",
)
_WEIGHTS = ("weight", "points", "importance", "score")
_WORDS = {
    "essential": 5.0, "critical": 5.0, "important": 4.0, "high": 4.0, "medium": 3.0, "moderate": 3.0,
    "optional": 2.0, "low": 1.0, "minor": 1.0, "pitfall": -4.0,
}  # fmt: skip
_NUMBER = re.compile(r"[-+−]?\d{1,6}(?:\.\d{1,6})?")
_LISTED = re.compile(r"^[ \t>]{0,12}(?:\(?\d{1,3}[.):]|[-*•–])[ \t]+(?=\S)(.{1,2000})$", re.M)
_LEAD = re.compile(
    r"^(?:[-*•–#>\s]+|\(?\d{1,3}[.):]\s+|(?:criterion|criteria|item|question|requirement)\s{0,3}#?\s{0,3}\w{0,4}\s{0,3}[:.)–-]\s+)",
    re.I,
)
_ANY_TAG = re.compile(r"</?[a-zA-Z_][\w-]{0,40}(?:\s[^<>]{0,200})?/?>")


@dataclass(frozen=True, slots=True)
class Draft:
    """A criterion as the model wrote it, before any rule is applied. `weight` is `None` if unsaid."""

    text: str
    weight: float | None = None


def read_drafts(reply: str | None) -> list[Draft]:
    """The criteria in a reply, in order; empty when there are none."""
    text = readable(reply)
    for read in (_from_markup, _from_json, _from_list):
        drafts = [d for d in read(text) if d.text][:_MOST]
        if drafts:
            return drafts
    return []


def _from_markup(text: str) -> list[Draft]:
    whole = [_in_rubric(block.body) for block in elements(text, ("rubric", "criteria"))]
    filled = [drafts for drafts in whole if drafts]
    return filled[-1] if filled else _in_rubric(text)


def _in_rubric(text: str) -> list[Draft]:
    return [_draft(element) for element in elements(text, _ITEMS)]


def _draft(element: Element) -> Draft:
    inside = elements(element.body, (*_TEXTS, *_WEIGHTS, "reason", "id"))
    said = next((e for name in _TEXTS for e in inside if e.name == name), None)
    weighed = next((e for e in inside if e.name in _WEIGHTS), None)
    if said is not None:
        body = said.body
    elif inside:
        body = element.body[: inside[0].start] or next(
            (v for k, v in element.attributes.items() if k in _TEXTS), ""
        )
    else:
        body = element.body
    if not body.strip():
        body = next((element.attributes[k] for k in _TEXTS if k in element.attributes), "")
    given = (
        plain(weighed.body)
        if weighed
        else next((element.attributes[k] for k in _WEIGHTS if k in element.attributes), None)
    )
    return Draft(_tidy(_ANY_TAG.sub(" ", body)), _weight(given))


def _from_json(text: str) -> list[Draft]:
    found: list[list[Draft]] = []
    loose: list[Draft] = []
    for value in json_values(text):
        drafts = _listed(value)
        if len(drafts) > 1 or (drafts and not isinstance(value, dict)):
            found.append(drafts)
        else:
            loose += drafts  # one object a line
    if found:
        return found[-1]
    return loose


def _listed(value: Any, depth: int = 0) -> list[Draft]:
    if depth > 3:
        return []
    if isinstance(value, list):
        return [d for one in value[:_MOST] for d in _entry(one)]
    if isinstance(value, dict):
        for key in ("criteria", "rubric", "rubrics", "items", "questions", "requirements"):
            if isinstance(value.get(key), list | dict):
                return _listed(value[key], depth + 1)
        strings = {k: v for k, v in value.items() if isinstance(v, str)}
        if strings and all(re.fullmatch(r"(?:criterion|c|q)?[\s_-]*\d+", k, re.I) for k in value):
            return [Draft(_tidy(v)) for v in strings.values()]
        return list(_entry(value))
    return []


def _entry(one: Any) -> Iterable[Draft]:
    if isinstance(one, str):
        return [Draft(_tidy(one))]
    if isinstance(one, Mapping):
        said = next((one[k] for k in _TEXTS if isinstance(one.get(k), str)), None)
        if said is not None:
            given = next((one[k] for k in _WEIGHTS if k in one), None)
            return [Draft(_tidy(said), _weight(given))]
    return []


def _from_list(text: str) -> list[Draft]:
    return [Draft(_tidy(line)) for line in _LISTED.findall(text)]


def _tidy(raw: str) -> str:
    text = plain(raw[: 4 * _LONGEST])
    for _ in range(3):
        text = _LEAD.sub("", text).strip()
    text = text.replace("**", "").replace("__", "").strip(" \t*`,")
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        text = text[1:-1].strip()
    return text[:_LONGEST]


def _weight(given: Any) -> float | None:
    if isinstance(given, bool) or given is None:
        return None
    if isinstance(given, int | float):
        value = float(given) if abs(given) < 1e9 else math.inf
    else:
        said = str(given).strip().lower()
        if said in _WORDS:
            return _WORDS[said]
        match = _NUMBER.search(said[:200])
        if match is None:
            return None
        value = float(match[0].replace("−", "-"))
    return max(-10.0, min(10.0, value)) if math.isfinite(value) else None
