"""What a server allows: all limits in one place, each with a reason to be there."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field

from catagent.completions import ApiError
from catagent.server.keys import Keys

__all__ = ["ServerOptions"]


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """The limits of one server. Sizes are bytes, times seconds."""

    keys: Keys = field(default_factory=Keys)
    allow: tuple[str, ...] = ()
    """Patterns (`openai/*`) of models that a request may name; none: any."""
    concurrency: int = 64
    """Requests worked on at once."""
    queue: int = 256
    """Requests that wait for their turn; one more is refused with 503."""
    wait: float = 30.0
    """How long one waits before it is refused with 503."""
    per_key: int | None = None
    """Requests that one key may have under way, waiting ones included; one more is refused with 429."""
    largest_body: int = 20 * 2**20
    all_bodies: int = 256 * 2**20
    """Bodies being read at once, together."""
    body_seconds: float = 30.0
    """How long a client may take to send its body."""
    most_rollouts: int = 64
    most_calls: int = 1024
    """Requests that an estimator named by a request may take for a group of `most_rollouts`."""
    most_completions: int = 1024
    """Completions in one request for rewards."""
    most_models: int = 256
    """Different models that requests may name while the server runs: each keeps connections and limits."""
    heartbeat: float = 5.0
    """A stream says something at least this often."""
    send_seconds: float = 60.0
    """How long a client may leave a piece of a stream unread."""
    grace: float = 30.0
    """How long requests under way may take after the server was told to stop."""
    local_only: bool = True
    """Refuse requests whose Host is not this machine: a web page may send them to a server without keys."""
    open_metrics: bool = False
    """Whether /metrics needs no key."""

    def may_name(self, model: str) -> None:
        """Refuse a model that is not allowed. Raises `ApiError` (403)."""
        if self.allow and not any(fnmatch.fnmatchcase(model, pattern) for pattern in self.allow):
            raise ApiError(
                403,
                f"this server does not allow the model {model!r}",
                type="permission_error",
                code="model_not_allowed",
                param="model",
            )
