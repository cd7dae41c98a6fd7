"""The registry, the vote, and how a reference stands to the rollouts."""

from __future__ import annotations

from typing import Any

import pytest

from catagent.agents.conversation import question_of
from catagent.agents.prompts import Prompts
from catagent.answers import extract
from catagent.cat import CaT
from catagent.errors import ConfigError, EstimationError
from catagent.estimators import (
    Estimator,
    EstimatorContext,
    estimator,
    estimator_names,
    make_estimator,
)
from catagent.estimators.agreement import with_agreement
from catagent.estimators.majority import most_confident, vote
from catagent.messages import Reference, Rollout, RolloutGroup, Task
from catagent.models.model import Model
from tests.cast import cast, cat_on
from tests.doubles import ProviderDouble


def group(*answers: str | None, kind: str = "verifiable", **fields: Any) -> RolloutGroup:
    rollouts = tuple(
        Rollout(
            index=i, text=f"\\boxed{{{a}}}" if a else "hm", answer=extract(f"\\boxed{{{a}}}") if a else None
        )
        for i, a in enumerate(answers)
    )
    return RolloutGroup.model_validate({"task_id": "t", "kind": kind, "rollouts": rollouts, **fields})


async def test_the_vote_is_over_equivalence_classes_not_strings() -> None:
    reference = await vote(group("1/2", "3", "0.5", "3", "\\frac{2}{4}"))
    assert str(reference.answer) == "1/2"
    assert len(reference.parents) == 3


@pytest.mark.parametrize("answers", [("1", "2"), ("1", "1", "2", "2", "3")])
async def test_ties_abstain(answers: tuple[str, ...]) -> None:
    reference = await vote(group(*answers))
    assert reference.answer is None
    assert "tied" in (reference.fallback or "")


async def test_a_vote_without_answers_abstains_and_without_rollouts_is_an_error() -> None:
    reference = await vote(group(None, None))
    assert reference.answer is None
    assert reference.method == "single"
    with pytest.raises(EstimationError):
        await vote(RolloutGroup(task_id="t", rollouts=(Rollout(index=0, error="lost"),)))


def test_the_most_confident_rollout_speaks_for_its_class() -> None:
    unsure = Rollout(index=0, text="a", logprobs=(-1.0, -1.0))
    sure = Rollout(index=1, text="b", logprobs=(-0.1, -0.1, -0.1))
    assert most_confident([unsure, sure]) is sure
    assert most_confident([Rollout(index=0, text="a"), Rollout(index=1, text="b")]).index == 0


@pytest.mark.parametrize(
    ("answers", "reference", "agreement", "differs"),
    [
        (("4", "4", "5", "6"), "4", 0.5, False),
        (("4", "4", "5", "6"), "5", 0.25, True),
        (("4", "4", "5", "6"), "9", 0.0, True),
        (("4", "5"), "4", 0.5, None),
        (("4", "4", None, None), "4.0", 0.5, False),
        (("4", "4"), None, None, None),
    ],
)
async def test_agreement_and_majority(
    answers: tuple[str | None, ...], reference: str | None, agreement: float | None, differs: bool | None
) -> None:
    answer = extract(f"\\boxed{{{reference}}}") if reference else None
    found = await with_agreement(Reference(text="x", answer=answer, method="m"), group(*answers))
    assert (found.agreement, found.differs_from_majority) == (agreement, differs)


async def test_open_groups_have_no_agreement() -> None:
    found = await with_agreement(Reference(text="x", method="m"), group("4", "4", kind="open"))
    assert found.agreement is None
    assert found.majority is None


async def test_an_estimator_of_ones_own_is_used_by_name() -> None:
    @estimator("shortest")
    def shortest(context: EstimatorContext) -> Estimator:
        async def estimate(group: RolloutGroup) -> Reference:
            best = min(group.survivors, key=lambda r: len(r.text or ""))
            return Reference(parents=(best.id,), text=best.text or "", answer=best.answer, method="shortest")

        return estimate

    assert "shortest" in estimator_names()
    with ProviderDouble(reply=cast(["long: \\boxed{5}", "\\boxed{4}"])) as double:
        async with cat_on(double, estimator="shortest") as cat:
            solution = await cat.solve("q")
    assert solution.answer == "4"
    assert solution.reference is not None
    assert solution.reference.method == "shortest"


def test_unknown_names_are_refused_with_a_suggestion() -> None:
    context = EstimatorContext(task=Task.of("q"), anchor=Model("anchor", []), prompts=Prompts())
    with pytest.raises(ConfigError, match="did you mean 'majority'"):
        make_estimator("majorty", context)
    with pytest.raises(ConfigError, match=r"there are .*majority, .*synthesis"):
        make_estimator("zzz", context)
    assert {"majority", "synthesis"} <= set(estimator_names())


def test_a_conversation_as_the_anchor_may_see_it() -> None:
    assert question_of(Task.of("Why?")) == "Why?"
    spoken = question_of(
        Task.of(
            [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image_url"}]},
            ]
        )
    )
    assert spoken == (
        "What was said before:\n\nsystem: Be brief.\n\nWhat is asked now:\n\nWhat?\n[image_url]"
    )


@pytest.mark.parametrize(
    ("roles", "shown"),
    [
        (
            ["user", "assistant", "user"],
            "What was said before:\n\nuser: 0\n\nassistant: 1\n\nWhat is asked now:\n\n2",
        ),
        (["user", "assistant"], "0\n\nassistant: 1"),
        (["user", "assistant", "tool"], "0\n\nassistant: 1\n\ntool: 2"),
        (["system"], "0"),
    ],
)
def test_what_is_asked_stands_last_and_by_itself(roles: list[str], shown: str) -> None:
    messages = [{"role": role, "content": str(i)} for i, role in enumerate(roles)]
    assert question_of(Task.of(messages)) == shown


async def test_both_estimators_take_the_same_group() -> None:
    with ProviderDouble(reply=cast(["\\boxed{1}"])) as double:
        async with cat_on(double) as cat:
            assert isinstance(cat, CaT)
            by_vote = await cat.score("q", ["\\boxed{1}", "\\boxed{1}", "\\boxed{2}"], estimator="majority")
            by_synthesis = await cat.score("q", ["\\boxed{1}", "\\boxed{1}", "\\boxed{2}"])
    assert by_vote.answer == "1"
    assert by_synthesis.answer == "4"
    assert double.received == 1


@pytest.mark.parametrize(
    ("synthesis", "method"),
    [
        ("# UNIFIED RESPONSE\nThe answer is 5.", "synthesis"),
        ("# UNIFIED RESPONSE\nThe answer is 9.", "majority"),
        ("# UNIFIED RESPONSE\nThe answer is not complete but rather a complete solution.", "majority"),
        ("# UNIFIED RESPONSE\nIt is \\boxed{9}.", "synthesis"),
    ],
)
async def test_an_answer_in_another_form_than_asked_for_counts_when_a_rollout_shares_it(
    synthesis: str, method: str
) -> None:
    with ProviderDouble(reply=cast(["\\boxed{4}", "\\boxed{4}", "\\boxed{5}"], synthesis)) as double:
        async with cat_on(double, n=3) as cat:
            solution = await cat.solve("q")
    assert solution.reference is not None
    assert solution.reference.method == method
