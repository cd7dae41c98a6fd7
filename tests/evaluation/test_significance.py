from __future__ import annotations

import itertools
import math
import random
from fractions import Fraction
from statistics import NormalDist, fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catagent.evaluation.significance import (
    holm,
    mcnemar,
    mean_interval,
    paired_bootstrap,
    sign_flips,
    standard_error,
    wilson,
)


def binomial_p(k: int, n: int) -> float:
    """The two-sided p of k heads in n tosses: all outcomes at most as likely as the one seen."""
    chances = [Fraction(math.comb(n, i), 2**n) for i in range(n + 1)]
    return float(sum((c for c in chances if c <= chances[k]), Fraction(0)))


@given(st.integers(0, 40), st.integers(0, 40))
def test_mcnemar_is_the_exact_binomial_test(first: int, second: int) -> None:
    assert mcnemar(first, second) == pytest.approx(binomial_p(first, first + second))
    assert mcnemar(first, second) == mcnemar(second, first)


def test_mcnemar_by_hand() -> None:
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(5, 0) == 2 / 32
    assert mcnemar(8, 1) == pytest.approx(2 * (1 + 9) / 512)


@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=30))
def test_flipping_signs_of_right_and_wrong_is_mcnemar(differences: list[float]) -> None:
    wins, losses = differences.count(1.0), differences.count(-1.0)
    assert sign_flips(differences) == pytest.approx(mcnemar(wins, losses))


@given(st.lists(st.floats(-1, 1).map(lambda x: round(x, 2)), min_size=1, max_size=8))
def test_sign_flips_counts_every_flip(differences: list[float]) -> None:
    seen = abs(sum(differences)) - 1e-9
    flips = list(itertools.product((1, -1), repeat=len(differences)))
    beyond = sum(abs(sum(s * d for s, d in zip(f, differences, strict=True))) >= seen for f in flips)
    assert sign_flips(differences) == pytest.approx(beyond / len(flips))


def test_random_flips_come_close_to_the_normal_approximation() -> None:
    draw = random.Random(1)
    differences = [draw.gauss(0.1, 1) for _ in range(300)]
    z = sum(differences) / math.sqrt(sum(d * d for d in differences))
    assert sign_flips(differences) == pytest.approx(2 * (1 - NormalDist().cdf(abs(z))), abs=0.03)


def test_standard_error_and_wilson_against_closed_forms() -> None:
    values = [1.0] * 30 + [0.0] * 70
    assert standard_error(values) == pytest.approx(math.sqrt(0.3 * 0.7 / 99))
    assert standard_error([1.0]) is None
    low, high = wilson(0, 10)[1:]
    z = NormalDist().inv_cdf(0.975)
    assert low == pytest.approx(0.0)
    assert high == pytest.approx(z * z / (10 + z * z))
    assert wilson(81, 263)[1:] == pytest.approx((0.2553, 0.3662), abs=5e-4)  # Newcombe 1998, his method 3
    assert wilson(0, 0).value is None


@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_the_interval_of_shares_is_wilsons(values: list[bool]) -> None:
    assert mean_interval([float(v) for v in values]) == wilson(sum(values), len(values))


def test_the_bootstrap_interval_is_about_two_standard_errors_wide() -> None:
    draw = random.Random(2)
    differences = [draw.gauss(0.2, 1) for _ in range(400)]
    found = paired_bootstrap(differences)
    error = standard_error(differences)
    assert error is not None
    assert found.value == pytest.approx(fmean(differences))
    assert found.low == pytest.approx(fmean(differences) - 1.96 * error, abs=0.02)
    assert found.high == pytest.approx(fmean(differences) + 1.96 * error, abs=0.02)
    assert found == paired_bootstrap(differences)  # the same data give the same figures


def test_intervals_hold_what_they_promise_about_as_often_as_they_say() -> None:
    draw, held, trials = random.Random(3), 0, 200
    for _ in range(trials):
        found = paired_bootstrap([draw.choice((-1.0, 0.0, 1.0, 1.0)) for _ in range(80)], resamples=300)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.25 <= found.high
    assert 0.88 <= held / trials <= 0.99


def test_nothing_to_compare_says_nothing() -> None:
    assert paired_bootstrap([]) == (None, None, None, None)
    assert paired_bootstrap([0.5]) == (0.5, None, None, None)
    assert mean_interval([]).value is None
    assert sign_flips([0.0, 0.0]) == 1.0


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, None, 0.03]) == [
        pytest.approx(0.03),
        pytest.approx(0.06),
        None,
        pytest.approx(0.06),
    ]
    assert holm([0.9, 0.8]) == [1.0, 1.0]
