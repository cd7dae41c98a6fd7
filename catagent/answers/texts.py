"""Answers that are words: choice letters, names, dates, yes and no, numbers spelt out."""

from __future__ import annotations

import json
import re
from typing import Any

from .cleaning import simplified_text
from .rules import Rules

__all__ = [
    "choice_of",
    "is_clock",
    "is_words",
    "number_word",
    "plain_words",
    "same_json",
    "same_plain_words",
    "same_words",
]

_CHOICE = re.compile(
    r"^[\s(\[{]*(?:(?:option|choice|answer)\s*:?\s*)?[(\[{]*([A-Za-z])[)\]}.:]*$", re.IGNORECASE
)
_CHOICE_WITH_CONTENT = re.compile(r"^[(\[]?([A-Za-z])[)\].:]\s*\S", re.DOTALL)
_MACRO = re.compile(
    r"\\(?:text|mathrm|mathbf|textbf|textit|textrm|mbox|operatorname|emph|boxed|bf|rm|left|right)\b\s*"
)
_NO_DOLLARS = str.maketrans("", "", "$")
_NO_BRACES = str.maketrans("", "", "${}")
_EDGES = " \t\n.,;:!?\"'`*_$(){}[]"
_ARTICLE = re.compile(r"^(?:the|an?)\s+", re.IGNORECASE)
_WORDS_ONLY = re.compile(r"^[^\W_][^\n\\^=<>+/*{}|]*$")
_LETTERS = re.compile(r"^[^\W\d_]{2,}(?:[\s,;.'_&-]+[^\W\d_]+)*$")
_CALL = re.compile(r"[A-Za-z]\(|\b(?:sqrt|sin|cos|tan|log|exp|frac|infinity|sec|csc|cot) ?[\w(]")
_MONTHS = {
    name: i + 1
    for i, name in enumerate(re.findall(r"[\w.]+", "jan feb mar apr may jun jul aug sep oct nov dec"))
}
_ISO_DATE = re.compile(r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})$")
_DAY_FIRST = re.compile(r"^(\d{1,2})(?:st|nd|rd|th)?(?:\s+of)?\s+([a-z]{3,9})\.?,?\s+(\d{4})$")
_MONTH_FIRST = re.compile(r"^([a-z]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?,?\s+(\d{4})$")
_CLOCK = re.compile(r"^(\d{1,2}):(\d{2})(?::(\d{2}))?\s*(a\.?m\.?|p\.?m\.?)?$")
_UNITS = {w: i for i, w in enumerate(
    re.findall(r"[\w.]+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
))}  # fmt: skip
_TENS = {
    w: 10 * (i + 2)
    for i, w in enumerate(re.findall(r"[\w.]+", "twenty thirty forty fifty sixty seventy eighty ninety"))
}
_SAME = {
    "yes": "true", "no": "false", "correct": "true", "incorrect": "false", "none": "no solution",
    "no solutions": "no solution", "no real solution": "no solution", "no real solutions": "no solution",
    "there is no solution": "no solution", "there are no solutions": "no solution", "undefined": "undefined",
    "does not exist": "undefined", "dne": "undefined", "all reals": "all real numbers",
    "infinity": "infinite",
}  # fmt: skip


def plain_words(text: str) -> str:
    """The words of an answer without LaTeX text commands, quotes and outer punctuation."""
    text = _MACRO.sub("", simplified_text(text)).replace("~", " ").replace("\\ ", " ")
    if not any(ch in text for ch in "^\\"):
        text = text.replace("{", "").replace("}", "")
    return " ".join(text.strip(_EDGES).split())


def choice_of(text: str) -> str | None:
    """The letter of a multiple-choice answer in upper case: `(C)`, `C.`, `option c`, `C) 42`."""
    text = _MACRO.sub("", text).translate(_NO_BRACES).strip(" \t\n*")
    match = _CHOICE.match(text.strip().rstrip(".")) or _CHOICE_WITH_CONTENT.match(text)
    return match[1].upper() if match else None


