"""The placebos: what the anchor is shown, and that nothing of the real rollouts comes back in."""

from __future__ import annotations

from typing import Any

import pytest

from catagent.errors import ConfigError
from catagent.messages import RolloutGroup, Solution
from tests.cast import cast, cat_on
from tests.doubles import ProviderDouble

REAL = ["real one \\boxed{4}", "real two \\boxed{4}", "real three \\boxed{4}"]
OTHER = ["other one \\boxed{7}", "other two \\boxed{7}"]


async def placebo(
    estimator: str, synthesis: str, *, donor: Any = None, kind: Any = "verifiable", **options: Any
) -> tuple[Solution, list[str]]:
    """The solution, and the prompts that the anchor was sent."""
    asked: list[str] = []

    def written(prompt: str) -> str:
        asked.append(prompt)
        return synthesis

    with ProviderDouble(reply=cast(REAL, written)) as double:
        async with cat_on(double, n=3, **options) as cat:
            solution = await cat.score("What is 2 + 2?", REAL, estimator=estimator, donor=donor, kind=kind)
    return solution, asked


async def test_the_other_questions_rollouts_stand_in_the_prompt_and_the_real_ones_do_not() -> None:
    solution, asked = await placebo("placebo_other", "# UNIFIED RESPONSE\nSo \\boxed{9}.", donor=OTHER)
    assert len(asked) == 1
    assert all(text in asked[0] for text in OTHER)
    assert not any(text in asked[0] for text in REAL)
    assert "2 attempts" in asked[0]
    assert solution.answer == "9"
    assert solution.reference is not None
    assert solution.reference.method == "placebo_other"
    assert not {r.id for r in solution.rollouts} & set(solution.reference.parents)


async def test_no_rollouts_stand_in_the_prompt_at_all() -> None:
    solution, asked = await placebo("placebo_none", "# UNIFIED RESPONSE\nSo \\boxed{9}.")
    assert not any(text in asked[0] for text in REAL)
    assert "0 attempts" in asked[0]
    assert "What is 2 + 2?" not in asked[0]
    assert solution.answer == "9"


@pytest.mark.parametrize("name", ["placebo_none", "placebo_other"])
async def test_with_the_question_if_the_run_or_the_name_says_so(name: str) -> None:
    for estimator, options, seen in (
        (f"{name}:aware", {}, True),
        (name, {"question_aware": True}, True),
        (f"{name}:blind", {"question_aware": True}, False),
    ):
        _, asked = await placebo(estimator, "x", donor=OTHER, **options)
        assert ("What is 2 + 2?" in asked[0]) is seen


@pytest.mark.parametrize("name", ["placebo_none", "placebo_other"])
@pytest.mark.parametrize(
    "synthesis",
    [
        "I cannot say.",
        "",
        # The real rollouts' answer in another form than asked for: synthesis takes it, a placebo must not.
        "# UNIFIED RESPONSE\nThe answer is 4.",
    ],
)
async def test_a_placebo_without_an_answer_has_none_and_does_not_fall_back_to_the_vote(
    name: str, synthesis: str
) -> None:
    solution, _ = await placebo(name, synthesis, donor=OTHER)
    assert solution.answer is None
    assert solution.reference is not None
    assert solution.reference.method == name
    assert solution.reference.fallback
    assert solution.text == synthesis.removeprefix("# UNIFIED RESPONSE\n")
    assert solution.reference.rejected is None
    assert "real" not in solution.text
    assert {r.value for r in solution.rewards} == {None}


async def test_an_answer_in_another_form_counts_when_a_rollout_of_the_donor_shares_it() -> None:
    solution, _ = await placebo("placebo_other", "# UNIFIED RESPONSE\nThe answer is 7.", donor=OTHER)
    assert solution.answer == "7"


@pytest.mark.parametrize(
    ("donor", "said"),
    [
        (None, "needs the rollouts of another question"),
        ([], "no rollout of the donor has text"),
        ([None, ""], "no rollout of the donor has text"),
        ("one text", "completions are a list"),
    ],
)
async def test_a_donor_that_is_absent_or_empty_is_said_before_anything_is_sent(donor: Any, said: str) -> None:
    with ProviderDouble(reply=cast(REAL)) as double:
        async with cat_on(double) as cat:
            with pytest.raises(ConfigError, match=said):
                await cat.solve("q", estimator="placebo_other", donor=donor)
    assert double.received == 0


async def test_a_group_drawn_before_is_scored_and_given_as_it_is() -> None:
    with ProviderDouble(reply=cast(REAL, "# UNIFIED RESPONSE\n\\boxed{4}")) as double:
        async with cat_on(double, n=3) as cat:
            first = await cat.solve("What is 2 + 2?", kind="verifiable", estimator="majority")
            other = RolloutGroup(task_id="elsewhere", rollouts=first.group.rollouts)
            again = await cat.score(first.task, first.group, estimator="placebo_other", donor=other)
            assert [r.id for r in again.rollouts] == [r.id for r in first.rollouts]
            with pytest.raises(ConfigError, match="of the same task"):
                await cat.score(first.task, first.group, estimator="placebo_other", donor=first.group)
    assert double.received == 2


async def test_an_open_task_keeps_the_text_of_a_placebo() -> None:
    solution, asked = await placebo("placebo_none", "# UNIFIED RESPONSE\nSleep more.", kind="open")
    assert solution.text == "Sleep more."
    assert "0 responses" in asked[0]
