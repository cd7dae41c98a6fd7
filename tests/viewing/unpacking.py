"""What a page holds, read without a browser."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path
from typing import Any

import orjson

__all__ = ["packed", "rows_of"]

_BLOCK = re.compile(r'<script type="application/x-packed" data-kind="(\w+)">([A-Za-z0-9+/=]*)</script>')


def packed(page: Path, kind: str) -> list[Any]:
    """The values of the blocks of one kind, in order."""
    blocks = _BLOCK.findall(page.read_text(encoding="utf-8"))
    return [orjson.loads(zlib.decompress(base64.b64decode(text))) for name, text in blocks if name == kind]


def rows_of(page: Path) -> list[dict[str, Any]]:
    """The details of all rows."""
    return [row for block in packed(page, "details") for row in block]
