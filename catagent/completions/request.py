"""A chat request as OpenAI's clients send it, with CaT's options under one key.

Whatever is not named here is a sampling parameter and goes to the rollouts as it is: nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catagent.completions.problems import ApiError
from catagent.messages import ChatMessage, Kind

__all__ = ["CatOptions", "ChatRequest", "StreamOptions", "problem_of", "request_of"]

_OURS = frozenset(("model", "messages", "n", "stream", "stream_options", "catagent"))
_LARGEST_NAME = 500


class CatOptions(BaseModel):
    """`extra_body={"catagent": {…}}`: how the reference of this one request is made.

    What is not said is as the model name has it: the configuration's defaults, or a profile's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n: int | None = Field(default=None, ge=1, le=1024, strict=True, description="Rollouts.")
    estimator: str | None = Field(
        default=None,
        min_length=1,
        max_length=500,
        description="How the reference is made: synthesis, majority, …",
    )
    kind: Kind | None = Field(default=None, description="Whether there is one final answer.")
    rewards: bool | None = Field(default=None, strict=True, description="Rewards even at a cost.")
    question_aware: bool | None = Field(
        default=None, strict=True, description="Whether the anchor sees the question."
    )
    tools: Literal["pass", "vote"] = Field(
        default="pass", description="A request with tools passes through, or the rollouts vote on the calls."
    )
    stream: Literal["live", "settled"] = Field(
        default="live",
        description="Stream the synthesis as it is written, or the reference once it is settled.",
    )
    rollouts: bool = Field(default=False, strict=True, description="Return the rollouts' texts as well.")


class StreamOptions(BaseModel):
    """`stream_options`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    include_usage: bool | None = Field(default=None, strict=True)


class ChatRequest(BaseModel):
    """The body of `POST /v1/chat/completions`."""

    model_config = ConfigDict(frozen=True, extra="allow")

    model: str = Field(
        default="cat",
        min_length=1,
        max_length=_LARGEST_NAME,
        description="`cat`, a profile, or `cat/provider/model`.",
    )
    messages: list[ChatMessage] = Field(min_length=1)
    n: int | None = Field(
        default=None, ge=1, le=128, strict=True, description="Choices: the reference, then rollouts."
    )
    stream: bool | None = Field(default=None, strict=True)
    stream_options: StreamOptions | None = None
    tools: list[dict[str, Any]] | None = None
    functions: list[dict[str, Any]] | None = None
    response_format: dict[str, Any] | None = None
    catagent: CatOptions | None = None

    @property
    def params(self) -> dict[str, Any]:
        """The sampling parameters, as they came."""
        named = {k: getattr(self, k) for k in type(self).model_fields if k in self.model_fields_set - _OURS}
        return {**(self.model_extra or {}), **{k: v for k, v in named.items() if v is not None}}

    @property
    def options(self) -> CatOptions:
        """CaT's options, all unsaid when there are none."""
        return self.catagent or CatOptions()

    @property
    def calls_tools(self) -> bool:
        """Whether the model may call tools, or answer in another medium than text."""
        extra = self.model_extra or {}
        return bool(self.tools or self.functions or extra.get("audio"))

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


def request_of(body: object) -> ChatRequest:
    """The request in a JSON body. Raises `ApiError` (400) that names the field."""
    if isinstance(body, ChatRequest):
        return body
    if not isinstance(body, Mapping):
        raise ApiError(400, "the body must be a JSON object", code="invalid_body")
    try:
        request = ChatRequest.model_validate(dict(body))
    except ValidationError as error:
        raise problem_of(error) from None
    if bad := [i for i, m in enumerate(request.messages) if not isinstance(m.get("role"), str)]:
        raise ApiError(
            400, f"messages.{bad[0]}: a message needs a role", code="invalid_value", param="messages"
        )
    if not any(m.get("content") for m in request.messages):
        raise ApiError(400, "the messages say nothing", code="invalid_value", param="messages")
    return request


def problem_of(error: ValidationError) -> ApiError:
    """The first thing that is wrong, in one sentence without the value."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"])[:200]
    said = first["msg"]
    sentence = f"{where}: {said[0].lower()}{said[1:]}" if where else said
    return ApiError(400, sentence, code="invalid_value", param=where or None)
