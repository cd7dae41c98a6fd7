"""Keys out of texts: providers echo them, and no log, trace or error may carry one."""

from __future__ import annotations

import os
import re

__all__ = ["redact"]

_NAMES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$", re.I)
_SHAPES = re.compile(
    r"\b(?:sk|pk|hf|gsk|xai|nvapi|tgp)[-_][A-Za-z0-9_\-*]{8,}|\bAIza[A-Za-z0-9_\-]{16,}"
    r"|Bearer\s+[^\s\"']{8,}|(?<=://)[^\s/@]+:[^\s/@]+(?=@)"
)
_SHORTEST = 8


def redact(text: str, *secrets: str) -> str:
    """`text` without the given secrets, without the values of key-like environment variables, and
    without anything in the shape of a key.
    """
    known = [value for name, value in os.environ.items() if _NAMES.search(name) and len(value) >= _SHORTEST]
    for secret in sorted({*known, *(s for s in secrets if len(s) >= 4)}, key=len, reverse=True):
        text = text.replace(secret, "[key]")
    return _SHAPES.sub("[key]", text)
