"""Solutions from what batch jobs and trainers write about them: less than the solution was, by name.

A line of a batch job says what its mode and `--full` put into it. What it does not say stays unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from catagent.answers import extract
from catagent.brought import group_of
from catagent.messages import (
    Answer,
    ChatMessage,
    Criterion,
    Judgement,
    Kind,
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

__all__ = ["NoSolutionError", "solution_of"]

_NO_PROMPT = "(the prompt is not in this file)"


class NoSolutionError(ValueError):
    """A line holds nothing that could be shown; the text says why."""


def solution_of(line: Mapping[str, Any], messages: Sequence[ChatMessage] | None = None) -> Solution:
    """The solution that a line of a batch job or of logged completions tells of.

    `messages` is the conversation, where the line does not have it. Raises `NoSolutionError`, and pydantic's
    `ValidationError` for a line whose fields are of other kinds.
    """
    if not any(name in line for name in ("rollouts", "completions", "completion", "text", "answer", "error")):
        known = ", ".join(sorted(map(str, line)))[:200]
        raise NoSolutionError(f"neither an answer nor rollouts nor completions, but: {known or 'nothing'}")
    task = Task(messages=tuple(_prompt(line) or messages or ({"role": "user", "content": _NO_PROMPT},)))
    group = _group(task, line)
    rubric = (
        Rubric(criteria=tuple(Criterion.model_validate(c) for c in found))
        if (found := line.get("rubric"))
        else None
    )
    return Solution(
        task=task,
        group=group,
        reference=_reference(line, group),
        rubric=rubric,
        judgements=_judgements(line, group),
        rewards=_rewards(line, group),
        usage=_usage(line.get("usage")),
        notes=(*_texts(line.get("notes")), *_texts(line.get("error"))),
    )


def _prompt(line: Mapping[str, Any]) -> list[ChatMessage]:
    for name in ("messages", "prompt"):
        found = line.get(name)
        if isinstance(found, str) and found:
            return [{"role": "user", "content": found}]
        if isinstance(found, list) and found and all(isinstance(one, dict) for one in found):
            return found
    return []


def _group(task: Task, line: Mapping[str, Any]) -> RolloutGroup:
    """The rollouts of a line; the answers of bare completions are read from their texts."""
    drawn = line.get("rollouts")
    if isinstance(drawn, list):
        kind: Kind = found if (found := line.get("kind")) in ("verifiable", "open") else "auto"
        rollouts = tuple(_rollout(i, one) for i, one in enumerate(drawn))
        return RolloutGroup(task_id=task.id, kind=kind, rollouts=rollouts)
    completions = line.get("completions")
    if not isinstance(completions, list):
        # Beside a reference a completion is a rollout; alone it is what a trainer learns: the reference.
        completions = (
            [line["completion"]] if line.get("completion") is not None and "reference" in line else []
        )
    group = group_of(task, [_last(one) for one in completions])
    if group.kind == "verifiable":
        return group
    unread = tuple(r.model_copy(update={"answer": None}) for r in group.rollouts)
    return group.model_copy(update={"rollouts": unread})


def _last(one: Any) -> Any:
    """TRL writes a completion as a list of messages; the last is what was answered."""
    return (one[-1] if one else None) if isinstance(one, list) else one


def _rollout(index: int, one: Any) -> Rollout:
    if isinstance(one, str):
        return Rollout(index=index, text=one or None, error=None if one else "the completion is empty")
    text = one.get("text", one.get("content"))
    answer = one.get("answer")
    error = one.get("error")
    calls = tuple(one.get("tool_calls") or ())
    if not (text or calls or error):
        error = "the completion is empty"
    return Rollout(
        index=index,
        text=text,
        answer=Answer(text=answer) if isinstance(answer, str) else None,
        reasoning=one.get("reasoning"),
        tool_calls=calls,
        finish_reason=one.get("finish_reason"),
        logprobs=one.get("logprobs"),
        tokens=one.get("tokens"),
        model=one.get("model"),
        error=error,
    )


def _reference(line: Mapping[str, Any], group: RolloutGroup) -> Reference | None:
    text = line.get("text", line.get("reference"))
    if text is None and "rewards" not in line:
        completion = line.get("completion")
        text = completion[-1].get("content") if isinstance(completion, list) and completion else completion
    answer = line.get("answer")
    if text is None and answer is None:
        return None
    majority = line.get("majority")
    stated = Answer(text=answer) if isinstance(answer, str) else None
    if stated is None and "answer" not in line and group.kind == "verifiable":
        found = extract(text or "")
        stated = found if found is not None and found.source != "last_line" else None
    return Reference(
        text=text or "",
        answer=stated,
        method=line.get("method") or "a method that the file does not name",
        agreement=line.get("agreement"),
        majority=Answer(text=majority) if isinstance(majority, str) else None,
        fallback=line.get("fallback"),
        rejected=line.get("rejected"),
    )


def _rewards(line: Mapping[str, Any], group: RolloutGroup) -> tuple[Reward, ...]:
    values = line.get("rewards")
    if not isinstance(values, list) or len(values) != len(group.rollouts):
        return ()
    parts = line.get("breakdowns") or [{}] * len(values)
    return tuple(
        Reward(rollout_id=rollout.id, value=value, name="reward", breakdown=part)
        for rollout, value, part in zip(group.rollouts, values, parts, strict=True)
    )


def _judgements(line: Mapping[str, Any], group: RolloutGroup) -> tuple[Judgement, ...]:
    """Verdicts by rollout: they are in the order of the rollouts, or of those that survived."""
    found = line.get("judgements")
    if not isinstance(found, list):
        return ()
    judged = group.rollouts if len(found) == len(group.rollouts) else group.survivors
    if len(found) != len(judged):
        return ()
    return tuple(
        Judgement(rollout_id=rollout.id, verdicts=tuple(Verdict.model_validate(v) for v in verdicts))
        for rollout, verdicts in zip(judged, found, strict=True)
    )


def _usage(found: Any) -> Usage:
    """Lines hold the total: it stands under one name for all roles."""
    if not isinstance(found, Mapping) or not found:
        return Usage()
    if "roles" in found:
        return Usage.model_validate(found)
    names = ("calls", "cached", "prompt_tokens", "completion_tokens")
    counts = {name: found[name] for name in names if isinstance(found.get(name), int)}
    usd = found.get("usd")
    role = RoleUsage(**counts, usd=usd or 0.0, unpriced=0 if usd is not None else 1)
    return Usage(roles={"all roles": role}, seconds=found.get("seconds") or 0.0)


def _texts(found: Any) -> tuple[str, ...]:
    if isinstance(found, str):
        return (found,)
    return tuple(map(str, found)) if isinstance(found, list) else ()
