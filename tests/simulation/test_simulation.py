"""The simulator against what is known exactly."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from catagent.simulation.adaptive import saving
from catagent.simulation.closed_forms import (
    beta_binomial,
    binomial,
    expected_synthesis,
    least_find,
    majority_of_two,
    pass_at,
    right_counts,
)
from catagent.simulation.curves import curve, leader
from catagent.simulation.policies import RIGHT, TRAP, Policy, beta_accuracies
from catagent.simulation.skills import ByShare, Reader, voted

QUESTIONS = 800
SIGMAS = 4.5  # of 90 comparisons with a fixed seed


def near(found: float, known: float, groups: int) -> bool:
    return abs(found - known) <= SIGMAS * math.sqrt(max(known * (1 - known), 1e-4) / groups)


@pytest.mark.parametrize("p", [0.2, 0.5, 0.7])
@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.9, 1.0])
def test_two_answers_follow_the_binomial_and_the_beta_binomial(p: float, correlation: float) -> None:
    policy = Policy((p,) * QUESTIONS, wrong=1, correlation=correlation)
    skill = Reader(keep=0.9, find=0.4, create=0.05)
    for point in curve(policy, skill, sizes=(1, 3, 8, 21), repeats=2, seed=1):
        counts = right_counts(point.n, p, correlation)
        groups = 2 * QUESTIONS
        assert near(point.single, p, groups)
        assert near(point.majority, majority_of_two(counts), groups)
        assert near(point.pass_at, pass_at(counts), groups)
        assert near(point.synthesis, expected_synthesis(counts, skill), groups)
        assert point.leads + point.present + point.absent == pytest.approx(1)


def test_condorcet() -> None:
    for p, upwards in ((0.55, True), (0.45, False)):
        chances = [majority_of_two(binomial(n, p)) for n in (1, 3, 9, 27, 81, 243)]
        assert all((b > a) is upwards for a, b in pairwise(chances))
    assert majority_of_two(binomial(1001, 0.55)) > 0.999
    assert majority_of_two(binomial(9, 0.5)) == pytest.approx(0.5)


def test_a_beta_binomial_is_a_distribution_with_the_right_mean_and_correlation() -> None:
    n, a, b = 12, 1.4, 0.6
    counts = beta_binomial(n, a, b)
    mean = sum(k * c for k, c in enumerate(counts))
    variance = sum(k * k * c for k, c in enumerate(counts)) - mean**2
    p, rho = a / (a + b), 1 / (a + b + 1)
    assert sum(counts) == pytest.approx(1)
    assert mean == pytest.approx(n * p)
    assert variance == pytest.approx(n * p * (1 - p) * (1 + (n - 1) * rho))
    uniform = beta_binomial(5, 1, 1)
    assert uniform == pytest.approx([1 / 6] * 6)


def test_correlation_takes_from_the_vote_and_from_pass_at_and_leaves_a_rollout_as_it_is() -> None:
    found = [
        curve(Policy((0.6,) * QUESTIONS, wrong=5, correlation=c), Reader(1, 0), sizes=(9,), seed=2)[0]
        for c in (0.0, 0.2, 0.5, 1.0)
    ]
    assert all(b.majority < a.majority and b.pass_at < a.pass_at for a, b in pairwise(found))
    assert all(near(p.single, 0.6, 4 * QUESTIONS) for p in found)
    assert near(found[-1].majority, 0.6, 4 * QUESTIONS)


def test_wrong_answers_that_scatter_help_the_vote_and_a_trap_hurts_it() -> None:
    def at(policy: Policy) -> float:
        return curve(policy, Reader(1, 0), sizes=(16,), seed=3)[0].majority

    accuracies = (0.35,) * 600
    scattered, two = at(Policy(accuracies, wrong=100)), at(Policy(accuracies, wrong=1))
    trapped = at(Policy(accuracies, wrong=100, trap=0.9))
    assert scattered > 0.9 > trapped
    assert two < 0.15


def test_skills_that_are_other_methods_in_disguise() -> None:
    policy = Policy(beta_accuracies(0.5, 0.4, 400), wrong=6, trap=0.4, correlation=0.1)
    for skill, name in ((Reader(1, 0), "majority"), (Reader(1, 1), "pass_at")):
        for point in curve(policy, skill, seed=4):
            assert point.synthesis == getattr(point, name)
    for point in curve(policy, ByShare(1), repeats=12, sizes=(8,), seed=5):
        assert abs(point.synthesis - point.single) < SIGMAS * point.errors["single"]
    for point in curve(Policy((0.6,) * 300, wrong=1), ByShare(500), sizes=(9,), seed=6):
        assert point.synthesis == pytest.approx(point.majority)


def test_the_break_even_is_where_synthesis_and_vote_meet() -> None:
    policy = Policy(beta_accuracies(0.5, 0.3, 500), wrong=8, trap=0.5)
    vote = curve(policy, Reader(1, 0), sizes=(8,), seed=7)[0]
    find = least_find(vote.leads, vote.present, vote.absent, keep=0.95, create=0.02)
    assert find is not None
    assert 0 < find < 1
    met = curve(policy, Reader(0.95, find, 0.02), sizes=(8,), seed=7)[0]
    assert met.synthesis == pytest.approx(vote.majority)
    assert curve(policy, Reader(0.95, find + 0.05, 0.02), sizes=(8,), seed=7)[0].synthesis > vote.majority
    assert least_find(0.9, 0.01, 0.09, keep=0.9) is None
    assert least_find(0.5, 0.2, 0.3, keep=1.0) == 0.0


def test_how_often_a_synthesis_differs_and_is_right_then() -> None:
    policy = Policy((0.5,) * QUESTIONS, wrong=1)
    point = curve(policy, Reader(keep=0.9, find=0.8), sizes=(1,), seed=8)[0]
    # With one rollout: it leads when it is right, and nothing is there when it is wrong.
    assert point.differs == pytest.approx(point.leads * 0.1)
    assert point.right_when_differs == pytest.approx(0.0, abs=1e-9)
    point = curve(policy, Reader(keep=0.9, find=0.8), sizes=(8,), seed=8)[0]
    won = point.present * 0.8
    assert point.differs == pytest.approx(point.leads * 0.1 + won)
    assert point.right_when_differs == pytest.approx(won / point.differs)
    assert curve(policy, Reader(1, 0), sizes=(8,), seed=8)[0].right_when_differs is None


def test_a_vote_of_syntheses_is_a_jury_of_its_own() -> None:
    assert voted(0.6, 3, tie=0.0) == pytest.approx(0.6**2 * (3 - 2 * 0.6))
    assert voted(0.3, 2, tie=1.0) == pytest.approx(0.09 + 2 * 0.3 * 0.7)
    assert [voted(c, 5, tie=0.5) for c in (0.0, 1.0)] == [0.0, 1.0]
    assert voted(0.5, 7, tie=0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("p", [0.3, 0.6, 0.95])
def test_adaptive_sampling_keeps_its_bound_and_saves_where_rollouts_agree(p: float) -> None:
    found = saving(Policy((p,) * 400, wrong=4), 16, 0.05, seed=9)
    assert found.changed <= 0.05
    assert found.drawn <= 16
    assert found.waves >= 1
    assert abs(found.accuracy - found.accuracy_of_all) <= found.changed + 1e-9
    certain = saving(Policy((1.0,) * 10), 16, 0.05)
    assert certain.drawn < found.drawn
    assert certain.changed == 0


def test_no_risk_draws_until_the_majority_cannot_change() -> None:
    found = saving(Policy((1.0,) * 3), 9, 0.0)
    assert (found.drawn, found.changed) == (5, 0)


def test_groups_and_their_leader() -> None:
    draw = random.Random(1)
    groups = list(Policy((0.0, 1.0, 0.5), wrong=1).rollouts(6, draw))
    assert groups[0] == [TRAP] * 6
    assert groups[1] == [RIGHT] * 6
    assert (leader([0, 1, 1]), leader([0, 1]), leader([2])) == (1, None, 2)
    assert Policy((0.4,), wrong=3, trap=0.5).probabilities(0.4) == pytest.approx([0.4, 0.3, 0.15, 0.15])
    assert sum(Policy((0.4,), wrong=7).probabilities(0.4)) == pytest.approx(1)
    assert next(iter(Policy((0.5,), wrong=300, correlation=0.999).rollouts(4, draw)))


def test_the_same_seed_gives_the_same_curve() -> None:
    policy = Policy(beta_accuracies(0.4, 0.5, 50), correlation=0.2)
    assert curve(policy, Reader(0.9, 0.3), seed=1) == curve(policy, Reader(0.9, 0.3), seed=1)
    assert curve(policy, Reader(0.9, 0.3), seed=1) != curve(policy, Reader(0.9, 0.3), seed=2)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Policy(()),
        lambda: Policy((1.2,)),
        lambda: Policy((0.5,), wrong=0),
        lambda: Policy((0.5,), trap=2),
        lambda: Policy((0.5,), correlation=-0.1),
        lambda: beta_accuracies(0, 0.5, 3),
        lambda: beta_accuracies(0.5, 1, 3),
    ],
)
def test_impossible_policies_are_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match=r"from 0 to 1|between 0 and 1"):
        wrong()  # type: ignore[operator]


def test_accuracies_have_their_mean_and_spread() -> None:
    values = beta_accuracies(0.3, 0.25, 20_000)
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / len(values)
    assert mean == pytest.approx(0.3, abs=0.01)
    assert variance == pytest.approx(0.25 * 0.3 * 0.7, rel=0.05)
