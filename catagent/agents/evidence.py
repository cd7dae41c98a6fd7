"""Whether what a judge cites stands in the response."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["cited"]

_NONE = frozenset(
    {"", "none", "na", "n/a", "n a", "null", "empty", "no quote", "not applicable", "missing", "nothing"}
)
_GAP = re.compile(r"\s*(?:\[\s*(?:\.\.\.|…)\s*\]|\(\s*(?:\.\.\.|…)\s*\)|\.\.\.|…)\s*")
_MARK = re.compile(r"[^\w%$€£+<>=/°.-]+")


def cited(quote: str | None, response: str) -> bool | None:
    """Whether `quote` stands in `response`; `None` when there is no quote.

    Case, white space, quotation marks and markup do not matter. A quote with gaps (`…`) stands there when its
    pieces do, in order.
    """
    pieces = [_bare(piece) for piece in _GAP.split((quote or "")[:4000])]
    pieces = [piece for piece in pieces if piece]
    if not pieces or " ".join(pieces) in _NONE:
        return None
    text, at = f" {_bare(response)} ", 0
    for piece in pieces:
        found = text.find(f" {piece} ", at)
        if found < 0:
            return False
        at = found + len(piece) + 1
    return True


def _bare(text: str) -> str:
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(w.strip(".-") for w in _MARK.sub(" ", folded).split() if w.strip(".-"))
