from __future__ import annotations

from collections.abc import Sequence

import pytest

from catagent.agents.prompts import Prompts
from catagent.errors import ConfigError
from catagent.messages import Judgement, Reference, Reward, Rollout, RolloutGroup, Rubric, Task, Verdict
from catagent.options import JudgeOptions, RewardOptions, options_of
from catagent.rewards import RewardContext, Rewarder, make_reward, needs, reward, reward_names
from catagent.rewards.combined import combined
from catagent.rewards.length import token_count
from catagent.rewards.rubric import rubric_rewards
from tests.cast import cat_on
from tests.doubles import ProviderDouble
from tests.judges import judge

STATES = {"+": "met", "-": "unmet", "?": "unscored"}


def judged(rollouts: Sequence[Rollout], rubric: Rubric, *rows: str) -> tuple[Judgement, ...]:
    return tuple(
        Judgement(
            rollout_id=r.id,
            verdicts=tuple(
                Verdict(criterion_id=c.id, state=STATES[mark])  # type: ignore[arg-type]
                for c, mark in zip(rubric.criteria, row, strict=True)
            ),
        )
        for r, row in zip(rollouts, rows, strict=True)
    )


def values(rewards: Sequence[Reward]) -> list[float | None]:
    return [r.value for r in rewards]


def scored(rows: list[str], weights: Sequence[float] = (1, 1, 1, 1), **options: object) -> tuple[Reward, ...]:
    rollouts = tuple(Rollout(index=i, text="x") for i in range(len(rows)))
    rubric = Rubric.of([{"text": f"t{i}", "weight": w} for i, w in enumerate(weights)])
    group = RolloutGroup(task_id="t", rollouts=rollouts)
    return rubric_rewards(group, rubric, judged(rollouts, rubric, *rows), **options)  # type: ignore[arg-type]


def test_the_share_of_met_criteria() -> None:
    rewards = scored(["++++", "+-+-", "----"])
    assert values(rewards) == [1.0, 0.5, 0.0]
    assert rewards[1].breakdown == {"c1": 1.0, "c2": 0.0, "c3": 1.0, "c4": 0.0}


def test_unscored_criteria_do_not_count_and_are_never_zero() -> None:
    rewards = scored(["+??+", "+?-+", "-??+"])
    assert values(rewards) == [1.0, pytest.approx(2 / 3), 0.5]
    assert rewards[0].breakdown["c2"] is None


def test_below_the_quorum_there_is_no_reward() -> None:
    rewards = scored(["+???", "++??", "????"])
    assert values(rewards) == [None, 1.0, None]
    assert rewards[0].reason == "1 of 4 criteria are scored"
    assert values(scored(["++??"], quorum=0.75)) == [None]
    assert values(scored(["+???"], quorum=0.25)) == [1.0]


def test_weights() -> None:
    assert values(scored(["+---", "-+++"], weights=(3, 1, 1, 1))) == [0.5, 0.5]


def test_negative_criteria_take_off_and_do_not_count_below_the_line() -> None:
    assert values(scored(["++--", "+++-", "--+-"], weights=(1, 1, -1, 2))) == [0.5, 0.25, -0.25]


def test_only_negative_criteria() -> None:
    assert values(scored(["+-", "--"], weights=(-1, -3))) == [-0.25, 0.0]


def test_discriminative_rewards_by_what_separates_and_reports_all() -> None:
    rewards = scored(["+++-", "++--", "+?+-"], discriminative=True)
    assert values(rewards) == [1.0, 0.0, 1.0]
    assert list(rewards[0].breakdown) == ["c1", "c2", "c3", "c4"]


def test_nothing_separates_nobody_has_a_reward() -> None:
    rewards = scored(["+-+?", "+-+-"], discriminative=True)
    assert values(rewards) == [None, None]
    assert rewards[0].reason == "no criterion separates the rollouts"


def test_a_failed_rollout_and_one_without_judgement_have_none() -> None:
    rollouts = (Rollout(index=0, error="lost"), Rollout(index=1, text="x"))
    rubric = Rubric.of(["t"])
    group = RolloutGroup(task_id="t", rollouts=rollouts)
    failed, missing = rubric_rewards(group, rubric, judged(rollouts[:1], rubric, "+"))
    assert (failed.value, failed.reason) == (None, "the rollout failed")
    assert (missing.value, missing.reason) == (None, "0 of 1 criteria are scored")


