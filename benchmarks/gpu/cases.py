"""What is run: a check of the anchor, timings beside plain GRPO, and one long training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Case", "cases"]


@dataclass(frozen=True)
class Case:
    """`kind` is anchor, timing or training."""

    kind: str
    backend: str
    method: str

    @property
    def name(self) -> str:
        return f"{self.kind} {self.backend} {self.method}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def cases(backends: Sequence[str], *, cpu: bool) -> list[Case]:
    """In the order of what is learnt soonest. The long training is last and by the fastest backend."""
    found = [Case("anchor", backend, "cat") for backend in backends]
    for backend in backends:
        # `gold` is GRPO without an anchor: what CaT costs is measured against it, in the same call.
        found += [Case("timing", backend, method) for method in ("gold", "cat", "majority")]
    last = backends[-1]
    found.append(Case("training", last, "cat"))
    if not cpu:
        found.append(Case("training", last, "random"))
    return found