def without_choice(text: str) -> str | None:
    """What stands behind the letter of a choice (`42` in `C) 42`); `None` when there is no letter."""
    text = _MACRO.sub("", text).translate(_NO_DOLLARS).strip(" \t\n*{")
    match = _CHOICE_WITH_CONTENT.match(text)
    return text[match.end() - 1 :].strip() if match else None


def is_words(text: str) -> bool:
    """Whether a text reads as words and not as a formula."""
    if not _WORDS_ONLY.match(text) or _CALL.search(text):
        return False
    return len(max(re.findall(r"[^\W\d_]+", text), key=len, default="")) > 3


def is_clock(text: str) -> bool:
    """Whether a text is a time of day."""
    return bool(_CLOCK.match(text.lower()))


def number_word(words: str) -> int | None:
    """The value of a number spelt out up to ninety-nine, else `None`."""
    lowered = words.lower().replace("-", " ").split()
    if len(lowered) == 1:
        return _UNITS.get(lowered[0], _TENS.get(lowered[0]))
    if len(lowered) == 2 and lowered[0] in _TENS and 1 <= _UNITS.get(lowered[1], 0) <= 9:
        return _TENS[lowered[0]] + _UNITS[lowered[1]]
    return None


def _folded(words: str, rules: Rules) -> str:
    words = _ARTICLE.sub("", words)
    lowered = words.lower()
    dated = _date(lowered) or _time(lowered)
    if dated:
        return dated
    if rules.case_sensitive or not _LETTERS.match(lowered):
        return words
    lowered = " ".join(re.sub(r"[\s,;.\-_]+", " ", lowered).split())
    return _SAME.get(lowered, lowered)


def _date(text: str) -> str | None:
    if match := _ISO_DATE.match(text):
        return f"{int(match[1]):04}-{int(match[2]):02}-{int(match[3]):02}"
    if match := _DAY_FIRST.match(text):
        day, month, year = match.groups()
    elif match := _MONTH_FIRST.match(text):
        month, day, year = match.groups()
    else:
        return None
    number = _MONTHS.get(month[:3])
    return f"{int(year):04}-{number:02}-{int(day):02}" if number else None


def _time(text: str) -> str | None:
    match = _CLOCK.match(text)
    if not match:
        return None
    hour, minute, second, half = match.groups()
    value = int(hour)
    if half:
        value = value % 12 + (12 if half.startswith("p") else 0)
    return f"{value}:{minute}:{second or '00'}"


def same_words(a: str, b: str, rules: Rules) -> bool:
    """Equality of two texts up to case, articles, outer punctuation, and spellings of dates and times."""
    return same_plain_words(plain_words(a), plain_words(b), rules)


def same_plain_words(x: str, y: str, rules: Rules) -> bool:
    """The same of texts that `plain_words` gave."""
    if not x or not y:
        return False
    if not all(_LETTERS.match(words) or _date(words.lower()) or is_clock(words) for words in (x, y)):
        return False
    return _folded(x, rules) == _folded(y, rules)


def same_json(a: str, b: str) -> bool | None:
    """Equality of two JSON texts as values; `None` where one of them is no JSON."""
    if a.strip() and a.strip() == b.strip():
        return True
    try:
        return _same_value(_loads(a), _loads(b))
    except (ValueError, RecursionError):
        return None


def _loads(text: str) -> Any:
    text = text.strip()
    if text.startswith("```"):
        text = text.strip("`").removeprefix("json").strip()
    return json.loads(text)


def _same_value(a: Any, b: Any) -> bool:
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b or (a != a and b != b)
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_same_value(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same_value, a, b))
    if isinstance(a, str) and isinstance(b, str):
        if a == b:
            return True
        if a[:1] + b[:1] in ("{{", "[["):
            try:
                return _same_value(json.loads(a), json.loads(b))
            except (ValueError, RecursionError):
                return False
    return False
