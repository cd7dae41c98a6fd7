"""A double that scores given text as vLLM does: the prompt echoed with its log-probabilities."""

from __future__ import annotations

import json
import math
from typing import Any

from aiohttp import web

from tests.doubles import ProviderDouble
from tests.doubles.protocol import tokens


class ScoringDouble(ProviderDouble):
    """Speaks `POST /v1/completions` with `echo`; a token is the likelier the oftener it was said before.

    `beginning` is a mark that some servers put before the prompt and count in the offsets.
    """

    def __init__(self, *, beginning: str = "", **options: Any) -> None:
        super().__init__(**options)
        self.beginning = beginning
        self.scored: list[str] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/v1/completions":
            return await super().handle(request)
        body = json.loads(await request.read())
        assert body["echo"] is True
        assert body["max_tokens"] == 1
        self.scored.append(body["prompt"])
        pieces = [*([self.beginning] if self.beginning else []), *tokens(body["prompt"]), " generated"]
        offsets = [len("".join(pieces[:i])) for i in range(len(pieces))]
        said = {"tokens": pieces, "token_logprobs": _logprobs(pieces), "text_offset": offsets}
        choice = {"index": 0, "text": body["prompt"] + " generated", "logprobs": said}
        usage = {"prompt_tokens": len(pieces) - 1, "completion_tokens": 1, "total_tokens": len(pieces)}
        return web.json_response({"object": "text_completion", "choices": [choice], "usage": usage})


def _logprobs(pieces: list[str]) -> list[float | None]:
    words = [piece.strip() for piece in pieces]
    rest = (math.log((words[:i].count(words[i]) + 1) / (i + 50)) for i in range(1, len(words)))
    return [None, *rest]
