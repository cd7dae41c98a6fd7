"""Putting texts from a model into a prompt so that none can close its own block.

Each text stands between tags that carry a nonce found in none of the texts. The nonce is made from the
texts, so that the same request renders to the same bytes and a journal recognises it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

__all__ = ["INVISIBLE", "cleaned", "fence_nonce", "fenced", "shortened"]

_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.S | re.I)
INVISIBLE = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e01ef]"
)
"""Characters that a reader does not see and a model does: where instructions can hide."""


def cleaned(text: str) -> str:
    """`text` without thinking blocks, control characters and invisible Unicode that can hide instructions."""
    visible = _THINKING.sub("", text)
    return INVISIBLE.sub("", visible if visible.strip() else text).strip()


def shortened(text: str, characters: int) -> str:
    """`text` cut in the middle to at most about `characters`: beginnings and final answers matter most."""
    if len(text) <= characters:
        return text
    left = max(1, int(characters * 0.4))
    right = max(1, characters - left)
    return f"{text[:left]}\n[… {len(text) - left - right} characters left out …]\n{text[-right:]}"


def fenced(texts: Sequence[str], label: str, nonce: str | None = None) -> str:
    """The texts one after the other, numbered, each between tags of its own.

    A `nonce` of `fence_nonce` lets several blocks of one prompt share it; it must be made from all of
    their texts.
    """
    nonce = nonce or fence_nonce(texts)
    return "\n\n".join(
        f"<{label}_{i}_{nonce}>\n{text}\n</{label}_{i}_{nonce}>" for i, text in enumerate(texts, 1)
    )


def fence_nonce(texts: Sequence[str], beside: Sequence[str] = ()) -> str:
    """A nonce made from `texts` that neither they nor the texts `beside` them contain.

    Only the hostile texts belong into `texts`: none of them can then hold its own nonce, and a prompt
    that repeats them beside something else keeps its beginning, which providers cache.
    """
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    while any(digest[:8] in text for text in (*texts, *beside)):
        digest = hashlib.sha256(digest.encode()).hexdigest()
    return digest[:8]