def context(**fields: object) -> RewardContext:
    return RewardContext(task=Task.of("q"), prompts=Prompts(), **fields)  # type: ignore[arg-type]


def group_of(*texts: str | None) -> RolloutGroup:
    return RolloutGroup(
        task_id="t",
        rollouts=tuple(Rollout(index=i, text=t, error=None if t else "lost") for i, t in enumerate(texts)),
    )


async def test_length_penalty_counts_tokens_where_they_are_listed() -> None:
    long = Rollout(index=0, text="x", logprobs=(0.0,) * 751)
    fits = Rollout(index=1, text="x" * 9999, logprobs=(0.0,) * 750)
    group = RolloutGroup(task_id="t", rollouts=(long, fits, Rollout(index=2, error="lost")))
    rewards = await make_reward("length_penalty", context())(group)
    assert values(rewards) == [-1.0, 0.0, None]
    assert rewards[0].breakdown == {"tokens": 751.0}


async def test_length_penalty_estimates_otherwise() -> None:
    group = group_of("word " * 700, "word " * 500, "汉" * 1200)
    rewards = await make_reward("length_penalty", context())(group)
    assert values(rewards) == [-1.0, 0.0, -1.0]
    assert (rewards[0].reason or "").startswith("about 875 tokens")
    assert token_count(group.rollouts[0]) == (875, False)
    shorter = context(options=RewardOptions(longest=100))
    assert values(await make_reward("length_penalty", shorter)(group)) == [-1.0, -1.0, -1.0]


async def test_judge_equivalence() -> None:
    async with ProviderDouble(reply=judge(lambda a, b: a == b)) as double, cat_on(double) as cat:
        model = await (await cat.begin()).model("judge")
        reference = Reference(text="same", method="given")
        make = make_reward("judge_equivalence", context(judge=model, reference=reference))
        rewards = await make(group_of("same", "other", None))
    assert values(rewards) == [1.0, 0.0, None]
    assert rewards[0].reason == "because"
    assert double.received == 2


@reward("_constant")
def constant(context: RewardContext) -> Rewarder:
    async def rewarded(group: RolloutGroup) -> tuple[Reward, ...]:
        return tuple(
            Reward(rollout_id=r.id, value=0.25 if r.ok else None, name="_constant", breakdown={"a": 1.0})
            for r in group.rollouts
        )

    return rewarded


async def test_combined_is_the_weighted_sum_with_its_parts() -> None:
    weights = {"_constant": 2.0, "length_penalty": 0.5}
    rewards = await combined(weights, context())(group_of("x", "y " * 2000, None))
    assert values(rewards) == [0.5, 0.0, None]
    assert rewards[1].name == "_constant+length_penalty"
    assert rewards[1].breakdown == {
        "_constant": 0.25,
        "_constant.a": 1.0,
        "length_penalty": -1.0,
        "length_penalty.tokens": 1000.0,
    }
    assert "length_penalty: about 1000 tokens" in (rewards[1].reason or "")


async def test_a_single_reward_of_weight_one_is_returned_as_it_is() -> None:
    (rewarded,) = await combined({"_constant": 1.0}, context())(group_of("x"))
    assert (rewarded.name, rewarded.value) == ("_constant", 0.25)
    (halved,) = await combined({"_constant": 0.5}, context())(group_of("x"))
    assert halved.value == 0.125


def test_the_registry() -> None:
    assert {"answer_match", "judge_equivalence", "length_penalty", "rubric"} <= set(reward_names())
    assert needs("rubric") == {"rubric"}
    assert needs("answer_match") == {"reference"}
    with pytest.raises(ConfigError, match="did you mean 'rubric'"):
        needs("rubrik")


def test_options_are_checked() -> None:
    assert options_of(JudgeOptions, {"votes": 3}, JudgeOptions()).votes_needed == 2
    assert options_of(JudgeOptions, None, JudgeOptions(votes=5)).votes == 5
    with pytest.raises(ConfigError, match="JudgeOptions: vote"):
        options_of(JudgeOptions, {"vote": 3}, JudgeOptions())
    with pytest.raises(ConfigError, match="criteria_per_call"):
        options_of(JudgeOptions, {"criteria_per_call": 0}, JudgeOptions())
