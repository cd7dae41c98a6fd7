"""Two evaluations beside each other: the same methods on the same questions, paired."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from catagent.errors import ConfigError
from catagent.evaluation.records import Record, read_records
from catagent.evaluation.scores import Scores
from catagent.evaluation.significance import (
    Difference,
    holm,
    mcnemar,
    mean_interval,
    paired_bootstrap,
)
from catagent.evaluation.statistics import Estimate
from catagent.evaluation.tables import Table, p_value, percent, points, ranged

__all__ = ["Compared", "Comparing", "compared", "read_evaluation"]


@dataclass(frozen=True, slots=True)
class Compared:
    """A method in both evaluations, over the questions that both decided. `difference` is second − first."""

    method: str
    first: Estimate
    second: Estimate
    difference: Difference
    win: int
    tie: int
    loss: int
    mcnemar: float | None
    corrected: float | None = None


@dataclass(frozen=True, slots=True)
class Comparing:
    """Two evaluations: their names, the methods in both, and the questions that only one has."""

    names: tuple[str, str]
    methods: tuple[Compared, ...]
    common: int
    only: tuple[int, int]
    notes: tuple[str, ...]

    def table(self) -> Table:
        """The comparison as a table."""
        rows = tuple(
            (
                c.method, percent(c.first.value), percent(c.second.value), points(c.difference.value),
                ranged(c.difference), p_value(c.difference.p), f"{c.win} / {c.tie} / {c.loss}",
                p_value(c.mcnemar), p_value(c.corrected),
            )
            for c in self.methods
        )  # fmt: skip
        headings = (
            "method", "A", "B", "B − A", "95% interval", "p, sign flips", "win / tie / loss", "p, McNemar",
            "p, Holm",
        )  # fmt: skip
        note = f"A: {self.names[0]}. B: {self.names[1]}. Over {self.common} questions that both have."
        return Table("B against A", headings, rows, note)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        methods = []
        for c in self.methods:
            plain = {name: getattr(c, name) for name in c.__slots__}
            methods.append({k: v._asdict() if hasattr(v, "_asdict") else v for k, v in plain.items()})
        return {
            "a": self.names[0],
            "b": self.names[1],
            "common": self.common,
            "only": list(self.only),
            "methods": methods,
            "notes": list(self.notes),
        }


def read_evaluation(folder: Path) -> tuple[str, list[Record]]:
    """A name for the evaluation in a folder, and its records. Raises `ConfigError`."""
    records = read_records(folder)
    about = folder / "results.json" if folder.is_dir() else folder.with_name("results.json")
    try:
        said = orjson.loads(about.read_bytes())
        name = f"{said['benchmark']['name']} with {said['asked']['model']} ({folder})"
    except (OSError, ValueError, KeyError, TypeError):
        name = str(folder)
    return name, records


def compared(
    first: Sequence[Record], second: Sequence[Record], names: tuple[str, str] = ("A", "B")
) -> Comparing:
    """Pair two evaluations by question. Questions of one id with other gold answers are not the same.

    Raises `ConfigError` when they have no question in common.
    """
    a, b = Scores(first), Scores(second)
    golds = [{r.id: (r.gold, r.open) for r in s.records} for s in (a, b)]
    common = {name for name, gold in golds[0].items() if golds[1].get(name) == gold}
    if not common:
        raise ConfigError("the two evaluations have no question in common: are they of the same benchmark?")
    a = Scores([r for r in a.records if r.id in common])
    b = Scores([r for r in b.records if r.id in common])
    found = [_compared(a, b, m) for m in a.methods if m in b.methods]
    corrected = holm([c.mcnemar for c in found])
    methods = tuple(
        Compared(**{f: getattr(c, f) for f in c.__slots__ if f != "corrected"}, corrected=p)
        for c, p in zip(found, corrected, strict=True)
    )
    notes = []
    if a.n != b.n:
        notes.append(f"A has groups of {a.n} and B of {b.n}: the methods do not have the same compute.")
    missing = sorted(set(a.arms) ^ set(b.arms))
    if missing:
        notes.append(f"Only in one of them: {', '.join(missing)}.")
    if a.open or b.open:
        notes.append("Scores by rubric depend on the judge: compare only evaluations by the same one.")
    only = (len(golds[0]) - len(common), len(golds[1]) - len(common))
    return Comparing(names, methods, len(common), only, tuple(notes))


def _compared(a: Scores, b: Scores, method: str) -> Compared:
    first, second = a.column(method), b.column(method)
    both = [(first[name], second[name]) for name in first if name in second]
    gaps = [y - x for x, y in both]
    flips = _flips(a, b, method)
    return Compared(
        method=method,
        first=mean_interval([x for x, _ in both]),
        second=mean_interval([y for _, y in both]),
        difference=paired_bootstrap(gaps) if both else Difference(None),
        win=sum(g > 0 for g in gaps),
        tie=sum(g == 0 for g in gaps),
        loss=sum(g < 0 for g in gaps),
        mcnemar=None if flips is None else mcnemar(*flips),
    )


def _flips(a: Scores, b: Scores, method: str) -> tuple[int, int] | None:
    """Questions that only A and only B has right, under the first seed of each."""
    if a.open or b.open:
        return None
    first, second = a.column(method, seed=a.seeds[0]), b.column(method, seed=b.seeds[0])
    both = [(first[name], second[name]) for name in first if name in second]
    if any(v not in (0.0, 1.0) for pair in both for v in pair):
        return None  # the mean over rollouts is not right or wrong
    return sum(x > y for x, y in both), sum(x < y for x, y in both)
