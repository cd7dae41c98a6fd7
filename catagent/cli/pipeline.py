"""The pipeline that a command line asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catagent.cat import CaT
from catagent.models.ledger import Budget

__all__ = ["Pipeline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """The options from which a command makes its `CaT`; `None` leaves one to the configuration.

    `max_usd` (US dollars) and `max_calls` bound each solve.
    """

    model: str | None = None
    anchor: str | None = None
    judge: str | None = None
    n: int | None = None
    kind: Any = None
    estimator: str | None = None
    question_aware: bool | None = None
    config: Path | None = None
    max_usd: float | None = None
    max_calls: int | None = None

    def cat(
        self, note: Callable[[str], None], progress: Callable[[int, int | None], None] | None = None
    ) -> CaT:
        """The pipeline; `note` and `progress` hear of models that are fetched. Raises `ConfigError`."""
        return CaT(
            self.model,
            anchor=self.anchor,
            judge=self.judge,
            n=self.n,
            kind=self.kind,
            estimator=self.estimator,
            question_aware=self.question_aware,
            config=self.config,
            budget=Budget(usd=self.max_usd, calls=self.max_calls),
            note=note,
            progress=progress,
        )
