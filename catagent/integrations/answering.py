"""Chat requests in the bytes of OpenAI's HTTP API, answered in this process: for transports of libraries."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from catagent.cat import CaT
from catagent.completions import ApiError, Chunks, Final, Head, complete, model_names, request_of, stream
from catagent.integrations.chat import status_of

__all__ = ["BASE_URL", "Answer", "answer"]

BASE_URL = "http://catagent.invalid/v1"
"""What the libraries are told: nothing is ever sent there."""

_JSON = {"content-type": "application/json"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A response: `body` whole, or its server-sent events, to be closed when they are not read to the end."""

    status: int
    headers: Mapping[str, str]
    body: bytes | AsyncGenerator[bytes, None]


async def answer(
    method: str, path: str, content: bytes, cat: CaT, options: Mapping[str, Any] | None = None
) -> Answer:
    """The response to one request. `options` are those of the `catagent` field where it does not say.

    What is wrong is said with the status of a caller who owns the keys.
    """
    place = path.partition("?")[0].rstrip("/").removeprefix("/v1")
    if (method, place) == ("GET", "/models"):
        listed = [
            {"id": n, "object": "model", "created": 0, "owned_by": "catagent"} for n in model_names(cat)
        ]
        return Answer(200, _JSON, orjson.dumps({"object": "list", "data": listed}))
    try:
        if (method, place) != ("POST", "/chat/completions"):
            raise ApiError(404, f"{method} {place} is not here: there are chat completions and models")
        given = orjson.loads(content)
        asked = request_of({**given, "catagent": {**(options or {}), **(given.get("catagent") or {})}})
        if not asked.stream:
            return Answer(200, _JSON, orjson.dumps(await complete(asked, cat)))
        head = Head(asked.model)
        items = stream(asked, cat, head=head)
        first = await anext(items)  # what is wrong with the request is said with a status
    except ApiError as error:
        return _refusal(error)

    async def events() -> AsyncGenerator[bytes, None]:
        chunks = Chunks(head, usage=asked.wants_usage)
        item = first
        try:
            while True:
                for chunk in chunks.of(item):
                    yield b"data: " + orjson.dumps(chunk) + b"\n\n"
                if isinstance(item, Final):
                    break
                item = await anext(items)
            yield b"data: [DONE]\n\n"
        except ApiError as error:
            yield b"data: " + orjson.dumps(error.body) + b"\n\n"
        finally:
            await items.aclose()

    return Answer(200, {"content-type": "text/event-stream"}, events())


def _refusal(error: ApiError) -> Answer:
    headers = {**_JSON, "x-should-retry": "true" if error.again else "false"}
    if error.retry_after is not None:
        headers["retry-after"] = f"{error.retry_after:g}"
    return Answer(status_of(error), headers, orjson.dumps(error.body))
