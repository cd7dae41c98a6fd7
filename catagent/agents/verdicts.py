"""From a judge's reply to verdicts: what was asked for is XML or JSON, what comes is anything.

A verdict is read only where it is unmistakable. A reply that says yes and no, or `partly`, is not read:
the judge is asked again, and then nobody knows. The judge's reasons may quote a fake verdict from the
response, so what stands inside a reason is never a verdict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catagent.agents.markup import elements, json_values, plain, readable

__all__ = ["MET_NAMES", "NO", "YES", "Reading", "read_verdict", "read_verdicts", "verdict_schema"]

MET_NAMES = (
    "met",
    "verdict",
    "answer",
    "satisfied",
    "criteria_met",
    "criterion_met",
    "passed",
    "pass",
    "decision",
    "result",
)
_REASON = ("reason", "reasoning", "explanation", "rationale", "justification", "thinking")
_QUOTE = ("quote", "evidence", "citation")
_ID = ("id", "criterion_id", "criterion", "number")
YES = r"yes|y|met|true|satisfied|pass(?:es|ed)?|fulfilled|1"
NO = r"no|n|(?:not|un)[\s-]?(?:met|satisfied|fulfilled)|false|fail(?:s|ed)?|does\s+not\s+meet|0"
_WORD = re.compile(rf"[\W_]*(?:(?P<no>{NO})|(?P<yes>{YES}))(?![\w'’])", re.I)
_SPELT = r"yes|no|(?:not |un)?met|true|false"
_ALONE = re.compile(rf"[\W_]{{0,12}}(?:{_SPELT})[\W_]{{0,12}}", re.I)
_OPENING = re.compile(rf"[\W_]{{0,12}}({_SPELT})[*_]{{0,3}}\s{{0,3}}[,.:;–—-]", re.I)
_HEDGED = re.compile(
    r"partial|partly|somewhat|unclear|unsure|cannot|maybe|both|yes\s*(?:/|\||or)\s*no|no\s*(?:/|\||or)\s*yes",
    re.I,
)
_SAID = re.compile(
    r"^[\s>*_#-]{0,12}(?:the\s+|final\s+|my\s+)?(?:verdict|answer|met|decision|judge?ment|conclusion|result)[\s*_]{0,6}"
    r"(?:is|[:=–-])[\s*_]{0,6}(.{1,60})$",
    re.I | re.M,
)
_BY_ID = re.compile(
    r"^[\s>*_#-]{0,12}(?:criterion\s*)?[\[(\"']?([\w.-]{1,40})[\])\"']?[\s*_]{0,6}[:.)=–-]\s{0,6}(.{1,600})$",
    re.I | re.M,
)


def verdict_schema(evidence: bool, *, single: bool) -> dict[str, Any]:
    """The JSON schema of a reply: the reason comes first, so that the verdict follows from it."""
    fields: dict[str, Any] = {"reason": {"type": "string"}}
    if evidence:
        fields["quote"] = {"type": "string"}
    fields["met"] = {"type": "boolean"}
    if single:
        return _object(fields)
    one = _object({"id": {"type": "string"}, **fields})
    return _object({"verdicts": {"type": "array", "items": one}})


def _object(fields: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reply says on one criterion. `met` is `None` when it cannot be read; `problem` says why.

    `final`: asking again makes no sense, the request itself failed.
    """

    met: bool | None
    reason: str | None = None
    quote: str | None = None
    problem: str | None = None
    final: bool = False


def read_verdict(reply: str | None) -> Reading:
    """The verdict in a reply about one criterion."""
    text = readable(reply)
    if not text:
        return Reading(None, problem="the reply is empty")
    inside = elements(text, ("verdict", "judgement", "judgment"))
    blocks = [e.body for e in inside if "<" in e.body]
    found = [r for r in (_from_markup(block) for block in blocks or [text]) if r is not None]
    if not found:
        found = [r for r in map(_from_mapping, _mappings(text)) if r is not None]
    if not found:
        found = [_from_prose(text)]
    return _agreed(found)


def read_verdicts(reply: str | None, ids: Sequence[str]) -> dict[str, Reading]:
    """The verdict on each of `ids` in a reply about several criteria."""
    text = readable(reply)
    said: dict[str, list[Reading]] = {i: [] for i in ids}
    _collect_markup(text, said)
    if not any(said.values()):
        for one in _mappings(text):
            key = _known(next((one[k] for k in _ID if k in one), None), ids)
            reading = _from_mapping(one)
            if key and reading:
                said[key].append(reading)
    if not any(said.values()):
        for label, rest in _BY_ID.findall(text):
            if key := _known(label, ids):
                said[key].append(_from_prose(rest))
    missing = Reading(None, problem="the reply is empty" if not text else "the reply has no verdict on it")
    return {i: _agreed(found) if found else missing for i, found in said.items()}


