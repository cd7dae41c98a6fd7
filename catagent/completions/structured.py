"""The reference of a request for JSON: a synthesis that follows the schema, or a vote of rollouts that do."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict

from catagent.agents.conversation import question_of
from catagent.agents.fencing import cleaned, fenced
from catagent.completions.problems import ApiError
from catagent.completions.schema import Reading, Schema, schema_of
from catagent.errors import AccountError, ModelError, RequestError
from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.estimators.fallback import kept
from catagent.estimators.majority import most_confident
from catagent.events import SynthesisStarted
from catagent.messages import Reference, Rollout, RolloutGroup, Solution
from catagent.models.client import Choice

__all__ = ["NAME", "conforming"]

NAME = "json_synthesis"


@estimator(NAME)
def json_synthesis(context: EstimatorContext) -> Estimator:
    """The estimator `json_synthesis`: the anchor reconciles the rollouts into one JSON text.

    The `response_format` of the task goes to the anchor as well. Where the endpoint refuses it, it is
    asked without.
    """
    wanted = context.task.params.get("response_format")
    schema = schema_of(wanted) or Schema(None)
    question = question_of(context.task) if context.question_aware else None

    async def estimate(group: RolloutGroup) -> Reference:
        readings = await asyncio.to_thread(_read, group, schema)
        valid = [(r, reading.text) for r, reading in readings if reading.problem is None]
        sources = valid or [(r, cleaned(r.text or "")) for r, _ in readings]
        prompt = context.prompts["synthesis_json"].render(
            responses=fenced([text for _, text in sources], "response"),
            count=str(len(sources)),
            schema=_shown(schema),
            question=fenced([question], "question") if question else None,
        )
        if context.emit:
            context.emit(SynthesisStarted(round=1, rounds=1, groups=1, model=context.anchor.name))
        try:
            choice = await _asked(context, prompt, wanted)
        except AccountError:
            raise
        except ModelError as error:
            return await asyncio.to_thread(_voted, group, schema, f"no synthesis: {error}")
        reading = await asyncio.to_thread(schema.read, cleaned(choice.text or ""))
        if reading.problem is not None:
            reason = f"the synthesis does not follow the schema: {reading.problem}"
            return await asyncio.to_thread(_voted, group, schema, reason, cleaned(choice.text or ""))
        return Reference(
            parents=tuple(r.id for r, _ in sources), text=reading.text, method="synthesis", rounds=1
        )

    return estimate


async def _asked(context: EstimatorContext, prompt: str, wanted: object) -> Choice:
    messages = [{"role": "user", "content": prompt}]
    try:
        return await context.anchor.sample(messages, {"response_format": wanted} if wanted else None)
    except RequestError:
        return await context.anchor.sample(messages)


def _shown(schema: Schema) -> str:
    return json.dumps(schema.schema, ensure_ascii=False) if schema.schema is not None else "any JSON object"


def _read(group: RolloutGroup, schema: Schema) -> list[tuple[Rollout, Reading]]:
    return [(rollout, schema.read(rollout.text)) for rollout in group.survivors if rollout.text]


def _voted(group: RolloutGroup, schema: Schema, reason: str, rejected: str = "") -> Reference:
    """The JSON that most valid rollouts share, in the words of the most confident of them.

    It stands in for the text `rejected`. Raises `ApiError` (502) when no rollout follows the schema.
    """
    parties: dict[bytes, list[Rollout]] = defaultdict(list)
    problems = []
    for rollout in group.survivors:
        reading = schema.read(rollout.text)
        if reading.problem is None:
            parties[reading.canonical].append(rollout)
        else:
            problems.append(reading.problem)
    if not parties:
        raise ApiError(
            502,
            f"{reason}; and none of {len(problems)} rollouts follows it either: {''.join(problems[:1])}",
            type="upstream_error",
            code="no_valid_json",
            again=True,
        )
    winners = max(parties.values(), key=len)
    speaker = most_confident(winners)
    return Reference(
        parents=tuple(r.id for r in winners),
        text=schema.read(speaker.text).text,
        method="majority",
        agreement=len(winners) / len(group.survivors),
        fallback=reason or None,
        rejected=kept([rejected]),
    )


async def conforming(solution: Solution, schema: Schema) -> Solution:
    """The solution with a reference that follows the schema, whatever estimator made it."""
    return await asyncio.to_thread(_conforming, solution, schema)


def _conforming(solution: Solution, schema: Schema) -> Solution:
    reference = solution.reference
    if reference is not None:
        reading = schema.read(reference.text)
        if reading.problem is None:
            return solution.model_copy(
                update={"reference": reference.model_copy(update={"text": reading.text})}
            )
        reason = f"the reference by {reference.method} does not follow the schema: {reading.problem}"
        rejected = reference.rejected or reference.text
    else:
        reason, rejected = "there is no reference", ""
    return solution.model_copy(
        update={
            "reference": _voted(solution.group, schema, reason, rejected),
            "notes": (*solution.notes, reason),
        }
    )
