"""Solutions in the shapes of OpenAI's chat API.

What the protocol has no place for (how the reference came about, rewards, usage by role) stands in one
field of its own, `catagent`. The `usage` of a reply is the true total: all rollouts, all roles, failed
attempts included; it is `None` where the endpoints do not say.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from catagent.messages import Rollout, Solution, Usage
from catagent.models.client import Choice, TokenLogprob

__all__ = [
    "Body",
    "Head",
    "choice_of",
    "completion",
    "details_of",
    "message_of",
    "numbered",
    "rollout_choice",
    "usage_of",
]

Body: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Head:
    """What a reply and all its chunks have in common. `created` is in seconds since 1970."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def completion(self, choices: Sequence[Body], usage: Usage, details: Mapping[str, Any]) -> Body:
        """A `chat.completion`."""
        return {
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": list(choices),
            "usage": usage_of(usage),
            "catagent": dict(details),
        }

    def chunk(self, choices: Sequence[Body], **more: Any) -> Body:
        """A `chat.completion.chunk`."""
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": list(choices),
            **more,
        }


def usage_of(usage: Usage) -> Body | None:
    """The total in OpenAI's words; `None` when no endpoint said how much it was."""
    total = usage.total
    if total.unmetered and not total.prompt_tokens and not total.completion_tokens:
        return None
    return {
        "prompt_tokens": total.prompt_tokens,
        "completion_tokens": total.completion_tokens,
        "total_tokens": total.prompt_tokens + total.completion_tokens,
    }


def accounts_of(usage: Usage) -> Body:
    """What was spent, in all and by role."""
    return {
        "calls": usage.calls,
        "usd": usage.usd,
        "seconds": round(usage.seconds, 3),
        "roles": {role: used.model_dump() for role, used in usage.roles.items()},
    }


def numbered(calls: Iterable[Mapping[str, Any]]) -> tuple[Body, ...]:
    """Whole tool calls as pieces of a stream, which carry their place."""
    return tuple({**call, "index": place} for place, call in enumerate(calls))


def message_of(choice: Choice) -> Body:
    """An assistant's message as it came from a model."""
    message: Body = {"role": "assistant", "content": choice.text, "refusal": None}
    if choice.reasoning:
        message["reasoning_content"] = choice.reasoning
    if choice.tool_calls:
        message["tool_calls"] = list(choice.tool_calls)
    return {**message, **choice.extra}


def choice_of(index: int, choice: Choice) -> Body:
    """A choice as it came from a model."""
    return {
        "index": index,
        "message": message_of(choice),
        "logprobs": _logprobs(choice.logprobs),
        "finish_reason": choice.finish_reason or ("tool_calls" if choice.tool_calls else "stop"),
    }


def _logprobs(tokens: Sequence[TokenLogprob] | None) -> Body | None:
    if not tokens:
        return None

    def one(token: str, logprob: float) -> Body:
        return {"token": token, "logprob": logprob, "bytes": list(token.encode("utf-8", "replace"))}

    content = [{**one(t.token, t.logprob), "top_logprobs": [one(*top) for top in t.top]} for t in tokens]
    return {"content": content, "refusal": None}


def rollout_choice(index: int, rollout: Rollout) -> Body:
    """A rollout as a further choice of a reply."""
    known = Choice(rollout.text, rollout.finish_reason, rollout.tool_calls, rollout.reasoning)
    return {**choice_of(index, known), "catagent": {"rollout": rollout.index}}


def completion(head: Head, solution: Solution, choices: int, *, texts: bool = False) -> Body:
    """The `chat.completion` of a solution: the reference, then rollouts in sampling order.

    Rollouts that failed are no choices, so fewer may come than were asked for.
    """
    made = [_reference_choice(solution)]
    alive = solution.group.survivors[: choices - 1]
    made += [rollout_choice(i, rollout) for i, rollout in enumerate(alive, 1)]
    return head.completion(made, solution.usage, details_of(solution, texts=texts))


def _reference_choice(solution: Solution) -> Body:
    message: Body = {"role": "assistant", "content": solution.text, "refusal": None}
    speaker = _caller(solution)
    if speaker is not None:
        message["content"] = speaker.text
        message["tool_calls"] = list(speaker.tool_calls)
    cut_off = solution.reference is not None and solution.reference.cut_off
    reason = "tool_calls" if speaker is not None else "length" if cut_off else "stop"
    return {"index": 0, "message": message, "logprobs": None, "finish_reason": reason}


def _caller(solution: Solution) -> Rollout | None:
    """The rollout whose tool calls are the reference, if that is what it is."""
    reference = solution.reference
    if reference is None or reference.answer is None or reference.answer.kind != "tool_call":
        return None
    return next((r for r in solution.group.survivors if r.id in reference.parents[:1] and r.tool_calls), None)


def details_of(solution: Solution, *, texts: bool = False) -> Body:
    """The field `catagent` of a reply. With `texts` the rollouts' texts are in it."""
    reference = solution.reference
    rewards = {reward.rollout_id: reward for reward in solution.rewards}
    return {
        "method": reference.method if reference else None,
        "fallback": reference.fallback if reference else None,
        "kind": solution.group.kind,
        "answer": solution.answer,
        "agreement": reference.agreement if reference else None,
        "majority": str(reference.majority) if reference and reference.majority else None,
        "differs_from_majority": reference.differs_from_majority if reference else None,
        "partial": solution.partial,
        "rollouts": [_rollout(r, texts) for r in solution.rollouts],
        "rewards": [_reward(rewards.get(r.id)) for r in solution.rollouts] if rewards else None,
        "rubric": [c.model_dump() for c in solution.rubric.criteria] if solution.rubric else None,
        "usage": accounts_of(solution.usage),
        "notes": list(solution.notes),
    }


def _rollout(rollout: Rollout, texts: bool) -> Body:
    about: Body = {
        "index": rollout.index,
        "model": rollout.model,
        "answer": str(rollout.answer) if rollout.answer else None,
        "finish_reason": rollout.finish_reason,
        "error": rollout.error,
    }
    return {**about, "text": rollout.text} if texts else about


def _reward(reward: Any) -> Body | None:
    return {"value": reward.value, "name": reward.name, "reason": reward.reason} if reward else None
