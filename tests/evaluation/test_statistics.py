from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catagent.evaluation.statistics import (
    Counts,
    accuracy,
    bootstrapped,
    kappa,
    macro_f1,
    total,
    unscored_share,
)

WORKED = Counts(met_right=20, met_wrong=5, unmet_right=15, unmet_wrong=10, unscored=50)


def test_a_worked_example() -> None:
    """Cohen's own layout: 20, 5, 10, 15 of 50: agreement 0.7, by chance 0.5, kappa 0.4."""
    assert accuracy(WORKED) == pytest.approx(0.7)
    assert kappa(WORKED) == pytest.approx(0.4)
    met, unmet = 2 * 20 / (2 * 20 + 5 + 10), 2 * 15 / (2 * 15 + 10 + 5)
    assert macro_f1(WORKED) == pytest.approx((met + unmet) / 2)
    assert unscored_share(WORKED) == pytest.approx(0.5)


def test_nothing_is_zero_when_nothing_is_known() -> None:
    assert [f(Counts()) for f in (accuracy, macro_f1, kappa, unscored_share)] == [None] * 4
    silent = Counts(unscored=3)
    assert [f(silent) for f in (accuracy, macro_f1, kappa, unscored_share)] == [None, None, None, 1.0]


def test_kappa_is_not_defined_when_all_are_alike() -> None:
    assert kappa(Counts(met_right=9)) is None
    assert accuracy(Counts(met_right=9)) == 1.0


@given(st.integers(1, 50), st.integers(1, 50))
def test_a_judge_that_always_says_met_has_kappa_zero(met: int, unmet: int) -> None:
    biased = Counts(met_right=met, met_wrong=unmet)
    assert kappa(biased) == pytest.approx(0.0)
    assert accuracy(biased) == pytest.approx(met / (met + unmet))
    assert macro_f1(biased) == pytest.approx(met / (2 * met + unmet))


@given(st.integers(1, 40), st.integers(0, 40))
def test_even_noise_on_even_labels(right: int, wrong: int) -> None:
    noisy = Counts(right, wrong, right, wrong)
    rate = wrong / (right + wrong)
    assert kappa(noisy) == pytest.approx(1 - 2 * rate)
    assert macro_f1(noisy) == pytest.approx(1 - rate)


def test_the_interval_of_a_share_is_binomial() -> None:
    n, p = 400, 0.8
    clusters = [Counts(met_right=1)] * int(n * p) + [Counts(met_wrong=1)] * (n - int(n * p))
    found = bootstrapped(clusters, accuracy)
    half = 1.96 * math.sqrt(p * (1 - p) / n)
    assert found.value == pytest.approx(p)
    assert found.low == pytest.approx(p - half, abs=0.006)
    assert found.high == pytest.approx(p + half, abs=0.006)


def test_items_of_one_cluster_vary_together() -> None:
    apart = [Counts(met_right=1)] * 80 + [Counts(met_wrong=1)] * 20
    together = [Counts(met_right=10)] * 8 + [Counts(met_wrong=10)] * 2
    wide, narrow = bootstrapped(together, accuracy), bootstrapped(apart, accuracy)
    assert wide.value == narrow.value
    assert (wide.high or 0) - (wide.low or 0) > 2 * ((narrow.high or 0) - (narrow.low or 0))


def test_intervals_are_repeatable_and_absent_where_they_mean_nothing() -> None:
    clusters = [Counts(met_right=1), Counts(met_wrong=1), Counts(unmet_right=2)]
    assert bootstrapped(clusters, accuracy, seed=3) == bootstrapped(clusters, accuracy, seed=3)
    assert bootstrapped(clusters[:1], accuracy) == (1.0, None, None)
    assert bootstrapped([Counts(unscored=1)] * 5, accuracy) == (None, None, None)
    assert total([]) == Counts()
