"""What agents say to each other.

Every message is a frozen pydantic model that goes to JSON and back unchanged, carries an `id`, and
names in `parents` the messages it was made from, so that a trace of them is a readable record of how
an answer came about. Behaviour lives in the agents; nothing here talks to a model.

Unknown is not zero: a failed rollout has an `error`, an unreadable verdict is `unscored`, a reward
that could not be computed is `None`, a cost that is not known is `None`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catagent.errors import ConfigError
from catagent.usage import Call, RoleUsage, Usage

__all__ = [
    "Answer",
    "AnswerKind",
    "AnswerSource",
    "Call",
    "ChatMessage",
    "Criterion",
    "Finding",
    "Judgement",
    "Kind",
    "Message",
    "Reference",
    "Reward",
    "RoleUsage",
    "Rollout",
    "RolloutGroup",
    "Rubric",
    "Solution",
    "Task",
    "Usage",
    "Verdict",
    "VerdictState",
]

Kind: TypeAlias = Literal["auto", "verifiable", "open"]
AnswerKind: TypeAlias = Literal["math", "choice", "text", "code", "json", "tool_call"]
AnswerSource: TypeAlias = Literal["boxed", "phrase", "code", "json", "tool_call", "last_line", "given"]
VerdictState: TypeAlias = Literal["met", "unmet", "unscored"]
ChatMessage: TypeAlias = dict[str, Any]
"""One message in OpenAI's chat format. Kept as it came: images, tool calls and names pass untouched."""


def _new_id() -> str:
    return secrets.token_hex(8)


class Message(BaseModel):
    """Base of all messages: frozen, no unknown fields, an id and the ids it was made from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(default_factory=_new_id)
    parents: tuple[str, ...] = ()


class Task(Message):
    """What is to be solved: a conversation, and how the answer is to be judged.

    Gold labels have no field here: they never reach an agent.
    """

    messages: tuple[ChatMessage, ...] = Field(min_length=1)
    kind: Kind = "auto"
    params: dict[str, Any] = {}
    """Request parameters for the rollouts (`tools`, `response_format`, …), forwarded untouched."""

    @classmethod
    def of(
        cls,
        prompt: str | list[ChatMessage] | tuple[ChatMessage, ...] | Task,
        *,
        kind: Kind = "auto",
        params: Mapping[str, Any] | None = None,
    ) -> Task:
        """A task from a prompt or a conversation; a task is returned as it is.

        Raises `ConfigError` when `prompt` is none of these or says nothing.
        """
        if isinstance(prompt, Task):
            return prompt
        if isinstance(prompt, str):
            prompt = [{"role": "user", "content": prompt}]
        try:
            task = cls(messages=tuple(prompt), kind=kind, params=dict(params or {}))
        except (TypeError, ValidationError):
            raise ConfigError(
                "a prompt is a text, a list of messages in OpenAI's format, or a Task; "
                f"this is a {type(prompt).__name__} that is not"
            ) from None
        if not any(m.get("content") for m in task.messages):
            raise ConfigError("the prompt is empty")
        return task


class Answer(BaseModel):
    """A final answer as it stands in a text: what is compared, what kind it is, where it was found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    kind: AnswerKind = "math"
    source: AnswerSource = "given"

    def __str__(self) -> str:
        return self.text


class Rollout(Message):
    """One sample of the policy, or the reason why there is none."""

    index: int = Field(ge=0)
    text: str | None = None
    answer: Answer | None = None
    reasoning: str | None = None
    """Thinking that the endpoint returned apart from the text."""
    tool_calls: tuple[dict[str, Any], ...] = ()
    finish_reason: str | None = None
    logprobs: tuple[float, ...] | None = None
    """Log-probability of each sampled token, in nats, where the endpoint gives them."""
    tokens: tuple[str, ...] | None = None
    """The text of each of these tokens."""
    model: str | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether there is a sample: some text or a tool call, and no error."""
        return self.error is None and bool(self.text or self.tool_calls)


class RolloutGroup(Message):
    """The G rollouts of one task, in sampling order, failed ones included."""

    task_id: str
    kind: Kind = "auto"
    """How the group is to be judged: `verifiable` or `open` once the sampler has settled it."""
    rollouts: tuple[Rollout, ...]

    @property
    def survivors(self) -> tuple[Rollout, ...]:
        """The rollouts that hold a sample."""
        return tuple(r for r in self.rollouts if r.ok)

    @property
    def partial(self) -> bool:
        """Whether a rollout was lost."""
        return not all(r.ok for r in self.rollouts)


class Reference(Message):
    """The estimated reference: what the rollouts, reconciled, say.

    `agreement` is the share of surviving rollouts with the same final answer, `None` where answers
    cannot be compared. `differs_from_majority` is `None` where there is no single majority.
    `fallback` says why `method` is not the estimator that was asked for.
    """

    text: str
    answer: Answer | None = None
    method: str
    agreement: float | None = Field(default=None, ge=0, le=1)
    majority: Answer | None = None
    differs_from_majority: bool | None = None
    fallback: str | None = None
    rejected: str | None = None
    """The text that was set aside for this one, as a synthesis without a final answer is; several stand one
    after the other. Cut in the middle to about 20,000 characters in all; `None` where nothing was written, as
    when the request failed."""
    cut_off: bool = False
    """Whether who wrote it was stopped by a token limit, so that the text lacks its end."""
    rounds: int = Field(default=0, ge=0)
    """Synthesis rounds: more than 1 when the rollouts did not fit the context window together."""


class Criterion(BaseModel):
    """One binary, checkable property; a negative weight marks one that a good response lacks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    text: str
    weight: float = 1.0


