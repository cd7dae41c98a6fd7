r"""Where things stand in a response: boxes, formulas, sentences. One linear pass each."""

from __future__ import annotations

import re

__all__ = ["balanced_end", "last_boxes", "last_sentence", "math_spans", "sentence_after", "stripped_markup"]

_BOX = re.compile(r"\\f?boxed?\b\s*")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_BETWEEN_BOXES = re.compile(
    r"[\s$,;.&]*(?:\\\\|\\quad|\\qquad|\\[()\[\],;! ]|\\text\s*\{\s*(?:and|or)\s*\}|and|or|[\s$,;.&])*"
)
_PERCENT_AFTER = re.compile(r"\s*\$*\s*(?:\\?%|percent\b|pct\b|percentage\b)", re.IGNORECASE)
_SPAN = re.compile(
    r"\$\$(.+?)\$\$|\\\[(.+?)\\\]|\\\((.+?)\\\)|(?<![\\\w$])\$(?!\s?\d[\d,.]*\s+[a-z])([^$\n]+?)(?<!\\)\$(?![\d])",
    re.DOTALL,
)
_PERCENT_SPAN = re.compile(r"\s*(?:\\?%|percent\b|pct\b|percentage\b)")
_JOINED = re.compile(r"\s*(?:,?\s*(?:and|or)\s*|,\s*)$")
_SENTENCE_END = re.compile(
    r"(?<=[^\d\s\\])[.!?](?=[\s*\"')\]]|$)|(?<=\d)\.(?=\s|[*\"')\]]|$)|[.!?]\$\$?(?=\s)|\n"
)
_ENDS_WHOLE = re.compile(r"[.!?)\]}$*_`\"'|>%°]$|\\[\])]$|\d$|^[^\s]+$")
_MARKUP = re.compile(r"^[\s>#*_`~]*(?:[-+•]\s+|\d+[.)]\s+(?=\S))?|[\s*_`~]+$")
_LEAD = re.compile(r"(?:[*_`:\s]|therefore\b|thus\b|indeed\b|simply\b)+", re.IGNORECASE)
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{(?:align|equation|gather|aligned|split)\*?\}|\\[\[\]]")
_BULLETS = re.compile(r"(?:[-*•] +\S[^\n]*(?:\n+|$)){2,}")
_BREAKS_OFF = re.compile(
    r"(?:\b(?:and|or|the|a|an|of|to|is|are|which|that|because|so|where|with|for|by|in)|[-+*/=(,])\s*$"
)
_MAX_BOXES = 64


def balanced_end(text: str, start: int) -> int:
    """Index just behind the brace that closes the one at `start`, or -1."""
    depth = 0
    for match in _BRACE.finditer(text, start):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return match.end()
    return -1


def last_boxes(text: str) -> list[str] | None:
    r"""Content of the last box, after those of the boxes directly before it: `\boxed{1}, \boxed{2}`.

    `None` without a box, no content when the last one is not closed.
    """
    matches = list(_BOX.finditer(text))
    matches = [m for m in matches[-_MAX_BOXES:] if m.end() < len(text) or m is matches[-1]]
    if not matches:
        return None
    contents: list[str] = []
    next_start = -1
    for match in reversed(matches):
        if text[match.end() : match.end() + 1] != "{":
            token = re.match(r"\\?\w+", text[match.end() :])
            if contents or token is None:
                return contents[::-1]
            return [token[0]]
        end = balanced_end(text, match.end())
        if end < 0:
            if contents:
                break
            return []
        content = text[match.end() + 1 : end - 1]
        if contents:
            if end > next_start:
                continue
            if not content.strip():
                break  # an instruction that is repeated: "alone inside \\boxed{}"
            between = _BETWEEN_BOXES.match(text, end)
            if next_start - end > 60 or between is None or between.end() < next_start:
                break
        elif (percent := _PERCENT_AFTER.match(text, end)) is not None and not content.rstrip().endswith("%"):
            content += r"\%" if percent else ""
        contents.append(content)
        next_start = match.start()
    return [part.strip() for part in reversed(contents)]


