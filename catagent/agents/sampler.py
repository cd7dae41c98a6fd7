"""The Sampler: one task in, G rollouts out (paper, section 1.1).

A rollout that fails is data. Only when fewer survive than the quorum is there nothing to go on with.
"""

from __future__ import annotations

from catagent.agents.prompts import Prompts
from catagent.answers import extract
from catagent.errors import ModelError, QuorumError
from catagent.events import Emit, RolloutFinished, RolloutToken
from catagent.messages import Answer, ChatMessage, Kind, Rollout, RolloutGroup, Task
from catagent.models.client import Delta
from catagent.models.journal import canonical
from catagent.models.model import Model, OnSample, Sample

__all__ = ["Sampler", "rollout_of", "settled_kind"]


class Sampler:
    """Draws `n` rollouts of a task.

    Raises `QuorumError` when fewer than `quorum` survive, caused by the first failure there was.
    """

    def __init__(
        self, model: Model, prompts: Prompts, *, n: int, quorum: int = 1, emit: Emit | None = None
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._n = n
        self._quorum = quorum
        self._emit = emit

    async def __call__(self, task: Task) -> RolloutGroup:
        """The group of rollouts, and whether it is verifiable or open."""
        messages = self._instructed(task)
        rollouts: dict[int, Rollout] = {}
        failures: list[ModelError] = []

        def finished(index: int, sample: Sample) -> None:
            if sample.error is not None:
                failures.append(sample.error)
            rollouts[index] = _rollout(task, index, sample)
            if self._emit:
                self._emit(RolloutFinished(rollout=rollouts[index]))

        await self._draw(messages, task, finished)
        drawn = tuple(rollouts[i] for i in sorted(rollouts))
        group = RolloutGroup(
            parents=(task.id,), task_id=task.id, kind=settled_kind(task.kind, drawn), rollouts=drawn
        )
        if len(group.survivors) < self._quorum:
            reasons = sorted({r.error for r in drawn if r.error})
            raise QuorumError(
                f"{len(group.survivors)} of {self._n} rollouts survived, {self._quorum} are needed: "
                f"{'; '.join(reasons[:3])}"
            ) from (failures[0] if failures else None)
        return group

    async def _draw(self, messages: list[ChatMessage], task: Task, finished: OnSample) -> None:
        """Have the model give the samples; `finished` takes each as it comes."""
        told = self._told if self._emit else None
        await self._model.samples(messages, self._n, task.params, on_delta=told, on_sample=finished)

    def _told(self, delta: Delta) -> None:
        assert self._emit is not None
        self._emit(RolloutToken(index=delta.index, text=delta.text, attempt=delta.attempt))

    def _instructed(self, task: Task) -> list[ChatMessage]:
        """The conversation with the format of the answer asked for at the end of the last user message."""
        messages = list(task.messages)
        if task.kind == "open" or task.params.get("tools"):
            return messages
        name = "rollout_verifiable" if task.kind == "verifiable" else "rollout_auto"
        instruction = self._prompts[name].render()
        for i in range(len(messages) - 1, -1, -1):
            if messages[i].get("role") == "user":
                messages[i] = {**messages[i], "content": _appended(messages[i].get("content"), instruction)}
                return messages
        return [*messages, {"role": "user", "content": instruction}]


def _appended(content: object, instruction: str) -> object:
    if isinstance(content, list):
        return [*content, {"type": "text", "text": instruction}]
    return f"{content}\n\n{instruction}" if content else instruction


def _rollout(task: Task, index: int, sample: Sample) -> Rollout:
    choice = sample.choice
    if choice is None:
        return Rollout(parents=(task.id,), index=index, model=sample.model, error=str(sample.error))
    empty = not choice.text and not choice.tool_calls
    return rollout_of(
        task,
        index,
        choice.text,
        reasoning=choice.reasoning,
        tool_calls=choice.tool_calls,
        finish_reason=choice.finish_reason,
        logprobs=tuple(t.logprob for t in choice.logprobs) if choice.logprobs else None,
        tokens=tuple(t.token for t in choice.logprobs) if choice.logprobs else None,
        model=sample.model,
        error=f"the model gave no text (finish reason: {choice.finish_reason})" if empty else None,
    )


def rollout_of(task: Task, index: int, text: str | None, **fields: object) -> Rollout:
    """A rollout with its final answer read from the text, or from its tool calls."""
    answer: Answer | None = None
    calls = fields.get("tool_calls")
    if calls:
        named = [(c.get("function") or {}) for c in calls]  # type: ignore[attr-defined]
        answer = Answer(text=canonical(named).decode(), kind="tool_call", source="tool_call")
    elif text and task.kind != "open":
        answer = extract(text)
        if answer is not None and answer.source == "last_line" and fields.get("finish_reason") == "length":
            answer = None  # cut off before the end: its last line is not where it was going
    return Rollout.model_validate(
        {"parents": (task.id,), "index": index, "text": text, "answer": answer, **fields}
    )


def settled_kind(kind: Kind, rollouts: tuple[Rollout, ...]) -> Kind:
    """`auto` becomes verifiable when at least half of the survivors state a final answer, else open.

    An answer that is merely the last line does not count: any text has one.
    """
    if kind != "auto":
        return kind
    alive = [r for r in rollouts if r.ok]
    stated = [r for r in alive if r.answer is not None and r.answer.source != "last_line"]
    return "verifiable" if alive and 2 * len(stated) >= len(alive) else "open"