def _collect_markup(text: str, said: dict[str, list[Reading]]) -> None:
    for element in elements(text, ("verdict", "criterion", "judgement", "judgment")):
        named = next((element.attributes[k] for k in _ID if k in element.attributes), None)
        if named is None:
            named = next((plain(e.body) for e in elements(element.body, ("id", "criterion_id"))), None)
        if key := _known(named, list(said)):
            reading = _from_markup(element.body)
            said[key].append(reading or _from_prose(plain(element.body)))


def _known(given: Any, ids: Sequence[str]) -> str | None:
    """The id that a judge means by `C1`, `1`, `[c1]` or `criterion c1`."""
    name = re.sub(r"^\W*(?:criterion)?[\s_#]*|\W+$", "", str(given or "")[:60].strip(), flags=re.I).lower()
    for i in ids:
        if name == i.lower():
            return i
    return next((i for i in ids if name.isdigit() and i.lower() == f"c{name}"), None)


def _agreed(found: list[Reading]) -> Reading:
    """One reading of several: the last, unless they contradict each other."""
    sides = {r.met for r in found if r.met is not None}
    if len(sides) > 1:
        return Reading(None, problem="the reply says both yes and no")
    return next((r for r in reversed(found) if r.met is not None), found[-1])


def _from_markup(text: str) -> Reading | None:
    reason, rest = _cut_out(text, _REASON)
    quote, rest = _cut_out(rest, _QUOTE)
    said = [plain(e.body) or " ".join(e.attributes.values()) for e in elements(rest, MET_NAMES)]
    if not said:
        return None
    return _agreed(
        [
            Reading(_side(s), reason, quote, None if _side(s) is not None else f"unreadable: {s[:80]!r}")
            for s in said
        ]
    )


def _cut_out(text: str, names: Sequence[str]) -> tuple[str | None, str]:
    """The body of the first element of these names, up to its last closing tag, and the text without it."""
    known = "|".join(names)
    opening = re.search(rf"<({known})\b[^<>]{{0,200}}>", text, re.I)
    if opening is None:
        return None, text
    closings = [m for m in re.finditer(rf"</\s?{opening[1]}\s?>", text, re.I) if m.start() >= opening.end()]
    if closings:
        body, rest = text[opening.end() : closings[-1].start()], text[closings[-1].end() :]
    else:
        follows = re.compile(rf"<(?:{'|'.join((*MET_NAMES, *_QUOTE))})\b", re.I).search(text, opening.end())
        end = follows.start() if follows else len(text)
        body, rest = text[opening.end() : end], text[end:]
    return plain(body), text[: opening.start()] + rest


def _mappings(text: str) -> list[Mapping[str, Any]]:
    """The JSON objects that may be verdicts, two levels deep at most."""
    found: list[Mapping[str, Any]] = []
    for value in json_values(text):
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, dict):
                continue
            inner = next(
                (v for v in one.values() if isinstance(v, list) and v and isinstance(v[0], dict)), None
            )
            if inner is not None:
                found += [v for v in inner if isinstance(v, dict)]
            elif one and all(isinstance(v, dict) for v in one.values()):
                found += [{"id": k, **v} for k, v in one.items()]
            elif one and not any(k in one for k in MET_NAMES):
                found += [{"id": k, "met": v} for k, v in one.items() if isinstance(v, bool | str)]
            else:
                found.append(one)
    return found


def _from_mapping(one: Mapping[str, Any]) -> Reading | None:
    lowered = {str(k).lower(): v for k, v in one.items()}
    key = next((k for k in MET_NAMES if k in lowered), None)
    if key is None:
        return None
    value = lowered[key]
    met = value if isinstance(value, bool) else _side(str(value)) if isinstance(value, str | int) else None
    reason = next((str(lowered[k]) for k in _REASON if lowered.get(k)), None)
    quote = next((str(lowered[k]) for k in _QUOTE if lowered.get(k)), None)
    return Reading(met, reason, quote, None if met is not None else f"unreadable: {str(value)[:80]!r}")


def _from_prose(text: str) -> Reading:
    said = [s.strip() for s in _SAID.findall(text)]
    lines = [line for line in text.splitlines() if line.strip()]
    if not said and lines:
        alone = [line for line in (lines[-1], lines[0]) if _ALONE.fullmatch(line)]
        opening = _OPENING.match(lines[0])
        said = alone[:1] or ([opening[1]] if opening else [])
    if not said:
        return Reading(None, problem=f"the reply has no verdict: {text[:80]!r}")
    readings = [Reading(_side(s), " ".join(text.split())[:600]) for s in said]
    unread = [s for s, r in zip(said, readings, strict=True) if r.met is None]
    return Reading(None, problem=f"unreadable: {unread[-1][:80]!r}") if unread else _agreed(readings)


def _side(text: str) -> bool | None:
    """What a verdict's words say; `None` for neither and for both."""
    if _HEDGED.search(text[:200]):
        return None
    match = _WORD.match(text)
    if match is None:
        return None
    met = match["yes"] is not None
    after = text[match.end() :]
    other = (
        re.search(rf"\b(?:{NO if met else 'yes|met|true|satisfied'})\b", after[:40], re.I)
        if len(after.split()) <= 3
        else None
    )
    return None if other else met
