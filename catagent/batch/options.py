"""What a job is told to do. Apart from the job, so that its workers elsewhere can be told the same."""

from __future__ import annotations

from dataclasses import dataclass, field

from catagent.batch.rows import Fields
from catagent.batch.work import Work

__all__ = ["JobOptions"]


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What a job is to do, apart from models and their parameters.

    Budgets are for the job over all its runs, `minutes` for one run.
    """

    work: Work = field(default_factory=Work)
    fields: Fields = field(default_factory=Fields)
    full: bool = False
    in_order: bool = False
    risk: float | None = None
    """With a number, rollouts are drawn only until the majority is settled with at most that risk."""
    usd: float | None = None
    tokens: int | None = None
    minutes: float | None = None
    outage: float = 900.0
    """Seconds to wait for a provider that fails for everyone, before its rows count as failed."""
    limit: int | None = None
    """Only the first rows of the input."""
    under_way: int | None = None
    at_once: bool = False
    """For provider batches: rows begun and not finished, at most, and whether stopping leaves them."""
    accept_changes: bool = False
