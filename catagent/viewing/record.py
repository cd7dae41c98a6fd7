"""A row as data of the page: a line of the list, and the details that are read when it is opened."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from catagent.messages import Judgement, Reference, Reward, Rollout, Solution, Task, Usage
from catagent.viewing.clusters import Clustering, Clusters
from catagent.viewing.rows import MethodReference, Row
from catagent.viewing.texts import bounded, units, visible

__all__ = ["Record", "record_of"]

_LONGEST = 100_000
_SHORTEST = 2_000
_A_ROW = 4_000_000
"""Characters: of one text at most and at least, and of all texts of a row."""
_TITLE = 240
_ANSWER = 80
_TOKENS = 20_000
_ROLLOUTS = 1024
_METHODS = 100
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Record(NamedTuple):
    """`line` is for the list and its filters, `details` for the row when it is open; both are JSON."""

    line: bytes
    details: bytes


def record_of(row: Row, clustering: Clustering) -> Record:
    """The data of a row. Its size is bounded, whatever the row holds."""
    solution = row.solution
    answers = [r.answer if r.ok else None for r in solution.rollouts[:_ROLLOUTS]]
    stated = [solution.reference, *(m.reference for m in row.references[:_METHODS])]
    clusters = clustering(answers, [reference.answer if reference else None for reference in stated])
    return Record(orjson.dumps(_line(row, clusters)), orjson.dumps(_details(row, clusters)))


def _differs(reference: Reference | None, number: int | None, clusters: Clusters) -> bool | None:
    """Whether a reference of class `number` differs from the majority; files that do not say so are read by
    the answers.
    """
    if reference is None or reference.differs_from_majority is not None:
        return reference.differs_from_majority if reference else None
    return None if number is None or not clusters.clear else number != 0


def _line(row: Row, clusters: Clusters) -> dict[str, Any]:
    solution = row.solution
    reference, number = solution.reference, clusters.references[0]
    values = [r.value for r in solution.rewards if r.value is not None and math.isfinite(r.value)]
    usage = solution.usage
    return bounded(  # type: ignore[no-any-return]
        {
            "id": row.id,
            "group": row.group,
            "title": " ".join(_asked(solution.task)[: 4 * _TITLE].split())[:_TITLE],
            "answer": None if solution.answer is None else solution.answer[:_ANSWER],
            "gold": None if row.gold is None else row.gold[:_ANSWER],
            "letters": "".join(map(_letter, solution.rollouts, clusters.numbers)),
            "mine": None if number is None else _class_letter(number),
            "by": row.references[0].method if row.references else None,
            "method": reference.method if reference else None,
            "agreement": reference.agreement if reference else None,
            "differs": _differs(reference, number, clusters),
            "fallback": bool(reference and reference.fallback),
            "failed": sum(not r.ok for r in solution.rollouts),
            "mean": sum(values) / len(values) if values else None,
            "low": min(values, default=None),
            "high": max(values, default=None),
            "tokens": usage.tokens,
            "usd": usage.usd if usage.roles else None,
            "seconds": usage.seconds,
            "correct": dict(row.correct),
        },
        _TITLE,
    )


def _letter(rollout: Rollout, number: int | None) -> str:
    return _class_letter(number) if rollout.ok else "!"


def _class_letter(number: int | None) -> str:
    if number is None:
        return "-"
    return _LETTERS[number] if number < len(_LETTERS) else "*"


def _details(row: Row, clusters: Clusters) -> dict[str, Any]:
    solution = row.solution
    texts = 2 * (len(clusters.numbers) + len(clusters.references)) + min(1000, len(solution.task.messages))
    longest = max(_SHORTEST, min(_LONGEST, _A_ROW // texts))
    rewards = {r.rollout_id: r for r in solution.rewards}
    judgements = {j.rollout_id: j for j in solution.judgements}
    rollouts = [
        _rollout(r, _class_letter(number), rewards.get(r.id), judgements.get(r.id), longest)
        for r, number in zip(solution.rollouts, clusters.numbers, strict=False)
    ]
    said = {
        "id": row.id,
        "group": row.group,
        "gold": row.gold,
        "correct": dict(row.correct),
        "kind": solution.group.kind,
        "left_out": len(solution.rollouts) - len(clusters.numbers),
        "messages": [_message(m) for m in solution.task.messages],
        "params": solution.task.params,
        "references": _references(row, clusters),
        "more_methods": max(0, len(row.references) - _METHODS),
        "rubric": _rubric(solution),
        "usage": _usage(solution.usage),
        "notes": list(solution.notes),
    }
    return {**bounded(said, longest), "rollouts": rollouts}


def _asked(task: Task) -> str:
    """What the user said last."""
    said = [m for m in task.messages if m.get("role") == "user"] or list(task.messages)
    return _message(said[-1])["content"]


def _message(message: dict[str, Any]) -> dict[str, str]:
    content = message.get("content")
    if isinstance(content, list):
        parts = [part if isinstance(part, dict) else {"text": part} for part in content]
        content = "\n".join(str(part.get("text", f"[{part.get('type')}]")) for part in parts)
    calls = message.get("tool_calls")
    called = _json(calls) if calls else ""
    return {"role": str(message.get("role", "")), "content": f"{content or ''}{called}"}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _rollout(
    rollout: Rollout, letter: str, reward: Reward | None, judgement: Judgement | None, longest: int
) -> dict[str, Any]:
    said: dict[str, Any] = {
        "index": rollout.index,
        "ok": rollout.ok,
        "text": rollout.text,
        "reasoning": rollout.reasoning,
        "letter": letter if rollout.ok else "!",
        "answer": rollout.answer.text if rollout.answer else None,
        "source": rollout.answer.source if rollout.answer else None,
        "tools": _json(rollout.tool_calls) if rollout.tool_calls else None,
        "finish": rollout.finish_reason,
        "model": rollout.model,
        "error": rollout.error,
    }
    if reward is not None:
        said["reward"] = reward.model_dump(include={"value", "name", "breakdown", "reason"})
    if judgement is not None:
        said["judge"] = judgement.judge
        said["findings"] = [f.model_dump() for f in judgement.findings]
        said["verdicts"] = {
            v.criterion_id: v.model_dump(exclude={"criterion_id"}, exclude_defaults=True)
            for v in judgement.verdicts
        }
    said = bounded(said, longest)
    if rollout.logprobs:
        said |= _likelihood(rollout, rollout.logprobs, longest)
    return said


def _likelihood(rollout: Rollout, logprobs: Sequence[float], longest: int) -> dict[str, Any]:
    """Log-probabilities in nats, and how long each token is on the page where the tokens make up the text."""
    known = [p for p in logprobs if math.isfinite(p)]
    said: dict[str, Any] = {
        "logprobs": [round(p, 3) if math.isfinite(p) else None for p in logprobs[:_TOKENS]],
        "sampled": len(logprobs),
        "mean": sum(known) / len(known) if known else None,
    }
    text = rollout.text or ""
    tokens = rollout.tokens or ()
    if not text or len(text) > longest or len(tokens) != len(logprobs) or len(tokens) > _TOKENS:
        return said
    begins = "".join(tokens).find(text)
    if begins < 0:
        return said
    lengths, at, ends = [], 0, begins + len(text)
    for token in tokens:
        inside = token[max(0, begins - at) : max(0, ends - at)]
        lengths.append(units(visible(inside)))
        at += len(token)
    said["lengths"] = lengths
    return said


def _references(row: Row, clusters: Clusters) -> list[dict[str, Any]]:
    """The references of all methods; where none are named, the one of the solution, if there is one."""
    solution = row.solution
    rollouts = solution.rollouts[: len(clusters.numbers)]
    positions = {r.id: i for i, r in enumerate(rollouts)}
    words = {r.text: i for i, r in reversed(list(enumerate(rollouts))) if r.ok and r.text}
    if not row.references:
        found = solution.reference
        return [_reference(found, clusters.references[0], clusters, positions, words)] if found else []
    return [
        {**_named(row, one), **_reference(one.reference, number, clusters, positions, words)}
        for one, number in zip(row.references, clusters.references[1:], strict=False)
    ]


def _named(row: Row, one: MethodReference) -> dict[str, Any]:
    """What is known about a method on this row beside its reference."""
    right = row.correct.get(one.method)
    return {"name": one.method, "right": right, "score": one.score, "error": one.error}


def _reference(
    reference: Reference | None,
    number: int | None,
    clusters: Clusters,
    positions: Mapping[str, int],
    words: Mapping[str, int],
) -> dict[str, Any]:
    """A reference whose answer is in the class `number`. A text that is a rollout's own is not repeated:
    `words_of` is the position of that rollout.
    """
    if reference is None:
        return {"method": None}
    words_of = words.get(reference.text)
    return {
        "text": reference.text if words_of is None else None,
        "words_of": words_of,
        "answer": reference.answer.text if reference.answer else None,
        "letter": _class_letter(number) if reference.answer else None,
        "method": reference.method,
        "agreement": reference.agreement,
        "majority": str(reference.majority) if reference.majority else None,
        "differs": _differs(reference, number, clusters),
        "fallback": reference.fallback,
        "rejected": reference.rejected,
        "rounds": reference.rounds,
        "of": [positions[p] for p in reference.parents if p in positions],
    }


def _rubric(solution: Solution) -> dict[str, Any] | None:
    rubric = solution.rubric
    if rubric is None:
        return None
    return rubric.model_dump(include={"criteria", "source", "notes"})


def _usage(usage: Usage) -> dict[str, Any]:
    said = usage.model_dump(exclude={"timeline"})
    said["timeline"] = [[c.role, c.began, c.seconds, c.outcome] for c in usage.timeline]
    return said
