"""What a criterion must be: atomic, checkable from the response alone, and there once.

A judge sees neither the reference nor the question, so a criterion that speaks of them cannot be
checked; one that asks for two things at once rewards half-truths (2605.12474). Rules over words, so
they are conservative: what they cannot take apart safely they refuse, and they say why.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from catagent.agents.rubric_text import Draft
from catagent.messages import Criterion

__all__ = ["Sifted", "numbered", "sift"]

_LEAK = re.compile(
    r"\b(?:(?:reference|gold(?:en)?|ideal|original|provided|given|sample|model|unified|expected|target)\s+"
    r"(?:response|answer|solution|text|reply|reference|standard)"
    r"|(?:the|a|this)\s+(?:reference|rubric|gold\s+standard|ground\s+truth)\b"
    r"|correct\s+(?:answer|solution|response)\s*[.?]?$"
    r"|(?:match\w*|same\s+as|identical\s+to|consistent\s+with|similar\s+to|equal\w*|agree\w*\s+with|align\w*\s+(?:with|to))\s+"
    r"(?:(?:to|with)\s+)?(?:the\s+)?(?:above|original|reference|text\s+above|response\s+above|answer\s+above)"
    r"|(?:text|response|answer|example|passage)\s+(?:given\s+|shown\s+|provided\s+)?above"
    r"|as\s+(?:stated|described|given|written|mentioned|shown)\s+(?:above|in\s+the\s+(?:reference|text|original)))",
    re.I,
)
_SAYING = (
    "acknowledge|address|advise|caution|cite|clarify|convey|describe|discourage|discuss|distinguish|emphasi[sz]e|"
    "encourage|explain|highlight|identify|illustrate|mention|note|outline|recommend|remind|state|suggest|"
    "summari[sz]e|urge|warn"
)
_DOING = (
    "answer|apply|ask|avoid|begin|calculate|compare|compute|conclude|confirm|contain|correct|cover|define|demonstrate|"
    "end|express|give|include|indicate|instruct|introduce|justify|list|make|name|offer|point|present|propose|provide|"
    "refer|report|show|specify|start|tell|use|write"
)


def _third(verbs: str) -> str:
    """The third person of verbs: `identify` becomes `identifies`."""
    return (
        "|".join(v[:-1] + "ies" if v.endswith("fy") else f"{v}s" for v in verbs.split("|"))
        + "|addresses|discusses|expresses"
    )


_ADVERB = r"(?:also\s+|clearly\s+|explicitly\s+|correctly\s+|briefly\s+)?"
_PLAIN_VERB = rf"{_ADVERB}(?:{_SAYING}|{_DOING})\b"
_THIRD_VERB = rf"(?:does\s+not\s+(?:{_SAYING}|{_DOING})|{_ADVERB}(?:{_third(_SAYING)}|{_third(_DOING)}))\b"
_THIRD_SAYING = rf"{_ADVERB}(?:{_third(_SAYING)})\b"
_AND = r"(?:\s*;\s*(?:and\s+)?|\s*,?\s+(?:and|as\s+well\s+as|while\s+also)\s+)(?:it\s+|the\s+response\s+)?"
_THAT = re.compile(r"\b(?:that|whether|how|why|to|should|must|can)\b", re.I)
_HEAD = re.compile(
    r"^(?P<asked>(?:does|do|is|are|has|did)\s+)?(?P<subject>(?:the|this)\s+(?:response|answer|reply|text|output|assistant)\s+)?",
    re.I,
)
_BOTH = re.compile(r"\bboth\s+(.{2,80}?)\s+and\s+(.{2,80}?)(?=[.,;?]|$)", re.I)
_SERIES = re.compile(
    r"^(?P<lead>.{0,80}?\b(?:mentions?|lists?|includes?|names?|covers?|addresses|discusses|describes?|explains?|"
    r"identif(?:y|ies)|recommends?|states?|provides?)\s+)"
    r"(?P<items>[^,;:?.()]{2,60}(?:,\s+[^,;:?.()]{2,60}){1,5},?\s+and\s+[^,;:?.()]{2,60})(?P<end>[.?]?)$",
    re.I,
)
_STOP = frozenset(
    re.findall(
        r"\w+",
        "a an the of to in on for with that this is are does do did has have it its their there by as at or "
        "be response answer reply text clearly explicitly mention state include say note",
    )
)
_WORD = re.compile(r"\w+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True)
class Sifted:
    """The drafts that stand, and a sentence for each thing that was done to the others."""

    drafts: tuple[Draft, ...]
    notes: tuple[str, ...]


def sift(drafts: Iterable[Draft], *, negative: bool = False) -> Sifted:
    """Split, refuse and merge drafts. Negative weights stand only where `negative` asks for them."""
    kept: dict[frozenset[str] | str, Draft] = {}
    notes: list[str] = []
    for draft in drafts:
        parts = _atoms(draft.text)
        if len(parts) > 1:
            notes.append(f"split a compound criterion: {_short(draft.text)}")
        for text in parts:
            if reason := _objection(text, draft.weight, negative):
                notes.append(f"refused ({reason}): {_short(text)}")
                continue
            key = _key(text)
            known = kept.get(key)
            if known is None:
                kept[key] = Draft(text, draft.weight)
            else:
                notes.append(f"merged a duplicate: {_short(text)}")
                if draft.weight is not None and (
                    known.weight is None or abs(draft.weight) > abs(known.weight)
                ):
                    kept[key] = Draft(known.text, draft.weight)
    return Sifted(tuple(kept.values()), tuple(notes))


def numbered(drafts: Iterable[Draft], *, weights: bool) -> tuple[Criterion, ...]:
    """Criteria `c1`, `c2`, …; without `weights` all count alike, and a negative one counts −1."""
    criteria = []
    for i, draft in enumerate(drafts, 1):
        weight = 1.0 if draft.weight is None else draft.weight
        if not weights:
            weight = -1.0 if weight < 0 else 1.0
        criteria.append(Criterion(id=f"c{i}", text=draft.text, weight=weight))
    return tuple(criteria)


def _objection(text: str, weight: float | None, negative: bool) -> str | None:
    if len(text) < 8 or len(text.split()) < 2 or not isinstance(_key(text), frozenset):
        return "too short to check"
    if len(text.split()) > 80:
        return "too long for one property"
    if _LEAK.search(text):
        return "speaks of the reference, which the judge does not see"
    if "{" in text and "}" in text and '"' in text:
        return "not a sentence"
    if weight == 0:
        return "weight 0"
    if weight is not None and weight < 0 and not negative:
        return "negative"
    if _compound(text):
        return "several properties at once"
    return None


def _compound(text: str) -> bool:
    """Whether it still asks for several things after all safe splits."""
    joined = re.search(rf"{_AND}{_THIRD_SAYING}", text, re.I)
    return joined is not None or text.count(";") > 1 or bool(re.search(r"\?\s+\S.*\?", text))


def _atoms(text: str) -> list[str]:
    """A compound criterion as its parts; an atomic one as itself."""
    questions = [q.strip() for q in re.split(r"(?<=\?)\s+", text) if q.strip()]
    if len(questions) > 1 and all(q.endswith("?") for q in questions):
        return [atom for q in questions[:6] for atom in _atoms(q)]
    head = _HEAD.match(text)
    assert head is not None  # both groups are optional
    body = text[head.end() :]
    clauses = _clauses(body)
    if len(clauses) > 1:
        end = text[-1] if text[-1] in ".?" else ""
        return [_sentence(head[0], clause, end) for clause in clauses]
    verbal = head["subject"] or re.match(rf"{_PLAIN_VERB}|{_THIRD_VERB}", body, re.I)
    if verbal and (series := _SERIES.match(text)):
        items = re.split(r",?\s+and\s+|,\s+", series["items"])
        if all(1 <= len(item.split()) <= 6 for item in items):
            return [f"{series['lead']}{item.strip()}{series['end']}" for item in items]
    if both := _BOTH.search(text):
        return [text[: both.start()] + both[i] + text[both.end() :] for i in (1, 2)]
    return [text]


def _clauses(body: str) -> list[str]:
    """The clauses of `mentions A and explains B`: verbs of one form, and none that belongs to what is said.

    In `states that one should rest and avoid X` the second verb is part of the statement: behind `that`
    and its like only another verb of saying in the third person begins a new clause.
    """
    if re.match(_THIRD_VERB, body, re.I):
        joint = _THIRD_VERB
    elif re.match(_PLAIN_VERB, body, re.I):
        joint = _PLAIN_VERB
    else:
        return [body]
    clauses, at = [], 0
    for match in re.finditer(rf"{_AND}(?={joint})", body, re.I):
        embedded = _THAT.search(body, at, match.start())
        if embedded and not re.match(_THIRD_SAYING, body[match.end() :], re.I):
            continue
        clauses.append(body[at : match.start()])
        at = match.end()
    return [*clauses, body[at:]]


def _sentence(head: str, clause: str, end: str) -> str:
    clause = clause.strip(" ,;.?")
    if not head:
        clause = clause[:1].upper() + clause[1:]
    return f"{head}{clause}{end}"


def _key(text: str) -> frozenset[str] | str:
    """Two criteria with the same content words are one; negations and numbers are content."""
    return frozenset(map(_stem, _WORD.findall(text.lower()))) - _STEMMED_STOP or text.lower()


def _stem(word: str) -> str:
    for suffix in ("ies", "es", "s"):
        if word.endswith(suffix) and len(word) - len(suffix) >= 4:
            return word[: -len(suffix)] + ("y" if suffix == "ies" else "")
    return word.rstrip("e") if len(word) > 4 else word


_STEMMED_STOP = frozenset(map(_stem, _STOP))


def _short(text: str) -> str:
    return text if len(text) <= 100 else text[:99] + "…"
