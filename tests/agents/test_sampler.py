"""The Sampler: the format that is asked for, failures as data, and what kind a group is."""

from __future__ import annotations

from typing import Any

import pytest

from catagent.agents.prompts import Prompts
from catagent.agents.sampler import Sampler, rollout_of, settled_kind
from catagent.errors import QuorumError
from catagent.messages import Answer, Rollout, Task
from catagent.models.client import Choice, Completion, ModelRequest, OnDelta
from catagent.models.endpoint import Endpoint
from catagent.models.model import Model


class Policy:
    """A client that remembers what it was asked and says what it is told to."""

    def __init__(self, *choices: Choice) -> None:
        self.asked: list[ModelRequest] = []
        self._choices = choices or (Choice("\\boxed{1}", "stop"),)

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        self.asked.append(request)
        return Completion(tuple(self._choices[i % len(self._choices)] for i in range(request.n)), 1, 1)

    async def aclose(self) -> None:
        pass


async def sampled(policy: Policy, task: Task, **options: Any) -> Any:
    model = Model("sampler", [Endpoint.of(policy, "m")])
    return await Sampler(model, Prompts(), **{"n": 4, **options})(task)


@pytest.mark.parametrize(("kind", "marked"), [("verifiable", True), ("auto", True), ("open", False)])
async def test_the_format_is_asked_for_at_the_end_of_the_last_user_message(kind: Any, marked: bool) -> None:
    policy = Policy()
    task = Task.of(
        [
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": "second"},
        ],
        kind=kind,
    )
    await sampled(policy, task)
    asked = policy.asked[0].messages
    assert [m["content"] for m in asked[:2]] == ["first", "yes"]
    assert asked[2]["content"].startswith("second")
    assert ("\\boxed{}" in asked[2]["content"]) is marked
    assert task.messages[2]["content"] == "second", "the task itself is not touched"


async def test_images_keep_their_place() -> None:
    policy = Policy()
    image = {"type": "image_url", "image_url": {"url": "data:"}}
    await sampled(policy, Task.of([{"role": "user", "content": [image]}], kind="verifiable"))
    content = policy.asked[0].messages[0]["content"]
    assert content[0] == image
    assert "\\boxed{}" in content[1]["text"]


async def test_a_conversation_without_a_user_message_gets_one() -> None:
    policy = Policy()
    await sampled(policy, Task.of([{"role": "system", "content": "Count."}], kind="verifiable"))
    assert [m["role"] for m in policy.asked[0].messages] == ["system", "user"]


async def test_empty_samples_are_failed_rollouts_with_the_finish_reason() -> None:
    group = await sampled(Policy(Choice("\\boxed{1}", "stop"), Choice(None, "length")), Task.of("q"))
    assert [r.ok for r in group.rollouts] == [True, False, True, False]
    assert "length" in group.rollouts[1].error
    assert group.partial
    assert len(group.survivors) == 2


async def test_quorum() -> None:
    policy = Policy(Choice("\\boxed{1}", "stop"), Choice("", "stop"))
    with pytest.raises(QuorumError, match="2 of 4 rollouts survived, 3 are needed"):
        await sampled(policy, Task.of("q"), quorum=3)


async def test_log_probabilities_and_reasoning_are_kept() -> None:
    from catagent.models.client import TokenLogprob

    choice = Choice(
        "\\boxed{1}", "stop", reasoning="hm", logprobs=(TokenLogprob("a", -0.5), TokenLogprob("b", -1.0))
    )
    group = await sampled(Policy(choice), Task.of("q"), n=1)
    assert group.rollouts[0].logprobs == (-0.5, -1.0)
    assert group.rollouts[0].tokens == ("a", "b")
    assert group.rollouts[0].reasoning == "hm"


def test_a_last_line_of_a_text_that_was_cut_off_is_no_answer() -> None:
    task = Task.of("q", kind="verifiable")
    whole = rollout_of(task, 0, "First.\n42", finish_reason="stop")
    cut = rollout_of(task, 0, "First.\n42", finish_reason="length")
    assert str(whole.answer) == "42"
    assert cut.answer is None
    assert str(rollout_of(task, 0, "\\boxed{42} and so", finish_reason="length").answer) == "42"


def rollout(source: Any) -> Rollout:
    return Rollout(index=0, text="t", answer=Answer(text="4", source=source) if source else None)


@pytest.mark.parametrize(
    ("sources", "kind"),
    [
        (["boxed", "boxed", None, None], "verifiable"),
        (["boxed", None, None, None], "open"),
        (["last_line"] * 4, "open"),
        (["phrase", "tool_call"], "verifiable"),
        ([], "open"),
    ],
)
def test_auto_is_settled_by_stated_answers(sources: list[Any], kind: str) -> None:
    rollouts = tuple(rollout(s) for s in sources)
    assert settled_kind("auto", rollouts) == kind
    assert settled_kind("verifiable", rollouts) == "verifiable"
