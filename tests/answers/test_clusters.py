from hypothesis import given, settings
from hypothesis import strategies as st

from catagent.answers import Classes, acluster, cluster


def test_classes_are_ordered_by_size_and_then_by_first_seen() -> None:
    found = cluster(["3", "1/2", None, "0.5", r"\frac12", "3.0", "x+1", "1+x", "7"])
    assert found.classes == ((1, 3, 4), (0, 5), (6, 7), (8,))
    assert found.undecided == ()
    assert found.majority == (1, 3, 4)
    assert found.agreement == 3 / 8
    assert found.class_of(2) is None
    assert found.class_of(5) == (0, 5)


def test_a_tie_has_no_majority() -> None:
    assert cluster(["1", "2"]).majority is None
    assert cluster(["1", "2", "1", "2"]).majority is None
    assert cluster([None, None]) == Classes((), (), 2)
    assert cluster([None]).agreement is None
    assert cluster(["5"]).majority == (0,)


def test_classes_are_told_apart_where_tolerances_are_not_transitive() -> None:
    assert cluster(["28", "28%", "0.28"]).classes == ((0, 1), (2,))


async def test_what_cannot_be_decided_is_said() -> None:
    found = await acluster(["9^{9^{9^9}}", "5", "9^{9^{9^9}}", "5.0"], timeout=0.2)
    assert found.classes == ((0, 2), (1, 3))
    assert found.undecided[0] == (0, 1)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.sampled_from(["1", "1.0", r"\frac{2}{2}", "2", "4/2", "x", "y", "(1,2)", "(1, 2)", None]),
        max_size=10,
    )
)
def test_classes_are_a_partition_into_equals(answers: list[str | None]) -> None:
    found = cluster(answers)
    members = [index for group in found.classes for index in group]
    assert sorted(members) == [i for i, answer in enumerate(answers) if answer is not None]
    meaning = {"1": 1, "1.0": 1, r"\frac{2}{2}": 1, "2": 2, "4/2": 2, "(1, 2)": "(1,2)"}
    for group in found.classes:
        assert len({meaning.get(answers[i] or "", answers[i]) for i in group}) == 1
    kinds = {meaning.get(answer, answer) for answer in answers if answer is not None}
    assert len(found.classes) == len(kinds)
