"""The RubricProposer against models that write rubrics well, badly, and not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from catagent.agents.prompts import Prompts
from catagent.agents.rubric_proposer import RubricProposer
from catagent.errors import AccountError, RequestError, RubricError
from catagent.messages import Reference, Rollout, RolloutGroup, Rubric
from catagent.options import RubricOptions
from tests.cast import cat_on
from tests.doubles import Fault, ProviderDouble, Reply
from tests.judges import block

REFERENCE = Reference(text="The reference: aspirin thins blood.", method="given")
GROUP = RolloutGroup(
    task_id="t",
    rollouts=(
        Rollout(index=0, text="first one"),
        Rollout(index=1, error="lost"),
        Rollout(index=2, text="third one"),
    ),
)


def xml(*texts: str) -> str:
    return "<rubric>" + "".join(f"<criterion>{t}</criterion>" for t in texts) + "</rubric>"


FIVE = [f"Says {w}." for w in ("one", "two", "three", "four", "five")]


async def proposed(
    reply: Callable[..., Any], *, rejects: tuple[str, ...] = (), faults: Any = (), **options: Any
) -> tuple[Rubric, ProviderDouble]:
    async with (
        ProviderDouble(reply=reply, rejects=rejects, faults=faults) as double,
        cat_on(double) as cat,
    ):
        model = await (await cat.begin()).model("rubric_proposer")
        propose = RubricProposer(
            model, Prompts(), RubricOptions(**options), question="What of it?", group=GROUP
        )
        return await propose(REFERENCE), double


def in_turn(*replies: Any) -> Callable[[dict[str, Any]], Any]:
    turn = iter(replies)
    return lambda body: next(turn)


async def test_a_rubric_from_the_reference_alone() -> None:
    rubric, double = await proposed(in_turn(xml(*FIVE)))
    assert [(c.id, c.text, c.weight) for c in rubric.criteria] == [
        (f"c{i}", text, 1.0) for i, text in enumerate(FIVE, 1)
    ]
    assert (rubric.source, rubric.parents) == ("reference", (REFERENCE.id,))
    prompt = double.requests[0].prompt
    assert block(prompt, "reference") == REFERENCE.text
    assert "What of it?" not in prompt
    assert "first one" not in prompt


@pytest.mark.parametrize(
    ("sees", "shown", "hidden"),
    [
        ("question", ["What of it?"], ["aspirin", "first one"]),
        ("question_and_reference", ["What of it?", "aspirin"], ["first one"]),
        ("contrast", ["aspirin", "first one", "third one"], ["What of it?", "lost"]),
    ],
)
async def test_what_it_sees(sees: str, shown: list[str], hidden: list[str]) -> None:
    rubric, double = await proposed(in_turn(xml(*FIVE)), sees=sees)
    prompt = double.requests[0].prompt
    assert [s for s in shown if s not in prompt] == []
    assert [s for s in hidden if s in prompt] == []
    assert rubric.source == sees
    assert (REFERENCE.id in rubric.parents) is (sees != "question")
    assert ({r.id for r in GROUP.survivors} <= set(rubric.parents)) is (sees == "contrast")


async def test_one_repair_request_and_both_replies_count() -> None:
    rubric, double = await proposed(
        in_turn(xml("Says one.", "Matches the reference answer."), xml("Says one.", *FIVE[1:]))
    )
    assert [c.text for c in rubric.criteria] == FIVE
    again = double.requests[1].prompt
    assert "it held 1 usable criteria" in again
    assert "Matches the reference answer" in again
    assert any("refused" in note for note in rubric.notes)


async def test_the_repair_asks_for_json_by_schema() -> None:
    good = '{"criteria": [' + ", ".join(f'{{"criterion": "{t}"}}' for t in FIVE) + "]}"
    rubric, double = await proposed(in_turn("no idea", good))
    assert len(rubric.criteria) == 5
    schema = double.requests[1].body["response_format"]["json_schema"]["schema"]
    assert schema["properties"]["criteria"]["minItems"] == 5
    assert "response_format" not in double.requests[0].body


async def test_json_where_the_endpoint_refuses_a_schema() -> None:
    good = "```json\n" + '{"criteria": [' + ", ".join(f'"{t}"' for t in FIVE) + "]}\n```"
    rubric, double = await proposed(lambda body: good, rejects=("response_format",), format="json")
    assert len(rubric.criteria) == 5
    assert [r.status for r in double.requests] == [400, 200]


async def test_twice_too_few_is_a_clear_failure() -> None:
    with pytest.raises(RubricError, match=r"double/m wrote 2 usable criteria in two attempts, 5 are needed"):
        await proposed(in_turn(xml("Says one."), xml("Says two.")))


async def test_a_cut_off_criterion_is_not_used() -> None:
    cut = Reply(
        "<rubric>" + "".join(f"<criterion>{t}</criterion>" for t in FIVE) + "<criterion>Says that one sh",
        "length",
    )
    rubric, _ = await proposed(in_turn(cut))
    assert [c.text for c in rubric.criteria] == FIVE


async def test_more_than_enough_is_cut_and_said() -> None:
    rubric, _ = await proposed(in_turn(xml(*FIVE, "Says six.", "Says seven.")), at_most=6)
    assert len(rubric.criteria) == 6
    assert rubric.notes == ("left out 1 criteria beyond 6",)


async def test_weights_and_negative_criteria_are_options() -> None:
    reply = (
        '<criterion weight="3">Says one.</criterion><criterion weight="-4">Says two.</criterion>'
        + xml(*FIVE[2:]).removeprefix("<rubric>").removesuffix("</rubric>")
        + "<criterion>Says six.</criterion>"
    )
    plain, double = await proposed(lambda body: reply)
    assert [c.weight for c in plain.criteria] == [1.0] * 5
    assert "weight" not in double.requests[0].prompt
    weighed, double = await proposed(lambda body: reply, weights=True, negative=True)
    assert [c.weight for c in weighed.criteria] == [3.0, -4.0, 1.0, 1.0, 1.0, 1.0]
    assert "weight from 1" in double.requests[0].prompt
    assert "negative weight" in double.requests[0].prompt


async def test_model_errors_are_raised_as_they_are() -> None:
    with pytest.raises(AccountError):
        await proposed(in_turn(), faults=[Fault.status_code(401)])
    with pytest.raises(RequestError):
        await proposed(in_turn(), faults=[Fault.status_code(422)] * 3)
