"""Errors in the words of OpenAI's API: a status, a type, a code and one sentence.

What goes wrong upstream is told apart from what the caller did: a key that the provider refuses is not
the caller's key, and must not come back as a 401.
"""

from __future__ import annotations

from typing import Any

from catagent.errors import (
    AccountError,
    AttemptTimeout,
    BudgetError,
    CatError,
    ConfigError,
    ContextOverflowError,
    EstimationError,
    FetchError,
    ModelError,
    QuorumError,
    RateLimitError,
    RequestError,
    RubricError,
)
from catagent.models.redaction import redact

__all__ = ["ApiError", "api_error"]

_LONGEST = 2000


class ApiError(Exception):
    """A refusal as an API states it.

    `retry_after` is seconds; `again` says whether the same request is worth another try, for clients
    that retry by themselves.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",  # noqa: A002 - the protocol's word
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        again: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.type = type
        self.code = code
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.again = again

    @property
    def body(self) -> dict[str, Any]:
        """The JSON of the refusal."""
        said = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": said}


def api_error(error: BaseException) -> ApiError:
    """Any exception as a refusal. What catagent did not raise on purpose says nothing of its insides."""
    if isinstance(error, ApiError):
        return error
    if not isinstance(error, CatError):
        return ApiError(
            500, "the server failed; its log says more", type="server_error", code="internal_error"
        )
    said = redact(str(error))[:_LONGEST]
    if isinstance(error, QuorumError) and isinstance(error.__cause__, ModelError):
        return _upstream(error.__cause__, said)
    if isinstance(error, ModelError):
        return _upstream(error, said)
    if isinstance(error, ConfigError):
        return ApiError(400, said, code="invalid_option")
    if isinstance(error, BudgetError):
        return ApiError(402, said, type="insufficient_quota", code="budget_exceeded")
    if isinstance(error, FetchError):
        return ApiError(503, said, type="server_error", code="model_not_fetched", again=True)
    if isinstance(error, EstimationError | QuorumError | RubricError):
        return ApiError(502, said, type="upstream_error", code="no_reference", again=True)
    return ApiError(500, said, type="server_error", code="internal_error")


def _upstream(error: ModelError, said: str) -> ApiError:
    if isinstance(error, RateLimitError):
        wait = error.retry_after
        return ApiError(
            429, said, type="rate_limit_error", code="rate_limit_exceeded", retry_after=wait, again=True
        )
    if isinstance(error, ContextOverflowError):
        return ApiError(400, said, code="context_length_exceeded", param="messages")
    if isinstance(error, RequestError):
        return ApiError(400, said, code="refused_upstream")
    if isinstance(error, AccountError):
        if error.status == 404:
            return ApiError(404, said, code="model_not_found", param="model")
        return ApiError(502, said, type="upstream_error", code="upstream_account")
    if isinstance(error, AttemptTimeout):
        return ApiError(504, said, type="upstream_error", code="upstream_timeout", again=True)
    return ApiError(502, said, type="upstream_error", code="upstream_failed", again=True)
