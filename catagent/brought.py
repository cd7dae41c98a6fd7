"""What callers bring: completions and references that were made elsewhere, as messages of the pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from catagent.agents.sampler import rollout_of, settled_kind
from catagent.answers import extract
from catagent.errors import ConfigError
from catagent.estimators import Estimator
from catagent.messages import ChatMessage, Reference, Rollout, RolloutGroup, Task

__all__ = ["Completion", "given_reference", "group_of", "sampling_params"]

Completion: TypeAlias = str | ChatMessage | None
_SETTINGS = ("model", "anchor", "judge", "rubric_proposer", "quorum", "config", "budget", "journal")


def sampling_params(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Parameters for the requests of one solve, as they are.

    Raises `ConfigError` for what belongs to the pipeline: sent along, it would be lost or refused.
    """
    for name in _SETTINGS:
        if name in params:
            raise ConfigError(
                f"{name!r} is a setting of the pipeline, not of one solve: CaT({name}=…).solve(…)"
            )
    return params


def group_of(task: Task, completions: RolloutGroup | Sequence[Completion]) -> RolloutGroup:
    """The group of a task; one that was drawn before belongs to this task and its kind is settled anew.

    Raises `ConfigError` for a single text, which would otherwise be taken apart into letters.
    """
    if isinstance(completions, RolloutGroup):
        rollouts, parents = completions.rollouts, [task.id, completions.id]
    else:
        if isinstance(completions, str):
            raise ConfigError("completions are a list of texts or messages; this is one text")
        rollouts = tuple(_completed(task, i, c) for i, c in enumerate(completions))
        parents = [task.id]
    return RolloutGroup(
        parents=tuple(parents), task_id=task.id, kind=settled_kind(task.kind, rollouts), rollouts=rollouts
    )


def _completed(task: Task, index: int, completion: Completion) -> Rollout:
    """A completion made elsewhere, as a rollout."""
    if isinstance(completion, str):
        return rollout_of(task, index, completion, error=None if completion else "the completion is empty")
    if completion is None:
        return Rollout(parents=(task.id,), index=index, error="the completion is missing")
    content, calls = completion.get("content"), completion.get("tool_calls") or ()
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content)
    return rollout_of(
        task,
        index,
        content,
        reasoning=completion.get("reasoning_content"),
        tool_calls=tuple(calls),
        error=None if content or calls else "the completion is empty",
    )


def given_reference(reference: str | Reference) -> Estimator:
    """The estimator that returns what the caller brought."""
    if isinstance(reference, str):
        reference = Reference(text=reference, answer=extract(reference), method="given")
    known = reference

    async def estimate(_: RolloutGroup) -> Reference:
        return known

    return estimate
