"""What an evaluation will take, before anything is bought: calls, tokens and cost by method.

How long replies will be nobody knows beforehand: the limit that is sent along, else a guess. Questions are
measured; what an estimator adds it says itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from catagent.estimators.costs import Lengths
from catagent.evaluation.benchmarks import Benchmark
from catagent.evaluation.methods import Arm
from catagent.evaluation.tables import Table
from catagent.models.endpoint import estimate_tokens
from catagent.models.ledger import Price

__all__ = ["Forecast", "forecast", "forecast_table"]

_REPLY = 400
_VERDICT = 60
_FRAME = 250


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of one row, over all questions and seeds. `calls` is `None` where an estimator does not say what it
    takes, `usd` also where a price is not known.
    """

    name: str
    calls: float | None
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    usd: float | None = None


def forecast(
    benchmark: Benchmark,
    arms: Sequence[Arm],
    *,
    pool: int,
    seeds: int = 1,
    judged: int = 1,
    at_once: bool = False,
    reply: int | None = None,
    prices: dict[str, Price | None] | None = None,
) -> list[Forecast]:
    """The rollouts, each method beyond them, and the judge of open questions. `reply` is the limit of tokens.

    `prices` are by role; `at_once` says that all criteria are judged in one call.
    """
    questions = benchmark.questions
    count = len(questions) * seeds
    asked = fmean(estimate_tokens(q.task.messages) for q in questions)
    lengths = Lengths(question=asked, rollout=reply or _REPLY, synthesis=reply or _REPLY)
    prices = prices or {}
    rows = [
        _row("rollouts", count * pool, count * asked, count * pool * lengths.rollout, prices.get("sampler"))
    ]
    for arm in arms:
        cost = arm.plan.cost(arm.size, lengths)
        if cost is None:
            rows.append(Forecast(arm.name, None))
        else:
            tokens = count * cost.prompt_tokens, count * cost.completion_tokens
            rows.append(_row(arm.name, count * cost.calls, *tokens, prices.get("anchor")))
    rubrics = [len(q.rubric.criteria) for q in questions if q.rubric is not None]
    if rubrics:
        texts = seeds * (min(judged, pool) + len(arms))
        verdicts = texts * sum(rubrics)
        calls = texts * len(rubrics) if at_once else verdicts
        read = calls * (asked + lengths.rollout + _FRAME)
        rows.append(_row("judge", calls, read, verdicts * _VERDICT, prices.get("judge")))
    return rows


def _row(name: str, calls: float, prompt: float, completion: float, price: Price | None) -> Forecast:
    usd = None if price is None else prompt * price.prompt + completion * price.completion
    return Forecast(name, calls, prompt, completion, usd if calls else 0.0)


def forecast_table(rows: Sequence[Forecast], *, reply: int | None) -> Table:
    """The forecast with its sum."""
    known = [r for r in rows if r.calls is not None]
    costs = [r.usd for r in rows]
    total = Forecast(
        "all",
        sum(r.calls or 0 for r in known),
        sum(r.prompt_tokens for r in known),
        sum(r.completion_tokens for r in known),
        None if None in costs else sum(c or 0 for c in costs),
    )
    cells = tuple(
        (
            r.name,
            "unknown" if r.calls is None else f"{r.calls:,.0f}",
            "–" if r.calls is None else f"{r.prompt_tokens:,.0f}",
            "–" if r.calls is None else f"{r.completion_tokens:,.0f}",
            "unknown" if r.usd is None else f"${r.usd:,.4f}",
        )
        for r in (*rows, total)
    )
    assumed = f"{reply} tokens, the limit that is sent" if reply else f"{_REPLY} tokens, a guess"
    note = (
        f"Assumed: replies of {assumed}; rollouts of a question in one request. What is in the journal "
        "already is not bought again."
    )
    headings = ("beyond the rollouts", "generations", "prompt tokens", "completion tokens", "USD")
    return Table("Forecast", headings, cells, note)
