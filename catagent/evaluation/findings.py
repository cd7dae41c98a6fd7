"""The questions that an evaluation answers, from records alone: the paper's own and its reviewers'.

How much better is a method, and is that more than chance? What does it do where it departs from the majority?
What of its gain does a placebo have too? What would the same compute have given the vote?
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from catagent.evaluation.records import Record
from catagent.evaluation.scores import Scores, majority_family, remembered
from catagent.evaluation.significance import (
    Difference,
    holm,
    mcnemar,
    paired_bootstrap,
    wilson,
)
from catagent.evaluation.statistics import Estimate
from catagent.evaluation.subsets import Vote, majority_at, pass_at

__all__ = [
    "Comparison",
    "Departure",
    "Matched",
    "Point",
    "Share",
    "comparisons",
    "curve",
    "departures",
    "matched",
    "pareto",
    "placebo_shares",
    "placebos_of",
]

_EVEN = 1e-9


@dataclass(frozen=True, slots=True)
class Comparison:
    """`method` against `other` on the same questions. `win`, `tie`, `loss` count questions.

    `mcnemar` is exact and over the first seed; `corrected` is it after Holm's correction over the table.
    `guessing` is the difference where abstentions are replaced by the answers of their texts.
    """

    method: str
    other: str
    difference: Difference
    win: int
    tie: int
    loss: int
    mcnemar: float | None
    guessing: float | None
    corrected: float | None = None


@remembered
def comparisons(scores: Scores, pairs: Sequence[tuple[str, str]]) -> list[Comparison]:
    """Each pair compared, with p values corrected over all of them."""
    found = []
    for method, other in pairs:
        both = scores.paired(method, other)
        gaps = [a - b for a, b in both]
        flips = scores.flips(method, other)
        guesses = [a - b for a, b in scores.paired(method, other, guessing=True)]
        win, loss = sum(g > _EVEN for g in gaps), sum(g < -_EVEN for g in gaps)
        found.append(
            Comparison(
                method=method,
                other=other,
                difference=paired_bootstrap(gaps),
                win=win,
                tie=len(gaps) - win - loss,
                loss=loss,
                mcnemar=None if flips is None else mcnemar(*flips),
                guessing=fmean(guesses) if guesses else None,
            )
        )
    corrected = holm([c.mcnemar for c in found])
    return [
        Comparison(**{f: getattr(c, f) for f in c.__slots__ if f != "corrected"}, corrected=p)
        for c, p in zip(found, corrected, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Departure:
    """What a method does where it departs from the majority of its rollouts, and where all of them are wrong.

    `rescued` of `hopeless` questions (every rollout wrong) have a right reference.
    """

    method: str
    comparable: int
    differs: Estimate
    count: int
    right: int
    majority_right: int
    neither: int
    undecided: int
    right_share: Estimate
    hopeless: int
    rescued: int


@remembered
def departures(scores: Scores, methods: Sequence[str]) -> list[Departure]:
    """One row a method, over all records."""
    return [_departure(scores, method) for method in methods if not scores.open]


def _departure(scores: Scores, method: str) -> Departure:
    comparable = differing = right = by_majority = neither = undecided = hopeless = rescued = 0
    for record in scores.records:
        outcome = record.outcomes.get(method)
        if outcome is None:
            continue
        group = record.rollouts[: scores.size_of(method)]
        if group and all(d.value == 0 for d in group):
            hopeless += 1
            rescued += outcome.value == 1
        if outcome.differs is None:
            continue
        comparable += 1
        if not outcome.differs:
            continue
        differing += 1
        family = majority_family(group)
        voted = next((d.value for d in group if d.family == family and family is not None), None)
        if outcome.value is None or voted is None:
            undecided += 1
        elif outcome.value == 1:
            right += 1
        elif voted == 1:
            by_majority += 1
        else:
            neither += 1
    return Departure(
        method,
        comparable,
        wilson(differing, comparable),
        differing,
        right,
        by_majority,
        neither,
        undecided,
        wilson(right, differing - undecided),
        hopeless,
        rescued,
    )


@dataclass(frozen=True, slots=True)
class Share:
    """What of a method's gain over `base` its placebo has too; `share` only where there is a clear gain."""

    method: str
    placebo: str
    base: str
    gain: Difference
    placebo_gain: Difference
    beyond: Difference
    """The method over the placebo: what reading these rollouts is worth."""
    share: float | None


