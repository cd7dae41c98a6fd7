"""Records as columns: the value of every method on every question, and what each took.

Two rows stand beside the methods: `single`, one rollout (the mean over the group), and `pass@n`, an oracle
that picks a right rollout where there is one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from functools import cached_property
from statistics import fmean
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeAlias, TypeVar

from catagent.evaluation.healthbench import healthbench_mean
from catagent.evaluation.metering import NOTHING, Cost
from catagent.evaluation.records import Drawn, Outcome, Record
from catagent.evaluation.significance import mean_interval, standard_error
from catagent.evaluation.statistics import Estimate

__all__ = ["ABSTENTIONS", "Accuracy", "Scores", "majority_family", "remembered"]

P = ParamSpec("P")
T = TypeVar("T")
Column: TypeAlias = dict[str, float]
ABSTENTIONS = "A reference without a final answer counts as wrong; “guessing” counts the answer of its text."


def remembered(of: Callable[Concatenate[Scores, P], T]) -> Callable[Concatenate[Scores, P], T]:
    """What is computed from scores is computed once: tables, plots and JSON ask for the same figures."""

    @functools.wraps(of)
    def asked(scores: Scores, /, *arguments: P.args, **options: P.kwargs) -> T:
        key = (of.__qualname__, repr(arguments), repr(sorted(options.items())))
        if key not in scores.memory:
            scores.memory[key] = of(scores, *arguments, **options)
        found: T = scores.memory[key]
        return found

    return asked


class Accuracy(NamedTuple):
    """A method's mean over questions (`interval`), and what it rests on.

    `over_questions` is the standard error from which questions were asked, `over_seeds` that from sampling,
    with the questions as they are (`None` for one seed). `undecided` values are in neither.
    """

    interval: Estimate
    over_questions: float | None
    over_seeds: float | None
    decided: int
    undecided: int
    abstained: int
    guessing: float | None
    failed: int


class Scores:
    """The columns of some records. Records with an error are left out and counted in `lost`."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.memory: dict[tuple[str, str, str], Any] = {}
        self.lost = sum(r.error is not None for r in records)
        self.records = [r for r in records if r.error is None]
        self.n = max((r.n for r in self.records), default=0)
        self.pool = max((len(r.rollouts) for r in self.records), default=0)
        self.seeds = sorted({r.seed for r in self.records})
        self.ids = list(dict.fromkeys(r.id for r in self.records))
        self.open = any(r.open for r in self.records)
        self.arms = list(dict.fromkeys(name for r in self.records for name in r.outcomes))
        self.oracle = f"pass@{self.n}"

    @property
    def methods(self) -> list[str]:
        """All rows: one rollout, the methods, the oracle (where more than one rollout has a value)."""
        judged = any(sum(d.judged for d in r.rollouts) > 1 for r in self.records)
        return ["single", *self.arms, *([self.oracle] if judged else [])]

    def value(self, record: Record, method: str, *, guessing: bool = False) -> float | None:
        """The value of a method on one record; `None` is undecided."""
        if method in record.outcomes:
            outcome = record.outcomes[method]
            return outcome.guess if guessing else outcome.value
        group = [d for d in record.rollouts[: record.n] if d.judged]
        known = [d.value for d in group if d.value is not None]
        if method == "single":
            return fmean(known) if known else None
        if method == self.oracle and known:
            best = max(known)
            return best if best > 0 or len(known) == len(group) else None
        return None

    @remembered
    def column(self, method: str, *, guessing: bool = False, seed: int | None = None) -> Column:
        """The value of each question that has one, averaged over seeds, or under one of them."""
        found: dict[str, list[float]] = {}
        for record in self.records:
            if seed is None or record.seed == seed:
                value = self.value(record, method, guessing=guessing)
                if value is not None:
                    found.setdefault(record.id, []).append(value)
        return {name: fmean(values) for name, values in found.items()}

    @remembered
    def accuracy(self, method: str) -> Accuracy:
        """The mean over questions with all that one should know about it."""
        column = self.column(method)
        by_seed = [fmean(c.values()) for s in self.seeds if (c := self.column(method, seed=s))]
        values = [self.value(r, method) for r in self.records]
        outcomes = [r.outcomes[method] for r in self.records if method in r.outcomes]
        abstained = sum(o.abstained for o in outcomes)
        interval = mean_interval(list(column.values()))
        if self.open and interval.value is not None:
            interval = interval._replace(value=healthbench_mean(column.values()))
        return Accuracy(
            interval=interval,
            over_questions=standard_error(list(column.values())),
            over_seeds=standard_error(by_seed),
            decided=sum(v is not None for v in values),
            undecided=sum(v is None for v in values),
            abstained=abstained,
            guessing=fmean(self.column(method, guessing=True).values()) if abstained and column else None,
            failed=sum(o.error is not None for o in outcomes),
        )

    def paired(self, first: str, second: str, *, guessing: bool = False) -> list[tuple[float, float]]:
        """The values of both on each question that both have one on."""
        a, b = self.column(first, guessing=guessing), self.column(second, guessing=guessing)
        return [(a[name], b[name]) for name in a if name in b]

    def flips(self, first: str, second: str) -> tuple[int, int] | None:
        """Under the first seed, questions that only the first and only the second has right.

        `None` where values are not right or wrong; a single rollout is then the first one.
        """
        if self.open or not self.seeds:
            return None
        only = [0, 0]
        for record in self.records:
            if record.seed == self.seeds[0]:
                a, b = self._binary(record, first), self._binary(record, second)
                if a is not None and b is not None and a != b:
                    only[0 if a > b else 1] += 1
        return only[0], only[1]

    def _binary(self, record: Record, method: str) -> float | None:
        if method == "single":
            return record.rollouts[0].value if record.rollouts else None
        return self.value(record, method)

    def size_of(self, method: str) -> int:
        """How many rollouts a method reads."""
        if method == "single":
            return 1
        name, at, size = method.rpartition("@")
        return int(size) if at and name in self.arms and size.isdigit() else self.n

    @cached_property
    def rollout(self) -> Cost:
        """The mean cost of one rollout."""
        costs = [c for r in self.records if (c := r.rollout_cost) is not None]
        return _mean(costs)

    @remembered
    def own(self, method: str) -> dict[str, Cost]:
        """What a method takes a question beyond its rollouts, by role."""
        outcomes: list[Outcome] = [r.outcomes[method] for r in self.records if method in r.outcomes]
        roles = dict.fromkeys(role for o in outcomes for role in o.cost)
        return {role: _mean([o.cost.get(role, NOTHING) for o in outcomes]) for role in roles}

    @remembered
    def cost(self, method: str) -> Cost:
        """What a method takes a question, its rollouts included."""
        rollouts = Cost(*(v * self.size_of(method) for v in self.rollout))
        for cost in self.own(method).values():
            rollouts = rollouts.plus(cost)
        return rollouts


def majority_family(drawn: Sequence[Drawn]) -> int | None:
    """The one largest class of answers; `None` when none is stated or the largest are tied."""
    counts: dict[int, int] = {}
    for one in drawn:
        if one.family is not None:
            counts[one.family] = counts.get(one.family, 0) + 1
    leading = [f for f, count in counts.items() if count == max(counts.values())]
    return leading[0] if len(leading) == 1 else None


def _mean(costs: Sequence[Cost]) -> Cost:
    return Cost(*(fmean(column) for column in zip(*costs, strict=True))) if costs else NOTHING
