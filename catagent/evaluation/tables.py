"""An evaluation's findings as tables of text: the same ones for a terminal, Markdown and the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from catagent.evaluation.findings import (
    comparisons,
    curve,
    departures,
    matched,
    placebo_shares,
    placebos_of,
)
from catagent.evaluation.scores import ABSTENTIONS, Scores
from catagent.evaluation.significance import Difference
from catagent.evaluation.statistics import Estimate

__all__ = [
    "Table",
    "accuracy_table",
    "asking",
    "p_value",
    "pairs_of",
    "percent",
    "points",
    "ranged",
    "summary_table",
    "tables_of",
]

_NONE = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its title; the first `text_columns` are words, the others figures."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    text_columns: int = 1

    def markdown(self) -> str:
        """The table in Markdown, title and note around it."""
        marks = ["---" if i < self.text_columns else "---:" for i in range(len(self.headings))]
        lines = [f"### {self.title}", "", _line(self.headings), _line(marks)]
        lines += [_line(row) for row in self.rows]
        return "\n".join([*lines, *(["", self.note] if self.note else []), ""])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |"


def percent(value: float | None, digits: int = 1) -> str:
    """A share in per cent."""
    return _NONE if value is None else f"{100 * value:.{digits}f}%"


def points(value: float | None) -> str:
    """A difference of shares in percentage points, signed."""
    return _NONE if value is None else f"{100 * value:+.1f}"


def _interval(i: Estimate) -> str:
    return _NONE if i.low is None or i.high is None else f"[{100 * i.low:.1f}, {100 * i.high:.1f}]"


def ranged(d: Difference) -> str:
    """The interval of a difference in percentage points."""
    return _NONE if d.low is None or d.high is None else f"[{100 * d.low:+.1f}, {100 * d.high:+.1f}]"


def p_value(value: float | None) -> str:
    """A p value as it is printed."""
    if value is None:
        return _NONE
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _count(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _usd(value: float | None) -> str:
    return "unknown" if value is None else f"${value:.5f}" if 0 < value < 0.01 else f"${value:.4f}"


def asking(scores: Scores) -> list[str]:
    """The methods on whole groups that ask a model beyond the rollouts and are no placebos."""
    placebos = placebos_of(scores.arms)
    whole = [a for a in scores.arms if scores.size_of(a) == scores.n]
    return [a for a in whole if a not in placebos and scores.own(a)]


def tables_of(scores: Scores) -> list[Table]:
    """Every table that the records say something for."""
    made = [
        accuracy_table(scores),
        _comparison_table(scores),
        _departure_table(scores),
        _placebo_table(scores),
        _curve_table(scores),
        _matched_table(scores),
        _cost_table(scores),
        _role_table(scores),
        _group_table(scores),
    ]
    return [table for table in made if table is not None and table.rows]


def summary_table(scores: Scores) -> Table:
    """What fits a terminal: accuracy, the difference from the majority (or one rollout), and tokens."""
    base = "majority" if "majority" in scores.arms else "single"
    found = {c.method: c for c in comparisons(scores, [(m, base) for m in scores.arms if m != base])}
    undecided = any(scores.accuracy(m).undecided for m in scores.methods)
    rows = []
    for method in scores.methods:
        a, c = scores.accuracy(method), found.get(method)
        tokens = None if method == scores.oracle else scores.cost(method).tokens
        rows.append(
            (
                method, f"{percent(a.interval.value)} {_interval(a.interval)}",
                f"{points(c.difference.value)} {ranged(c.difference)}" if c else _NONE,
                p_value(c.difference.p) if c else _NONE, _count(tokens),
                *([str(a.undecided)] if undecided else []),
            )
        )  # fmt: skip
    score = "score" if scores.open else "accuracy"
    headings = ("method", f"{score}, 95%", f"− {base}, 95%", "p", "tokens", *(["undecided"] * undecided))
    return Table(f"{score.capitalize()} over {len(scores.ids)} questions", headings, tuple(rows))


def accuracy_table(scores: Scores) -> Table:
    """Accuracy of every method with its errors."""
    several = len(scores.seeds) > 1
    rows = []
    for method in scores.methods:
        a = scores.accuracy(method)
        rows.append(
            (
                method,
                percent(a.interval.value),
                _interval(a.interval),
                percent(a.over_questions),
                *([percent(a.over_seeds)] if several else []),
                str(a.decided),
                str(a.undecided),
                str(a.abstained) if method in scores.arms else _NONE,
                percent(a.guessing if a.guessing is not None else a.interval.value),
                str(a.failed) if method in scores.arms else _NONE,
            )
        )
    headings = (
        "method", "score" if scores.open else "accuracy", "95% interval", "SE, questions",
        *(["SE, seeds"] if several else []), "decided", "undecided", "abstained", "guessing", "failed",
    )  # fmt: skip
    seeds = (
        "SE over seeds is that of the mean with these questions; SE over questions has both in it. "
        if several
        else "One seed: sampling noise is within SE over questions and cannot be told apart. "
    )
    note = (
        f"Over {len(scores.ids)} questions, G = {scores.n}, {len(scores.seeds)} seed(s). {seeds}"
        f"{ABSTENTIONS} Undecided ones (a comparison that took too long, a lost rollout, no verdict) are "
        "left out. single is the mean over the rollouts, pass@k an oracle that no method can have."
    )
    return Table("Scores" if scores.open else "Accuracy", headings, tuple(rows), note)


def pairs_of(scores: Scores) -> list[tuple[str, str]]:
    """Which methods are compared: each with one rollout, the majority and the placebos."""
    arms = [a for a in scores.arms if scores.size_of(a) == scores.n]
    placebos = placebos_of(arms)
    against = ["single", *(a for a in arms if a == "majority"), *placebos]
    return [(m, o) for m in arms for o in against if m != o and not (m in placebos and o in placebos)]


def _comparison_table(scores: Scores) -> Table | None:
    found = comparisons(scores, pairs_of(scores))
    rows = tuple(
        (
            c.method, c.other, points(c.difference.value), ranged(c.difference), p_value(c.difference.p),
            f"{c.win} / {c.tie} / {c.loss}", p_value(c.mcnemar), p_value(c.corrected), points(c.guessing),
        )
        for c in found
    )  # fmt: skip
    headings = (
        "method", "against", "difference", "95% interval", "p, sign flips", "win / tie / loss",
        "p, McNemar", "p, Holm", "difference, guessing",
    )  # fmt: skip
    note = (
        "Percentage points over the same questions; intervals by paired bootstrap. McNemar's exact test is "
        "on the first seed, where single is the first rollout; Holm corrects it for the "
        f"{len(found)} comparisons here."
    )
    return Table("Differences between methods", headings, rows, note, text_columns=2)


def _departure_table(scores: Scores) -> Table | None:
    rows = tuple(
        (
            d.method, f"{d.count} of {d.comparable}", percent(d.differs.value), str(d.right),
            str(d.majority_right), str(d.neither), str(d.undecided), percent(d.right_share.value),
            _interval(d.right_share), f"{d.rescued} of {d.hopeless}",
        )
        for d in departures(scores, [a for a in scores.arms if a.partition("@")[0] != "majority"])
    )  # fmt: skip
    headings = (
        "method", "departs", "share", "then right", "majority right", "neither", "undecided",
        "right when departing", "95% interval", "right, all rollouts wrong",
    )  # fmt: skip
    note = "Where the rollouts have one majority and the reference a final answer."
    return Table("Departures from the majority", headings, rows, note)


def _placebo_table(scores: Scores) -> Table | None:
    bases = ["single", *(a for a in scores.arms if a == "majority")]
    rows = tuple(
        (
            s.method, s.placebo, s.base, points(s.gain.value), points(s.placebo_gain.value),
            percent(s.share, 0), points(s.beyond.value), ranged(s.beyond),
        )
        for s in placebo_shares(scores, asking(scores), bases)
    )  # fmt: skip
    headings = (
        "method", "placebo", "over", "gain", "placebo's gain", "share explained", "beyond the placebo",
        "95% interval",
    )  # fmt: skip
    note = (
        "A placebo asks the same prompt with another question's rollouts, or with none. A share is given "
        "only where the method's own gain is clear of 0."
    )
    return Table("What the placebos explain", headings, rows, note, text_columns=3)


def _curve_table(scores: Scores) -> Table | None:
    smaller = [a for a in scores.arms if scores.size_of(a) != scores.n]
    names = list(dict.fromkeys(a.rpartition("@")[0] for a in smaller))
    rows = []
    for p in curve(scores):
        own = []
        for name in names:
            arm = name if p.k == scores.n else f"{name}@{p.k}"
            own.append(percent(scores.accuracy(arm).interval.value) if arm in scores.arms else _NONE)
        rows.append((str(p.k), percent(p.vote.abstaining), percent(p.vote.drawing), percent(p.oracle), *own))
    used = next((p.records for p in curve(scores)), 0)
    note = (
        f"Exact expectations over all choices of G among the rollouts of {used} records in which every "
        "rollout is decided; pass@G by the unbiased estimator. Methods that ask a model read the first G."
    )
    headings = ("G", "majority, ties abstain", "majority, ties drawn", "pass@G", *names)
    return Table("Accuracy by G", headings, tuple(rows), note)


def _matched_table(scores: Scores) -> Table | None:
    rows = tuple(
        (
            m.method, m.by, f"{m.rollouts:.2f}{'*' if m.beyond else ''}", percent(m.vote),
            points(m.difference.value), ranged(m.difference),
        )
        for m in matched(scores, asking(scores))
    )  # fmt: skip
    headings = ("method", "matched by", "worth rollouts", "vote of as many", "difference", "95% interval")
    note = (
        "A method beside a vote (ties drawn) over as many rollouts as its generations or tokens would buy. "
        f"* more than the {scores.pool} there are: the vote is over all of them; draw more with --pool."
    )
    return Table("Matched in compute", headings, rows, note, text_columns=2)


def _cost_table(scores: Scores) -> Table:
    one = "a full score" if scores.open else "a right one"
    rows = []
    for method in [m for m in scores.methods if m != scores.oracle]:
        cost, right = scores.cost(method), scores.column(method)
        per = fmean(right.values()) if right else 0.0
        tokens, usd = cost.tokens, cost.dollars
        per_right = tokens / per if tokens is not None and per > 0 else None
        rows.append(
            (
                method, _count(cost.samples), _count(cost.calls), _count(cost.prompt_tokens),
                _count(cost.completion_tokens), _count(per_right),
                _usd(usd), _usd(usd / per) if usd is not None and per > 0 else _NONE,
            )
        )  # fmt: skip
    headings = (
        "method", "generations", "requests", "prompt tokens", "completion tokens", f"tokens {one}", "cost",
        f"cost {one}",
    )  # fmt: skip
    note = (
        "Mean a question, rollouts included, as used: a request for n samples counts its prompt once. "
        "Grading and lost attempts are not in it."
    )
    return Table("Costs", headings, tuple(rows), note)


def _role_table(scores: Scores) -> Table:
    rows = [("rollouts", "sampler", *_cells(scores.rollout.samples * scores.n, scores, None))]
    for method in scores.arms:
        rows += [
            (method, role, *_cells(c.samples, scores, (method, role)))
            for role, c in scores.own(method).items()
        ]
    headings = ("method", "role", "generations", "requests", "prompt tokens", "completion tokens")
    return Table("What each role takes", headings, tuple(rows), "Mean a question.", text_columns=2)


def _cells(samples: float, scores: Scores, of: tuple[str, str] | None) -> tuple[str, str, str, str]:
    cost = scores.rollout if of is None else scores.own(of[0])[of[1]]
    times = scores.n if of is None else 1
    return (
        _count(samples),
        _count(cost.calls * times),
        _count(cost.prompt_tokens * times),
        _count(cost.completion_tokens * times),
    )


def _group_table(scores: Scores) -> Table | None:
    names = list(dict.fromkeys(r.group for r in scores.records if r.group))
    if not 1 < len(names) <= 60:
        return None
    rows = []
    for name in sorted(names):
        part = Scores([r for r in scores.records if r.group == name])
        values = (part.accuracy(m).interval.value if m in part.methods else None for m in scores.methods)
        rows.append((name, str(len(part.ids)), *map(percent, values)))
    return Table("By group", ("group", "questions", *scores.methods), tuple(rows))