def placebos_of(arms: Sequence[str]) -> list[str]:
    """The arms that are placebos, of any size."""
    return [a for a in arms if a.startswith("placebo_")]


@remembered
def placebo_shares(scores: Scores, methods: Sequence[str], bases: Sequence[str]) -> list[Share]:
    """Each method that asks a model, against each placebo, over each base."""
    found = []
    for method in methods:
        for placebo in (p for p in placebos_of(scores.arms) if scores.size_of(p) == scores.size_of(method)):
            for base in bases:
                ours = _gain(scores, method, base)
                theirs = _gain(scores, placebo, base)
                share = None
                if ours.value and ours.low is not None and ours.low > 0 and theirs.value is not None:
                    share = max(0.0, theirs.value / ours.value)
                beyond = _gain(scores, method, placebo)
                found.append(Share(method, placebo, base, ours, theirs, beyond, share))
    return found


def _gain(scores: Scores, method: str, base: str) -> Difference:
    return paired_bootstrap([a - b for a, b in scores.paired(method, base)])


@dataclass(frozen=True, slots=True)
class Point:
    """Expected values with k rollouts, over `records` whose rollouts are all decided."""

    k: int
    records: int
    single: float
    vote: Vote
    oracle: float


@remembered
def curve(scores: Scores) -> list[Point]:
    """Accuracy as a function of G from the same rollouts, for k from 1 to the size of the pool."""
    usable = [r for r in scores.records if not r.open and _decided(r)]
    points = []
    for k in range(1, scores.pool + 1):
        rows = [r for r in usable if len(r.rollouts) >= k]
        if rows:
            votes = [_vote_of(r, k) for r in rows]
            rights = [sum(d.value == 1 for d in r.rollouts) for r in rows]
            points.append(
                Point(
                    k,
                    len(rows),
                    fmean(c / len(r.rollouts) for c, r in zip(rights, rows, strict=True)),
                    Vote(fmean(v.abstaining for v in votes), fmean(v.drawing for v in votes)),
                    fmean(pass_at(len(r.rollouts), c, k) for c, r in zip(rights, rows, strict=True)),
                )
            )
    return points


def _decided(record: Record) -> bool:
    return bool(record.rollouts) and all(d.value is not None for d in record.rollouts)


def _vote_of(record: Record, k: int) -> Vote:
    right = {d.family for d in record.rollouts if d.family is not None and d.value == 1}
    return majority_at([d.family for d in record.rollouts], sorted(f for f in right if f is not None), k)


@dataclass(frozen=True, slots=True)
class Matched:
    """A method against a vote over as many rollouts as its compute buys (ties drawn, between whole numbers
    interpolated). `beyond`: that is more rollouts than there are, and the vote is over all of them.
    """

    method: str
    by: str
    rollouts: float
    vote: float | None
    difference: Difference
    beyond: bool


@remembered
def matched(scores: Scores, methods: Sequence[str]) -> list[Matched]:
    """Each method matched by generations and, where tokens are known, by tokens."""
    found = []
    usable = {(r.seed, r.id): r for r in scores.records if not r.open and _decided(r)}
    for method in methods:
        cost, rollout = scores.cost(method), scores.rollout
        measures: list[tuple[str, float | None, float | None]] = [
            ("generations", cost.samples, 1.0),
            ("tokens", cost.tokens, rollout.tokens),
        ]
        for by, spent, one in measures:
            if not spent or not one or not usable:
                continue
            k = spent / one
            at = min(max(k, 1.0), float(scores.pool))
            gaps: dict[str, list[float]] = {}
            votes = []
            for record in usable.values():
                value = scores.value(record, method)
                if value is not None:
                    vote = _between(record, min(at, float(len(record.rollouts))))
                    votes.append(vote)
                    gaps.setdefault(record.id, []).append(value - vote)
            difference = paired_bootstrap([fmean(g) for g in gaps.values()])
            mean = fmean(votes) if votes else None
            found.append(Matched(method, by, k, mean, difference, k > scores.pool + _EVEN))
    return found


def _between(record: Record, k: float) -> float:
    low = math.floor(k)
    value = _vote_of(record, low).drawing
    return value if k == low else value + (k - low) * (_vote_of(record, low + 1).drawing - value)


def pareto(points: Sequence[tuple[str, float, float]]) -> list[str]:
    """The names on the front of (name, cost, value): nothing costs at most as much and is worth more."""
    return [
        name
        for name, cost, value in points
        if not any((c <= cost and v > value) or (c < cost and v >= value) for _, c, v in points)
    ]
