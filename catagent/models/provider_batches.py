"""What a provider's batch interface takes and gives, whichever SDK it is reached with.

A provider batch is a file of requests that the provider works off within a day, at a lower price. The
two halves of the protocol are files (up and down) and batches (create, look, cancel); this module says
what the rest of the house knows of them. One adapter class an SDK speaks to the wire.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

from catagent.errors import ConfigError, ConnectError, GarbledError, RequestError
from catagent.models.redaction import redact
from catagent.models.refusals import refusal, short

__all__ = [
    "BatchApi",
    "BatchFault",
    "BatchState",
    "BatchStatus",
    "BatchTerms",
    "imported",
    "translated",
]

BatchStatus: TypeAlias = Literal[
    "validating", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"
]
_FINAL = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True, slots=True)
class BatchTerms:
    """What a provider allows in one input file: requests, and bytes of the file."""

    requests: int = 50_000
    size: int = 200_000_000


@dataclass(frozen=True, slots=True)
class BatchFault:
    """Why a provider refuses a whole batch. `line` counts from 1, where it names one."""

    message: str
    code: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class BatchState:
    """A provider batch as it stands. Counts are `None` where the provider does not say."""

    id: str
    status: BatchStatus
    input_file: str | None = None
    output_file: str | None = None
    error_file: str | None = None
    total: int | None = None
    completed: int | None = None
    failed: int | None = None
    percent: float | None = None
    faults: tuple[BatchFault, ...] = ()

    @property
    def final(self) -> bool:
        """Whether nothing more will happen."""
        return self.status in _FINAL

    def __str__(self) -> str:
        said = self.status.replace("_", " ")
        if self.total:
            return f"{said}, {(self.completed or 0) + (self.failed or 0)} of {self.total}"
        return f"{said}, {self.percent:.0f} %" if self.percent else said


class BatchApi(Protocol):
    """A provider's files and batches. Every method but `line` asks once and raises a `ModelError`."""

    name: str
    terms: BatchTerms

    def line(self, custom_id: str, body: bytes) -> bytes:
        """A request as a line of the input file, without the line's end."""
        ...

    def price_factor(self, model: str) -> float:
        """What a request in a batch costs, as a share of its price outside."""
        ...

    async def upload(self, path: Path) -> str:
        """Upload an input file; its id at the provider."""
        ...

    async def create(self, file_id: str, label: Mapping[str, str]) -> BatchState:
        """Have the requests of an uploaded file worked off. This is the step that costs money."""
        ...

    async def find(self, file_id: str, since: float) -> BatchState | None:
        """The batch made from a file after the time `since` (seconds of the epoch), unless it failed."""
        ...

    async def retrieve(self, batch_id: str) -> BatchState:
        """How a batch stands."""
        ...

    async def download(self, file_id: str, path: Path) -> None:
        """Write the content of a provider's file to `path`."""
        ...

    async def cancel(self, batch_id: str) -> None:
        """Stop a batch; what it has done is paid for and can be downloaded."""
        ...

    async def aclose(self) -> None:
        """Give back connections."""
        ...


def imported(sdk: str, via: str) -> Any:
    """A provider's official SDK. Raises `ConfigError` with the command that installs it."""
    try:
        return importlib.import_module(sdk)
    except ImportError:
        raise ConfigError(
            f"batches via {via} need the package {sdk}: python -m pip install 'catagent[batches]'"
        ) from None


@contextlib.contextmanager
def translated(sdk: Any, name: str, *secrets: str) -> Iterator[None]:
    """What an SDK raises, in our terms and without keys. Both SDKs are made by the same generator."""
    import httpx

    try:
        yield
    except sdk.APIStatusError as error:
        body = error.response.content if error.response.is_stream_consumed else str(error.body).encode()
        said = redact(body.decode(errors="replace"), *secrets).encode()
        raise refusal(error.status_code, said, error.response.headers, model="", where=name) from None
    except (sdk.APIConnectionError, httpx.HTTPError, OSError) as error:
        why = redact(str(error.__cause__ or error), *secrets)
        raise ConnectError(f"the connection to {name} broke: {why or type(error).__name__}") from None
    except sdk.APIError as error:
        raise GarbledError(
            f"{name} answered what is no answer: {short(redact(str(error), *secrets))}"
        ) from None
    except (ValueError, TypeError, AttributeError) as error:
        raise GarbledError(f"{name} answered in another shape: {short(error)}") from None
    except Exception as error:
        if type(error).__module__.partition(".")[0] != sdk.__name__:
            raise
        raise RequestError(f"{name}: {short(redact(str(error), *secrets))}") from None
