from __future__ import annotations

import pytest

from catagent.estimators import EstimatorContext, estimator
from catagent.evaluation.benchmarks import benchmark_from
from catagent.evaluation.forecast import forecast, forecast_table
from catagent.evaluation.methods import arms_of
from catagent.models.ledger import Price
from tests.evaluation.playing import sums


@estimator("silent")
def silent(context: EstimatorContext) -> None:
    """Says nothing of its costs."""


def test_rollouts_methods_and_what_nobody_knows() -> None:
    rows = forecast(
        benchmark_from(sums(10)),
        arms_of(["majority", "synthesis", "silent"], 4, [2]),
        pool=6,
        seeds=3,
        reply=100,
        prices={"sampler": Price(0.0, 1e-3)},
    )
    by_name = {r.name: r for r in rows}
    assert by_name["rollouts"].calls == 10 * 3 * 6
    assert by_name["rollouts"].usd == pytest.approx(10 * 3 * 6 * 100 * 1e-3)
    assert (by_name["majority"].calls, by_name["majority"].usd) == (0, 0.0)
    assert (by_name["synthesis"].calls, by_name["synthesis@2"].calls) == (30, 30)
    assert by_name["synthesis"].prompt_tokens > by_name["synthesis@2"].prompt_tokens
    assert by_name["synthesis"].usd is None  # the anchor's price is not known
    assert by_name["silent"].calls is None
    assert forecast_table(rows, reply=100).rows[-1][-1] == "unknown"


@pytest.mark.parametrize(("at_once", "calls"), [(False, 2 * (2 + 1) * 3), (True, 2 * (2 + 1))])
def test_the_judge_of_open_questions(at_once: bool, calls: int) -> None:
    rubric = ["Says one.", "Says two.", "Says three."]
    rows = [{"prompt": f"Count {i}.", "rubric": rubric} for i in range(2)]
    found = forecast(
        benchmark_from(rows), arms_of(["synthesis"], 4), pool=4, judged=2, at_once=at_once
    )  # fmt: skip
    assert found[-1].name == "judge"
    assert found[-1].calls == calls
