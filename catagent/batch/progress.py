"""What a job has done so far, and the report at its end. Taking note of an event costs O(1)."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import orjson

from catagent.batch.store import Places
from catagent.events import Event, Waiting
from catagent.messages import Usage

__all__ = ["Progress", "Report", "Stop"]

Stop: TypeAlias = Literal["budget", "time", "interrupt"]


@dataclass(slots=True)
class Progress:
    """Counters of one run.

    `before` are rows that earlier runs finished, `copies` those that equal another but for their ids.
    """

    before: int = 0
    done: int = 0
    copies: int = 0
    errors: int = 0
    left: int = 0
    bad: int = 0
    under_way: int = 0
    partial: int = 0
    """Finished rows that lost a rollout."""
    fallbacks: int = 0
    """Finished rows whose reference is not by the estimator that was asked for; their lines say why."""
    kinds: Counter[str] = field(default_factory=Counter)
    """Errors by kind."""
    drawn: int = 0
    spared: int = 0
    """Rollouts that were not drawn, since the majority was settled."""
    began: float = field(default_factory=time.monotonic)
    _waits: dict[str, tuple[float, Waiting]] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Wall time of this run."""
        return time.monotonic() - self.began

    @property
    def settled(self) -> int:
        """Rows and lines that need no more work in this run."""
        return self.before + self.done + self.copies + self.errors + self.left + self.bad

    @property
    def fresh(self) -> int:
        """Rows finished in this run."""
        return self.done + self.copies + self.errors + self.left

    def __call__(self, event: Event) -> None:
        """Take note that a request waits."""
        if isinstance(event, Waiting):
            self._waits[event.role] = (time.monotonic() + event.seconds, event)

    @property
    def waits(self) -> list[Waiting]:
        """The latest wait of each role that is not over."""
        now = time.monotonic()
        return [event for until, event in self._waits.values() if until > now]


@dataclass(frozen=True, slots=True)
class Report:
    """What a run of a job brought. Iterating over it reads the lines of the output."""

    places: Places | None
    """The files; `None` where the lines are kept here."""
    rows: int
    """Rows and bad lines seen in the input."""
    before: int
    done: int
    copies: int
    errors: int
    left: int
    bad: int
    partial: int
    fallbacks: int
    drawn: int
    spared: int
    stopped: Stop | None
    """Why the run ended before the input did, if it did."""
    why: str | None
    """The same in a sentence."""
    usage: Usage
    """What this run consumed."""
    usage_of_job: Usage
    """What the job consumed in all its runs."""
    seconds: float
    lines: tuple[dict[str, Any], ...] = ()
    """The lines, where no output file was asked for."""

    @property
    def complete(self) -> bool:
        """Whether every row of the input is done."""
        return self.stopped is None and not self.errors and not self.bad

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if self.places is None:
            yield from self.lines
        else:
            with self.places.lines.open("rb") as file:
                yield from map(orjson.loads, file)
