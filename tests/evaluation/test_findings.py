"""The questions that an evaluation answers, on records made by hand."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, stdev

import pytest

from catagent.errors import ConfigError
from catagent.evaluation.compare import compared
from catagent.evaluation.findings import (
    comparisons,
    curve,
    departures,
    matched,
    pareto,
    placebo_shares,
)
from catagent.evaluation.metering import Cost
from catagent.evaluation.records import Drawn, Outcome, Record
from catagent.evaluation.scores import Scores, majority_family
from catagent.evaluation.subsets import majority_at, pass_at

ANCHOR = {"anchor": Cost(1, 1, 100, 50, 0.01, 0, 0)}


def record(
    name: str,
    rollouts: Sequence[str | None],
    gold: str = "a",
    *,
    seed: int = 0,
    n: int | None = None,
    **answers: str | None,
) -> Record:
    """A question whose rollouts and methods say these answers; `?` cannot be compared, `!` was lost."""
    letters = list(dict.fromkeys(a for a in rollouts if a not in (None, "!")))
    drawn = tuple(
        Drawn(error="lost")
        if a == "!"
        else Drawn(value=_value(a, gold), answer=a, family=None if a is None else letters.index(a))
        for a in rollouts
    )
    size = n or len(rollouts)
    family = majority_family(drawn[:size])
    voted = None if family is None else letters[family]
    outcomes = {
        method: Outcome(
            value=_value(answer, gold),
            guess=_value(answer, gold) if answer is not None else _value("a", gold),
            answer=answer,
            abstained=answer is None,
            differs=None if voted is None or answer is None else answer != voted,
            cost={} if method == "majority" else ANCHOR,
        )
        for method, answer in {"majority": voted, **answers}.items()
    }
    cost = Cost(len(rollouts), 1, 40, 100 * len(rollouts), 0.1, 0, 0)
    return Record(
        id=name, seed=seed, gold=(gold,), n=size, rollouts=drawn, drawing=cost, outcomes=outcomes
    )  # fmt: skip


def _value(answer: str | None, gold: str) -> float | None:
    return None if answer == "?" else float(answer == gold)


FOUR = [
    record("agree", "aaab", synthesis="a"),
    record("rescue", "abbb", synthesis="a", placebo_other="a"),
    record("hopeless", "bbcd", synthesis="a", placebo_other="b"),
    record("spoilt", "aaaa", synthesis="b", placebo_other="c"),
]


def test_accuracy_and_its_errors() -> None:
    scores = Scores(FOUR)
    assert scores.methods == ["single", "majority", "synthesis", "placebo_other", "pass@4"]
    single = scores.accuracy("single")
    values = [0.75, 0.25, 0.0, 1.0]
    assert single.interval.value == pytest.approx(fmean(values))
    assert single.over_questions == pytest.approx(stdev(values) / 2)
    assert single.over_seeds is None
    assert scores.accuracy("majority").interval.value == 0.5
    assert scores.accuracy("synthesis").interval.value == 0.75
    assert scores.accuracy("pass@4").interval.value == 0.75


def test_seeds_are_averaged_before_questions_are_counted() -> None:
    records = [
        record(name, "aa", seed=seed, synthesis=answer)
        for seed, answers in enumerate(("aab", "bab"))
        for name, answer in zip(("x", "y", "z"), answers, strict=True)
    ]
    accuracy = Scores(records).accuracy("synthesis")
    by_question, by_seed = [0.5, 1.0, 0.0], [2 / 3, 1 / 3]
    assert accuracy.interval.value == pytest.approx(0.5)
    assert accuracy.over_questions == pytest.approx(stdev(by_question) / 3**0.5)
    assert accuracy.over_seeds == pytest.approx(stdev(by_seed) / 2**0.5)
    assert accuracy.decided == 6
    found = comparisons(Scores(records), [("synthesis", "single")])[0]
    assert (found.win, found.tie, found.loss) == (0, 1, 2)
    assert found.mcnemar == 1.0  # the first seed has one loss


def test_what_is_undecided_is_left_out_and_counted() -> None:
    records = [record("x", "aa", synthesis="?"), record("y", "ab", synthesis="a"), record("z", "!?")]
    scores = Scores(records)
    accuracy = scores.accuracy("synthesis")
    assert (accuracy.interval.value, accuracy.decided, accuracy.undecided) == (1.0, 1, 2)
    assert scores.value(records[2], "single") is None
    assert scores.value(records[2], "pass@2") is None
    assert [p.records for p in curve(scores)] == [2, 2]
    assert len(comparisons(scores, [("synthesis", "majority")])) == 1


def test_abstaining_is_wrong_and_guessing_is_said_beside_it() -> None:
    scores = Scores([record("x", "ab"), record("y", "aa")])
    accuracy = scores.accuracy("majority")
    assert (accuracy.interval.value, accuracy.abstained, accuracy.guessing) == (0.5, 1, 1.0)


def test_departures_from_the_majority_and_rescues() -> None:
    found, placebo = departures(Scores(FOUR), ["synthesis", "placebo_other"])
    assert (found.count, found.comparable) == (3, 4)
    assert (found.right, found.majority_right, found.neither, found.undecided) == (2, 1, 0, 0)
    assert found.right_share.value == pytest.approx(2 / 3)
    assert (found.rescued, found.hopeless) == (1, 1)
    assert (placebo.count, placebo.comparable, placebo.rescued, placebo.hopeless) == (2, 3, 0, 1)


def test_differences_count_wins_and_losses() -> None:
    found = comparisons(Scores(FOUR), [("synthesis", "majority"), ("synthesis", "placebo_other")])
    first = found[0]
    assert first.difference.value == pytest.approx(0.25)
    assert (first.win, first.tie, first.loss) == (2, 1, 1)
    assert first.mcnemar == 1.0
    assert (found[1].win, found[1].tie, found[1].loss) == (1, 2, 0)  # agree has no placebo


def test_the_placebos_share_of_a_gain() -> None:
    records = [
        record(f"q{i}", "bbba", synthesis="a" if i < 8 else "b", placebo_other="a" if i < 4 else "b")
        for i in range(10)
    ]
    share = placebo_shares(Scores(records), ["synthesis"], ["majority"])[0]
    assert share.gain.value == pytest.approx(0.8)
    assert share.placebo_gain.value == pytest.approx(0.4)
    assert share.share == pytest.approx(0.5)
    assert share.beyond.value == pytest.approx(0.4)
    unclear = placebo_shares(Scores(FOUR), ["synthesis"], ["majority"])[0]
    assert unclear.share is None


def test_accuracy_by_g_is_the_mean_of_the_exact_expectations() -> None:
    points = curve(Scores(FOUR))
    families = {"aaab": [0, 0, 0, 1], "abbb": [0, 1, 1, 1], "bbcd": [0, 0, 1, 2], "aaaa": [0, 0, 0, 0]}
    right = {"aaab": [0], "abbb": [0], "bbcd": [], "aaaa": [0]}
    counts = {"aaab": 3, "abbb": 1, "bbcd": 0, "aaaa": 4}
    for point in points:
        votes = [majority_at(families[k], right[k], point.k).drawing for k in families]  # type: ignore[arg-type]
        assert point.vote.drawing == pytest.approx(fmean(votes))
        assert point.oracle == pytest.approx(fmean(pass_at(4, c, point.k) for c in counts.values()))
    assert points[0].vote.drawing == pytest.approx(points[0].single)
    assert points[-1].vote.abstaining == Scores(FOUR).accuracy("majority").interval.value


def test_costs_and_matching_in_compute() -> None:
    scores = Scores([record(f"q{i}", "aabbbc", n=4, synthesis="a") for i in range(5)])
    rollout = scores.rollout
    assert (rollout.samples, rollout.tokens) == (1, pytest.approx(640 / 6))
    cost = scores.cost("synthesis")
    assert cost.samples == 5
    assert cost.tokens == pytest.approx(4 * 640 / 6 + 150)
    assert scores.cost("majority").tokens == pytest.approx(4 * 640 / 6)
    assert scores.own("synthesis") == {"anchor": Cost(1, 1, 100, 50, 0.01, 0, 0)}
    by_generation, by_tokens = matched(scores, ["synthesis"])
    families: list[int | None] = [0, 0, 1, 1, 1, 2]
    at_five = majority_at(families, [0], 5).drawing
    at_six = majority_at(families, [0], 6).drawing
    assert (by_generation.rollouts, by_generation.beyond) == (5.0, False)
    assert by_generation.vote == pytest.approx(at_five)
    k = (4 * 640 / 6 + 150) / (640 / 6)
    assert by_tokens.rollouts == pytest.approx(k)
    assert by_tokens.vote == pytest.approx(at_five + (k - 5) * (at_six - at_five))
    assert by_generation.difference.value == pytest.approx(1 - at_five)


def test_a_vote_with_more_rollouts_than_there_are_says_so() -> None:
    found = matched(Scores(FOUR), ["synthesis"])
    assert found[0].rollouts == 5.0
    assert found[0].beyond


def test_the_front_has_what_nothing_beats() -> None:
    points = [("a", 1.0, 0.5), ("b", 2.0, 0.4), ("c", 2.0, 0.7), ("d", 3.0, 0.7), ("e", 9.0, 0.9)]
    assert pareto(points) == ["a", "c", "e"]


def test_two_evaluations_are_paired_by_question() -> None:
    second = [
        record("agree", "aaab", synthesis="a"),
        record("rescue", "abbb", synthesis="b"),
        record("spoilt", "aaaa", synthesis="a"),
        record("other", "aaaa", synthesis="a"),
        record("hopeless", "bbcd", gold="z", synthesis="z"),  # another question with the same id
    ]
    found = compared(FOUR, second, ("one", "two"))
    assert (found.common, found.only) == (3, (1, 2))
    synthesis = next(c for c in found.methods if c.method == "synthesis")
    assert (synthesis.first.value, synthesis.second.value) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert (synthesis.win, synthesis.tie, synthesis.loss) == (1, 1, 1)
    assert synthesis.mcnemar == 1.0
    assert next(c for c in found.methods if c.method == "single").mcnemar is None
    assert any("placebo_other" in note for note in found.notes)
    with pytest.raises(ConfigError, match="no question in common"):
        compared(FOUR, second[3:])
