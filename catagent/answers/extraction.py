r"""Finds the final answer in a response.

In order of strength: the last `\boxed{}`, an `<answer>` tag or `####`, "the answer is …", a JSON object
with an answer in it, a closing code block, the last line. A response that stops in the middle of any of
these has no answer: `None`, never a guess. Every step is one linear pass, so that a megabyte of braces
costs milliseconds.
"""

from __future__ import annotations

import json
import re

from catagent.messages import Answer, AnswerKind, AnswerSource

from .judging import boxed_answer
from .passages import last_sentence, math_spans, sentence_after, stripped_markup
from .texts import choice_of, is_words, plain_words

__all__ = ["extract"]

_OPEN_THINK = re.compile(r"<(think|thinking|thought|reasoning|scratchpad)>", re.IGNORECASE)
_CLOSE_THINK = re.compile(r"</(think|thinking|thought|reasoning|scratchpad)>", re.IGNORECASE)
_CHANNEL = "<|channel|>final<|message|>"
_TURN_END = re.compile(r"<\|[a-z_0-9]{2,30}\|>|</s>|<end_of_turn>|<｜[^｜<>]{2,40}｜>|\[/?INST\]")
_TAG = re.compile(r"<(final_answer|answer)>", re.IGNORECASE)
_HASHES = re.compile(r"^[ \t]*####(?!#)[ \t]*(\S[^\n]*)$", re.MULTILINE)
_PHRASE = re.compile(
    r"(?:\b(?:final|correct|right|my)[ \t]+)?\b(?:answer|choice|option)s?\b[*_`]{0,3}"
    r"(?:[ \t]+(?:to|of|for)[ \t]+(?:the|this|your)[ \t]+(?:question|problem|exercise|task))?[*_`]{0,3}"
    r"(?:[ \t]+(?:is|are|was|becomes|equals|would[ \t]+be|should[ \t]+be|must[ \t]+be|will[ \t]+be)\b"
    r"(?:[ \t]+(?:therefore|thus|then|simply|just|equal[ \t]+to|given[ \t]+by))?[ \t]*:?"
    r"|[ \t]*[:=]|(?=\s*(?:\\\[|\\\(|\$)))",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})[ \t]*([\w+#.-]*)[^\n]*$", re.MULTILINE)
_LETTER = re.compile(r"(?<![A-Za-z0-9\\$])[(\[*]{0,3}([A-J])(?:[)\]*.:]{1,3}|(?=\s|,|$))")
_TAIL = 200_000
_ANSWER_KEYS = ("final_answer", "answer", "Answer", "finalAnswer", "result", "output", "solution")
_NUMBER = re.compile(
    r"(?<![\w.])[-−+]?[$€£¥]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))(?:[eE][+-]?\d+)?"
    r"(?:\s*/\s*\d+(?:\.\d+)?)?(?:\s*(?:%|°|percent\b|pct\b))?"
)


def extract(text: str, kind: AnswerKind | None = None) -> Answer | None:
    """The final answer of a response, or `None` when it holds none or was cut off before it.

    `kind` narrows the search: `code` takes the last code block, `json` the last JSON value, `choice` a
    letter. `Answer.source` says how the answer was found; `last_line` is the weakest and the caller decides
    whether it counts. Thinking blocks are not searched. Never raises; linear in the length of the text.
    """
    body = _visible(text)
    if body is None or not body.strip():
        return None
    body = body[-_TAIL:]
    if kind == "code":
        return _code(body)
    if kind in ("json", "tool_call"):
        return _json(body, kind)
    boxed = boxed_answer(body)
    if boxed is not None:
        return _answer(boxed, "boxed", kind) if boxed.strip() else None
    for found, source in ((_tagged(body), "phrase"), (_phrase(body, kind), "phrase")):
        if found is not None:
            return _answer(found, source, kind) if found.strip() else None  # type: ignore[arg-type]
    if (answer := _object(body, kind)) is not None:
        return answer
    if kind is None and (answer := _closing_code(body)) is not None:
        return answer
    return _last_line(body, kind)


def _visible(text: str) -> str | None:
    """The response without its thinking and without what follows its turn; `None` if it never left
    thinking."""
    if _CHANNEL in text:
        text = text.rsplit(_CHANNEL, 1)[1]
    closes = list(_CLOSE_THINK.finditer(text))
    opens = list(_OPEN_THINK.finditer(text))
    after = closes[-1].end() if closes else 0
    if opens and opens[-1].start() >= after:
        before = text[after : opens[-1].start()]
        return before if closes and before.strip() else None
    text = text[after:]
    start = 0
    for match in _TURN_END.finditer(text):
        if text[start : match.start()].strip() not in ("", "assistant", "user", "system"):
            return text[start : match.start()]
        start = match.end()
    return text[start:]


def _answer(text: str, source: AnswerSource, kind: AnswerKind | None) -> Answer | None:
    text = text.strip().lstrip("= ")
    if not any(map(str.isalnum, text)) and "\\" not in text:
        return None
    letter = choice_of(text)
    if kind == "choice":
        return Answer(text=letter, kind="choice", source=source) if letter else None
    if kind is None:
        if (
            letter
            and len(plain_words(text).strip("()[]. ")) == 1
            and letter in "ABCDEFGHIJ"
            and letter in text
        ):
            return Answer(text=letter, kind="choice", source=source)
        kind = "text" if is_words(plain_words(text)) else "math"
    return Answer(text=text, kind=kind, source=source)


def _tagged(body: str) -> str | None:
    tags = list(_TAG.finditer(body))
    if tags:
        end = body.find("</" + tags[-1][1], tags[-1].end())
        return stripped_markup(body[tags[-1].end() : end]) if end >= 0 else ""
    hashes = _HASHES.findall(body)
    return stripped_markup(hashes[-1]) if hashes else None


def _phrase(body: str, kind: AnswerKind | None) -> str | None:
    matches = list(_PHRASE.finditer(body))
    for match in reversed(matches[-20:]):
        found = sentence_after(body, match.end())
        if found is None:
            return "" if match is matches[-1] else None
        if kind == "choice" or (kind is None and _LETTER.fullmatch(found.strip())):
            letter = _LETTER.search(found)
            if letter:
                return letter[1]
            if kind == "choice":
                continue
        if (
            kind is None
            and (match[0].lower().lstrip().startswith(("option", "choice")))
            and not choice_of(found)
        ):
            continue
        if found:
            return found
    return None


def _blocks(body: str) -> list[tuple[str, str, int]] | None:
    """Language, content and end of each fenced block; `None` when the last fence is never closed."""
    found: list[tuple[str, str, int]] = []
    opened: re.Match[str] | None = None
    for match in _FENCE.finditer(body):
        if opened is None:
            opened = match
        elif match[1].startswith(opened[1]) and not match[2]:
            found.append((opened[2].lower(), body[opened.end() : match.start()].strip("\n"), match.end()))
            opened = None
    return found if opened is None else None


def _code(body: str) -> Answer | None:
    blocks = _blocks(body)
    if blocks is None:
        return None
    code = [
        content for language, content, _ in blocks if language not in ("json", "text", "output", "console")
    ]
    if code and code[-1].strip():
        return Answer(text=code[-1], kind="code", source="code")
    if not blocks and re.match(r"\s*(?:def |class |import |from \w+ import |async def |@)", body):
        return Answer(text=body.strip("\n"), kind="code", source="code")
    return None


def _closing_code(body: str) -> Answer | None:
    blocks = _blocks(body)
    if not blocks:
        return None
    language, content, end = blocks[-1]
    if language in ("", "text", "output", "console", "latex", "math") or body[end:].strip():
        return None
    kind: AnswerKind = "json" if language == "json" else "code"
    return (
        Answer(text=content, kind=kind, source="json" if kind == "json" else "code")
        if content.strip()
        else None
    )


def _json(body: str, kind: AnswerKind) -> Answer | None:
    value = _last_json(body)
    if value is None:
        return None
    source: AnswerSource = "tool_call" if kind == "tool_call" else "json"
    return Answer(text=value, kind=kind, source=source)


def _last_json(body: str) -> str | None:
    blocks = _blocks(body)
    if blocks is None:
        return None
    candidates = [content for language, content, _ in blocks if language in ("", "json")][-3:]
    for candidate in (*reversed(candidates), body.strip()):
        if candidate[:1] in ("{", "[", '"') and len(candidate) <= 200_000 and _parsed(candidate) is not None:
            return candidate.strip()
    decoder = json.JSONDecoder()
    starts = [m.start() for m in re.finditer(r"(?m)^[ \t]*[{\[]", body)][-50:]
    for start in starts:
        tail = body[start:].lstrip()
        try:
            _, end = decoder.raw_decode(tail[:200_000])
        except (ValueError, RecursionError):
            continue
        if not tail[end:].strip() or start == starts[-1]:
            return tail[:end]
    return None


def _parsed(text: str) -> object | None:
    try:
        return (json.loads(text),)
    except (ValueError, RecursionError):
        return None


def _object(body: str, kind: AnswerKind | None) -> Answer | None:
    """The answer field of a response that is, or ends in, a JSON object."""
    if not body.rstrip().endswith(("}", "```", "~~~")):
        return None
    text = _last_json(body)
    if text is None or not text.startswith("{"):
        return None
    value = json.loads(text)
    for key in _ANSWER_KEYS:
        if key in value and value[key] is not None:
            inner = value[key]
            if isinstance(inner, str):
                return _answer(inner, "json", kind)
            if isinstance(inner, (int, float)) and not isinstance(inner, bool):
                return _answer(repr(inner), "json", kind)
            return Answer(text=json.dumps(inner), kind="json", source="json")
    return Answer(text=text, kind="json", source="json") if kind is None else None


def _last_line(body: str, kind: AnswerKind | None) -> Answer | None:
    line = last_sentence(body)
    if line is None or _blocks(body) is None:
        return None
    plain = stripped_markup(line)
    if kind == "choice":
        letters = _LETTER.findall(plain)
        return Answer(text=letters[-1], kind="choice", source="last_line") if letters else None
    spans = math_spans(line)
    if len(plain.split()) <= 3 and len(plain) <= 200 and not plain.endswith(":"):
        return _answer(plain, "last_line", kind)
    if spans:
        return _answer(spans[-1], "last_line", kind)
    if kind == "text":
        return Answer(text=plain, kind="text", source="last_line") if len(plain) <= 500 else None
    if "\\" in plain or not re.search(r"[A-Za-z]{3,}", plain):
        return _answer(plain, "last_line", kind) if len(plain) <= 2000 else None
    bracketed = re.findall(r"(?<!\S)\[([^\[\]\n]{1,200})\](?=[.,;!]?\s*$)", plain)
    if bracketed:
        return _answer(bracketed[-1], "last_line", kind)
    numbers = [m[0] for m in _NUMBER.finditer(plain[-2000:]) if any(map(str.isdigit, m[0]))]
    return _answer(numbers[-1], "last_line", kind) if numbers else None