class Rubric(Message):
    """Criteria that stand in for a reference on open-ended tasks (paper, section 1.4).

    `source` says what it was made from: `reference`, `question`, `question_and_reference`, `contrast`,
    or `given` for one that the caller brought.
    """

    criteria: tuple[Criterion, ...] = Field(min_length=1)
    source: str = "reference"
    notes: tuple[str, ...] = ()
    """What was split, merged or refused on the way."""

    @classmethod
    def of(cls, given: Rubric | str | Iterable[str | Criterion | Mapping[str, Any]]) -> Rubric:
        """A rubric that the caller brings: texts, criteria, or mappings.

        A mapping has `text` or `criterion`, and `weight` or `points` (HealthBench's words), and may have
        an `id`. Raises `ValueError` for an empty rubric, a mapping without text and an id that comes twice.
        """
        if isinstance(given, Rubric):
            return given
        if isinstance(given, str):
            given = [given]
        criteria = tuple(_criterion(i, one) for i, one in enumerate(given, 1))
        if empty := [c.id for c in criteria if not c.text.strip()]:
            raise ValueError(f"criterion {empty[0]} of the rubric has no text")
        if len({c.id for c in criteria}) < len(criteria):
            raise ValueError("two criteria of the rubric have the same id")
        return cls(criteria=criteria, source="given")


def _criterion(number: int, one: str | Criterion | Mapping[str, Any]) -> Criterion:
    if isinstance(one, Criterion):
        return one
    if isinstance(one, str):
        return Criterion(id=f"c{number}", text=one)
    text = one.get("text") or one.get("criterion") or ""
    weight = one.get("weight", one.get("points", 1.0))
    return Criterion(id=str(one.get("id") or f"c{number}"), text=text, weight=weight)


class Verdict(BaseModel):
    """The judge's word on one criterion. `unscored` is not `unmet`: it says that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    criterion_id: str
    state: VerdictState
    reason: str | None = None
    """The judge's reason, or why there is no verdict."""
    quote: str | None = None
    """What the judge cites from the response; it stands there, or the verdict is unscored."""
    probability: float | None = Field(default=None, ge=0, le=1)
    """p(met) from the judge's log-probabilities, where the endpoint gives them."""
    votes: tuple[VerdictState, ...] = ()
    """Each vote, where the judge was asked more than once."""


class Finding(BaseModel):
    """A sign that a response tries to sway its judge: what kind, and the words."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    excerpt: str


class Judgement(Message):
    """The verdicts on one rollout, and what in it looks meant for the judge (reported, not punished)."""

    rollout_id: str
    verdicts: tuple[Verdict, ...]
    judge: str | None = None
    findings: tuple[Finding, ...] = ()


class Reward(Message):
    """What one rollout earned. `value` is `None` when it could not be computed, never 0 instead."""

    rollout_id: str
    value: float | None
    name: str
    breakdown: dict[str, float | None] = {}
    """What the value is made of: criteria, components, counts."""
    reason: str | None = None


class Solution(Message):
    """Everything a solve or a scoring brought: reference, group, rubric, rewards, usage."""

    task: Task
    group: RolloutGroup
    reference: Reference | None = None
    rubric: Rubric | None = None
    judgements: tuple[Judgement, ...] = ()
    rewards: tuple[Reward, ...] = ()
    usage: Usage = Usage()
    notes: tuple[str, ...] = ()
    """What a user should know: which model was chosen and why, what was fallen back to."""

    def trace(self) -> Iterator[str]:
        """The messages of this solve in the order they were made, as JSON lines.

        Each is `{"message": type, …}`; `parents` says what it was made from.
        """
        said = (self.task, *self.group.rollouts, self.reference, self.rubric, *self.judgements, *self.rewards)
        for message in said:
            if message is not None:
                kind = type(message).__name__
                yield json.dumps({"message": kind, **message.model_dump(mode="json")}, ensure_ascii=False)
        yield json.dumps({"message": "Usage", **self.usage.model_dump(mode="json")})

    @property
    def text(self) -> str:
        """The reference's text, empty when there is no reference."""
        return self.reference.text if self.reference else ""

    @property
    def answer(self) -> str | None:
        """The reference's final answer, if it has one."""
        return self.reference.answer.text if self.reference and self.reference.answer else None

    @property
    def rollouts(self) -> tuple[Rollout, ...]:
        """The G rollouts."""
        return self.group.rollouts

    @property
    def partial(self) -> bool:
        """Whether fewer than G rollouts survived."""
        return self.group.partial
