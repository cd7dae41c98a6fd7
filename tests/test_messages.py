"""Messages are frozen, strict, and survive JSON."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from catagent.errors import ConfigError
from catagent.events import Event
from catagent.messages import (
    Answer,
    Criterion,
    Judgement,
    Reference,
    Reward,
    RoleUsage,
    Rollout,
    RolloutGroup,
    Rubric,
    Solution,
    Task,
    Usage,
    Verdict,
)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
shares = st.none() | st.floats(0, 1)
answers = st.builds(Answer, text=texts, kind=st.sampled_from(["math", "choice", "text", "json"]))
rollouts = st.builds(
    Rollout,
    index=st.integers(0, 99),
    text=st.none() | texts,
    answer=st.none() | answers,
    logprobs=st.none() | st.lists(st.floats(-50, 0), max_size=4).map(tuple),
    error=st.none() | texts,
)
groups = st.builds(RolloutGroup, task_id=texts, rollouts=st.lists(rollouts, max_size=4).map(tuple))
tasks = st.builds(Task.of, texts.filter(bool), kind=st.sampled_from(["auto", "verifiable", "open"]))
references = st.builds(
    Reference, text=texts, answer=st.none() | answers, method=texts, agreement=shares, majority=st.none()
)
criteria = st.builds(Criterion, id=texts, text=texts, weight=st.floats(-5, 5))
rubrics = st.builds(Rubric, criteria=st.lists(criteria, min_size=1, max_size=3).map(tuple))
verdicts = st.builds(
    Verdict, criterion_id=texts, state=st.sampled_from(["met", "unmet", "unscored"]), probability=shares
)
judgements = st.builds(Judgement, rollout_id=texts, verdicts=st.lists(verdicts, max_size=3).map(tuple))
rewards = st.builds(Reward, rollout_id=texts, value=st.none() | st.floats(-2, 2), name=texts)
role_usages = st.builds(
    RoleUsage, calls=st.integers(0, 9), prompt_tokens=st.integers(0, 99), usd=st.floats(0, 9)
)
usages = st.builds(Usage, roles=st.dictionaries(texts, role_usages, max_size=3), seconds=st.floats(0, 9))
solutions = st.builds(
    Solution,
    task=tasks,
    group=groups,
    reference=st.none() | references,
    rubric=st.none() | rubrics,
    judgements=st.lists(judgements, max_size=2).map(tuple),
    rewards=st.lists(rewards, max_size=3).map(tuple),
    usage=usages,
)


@given(solutions)
def test_json_round_trip_changes_nothing(solution: Solution) -> None:
    assert Solution.model_validate_json(solution.model_dump_json()) == solution


@given(solutions)
def test_every_message_is_frozen_and_refuses_unknown_fields(solution: Solution) -> None:
    for message in (solution, solution.task, solution.group, solution.usage):
        name = next(iter(type(message).model_fields))
        with pytest.raises(ValidationError):
            setattr(message, name, None)
        with pytest.raises(ValidationError):
            type(message).model_validate({**message.model_dump(), "surprise": 1})


@given(usages, usages)
def test_usage_adds_up_by_role_and_in_all(one: Usage, two: Usage) -> None:
    both = one + two
    assert both.calls == one.calls + two.calls
    assert both.tokens == one.tokens + two.tokens
    assert set(both.roles) == set(one.roles) | set(two.roles)


def test_unknown_price_makes_the_cost_unknown_not_zero() -> None:
    priced = Usage(roles={"sampler": RoleUsage(calls=1, usd=0.5)})
    unpriced = Usage(roles={"judge": RoleUsage(calls=1, unpriced=1)})
    assert priced.usd == 0.5
    assert (priced + unpriced).usd is None


def test_a_rollout_without_text_or_with_an_error_is_no_sample() -> None:
    assert not Rollout(index=0).ok
    assert not Rollout(index=0, text="x", error="cut off").ok
    assert Rollout(index=0, text="x").ok
    assert Rollout(index=0, tool_calls=({"id": "1"},)).ok


def test_task_of_takes_text_messages_and_tasks() -> None:
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    task = Task.of(messages, kind="open", params={"tools": []})
    assert list(task.messages) == messages
    assert Task.of(task) is task
    assert Task.of("hi").messages == ({"role": "user", "content": "hi"},)


@pytest.mark.parametrize(
    "wrong", ["", [], 5, None, ["hi"], [{"role": "user", "content": ""}], {"role": "user"}]
)
def test_what_is_no_prompt_is_refused_in_one_sentence(wrong: Any) -> None:
    with pytest.raises(ConfigError, match="prompt"):
        Task.of(wrong)


def test_events_are_told_apart_by_their_type() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Event)
    raw = {"type": "synthesis_token", "text": "x"}
    event = adapter.validate_python(raw)
    assert isinstance(event, BaseModel)
    assert event.model_dump() == {**raw, "attempt": 1}
