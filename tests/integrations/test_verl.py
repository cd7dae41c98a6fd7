"""verl's reward functions, called as its reward loop and its batch manager call them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from catagent.errors import ConfigError
from catagent.integrations import verl
from tests.cast import cast, cat_on
from tests.doubles import ProviderDouble

QUESTION = {"question": "What is 2+2?", "index": 3}


@pytest.fixture
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderDouble]:
    with ProviderDouble(reply=cast([])) as running:
        cat = cat_on(running)
        monkeypatch.setattr(verl, "_cat", lambda *_: cat)
        yield running


async def alone(text: str, **options: Any) -> dict[str, float]:
    # The arguments of verl 0.9.1's naive reward manager.
    return await verl.compute_score(
        data_source="sums", solution_str=text, ground_truth="gold", extra_info=dict(QUESTION), **options
    )


async def test_completions_that_come_alone_meet(double: ProviderDouble) -> None:
    scores = await asyncio.gather(*(alone(f"\\boxed{{{i}}}", group_size=3) for i in (4, 5, 4)))
    assert [s["score"] for s in scores] == [1.0, 0.0, 1.0]
    assert scores[0]["cat_agreement"] == pytest.approx(2 / 3)
    assert double.received == 1
    assert "gold" not in double.requests[0].prompt


async def test_an_unknown_reward_counts_as_the_groups_mean(double: ProviderDouble) -> None:
    scores = await asyncio.gather(*(alone(text, group_size=3) for text in ("\\boxed{4}", "", "\\boxed{5}")))
    assert [(s["score"], s["cat_unknown"]) for s in scores] == [(1.0, 0.0), (0.5, 1.0), (0.0, 0.0)]


def test_a_batch(double: ProviderDouble) -> None:
    scores = verl.compute_scores(
        data_sources=["sums"] * 2,
        solution_strs=["\\boxed{4}", "\\boxed{5}"],
        ground_truths=["gold"] * 2,
        extra_infos=[dict(QUESTION)] * 2,
        group_size=2,
    )
    assert [s["score"] for s in scores] == [1.0, 0.0]


async def test_a_missing_prompt_is_said() -> None:
    with pytest.raises(ConfigError, match="extra_info has no 'problem'"):
        await alone("4", group_size=2, prompt_field="problem")
