"""Stopping early: the bound holds, and nothing is bought that is not needed."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from catagent.agents.adaptive import chance_of_change, wave
from tests.batch.jobs import questions, run
from tests.cast import cast
from tests.doubles import ProviderDouble


def drawn_until_settled(answers: list[int], risk: float) -> tuple[int, int]:
    """How many rollouts are drawn of these, and the majority then."""
    n, drawn = len(answers), 0
    while True:
        sizes = [*sorted(Counter(answers[:drawn]).values(), reverse=True), 0, 0]
        more = wave(n, drawn, sizes[0], sizes[1], risk)
        if not more:
            return drawn, Counter(answers[:drawn]).most_common(1)[0][0]
        drawn += more


@pytest.mark.parametrize("n", [4, 8, 16, 32])
@pytest.mark.parametrize("risk", [0.01, 0.05, 0.2])
def test_the_majority_changes_no_more_often_than_the_risk(n: int, risk: float) -> None:
    draw = random.Random(n)
    for shares in ([0.5, 0.5], [0.45, 0.55], [0.4, 0.3, 0.3], [0.34, 0.33, 0.33], [0.9, 0.1], [0.2] * 5):
        wrong = 0
        for _ in range(1500):
            answers = draw.choices(range(len(shares)), shares, k=n)
            _, early = drawn_until_settled(answers, risk)
            counts = Counter(answers).most_common(2)
            tied = len(counts) > 1 and counts[0][1] == counts[1][1]
            wrong += drawn_until_settled(answers, risk)[0] < n and (tied or counts[0][0] != early)
        assert wrong / 1500 <= risk * 1.3  # 1.3: chance in the simulation itself


def test_waves_are_no_larger_than_could_settle_it() -> None:
    assert wave(8, 0, 0, 0, 0.05) == 4
    assert wave(8, 4, 4, 0, 0.05) == 0
    assert wave(8, 6, 5, 1, 0.05) == 0
    assert wave(1, 0, 0, 0, 0.05) == 1
    assert wave(8, 8, 3, 3, 0.05) == 0
    assert chance_of_change(8, 5, 5) == 0
    assert chance_of_change(8, 3, 0) == 1
    for drawn in range(8):  # what is drawn in the next wave can settle it, and one less could not
        more = wave(8, drawn, drawn, 0, 0.05)
        assert drawn + more <= 8
        assert not more or wave(8, drawn + more, drawn + more, 0, 0.05) == 0


async def test_easy_rows_cost_half_and_hard_ones_all() -> None:
    with ProviderDouble(reply=cast(["\\boxed{4}"])) as double:
        report = await run(double, questions(10), n=8, estimator="majority", adaptive=0.05, full=True)
        assert sum(r.body.get("n", 1) for r in double.requests) == 40
    assert (report.drawn, report.spared) == (40, 40)
    assert all(line["answer"] == "4" and len(line["rollouts"]) == 4 for line in report)
    with ProviderDouble(reply=cast(lambda i: f"\\boxed{{{i}}}")) as double:
        report = await run(double, questions(2), n=8, estimator="majority", adaptive=0.05)
    assert (report.drawn, report.spared) == (16, 0)


async def test_open_tasks_get_all_their_rollouts() -> None:
    with ProviderDouble(reply=cast(["a poem"], "# UNIFIED RESPONSE\nA poem.")) as double:
        report = await run(double, questions(1), n=8, kind="open", adaptive=0.05)
    assert (report.drawn, report.spared) == (8, 0)
