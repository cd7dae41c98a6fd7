"""CaT as the judge of groups in OpenPipe ART."""

from __future__ import annotations

import asyncio
import warnings
from typing import Any

import pytest

from tests.integrations.support import needs, until

needs("art", "rl")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import art

from catagent.errors import AccountError  # noqa: E402
from catagent.integrations.art import CatJudge, score_group  # noqa: E402
from tests.cast import cast, cat_on  # noqa: E402
from tests.doubles import Fault, ProviderDouble  # noqa: E402

ASKED: Any = {"role": "user", "content": "What is 2+2?"}


def group_of(*answers: str | None) -> art.TrajectoryGroup:
    return art.TrajectoryGroup(
        art.Trajectory(messages_and_choices=[ASKED, {"role": "assistant", "content": answer}])
        for answer in answers
    )


async def test_after_each_rewards_a_gathered_group() -> None:
    async def attempt(answer: str) -> art.Trajectory:
        return art.Trajectory(messages_and_choices=[ASKED, {"role": "assistant", "content": answer}])

    with ProviderDouble(reply=cast([])) as double:
        async with cat_on(double) as cat:
            groups = await art.gather_trajectory_groups(
                [art.TrajectoryGroup(attempt(f"\\boxed{{{i}}}") for i in (4, 5, 4))],
                after_each=CatJudge(cat),
                pbar_desc=None,
            )
        assert double.received == 1
    assert sorted(t.reward for t in groups[0]) == [0.0, 1.0, 1.0]
    assert groups[0].metrics["cat_agreement"] == pytest.approx(2 / 3)


async def test_what_nobody_knows_is_not_learnt_from() -> None:
    with ProviderDouble(reply=cast([])) as double:
        async with cat_on(double) as cat:
            scored = await score_group(group_of("\\boxed{4}", None, "\\boxed{5}"), cat)
            dropped = await CatJudge(cat)(group_of("\\boxed{4}", None))
    assert [t.reward for t in scored] == [1.0, 0.0]
    assert scored.metrics["cat_unknown"] == 1
    assert "no reward" in scored.logs[0]
    assert dropped is None


async def test_a_dead_key_and_a_cancellation() -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(401, "said so")) as double:
        async with cat_on(double) as cat:
            with pytest.raises(AccountError, match="said so"):
                await CatJudge(cat)(group_of("\\boxed{4}", "\\boxed{5}"))
    with ProviderDouble(faults=lambda body: Fault.hangs()) as double:
        async with cat_on(double) as cat:
            call = asyncio.ensure_future(CatJudge(cat)(group_of("\\boxed{4}", "\\boxed{5}")))
            await until(lambda: double.in_flight)
            call.cancel()
            await until(lambda: double.disconnected == 1)
