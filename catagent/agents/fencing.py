"""Putting texts from a model into a prompt so that none can close its own block.

Each text stands between tags that carry a nonce found in none of the texts. The nonce is made from the
texts, so that the same request renders to the same bytes and a journal recognises it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

__all__ = ["cleaned", "fenced", "shortened"]

_THINKING = re.compile(r"<(think|thinking|reasoning)>.*?(</\1>|\Z)", re.S | re.I)
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)


def cleaned(text: str) -> str:
    """`text` without thinking blocks, control characters and invisible Unicode that can hide instructions."""
    visible = _THINKING.sub("", text)
    return _CONTROL.sub("", visible if visible.strip() else text).strip()


def shortened(text: str, characters: int) -> str:
    """`text` cut in the middle to at most about `characters`: beginnings and final answers matter most."""
    if len(text) <= characters:
        return text
    left = max(1, int(characters * 0.4))
    right = max(1, characters - left)
    return f"{text[:left]}\n[… {len(text) - left - right} characters left out …]\n{text[-right:]}"


def fenced(texts: Sequence[str], label: str) -> str:
    """The texts one after the other, numbered, each between tags of its own."""
    nonce = _nonce(texts)
    return "\n\n".join(
        f"<{label}_{i}_{nonce}>\n{text}\n</{label}_{i}_{nonce}>" for i, text in enumerate(texts, 1)
    )


def _nonce(texts: Sequence[str]) -> str:
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    while any(digest[:8] in text for text in texts):
        digest = hashlib.sha256(digest.encode()).hexdigest()
    return digest[:8]
