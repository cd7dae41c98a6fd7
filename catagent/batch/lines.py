"""What a line of output says, by mode.

`solve`, `score` and `rollouts` give one line a row, failed rows included. `sft` and `rl` files are read by
trainers (the column names are those of TRL), so a row without a usable reference gives no line there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from catagent.batch.rows import Row
from catagent.messages import ChatMessage, Reference, Rollout, Solution, Usage

__all__ = ["MODES", "TRAINING", "Mode", "UnusableError", "copied_line", "error_line", "line_of"]

Mode: TypeAlias = Literal["solve", "score", "rollouts", "sft", "rl"]
MODES: tuple[Mode, ...] = ("solve", "score", "rollouts", "sft", "rl")
TRAINING = frozenset({"sft", "rl"})


class UnusableError(Exception):
    """There is a solution, and nothing in it to train on; the text says why."""


def line_of(mode: Mode, row: Row, solution: Solution, *, full: bool) -> dict[str, Any]:
    """The line of a finished row. Raises `UnusableError` for a training file."""
    if mode == "sft":
        return _sft(row, solution)
    if mode == "rl":
        return _rl(row, solution)
    said: dict[str, Any]
    if mode == "rollouts":
        said = {"rollouts": [_rollout(r) for r in solution.rollouts]}
    else:
        reference = solution.reference
        said = {
            "answer": solution.answer,
            "text": reference.text if reference else None,
            "rewards": [r.value for r in solution.rewards],
            "agreement": reference.agreement if reference else None,
            "method": reference.method if reference else None,
            "fallback": reference.fallback if reference else None,
        }
    line: dict[str, Any] = {"id": row.id, **said, "partial": solution.partial}
    if full:
        line |= _full(row, solution)
    return {**line, "usage": _usage(solution.usage), "error": None}


def error_line(mode: Mode, row: Row, error: Exception) -> dict[str, Any]:
    """The line of a row that failed; for a training file it goes to the errors beside it."""
    kind = type(error).__name__
    said = f"{kind}: {error}" if str(error) else kind
    if mode in TRAINING:
        return {"id": row.id, "row": row.number + 1, "error": said}
    nothing: dict[str, Any] = {"answer": None, "text": None, "rewards": [], "agreement": None}
    return {
        "id": row.id,
        **({"rollouts": []} if mode == "rollouts" else nothing),
        "usage": None,
        "error": said,
    }


def copied_line(line: Mapping[str, Any], row_id: str | int) -> dict[str, Any]:
    """The line of a row with the same content as one that is done: it cost nothing."""
    copy = {**line, "id": row_id}
    if line.get("usage"):
        copy["usage"] = _usage(Usage())
    return copy


def _full(row: Row, solution: Solution) -> dict[str, Any]:
    return {
        "messages": list(row.messages),
        "kind": solution.group.kind,
        "rollouts": [_rollout(r) for r in solution.rollouts],
        "rubric": [c.model_dump() for c in solution.rubric.criteria] if solution.rubric else None,
        "judgements": [
            [v.model_dump(exclude_none=True, exclude_defaults=True) for v in j.verdicts]
            for j in solution.judgements
        ],
        "majority": str(solution.reference.majority)
        if solution.reference and solution.reference.majority
        else None,
        "rejected": solution.reference.rejected if solution.reference else None,
        "notes": list(solution.notes),
    }


def _rollout(rollout: Rollout) -> dict[str, Any]:
    said: dict[str, Any] = {
        "text": rollout.text,
        "answer": str(rollout.answer) if rollout.answer else None,
        "finish_reason": rollout.finish_reason,
        "model": rollout.model,
        "error": rollout.error,
    }
    if rollout.reasoning is not None:
        said["reasoning"] = rollout.reasoning
    if rollout.tool_calls:
        said["tool_calls"] = list(rollout.tool_calls)
    if rollout.logprobs is not None:
        said["logprobs"] = list(rollout.logprobs)
    if rollout.tokens is not None:
        said["tokens"] = list(rollout.tokens)
    return said


def _usage(usage: Usage) -> dict[str, Any]:
    total = usage.total
    return {
        "calls": total.calls,
        "cached": total.cached,
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "usd": usage.usd,
        "seconds": round(usage.seconds, 3),
    }


def _sft(row: Row, solution: Solution) -> dict[str, Any]:
    reference = _usable(solution)
    return {
        "id": row.id,
        "prompt": list(row.messages),
        "completion": [{"role": "assistant", "content": reference.text}],
        "agreement": reference.agreement,
    }


def _rl(row: Row, solution: Solution) -> dict[str, Any]:
    reference = _usable(solution)
    rubric = [c.model_dump() for c in solution.rubric.criteria] if solution.rubric else None
    if not any(r.value is not None for r in solution.rewards):
        raise UnusableError("no rollout has a reward")
    return {
        "id": row.id,
        "prompt": list(row.messages),
        "completions": [_completion(r) for r in solution.rollouts if r.ok],
        "rewards": [w.value for r, w in zip(solution.rollouts, solution.rewards, strict=True) if r.ok],
        "reference": reference.text,
        "answer": solution.answer,
        "rubric": rubric,
        "agreement": reference.agreement,
    }


def _completion(rollout: Rollout) -> list[ChatMessage]:
    message: ChatMessage = {"role": "assistant", "content": rollout.text}
    if rollout.tool_calls:
        message["tool_calls"] = list(rollout.tool_calls)
    return [message]


def _usable(solution: Solution) -> Reference:
    reference = solution.reference
    if reference is None or not reference.text:
        raise UnusableError("there is no reference")
    if solution.group.kind == "verifiable" and reference.answer is None:
        raise UnusableError(f"the reference states no answer: {reference.fallback or 'nothing to compare'}")
    return reference
