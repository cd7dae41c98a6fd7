"""What an evaluation found on one question: plain data, one JSON line, all that statistics need.

Statistics, reports and comparisons are made from these lines alone, so that they can be made again from a
file without a model.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from catagent.errors import ConfigError
from catagent.evaluation.metering import NOTHING, Cost, total_cost

__all__ = ["Drawn", "Outcome", "Record", "read_records", "write_records"]


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Drawn(_Data):
    """A rollout: its value, and the class of equal answers that it is in (`None`: it states none).

    `error` says why there is no rollout; `judged` is false for one that no judge was asked about.
    """

    value: float | None = None
    answer: str | None = None
    family: int | None = None
    error: str | None = None
    judged: bool = True


class Outcome(_Data):
    """What one method made of the rollouts.

    `value` counts a reference without a final answer (`abstained`) as wrong; `guess` is the value if the
    answer of its text counted instead. `cost` is what the method took beyond the rollouts, by role.
    """

    value: float | None = None
    guess: float | None = None
    answer: str | None = None
    abstained: bool = False
    differs: bool | None = None
    """Whether it differs from the majority; `None` where there is none, or nobody can tell."""
    agreement: float | None = None
    method: str | None = None
    """Which estimator it was in the end, where one falls back to another or chooses."""
    fallback: str | None = None
    error: str | None = None
    lost: int = 0
    """Requests of the method that came to nothing. With a fall-back the outcome is undecided: that says
    nothing of the method."""
    cost: dict[str, Cost] = {}

    @property
    def spent(self) -> Cost:
        """The sum over roles."""
        return total_cost(self.cost)


class Record(_Data):
    """One question under one seed: the rollouts and every method's outcome on them.

    `n` of the rollouts are the group; further ones are for baselines that may use more compute.
    """

    id: str
    seed: int = 0
    group: str | None = None
    gold: tuple[str, ...] = ()
    open: bool = False
    n: int
    rollouts: tuple[Drawn, ...] = ()
    drawing: Cost = NOTHING
    """What all rollouts cost."""
    outcomes: dict[str, Outcome] = {}
    donor: str | None = None
    """The question whose rollouts the placebo was shown."""
    error: str | None = None
    """Why there is no record of this question."""

    @property
    def rollout_cost(self) -> Cost | None:
        """What one rollout cost on average; `None` when none was drawn."""
        drawn = self.drawing.samples
        if not drawn:
            return None
        share = Cost(*(v / drawn for v in self.drawing))
        return share._replace(samples=1)


def write_records(records: Iterable[Record], path: Path) -> None:
    """Write one JSON line a record, all or nothing. Raises `ConfigError`."""
    beside = path.with_suffix(".part")
    try:
        with beside.open("w", encoding="utf-8") as file:
            file.writelines(f"{record.model_dump_json(exclude_defaults=True)}\n" for record in records)
        beside.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None


def read_records(path: Path) -> list[Record]:
    """The records of a file or of the folder that has it. Raises `ConfigError` with the remedy."""
    if path.is_dir():
        path = path / "records.jsonl"
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {getattr(error, 'strerror', None) or error}; name a folder that "
            "`catagent eval … --out` wrote"
        ) from None
    records = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                records.append(Record.model_validate_json(line))
            except ValidationError as error:
                said: Any = error.errors(include_input=False, include_url=False)[0]
                raise ConfigError(
                    f"{path}, line {number}: not a record of an evaluation ({said['msg']})"
                ) from None
    return records
