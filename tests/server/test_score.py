"""Rewards over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cast import cast, cat_on
from tests.doubles import ProviderDouble
from tests.server.running import FOURS, asking, running


async def scored(body: dict[str, Any], **options: Any) -> tuple[int, dict[str, Any], list[Any]]:
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        cat_on(double) as cat,
        running(cat, **options) as server,
        asking() as http,
        http.post(f"{server.url}/v1/score", json=body) as reply,
    ):
        return reply.status, await reply.json(), double.requests


async def test_completions_of_one_prompt() -> None:
    completions = ["\\boxed{4}", "\\boxed{5}", None, {"role": "assistant", "content": "\\boxed{4}"}]
    status, body, sent = await scored({"prompt": "2 + 2?", "completions": completions})
    assert status == 200
    assert body["rewards"] == [1, 0, None, 1]
    assert body["details"][2]["reason"]
    assert body["reference"]["answer"] == "4"
    assert body["usage"]["total_tokens"] > 0
    assert len(sent) == 1


async def test_a_reference_or_a_rubric_of_ones_own() -> None:
    _, body, sent = await scored(
        {"prompt": "2 + 2?", "completions": ["\\boxed{5}"], "reference": "\\boxed{5}"}
    )
    assert body["rewards"] == [1]
    assert not sent
    messages = [{"role": "user", "content": "How do I sleep?"}]
    rubric = ["Names a dark room.", {"criterion": "Is kind.", "points": 2}]
    _, body, sent = await scored({"prompt": messages, "completions": ["Darkness."], "rubric": rubric})
    assert body["rewards"] == [1]
    assert [c["weight"] for c in body["rubric"]] == [1, 2]
    assert len(sent) == 2


async def test_a_batch_is_grouped_by_prompt() -> None:
    asked = {"prompts": ["a", "b", "a"], "completions": ["\\boxed{4}", "\\boxed{9}", "\\boxed{5}"]}
    status, body, sent = await scored({**asked, "kind": "verifiable"})
    assert status == 200
    assert body["rewards"] == [1, 0, 0]
    assert [group["places"] for group in body["groups"]] == [[0, 2], [1]]
    assert len(sent) == 2


async def test_a_trainer_with_a_remote_reward_model() -> None:
    """The shape that OpenRLHF sends and reads: prompt and response in one text, numbers only."""
    prompt = "<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n"
    query = [f"{prompt}\\boxed{{4}}<|im_end|>", f"{prompt}\\boxed{{5}}<|im_end|>\n", prompt]
    asked = {"query": query, "prompts": [prompt] * 3, "labels": ["gold"] * 3, "kind": "verifiable"}
    status, body, sent = await scored(asked)
    assert status == 200
    assert body["rewards"] == body["scores"] == [1, 0, 0.5]
    assert body["extra_logs"] == {"catagent_unknown": [0, 0, 1]}
    assert "gold" not in str([r.body for r in sent])
    assert "im_end" not in str(sent[0].body["messages"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"prompt": "x"},
        {"prompt": "x", "completions": []},
        {"prompt": "x", "prompts": ["x"], "completions": ["y"]},
        {"prompts": ["x"], "completions": ["y", "z"]},
        {"prompts": ["x"], "query": ["y"], "completions": ["z"]},
        {"prompt": "", "completions": ["y"]},
        {"prompt": "x", "completions": ["y"], "rubric": [{"weight": 1}]},
        {"prompt": "x", "completions": ["y"], "estimator": "none such"},
        {"prompt": "x", "completions": ["y"], "gold": "4"},
        {"prompt": "x", "completions": ["y"] * 9},
    ],
)
async def test_what_cannot_be_scored(body: dict[str, Any]) -> None:
    status, answer, sent = await scored(body, most_completions=8)
    assert status == 400
    assert answer["error"]["message"]
    assert not sent
