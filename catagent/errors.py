"""Everything catagent raises on purpose.

The tree::

    CatError
    ├── ConfigError               a file, a name or an option is wrong; nothing was sent
    ├── PromptError               a prompt template is missing, malformed or lacks an input
    ├── FetchError                an embedded model could not be fetched or verified
    ├── BudgetError               the next request would exceed a budget; nothing was sent
    ├── QuorumError               too few rollouts survived to go on
    ├── EstimationError           no reference could be made from the rollouts there are
    ├── JournalError              what was bought cannot be kept: disk full, no permission, damaged file
    ├── RubricError               no usable rubric could be had from the model
    └── ModelError                a model endpoint did not give what was asked
        ├── RateLimitError        429: wait; it costs no retry
        ├── TransientError        worth another try
        │   ├── ServerError       5xx and its kin
        │   ├── ConnectError      no connection, or one that broke
        │   ├── AttemptTimeout    one attempt took longer than it may
        │   └── GarbledError      an answer came that cannot be read
        ├── RequestError          400: this request is refused, others may pass
        │   └── ContextOverflowError   the prompt does not fit the context window
        └── AccountError          401, 402, 403, 404: nothing will pass; ends the job

Each carries one sentence that a user can act on. A rollout or a verdict that fails is data, not an
exception: these are raised only when there is nothing sensible to return.
"""

from __future__ import annotations

__all__ = [
    "AccountError",
    "AttemptTimeout",
    "BudgetError",
    "CatError",
    "ConfigError",
    "ConnectError",
    "ContextOverflowError",
    "EstimationError",
    "FetchError",
    "GarbledError",
    "JournalError",
    "ModelError",
    "PromptError",
    "QuorumError",
    "RateLimitError",
    "RequestError",
    "RubricError",
    "ServerError",
    "TransientError",
]


class CatError(Exception):
    """Root of every error that catagent raises on purpose."""


class ConfigError(CatError):
    """A configuration file, a model string or an option is wrong. The sentence names the remedy."""


class PromptError(CatError):
    """A prompt template is missing, has a malformed header or lacks an input."""


class FetchError(CatError):
    """An embedded model could not be fetched, or what came does not match its checksum."""


class BudgetError(CatError):
    """The next request would exceed the budget. Raised before anything is sent."""


class QuorumError(CatError):
    """Fewer rollouts survived than the quorum asks for."""


class EstimationError(CatError):
    """The estimator found nothing in the group to make a reference from."""


class JournalError(CatError):
    """A journal cannot be opened or written. What was committed before stays and can be read."""


class RubricError(CatError):
    """The proposer wrote no rubric that can be used, asked twice."""


class ModelError(CatError):
    """A model endpoint did not give what was asked.

    `status` is the HTTP status where there was one; `retry_after` is the provider's own wish in
    seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        model: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.model = model


class RateLimitError(ModelError):
    """The provider asks for patience (429). Waiting is free: no retry is spent."""


class TransientError(ModelError):
    """A failure that another attempt may not meet."""


class ServerError(TransientError):
    """The provider failed (5xx, 408, 409, 425)."""


class ConnectError(TransientError):
    """No connection, or one that broke before the answer was whole."""


class AttemptTimeout(TransientError):
    """One attempt ran out of time. The clock starts when the request is sent, not when it queues."""


class GarbledError(TransientError):
    """The provider answered 200 with something that is not a chat completion, or with no choices."""


class RequestError(ModelError):
    """The provider refuses this request (400, 413, 422). Another request may pass."""


class ContextOverflowError(RequestError):
    """The prompt does not fit the model's context window. `limit` is the window in tokens, if said."""

    def __init__(
        self,
        message: str,
        *,
        limit: int | None = None,
        status: int | None = None,
        model: str | None = None,
    ) -> None:
        super().__init__(message, status=status, model=model)
        self.limit = limit


class AccountError(ModelError):
    """Key, credit, permission or model name is wrong (401, 402, 403, 404): every request would fail."""
