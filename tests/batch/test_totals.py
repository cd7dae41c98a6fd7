"""A job's ledger: every run counts into it, and its budget stops them all."""

from __future__ import annotations

import pytest

from catagent.errors import BudgetError
from catagent.models.client import Choice, Completion
from catagent.models.ledger import Budget, Ledger, Price

DONE = Completion((Choice("x"),), prompt_tokens=10, completion_tokens=5)
PRICE = Price(0.01, 0.02)


def test_runs_count_into_the_job_and_heed_its_budget() -> None:
    job = Ledger(Budget(calls=3))
    runs = [Ledger(parent=job), Ledger(Budget(calls=1), job)]
    for run in runs:
        run.succeeded("sampler", run.reserve("sampler", 20, PRICE), 1.0, DONE, PRICE)
    runs[0].cached("anchor", 2)
    runs[0].discarded("anchor")
    with pytest.raises(BudgetError):
        runs[1].reserve("sampler", 20, PRICE)  # its own budget: the job hears nothing of it
    assert job.exhausted is None
    runs[0].failed("anchor", runs[0].reserve("anchor", 20, PRICE), 1.0, refused=True)
    with pytest.raises(BudgetError, match="3 calls"):
        runs[0].reserve("anchor", 20, PRICE)
    assert "3 calls" in (job.exhausted or "")
    total = job.usage()
    assert (total.calls, total.roles["sampler"].calls, runs[0].usage().calls) == (3, 2, 2)
    anchor = total.roles["anchor"]
    assert (anchor.refused, anchor.cached, anchor.discarded) == (1, 2, 1)
    assert total.usd == pytest.approx(0.4)


def test_what_was_spent_before_counts() -> None:
    first = Ledger()
    first.succeeded("sampler", first.reserve("sampler", 20, PRICE), 1.0, DONE, PRICE)
    before = first.usage()
    job = Ledger(Budget(tokens=40), before=before)
    run = Ledger(parent=job)
    run.succeeded("sampler", run.reserve("sampler", 20, PRICE), 1.0, DONE, PRICE)
    with pytest.raises(BudgetError, match="40 tokens"):
        run.reserve("sampler", 20, PRICE)
    since = job.usage().since(before)
    assert (since.calls, since.tokens, job.usage().tokens) == (1, 15, 30)
