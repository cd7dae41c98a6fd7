"""From two texts to a verdict: reads each in all the ways it may be meant and compares the trees.

Runs in the caller's process with cheap leaves and again in a worker with symbolic ones.
"""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache

from .cleaning import clean
from .comparison import compare
from .leaves import Leaves
from .passages import last_boxes
from .reader import MAX_LENGTH, Node, Unreadable, read
from .rules import DEFAULT_RULES
from .texts import choice_of, is_clock, is_words, number_word, plain_words, same_plain_words, without_choice

_MEASURED = re.compile(
    r"^((?:[-\d.,/*^{}() ]|\\cdot|\\times)+) (m|g|s|h|L|l|N|J|W|V|K|[ckm]m)"
    r"((?:\^\{?[23]\}?)?(?:/(?:s|h|min)(?:\^\{?2\}?)?)?)$"
)

__all__ = ["boxed_answer", "judge", "readings", "readings_of"]


def judge(a: str, b: str, leaves: Leaves) -> bool | None:
    """Whether two texts are the same answer; `None` where the leaves or the reader could not tell."""
    try:
        return _judge(a, b, leaves)
    except RecursionError:
        return None


def _judge(a: str, b: str, leaves: Leaves) -> bool | None:
    a, b = _inside(a), _inside(b)
    x, y = _cleaned(a), _cleaned(b)
    if not x or not y:
        return False
    if x == y:
        return True
    rules = leaves.rules
    letters = _choice(x), _choice(y)
    words = _words(a), _words(b)
    if letters[0] and letters[1]:
        bare = len(words[0]) == len(words[1]) == 1
        if not (bare and x in "xyzijkmn" + "XYZIJKMN"):
            return letters[0] == letters[1]
    for mine, other, letter in ((a, b, letters[1]), (b, a, letters[0])):
        content = without_choice(mine) if letter is None else None
        if content and judge(content, other, leaves):
            return True
    if same_plain_words(*words, rules):
        return True
    if is_clock(words[0]) and is_clock(words[1]):
        return False
    wordy = _wordy(words[0]), _wordy(words[1])
    if all(wordy) and words[0].casefold() == words[1].casefold() and not rules.case_sensitive:
        return True
    if all(wordy) and not any(ch.isdigit() for text in words for ch in text):
        return False
    trees_a, trees_b = (
        (("text", text),) if wordy_text and not any(map(str.isdigit, text)) else readings(cleaned)
        for text, wordy_text, cleaned in zip(words, wordy, (x, y), strict=True)
    )
    if not trees_a or not trees_b:
        return _unread(a, b, words, leaves)
    doubt = False
    for s in trees_a:
        for t in trees_b:
            verdict = compare(s, t, leaves)
            if verdict:
                return True
            doubt = doubt or verdict is None
    return None if doubt else False


def _inside(text: str) -> str:
    if "\\boxed" in text or "\\fbox" in text:
        return boxed_answer(text) or text
    return text


def boxed_answer(text: str) -> str | None:
    r"""The answer in the last box, or in the last few when they stand side by side.

    Boxes that say the same twice (`\boxed{1.5}` or `\boxed{\frac32}`) count once. `None` without a box, empty
    when the last one is not closed.
    """
    contents = last_boxes(text)
    if contents is None:
        return None
    kept: list[str] = []
    leaves = Leaves(DEFAULT_RULES)
    for content in reversed(contents):
        if not any("\\boxed" not in content and judge(content, other, leaves) for other in kept):
            kept.append(content)
    return ", ".join(reversed(kept))


# Every answer of a group is compared with several others; all are bounded in length.
_cleaned = lru_cache(maxsize=4096)(clean)
_choice = lru_cache(maxsize=4096)(choice_of)
_words = lru_cache(maxsize=4096)(plain_words)
_wordy = lru_cache(maxsize=4096)(is_words)


@lru_cache(maxsize=4096)
def readings(text: str) -> tuple[Node, ...]:
    """The trees a cleaned text may stand for, the likeliest first; none when it cannot be read."""
    if len(text) > MAX_LENGTH:
        return ()
    found: list[Node] = []
    if measured := _MEASURED.match(text):
        with contextlib.suppress(Unreadable):
            found.append(("unit", read(measured[1]), measured[2] + (measured[3] or "")))
    for thousands in (True, False):
        try:
            tree = read(text, thousands=thousands)
        except (Unreadable, RecursionError):
            continue
        if tree not in found:
            found.append(tree)
        if "," not in text:
            break
    return tuple(found)


def _unread(a: str, b: str, words: tuple[str, str], leaves: Leaves) -> bool | None:
    for mine, other in ((words[0], b), (words[1], a)):
        number = number_word(mine)
        if number is not None and leaves.rules.number_words:
            return judge(str(number), other, leaves)
    return None


def readings_of(text: str) -> tuple[Node, ...]:
    """The readings of a text as it came."""
    return readings(_cleaned(_inside(text))) if len(text) <= MAX_LENGTH else ()
