"""Estimators that write: syntheses and their vote, populations, mixtures, the choice by statistics."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from catagent.errors import ConfigError
from catagent.messages import Solution
from catagent.models.journal import MemoryJournal
from tests.cast import SYNTHESIS, cat_on
from tests.doubles import Fault, ProviderDouble, Reply, prompt_of

ATTEMPTS = re.compile(r"<attempt_(\d+)_\w+>\n(.*?)\n</attempt_\1_\w+>", re.S)
SPLIT = ["one \\boxed{4}", "two \\boxed{4}", "three \\boxed{5}", "four \\boxed{6}"]


def writing(*answers: str | None) -> Callable[[dict[str, Any]], str]:
    """Syntheses that state these answers in turn, the last one for ever; None states none."""
    turn = iter(range(10_000))

    def reply(body: dict[str, Any]) -> str:
        i = next(turn)
        answer = answers[min(i, len(answers) - 1)]
        return f"# UNIFIED RESPONSE\ntext {i}" + (f" \\boxed{{{answer}}}" if answer else " and more")

    return reply


async def estimated(
    estimator: str, reply: Any, rollouts: list[str] | None = None, *, kind: Any = "verifiable", **options: Any
) -> tuple[Solution, ProviderDouble]:
    double_options = {k: options.pop(k) for k in ("faults",) if k in options}
    with ProviderDouble(reply=reply, **double_options) as double:
        async with cat_on(double, **options) as cat:
            solution = await cat.score("What is it?", rollouts or SPLIT, estimator=estimator, kind=kind)
    return solution, double


def method(solution: Solution) -> str:
    assert solution.reference is not None
    return solution.reference.method


@pytest.mark.parametrize(
    ("syntheses", "answer", "by"),
    [
        (("5", "5", "6"), "5", "synthesis_vote"),
        (("9", "9", "4"), "9", "synthesis_vote"),  # the syntheses may be right against all rollouts
        (("5", "4", None), "4", "synthesis_vote"),  # a tie, which the rollouts break
        (("5", "6", None), "4", "majority"),  # a tie that they do not break
        (("0.5", "\\frac12", "4"), "0.5", "synthesis_vote"),
        ((None, None, None), "4", "majority"),
    ],
)
async def test_syntheses_vote_and_rollouts_break_ties(
    syntheses: tuple[str | None, ...], answer: str, by: str
) -> None:
    solution, double = await estimated("synthesis_vote", writing(*syntheses))
    assert solution.answer == answer
    assert method(solution) == by
    assert double.received == 3
    orders = {tuple(text for _, text in ATTEMPTS.findall(prompt_of(r.body))) for r in double.requests}
    assert len(orders) > 1


async def test_several_syntheses_of_one_rollout_are_several_samples_also_in_a_journal() -> None:
    journal = MemoryJournal()
    _, double = await estimated(
        "synthesis_vote:samples=4", writing("4"), ["only \\boxed{4}"], journal=journal
    )
    assert double.received == 4
    assert len(journal) == 4


async def test_an_open_task_has_one_synthesis_and_no_vote() -> None:
    with ProviderDouble(
        reply=lambda body: "# UNIFIED RESPONSE\nSleep." if SYNTHESIS in prompt_of(body) else "x"
    ) as double:
        async with cat_on(double, rewarding={"open": {"length_penalty": 1.0}}) as cat:
            solution = await cat.score("How?", ["a", "b"], estimator="synthesis_vote", kind="open")
    assert solution.text == "Sleep."
    assert method(solution) == "synthesis_vote"
    assert double.received == 1


@pytest.mark.parametrize(("view", "seen"), [("", False), (":aware", True), (":blind", False)])
async def test_the_view_of_a_synthesis(view: str, seen: bool) -> None:
    for name in ("synthesis", "synthesis_vote"):
        _, double = await estimated(name + view, writing("4"))
        assert all(("What is it?" in prompt_of(r.body)) is seen for r in double.requests)


async def test_a_synthesis_of_the_first_rollout_alone_and_its_fall_back_to_it() -> None:
    solution, double = await estimated("synthesis:of=1", writing("7"))
    assert [text for _, text in ATTEMPTS.findall(prompt_of(double.requests[0].body))] == ["one \\boxed{4}"]
    assert solution.answer == "7"
    solution, _ = await estimated(
        "synthesis:of=1", writing(None), ["a \\boxed{5}", "b \\boxed{4}", "c \\boxed{4}"]
    )
    assert solution.answer == "5"  # the vote of the one that it may see


async def test_rsa_aggregates_subsets_of_each_population() -> None:
    solution, double = await estimated("rsa:population=3,subset=2,rounds=2", writing("5"))
    assert double.received == 6
    seen = [[text for _, text in ATTEMPTS.findall(prompt_of(r.body))] for r in double.requests]
    assert all(len(subset) == 2 for subset in seen)
    assert all(text in SPLIT for subset in seen[:3] for text in subset)
    assert all(text.startswith("text ") for subset in seen[3:] for text in subset)
    assert all("What is it?" in prompt_of(r.body) for r in double.requests)
    assert solution.answer == "5"
    assert solution.reference is not None
    assert (solution.reference.method, solution.reference.rounds) == ("rsa", 2)


async def test_rsa_keeps_a_member_where_an_aggregation_fails_and_votes_when_all_do() -> None:
    solution, _ = await estimated(
        "rsa:population=2,subset=2,rounds=1", writing("5"), faults=[Fault.status_code(400, "no")]
    )
    assert method(solution) == "rsa"
    solution, _ = await estimated(
        "rsa:rounds=1", writing("5"), faults=lambda body: Fault.status_code(400, "no")
    )
    assert (solution.answer, method(solution)) == ("4", "majority")


async def test_rsa_at_random_takes_one_of_the_last_population() -> None:
    solution, _ = await estimated("rsa:population=2,subset=2,rounds=1,random", writing("5", "6"))
    assert solution.answer in ("5", "6")
    again, _ = await estimated("rsa:population=2,subset=2,rounds=1,random", writing("5", "6"))
    assert method(solution) == method(again) == "rsa"


async def test_moa_has_other_models_propose() -> None:
    def reply(body: dict[str, Any]) -> str:
        if SYNTHESIS in prompt_of(body):
            return f"# UNIFIED RESPONSE\nby {body['model']} \\boxed{{8}}"
        return f"proposal of {body['model']} \\boxed{{8}}"

    solution, double = await estimated("moa:models=double/a+double/b,each=2", reply)
    asked = [(r.body["model"], SYNTHESIS in prompt_of(r.body)) for r in double.requests]
    assert sorted(asked) == [("a", False), ("b", False), ("m", True)]
    shown = [text for _, text in ATTEMPTS.findall(prompt_of(double.requests[-1].body))]
    assert sorted(shown) == sorted(
        [*SPLIT, *["proposal of a \\boxed{8}"] * 2, *["proposal of b \\boxed{8}"] * 2]
    )
    assert solution.answer == "8"
    assert method(solution) == "moa"
    assert solution.usage.roles["proposer"].calls == 2
    layered, double = await estimated("moa:models=double/a+double/b,layers=2", reply)
    last = [text for _, text in ATTEMPTS.findall(prompt_of(double.requests[-1].body))]
    assert sorted(last) == ["by a \\boxed{8}", "by b \\boxed{8}"]
    assert double.received == 5
    assert method(layered) == "moa"


async def test_a_model_that_moa_cannot_reach_is_said_before_anything_is_sent() -> None:
    with ProviderDouble() as double:
        async with cat_on(double) as cat:
            for name, said in (
                ("moa", "needs the option 'models'"),
                ("moa:models=nonsense", "does not name a provider"),
            ):
                with pytest.raises(ConfigError, match=said):
                    await cat.solve("q", estimator=name)
    assert double.received == 0


@pytest.mark.parametrize(
    ("rollouts", "calls", "by"),
    [
        (["\\boxed{4}", "\\boxed{4}", "\\boxed{4}", "\\boxed{5}"], 0, "majority"),
        (SPLIT, 3, "synthesis_vote"),
        (["\\boxed{4}", "\\boxed{4}", "Let us see", "Well"], 3, "synthesis_vote"),
        (["\\boxed{4}", "It goes on", "Let us see", "Well"], 0, "majority"),
    ],
)
async def test_auto_asks_only_where_the_rollouts_disagree(rollouts: list[str], calls: int, by: str) -> None:
    solution, double = await estimated("auto", writing("5"), rollouts)
    assert double.received == calls
    assert method(solution) == by


async def test_auto_does_not_ask_a_model_that_states_no_answers() -> None:
    with ProviderDouble() as double:
        async with cat_on(double, n=4) as cat:
            group = (await cat.score("q", SPLIT, estimator="majority", kind="verifiable")).group
            silent = group.model_copy(
                update={
                    "rollouts": tuple(r.model_copy(update={"answer": None}) for r in group.rollouts[:3])
                    + group.rollouts[3:]
                }
            )
            solution = await cat.score("q", silent, estimator="auto", kind="verifiable")
    assert double.received == 0
    assert solution.answer == "6"


async def test_rounds_of_the_anchor_are_told() -> None:
    for name, rounds in (
        ("rsa:population=2,rounds=3", [(1, 2), (2, 2), (3, 2)]),
        ("synthesis_vote", [(1, 3)]),
    ):
        heard: list[Any] = []
        with ProviderDouble(reply=writing("4")) as double:
            async with cat_on(double) as cat:
                await cat.score("q", SPLIT, estimator=name, kind="verifiable", emit=heard.append)
        assert [(e.round, e.groups) for e in heard if e.type == "synthesis_started"] == rounds


@pytest.mark.parametrize(
    ("name", "said", "answer", "by"),
    [
        ("synthesis:support=1", "9", "4", "majority"),
        ("synthesis:support=1", "6", "6", "synthesis"),
        ("synthesis:support=2", "6", "4", "majority"),
        ("synthesis:support=2", "4.0", "4.0", "synthesis"),
        ("synthesis", "9", "9", "synthesis"),
        ("synthesis_vote:support=1", "9", "4", "majority"),
        ("synthesis_vote:support=1", "6", "6", "synthesis_vote"),
        ("auto:samples=1", "6", "6", "synthesis_vote"),
        ("auto:samples=1,support=2", "6", "4", "majority"),
    ],
)
async def test_a_synthesis_that_too_few_rollouts_share_gives_way_to_the_vote(
    name: str, said: str, answer: str, by: str
) -> None:
    solution, _ = await estimated(name, writing(said))
    assert (solution.answer, method(solution)) == (answer, by)
    fallback = (solution.reference and solution.reference.fallback) or ""
    assert ("asked for" in fallback) is (by == "majority")
    rejected = solution.reference and solution.reference.rejected
    assert rejected == (f"text 0 \\boxed{{{said}}}" if by == "majority" else None)


@pytest.mark.parametrize(
    ("name", "syntheses", "kept"),
    [
        ("synthesis", (None,), "text 0 and more"),
        ("synthesis_vote:samples=1", (None,), "text 0 and more"),
        (
            "synthesis_vote",
            (None, "5", "6"),
            "[1 of 3]\ntext 0 and more\n\n[2 of 3]\ntext 1 \\boxed{5}\n\n[3 of 3]\ntext 2 \\boxed{6}",
        ),
        (
            "rsa:population=2,subset=2,rounds=1",
            (None,),
            "[1 of 2]\ntext 0 and more\n\n[2 of 2]\ntext 1 and more",
        ),
        (
            "auto",
            (None,),
            "[1 of 3]\ntext 0 and more\n\n[2 of 3]\ntext 1 and more\n\n[3 of 3]\ntext 2 and more",
        ),
        ("synthesis", ("4",), None),
    ],
)
async def test_the_vote_keeps_what_it_stands_in_for(
    name: str, syntheses: tuple[str | None, ...], kept: str | None
) -> None:
    solution, _ = await estimated(name, writing(*syntheses))
    assert solution.reference is not None
    assert solution.reference.rejected == kept
    assert (solution.reference.method == "majority") is (kept is not None)
    assert solution.text.startswith("one" if kept else "text 0")


async def test_a_synthesis_that_was_cut_off_is_kept() -> None:
    cut = Reply("# UNIFIED RESPONSE\nFirst \\boxed{4}, and then", finish_reason="length")
    solution, _ = await estimated("synthesis", lambda body: cut)
    assert (method(solution), solution.reference and solution.reference.rejected) == (
        "majority",
        "First \\boxed{4}, and then",
    )
    assert "cut off at the anchor's token limit" in (
        (solution.reference and solution.reference.fallback) or ""
    )


@pytest.mark.parametrize("name", ["synthesis", "synthesis_vote:samples=1", "moa:models=double/a"])
async def test_a_text_that_never_comes_to_its_reference_is_kept(name: str) -> None:
    said = "First \\boxed{4}.\n\n# UNIFIED RESPONSE"
    solution, _ = await estimated(name, lambda body: said)
    assert (method(solution), solution.reference and solution.reference.rejected) == ("majority", said)


async def test_where_nothing_was_written_nothing_is_kept() -> None:
    for faults in ([Fault.status_code(400, "no")], []):
        solution, _ = await estimated("synthesis", lambda body: "", faults=faults)
        assert (method(solution), solution.reference and solution.reference.rejected) == ("majority", None)


@pytest.mark.parametrize("name", ["synthesis", "synthesis_vote:samples=3", "synthesis_vote:samples=12"])
async def test_what_is_kept_is_bounded(name: str) -> None:
    solution, _ = await estimated(name, lambda body: "# UNIFIED RESPONSE\n" + "<a>" * 10_000)
    assert solution.reference is not None
    assert 15_000 < len(solution.reference.rejected or "") < 21_000
    assert "characters left out" in (solution.reference.rejected or "")
    assert ("[8 of 12]" in (solution.reference.rejected or "")) is name.endswith("12")
    assert "[9 of 12]" not in (solution.reference.rejected or "")