def math_spans(text: str) -> list[str]:
    """The formulas between math delimiters; neighbours joined by "and", "or" or a comma become one."""
    found: list[str] = []
    last_end = -1
    for match in _SPAN.finditer(text):
        content = next(group for group in match.groups() if group is not None).strip()
        percent = _PERCENT_SPAN.match(text, match.end())
        if percent and not content.endswith("%"):
            content += r"\%"
        if (
            found
            and last_end >= 0
            and match.start() - last_end < 12
            and _JOINED.fullmatch(text[last_end : match.start()])
        ):
            joint = " or " if "or" in text[last_end : match.start()] else ", "
            found[-1] += joint.replace("or", r"\text{or}") + content
        else:
            found.append(content)
        last_end = percent.end() if percent else match.end()
    return found


def stripped_markup(text: str) -> str:
    """The text without emphasis, list bullets and headings around it."""
    return _MARKUP.sub("", text).strip()


def sentence_after(text: str, start: int) -> str | None:
    """What is announced at `start`: a formula, or the rest of the sentence; `None` where the text ends."""
    lead = _LEAD.match(text, start)
    start = lead.end() if lead else start
    while start < len(text) and text[start].isspace():
        start += 1
    rest = text[start : start + 4000]
    if not rest.strip():
        return None
    if (bullets := _BULLETS.match(rest)) is not None:
        items = [stripped_markup(line) for line in bullets[0].strip().split("\n")]
        return ", ".join(math_spans(item)[-1] if math_spans(item) else item for item in items)
    span = _SPAN.match(rest)
    if span is not None:
        spans = math_spans(
            rest.split("\n\n")[0] if not rest.startswith(("$$", "\\[")) else rest[: span.end() + 20]
        )
        tail = rest[span.end() :]
        unit = re.match(r"[ \t]*([A-Za-z°%][\w°%/^]*)", tail)
        return spans[0] + (r" \text{ " + unit[1] + "}" if unit and unit[1].lower() in _COUNTED else "")
    if rest.startswith(("$$", "\\[", "\\(")):
        return None
    end = _SENTENCE_END.search(rest)
    sentence = rest[: end.start()] if end else rest
    if end is None and _BREAKS_OFF.search(sentence):
        return None
    sentence = stripped_markup(sentence)
    spans = math_spans(sentence)
    if spans and len(sentence.split()) > 6:
        return spans[-1]
    return sentence.strip().rstrip(".,;")


_COUNTED = frozenset(
    re.findall(
        r"[\w.]+",
        "degrees degree percent pct cm km kg mm dollars cents meters feet inches hours minutes seconds",
    )
)


def last_sentence(text: str) -> str | None:
    """The last line of a text, cut to its last sentence; `None` when it breaks off in the middle."""
    lines = text.rstrip().rsplit("\n\n", 1)[-1]
    line = lines.rsplit("\n", 1)[-1].strip()
    if line == "$$" and lines.count("$$") % 2 == 0:
        line = lines.strip()
    if line.startswith((r"\end", r"\]")):
        line = _ENVIRONMENT.sub(" ", lines).replace("&", "").strip()
        line = line.rstrip("\\ \n").rsplit("\n", 1)[-1].strip()
        line = line.rsplit("\\\\", 1)[-1].strip()
    line = line[-4000:]
    if not line or not _ENDS_WHOLE.search(line.rstrip()):
        return None
    if line.count("$") % 2 and len(re.findall(r"(?<!\\)\$", line)) % 2 and not re.search(r"\$\d", line):
        return None
    ends = [m for m in _SENTENCE_END.finditer(line) if m.end() < len(line.rstrip()) - 1]
    for match in reversed(ends[-20:]):
        if line.count("$", 0, match.start()) % 2 == 0:
            return line[match.end() :].strip()
    return line
