from __future__ import annotations

import itertools
from collections import Counter
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catagent.evaluation import subsets
from catagent.evaluation.subsets import Vote, majority_at, pass_at

FAMILIES = st.lists(st.sampled_from([0, 1, 2, 3, None]), min_size=1, max_size=8)


def brute(families: list[int | None], right: set[int], k: int) -> Vote:
    abstaining, drawing = [], []
    for chosen in itertools.combinations(families, k):
        counts = Counter(f for f in chosen if f is not None)
        leading = [f for f, c in counts.items() if c == max(counts.values())]
        abstaining.append(float(len(leading) == 1 and leading[0] in right))
        drawing.append(fmean(f in right for f in leading) if leading else 0.0)
    return Vote(fmean(abstaining), fmean(drawing))


@given(FAMILIES, st.sets(st.sampled_from([0, 1, 2, 3])), st.data())
def test_the_vote_of_k_is_the_mean_over_all_choices(
    families: list[int | None], right: set[int], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(families)))
    assert majority_at(families, sorted(right), k) == pytest.approx(brute(families, right, k))


def test_many_different_answers_are_drawn_instead_of_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    families: list[int | None] = [0, 0, 0, 1, 1, 2, 3, 4, 5, None]
    exact = majority_at(families, [0], 5)
    monkeypatch.setattr(subsets, "_EXACT", 1)
    assert majority_at(families, [0], 5) == pytest.approx(exact, abs=0.03)


@given(st.integers(1, 10), st.data())
def test_pass_at_k_is_the_share_of_choices_with_a_right_one(n: int, data: st.DataObject) -> None:
    right, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    rollouts = [1] * right + [0] * (n - right)
    assert pass_at(n, right, k) == pytest.approx(fmean(any(c) for c in itertools.combinations(rollouts, k)))


def test_pass_at_k_by_hand() -> None:
    assert pass_at(8, 2, 1) == pytest.approx(0.25)
    assert pass_at(8, 2, 8) == 1.0
    assert pass_at(8, 0, 8) == 0.0
    with pytest.raises(ValueError, match="between 1 and 8"):
        pass_at(8, 2, 9)
    with pytest.raises(ValueError, match="between 1 and 2"):
        majority_at([0, 1], [0], 3)
