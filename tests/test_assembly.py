"""Rows to groups, and members that wait for each other."""

from __future__ import annotations

import asyncio

import pytest

from catagent.assembly import Assembly, Row, neutral, score_rows, spoken
from catagent.errors import AccountError, ConfigError
from tests.cast import SYNTHESIS, cast, cat_on
from tests.doubles import Fault, ProviderDouble, prompt_of, when

TWO = "What is 2+2?"
THREE = [{"role": "user", "content": "What is 3+3?"}]


def by_prompt(prompt: str) -> str:
    return f"# UNIFIED RESPONSE\nSo it is \\boxed{{{6 if 'six' in prompt else 4}}}."


async def test_rows_in_any_order_are_scored_in_their_groups() -> None:
    rows = [
        Row(TWO, "\\boxed{4}"),
        Row(THREE, "six: \\boxed{6}"),
        Row(TWO, "\\boxed{5}"),
        Row(THREE, None),
        Row(THREE, "\\boxed{7}"),
    ]
    with ProviderDouble(reply=cast([], by_prompt)) as double:
        async with cat_on(double) as cat:
            rewards = await score_rows(cat, rows)
        assert double.received == 2, "one synthesis a prompt"
    assert [r.value for r in rewards] == [1.0, 1.0, 0.0, None, 0.0]
    assert rewards[3].reason == "the completion is missing"
    assert neutral(rewards) == [1.0, 1.0, 0.0, 0.5, 0.0], "an unknown reward counts as its group's mean"


async def test_a_prompt_that_comes_twice_is_two_groups_when_their_size_is_known() -> None:
    rows = [Row(TWO, f"\\boxed{{{i}}}") for i in (4, 4, 5, 5)]
    with ProviderDouble(reply=cast([], by_prompt)) as double:
        async with cat_on(double) as cat:
            await score_rows(cat, rows, size=2)
            assert double.received == 2
            with pytest.raises(ConfigError, match="multiple of the group size 3"):
                await score_rows(cat, rows, size=3)
        assert double.received == 2


async def test_a_reference_or_a_rubric_of_ones_own_makes_the_group_too() -> None:
    rows = [
        Row(TWO, "\\boxed{4}", reference="\\boxed{4}"),
        Row(TWO, "\\boxed{4}", reference="\\boxed{5}"),
        Row("Sleep?", "Early.", rubric=["Names an hour."]),
        Row("Sleep?", "Late.", rubric=["Names an hour."]),
    ]
    with ProviderDouble(reply=cast([])) as double:
        async with cat_on(double) as cat:
            rewards = await score_rows(cat, rows)
    assert [r.value for r in rewards] == [1.0, 0.0, 1.0, 1.0]


async def test_a_group_that_cannot_be_scored_costs_only_itself() -> None:
    rows = [Row(TWO, None), Row(TWO, ""), Row(THREE, "six: \\boxed{6}")]
    with ProviderDouble(reply=cast([], by_prompt)) as double:
        async with cat_on(double) as cat:
            rewards = await score_rows(cat, rows)
    assert [r.value for r in rewards] == [None, None, 1.0]
    assert rewards[0].reason == "there is no completion to score"
    assert neutral(rewards)[:2] == [0.0, 0.0]


async def test_what_ends_a_job_is_raised() -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(401, "Incorrect API key")) as double:
        async with cat_on(double) as cat:
            with pytest.raises(AccountError):
                await score_rows(cat, [Row(TWO, "\\boxed{4}")])


async def test_members_meet_and_are_scored_once() -> None:
    with ProviderDouble(reply=cast([], by_prompt)) as double:
        async with cat_on(double) as cat:
            assembly = Assembly(cat, size=3)
            rewards = await asyncio.gather(
                *(assembly.reward(Row(TWO, f"\\boxed{{{i}}}")) for i in (4, 5, 4)),
                *(assembly.reward(Row(THREE, f"six: \\boxed{{{i}}}")) for i in (6, 6, 7)),
            )
        assert double.received == 2
    assert [r.value for r in rewards] == [1.0, 0.0, 1.0, 1.0, 1.0, 0.0]
    assert not assembly.waiting


async def test_a_group_that_stays_short_is_scored_as_it_is() -> None:
    with ProviderDouble(reply=cast([], by_prompt)) as double:
        async with cat_on(double) as cat:
            assembly = Assembly(cat, size=8, patience=0.05)
            rewards = await asyncio.gather(*(assembly.reward(Row(TWO, "\\boxed{4}")) for _ in range(3)))
        assert double.received == 1
    assert [r.value for r in rewards] == [1.0] * 3


async def test_a_member_that_goes_before_the_group_is_complete_is_not_counted() -> None:
    with ProviderDouble(reply=cast([], by_prompt)) as double:
        async with cat_on(double) as cat:
            assembly = Assembly(cat, size=2)
            gone = asyncio.ensure_future(assembly.reward(Row(TWO, "\\boxed{9}")))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.wait([gone])
            assert not assembly.waiting
            rewards = await asyncio.gather(*(assembly.reward(Row(TWO, f"\\boxed{{{i}}}")) for i in (4, 5)))
        assert "boxed{9}" not in prompt_of(double.requests[0].body)
    assert [r.value for r in rewards] == [1.0, 0.0]


async def test_one_prompt_in_two_groups_is_told_apart_by_the_trainers_id() -> None:
    with ProviderDouble(reply=cast([], by_prompt)) as double:
        async with cat_on(double) as cat:
            assembly = Assembly(cat, size=2)
            await asyncio.gather(*(assembly.reward(Row(TWO, "\\boxed{4}"), group=i % 2) for i in range(4)))
        assert double.received == 2


async def test_when_all_members_have_gone_the_work_upstream_is_cancelled() -> None:
    hangs = when(lambda body: SYNTHESIS in prompt_of(body), Fault.hangs())
    with ProviderDouble(faults=hangs) as double:
        async with cat_on(double) as cat:
            assembly = Assembly(cat, size=2)
            members = [asyncio.ensure_future(assembly.reward(Row(TWO, "\\boxed{4}"))) for _ in range(2)]
            async with asyncio.timeout(20):
                while not double.in_flight:  # noqa: ASYNC110 - the double lives in a thread of its own
                    await asyncio.sleep(0.01)
            for member in members:
                member.cancel()
            await asyncio.wait(members)
            async with asyncio.timeout(20):
                while double.in_flight:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        assert double.disconnected == 1


async def test_an_error_reaches_every_member() -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(401, "Incorrect API key")) as double:
        async with cat_on(double) as cat:
            assembly = Assembly(cat, size=2)
            both = await asyncio.gather(
                *(assembly.reward(Row(TWO, "\\boxed{4}")) for _ in range(2)), return_exceptions=True
            )
    assert [type(one) for one in both] == [AccountError, AccountError]


def test_the_completion_of_a_conversation_is_what_the_assistant_said_last() -> None:
    said = {"role": "assistant", "content": "4"}
    assert (
        spoken([{"role": "assistant", "content": "let me see"}, {"role": "tool", "content": "4"}, said])
        is said
    )
    assert spoken([{"role": "user", "content": "?"}]) is None
