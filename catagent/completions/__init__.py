"""CaT as if it were a chat model: OpenAI's chat requests in, chat completions and streams out.

What the server and the plug-ins for other frameworks share:

    completion = await complete({"model": "cat", "messages": […], "catagent": {"n": 8}}, cat)
    async for item in stream(body, cat):    # Progress | ContentDelta | … | Final

Both take a `CaT` that the caller made and closes; nothing is kept between requests. Whatever goes wrong is
an `ApiError` with a status, a type, a code and a sentence.
"""

from __future__ import annotations

from catagent.completions.casting import Cast, cast_of, model_names
from catagent.completions.chat import complete, stream
from catagent.completions.chunks import Chunks
from catagent.completions.listening import ContentDelta, Final, Progress, StreamItem
from catagent.completions.problems import ApiError, api_error
from catagent.completions.reply import Body, Head
from catagent.completions.request import CatOptions, ChatRequest, request_of

__all__ = [
    "ApiError",
    "Body",
    "Cast",
    "CatOptions",
    "ChatRequest",
    "Chunks",
    "ContentDelta",
    "Final",
    "Head",
    "Progress",
    "StreamItem",
    "api_error",
    "cast_of",
    "complete",
    "model_names",
    "request_of",
    "stream",
]
