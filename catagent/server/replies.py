"""JSON replies, written by orjson."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response

__all__ = ["JSONReply", "dumped"]


def dumped(body: Any) -> bytes:
    """The JSON of a body, whatever a model wrote into it."""
    try:
        return orjson.dumps(body, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # half a surrogate pair, a number of more than 64 bits
        return json.dumps(body, default=str).encode()


class JSONReply(Response):
    """A JSON body with a status."""

    def __init__(self, body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(dumped(body), status_code=status, headers=headers, media_type="application/json")
