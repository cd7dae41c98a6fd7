"""What a job will take, before anything is bought: rows, calls, tokens and cost by role.

Lengths of prompts come from a sample of the input. How long replies will be nobody knows beforehand: they
are taken from what the job has bought so far, else from the limit that is sent along, else from a guess.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from pathlib import Path

from catagent.batch.fingerprint import models_of
from catagent.batch.reading import Source
from catagent.batch.rows import BadLineError, Fields, Row, row_of
from catagent.batch.status import status_of
from catagent.batch.work import Work
from catagent.cat import CaT
from catagent.errors import ConfigError
from catagent.estimators import EstimatorCost, Lengths, plan_of
from catagent.messages import Usage
from catagent.models.endpoint import estimate_tokens
from catagent.models.model import Model

__all__ = ["Estimate", "RoleEstimate", "estimate"]

_SAMPLE = 500
_REPLY = 400
_FRAME = 250
_CRITERIA = 8


@dataclass(frozen=True, slots=True)
class RoleEstimate:
    """What one role will take. `usd` is `None` where the price is not known."""

    role: str
    model: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left to do, and what that will take."""

    rows: int
    bad: int
    copies: int
    done: int
    roles: tuple[RoleEstimate, ...]
    assumed: str
    """How the length of replies was come by."""

    @property
    def usd(self) -> float | None:
        """Cost in all; `None` when some price is not known."""
        costs = [role.usd for role in self.roles]
        return None if None in costs else sum(c for c in costs if c is not None)


async def estimate(
    cat: CaT, source: Source, work: Work, fields: Fields, out: Path, limit: int | None = None
) -> Estimate:
    """Read the whole input and send nothing."""
    draw = random.Random(0)
    seen: set[int] = set()
    sample: list[Row] = []
    rows = bad = copies = number = 0
    async for piece in source:
        for line in piece:
            if limit is not None and number >= limit:
                break
            number += 1
            try:
                if line.error:
                    raise BadLineError(line.error)
                row = row_of(number - 1, line.raw, fields, scored=work.mode == "score")
            except BadLineError:
                bad += 1
                continue
            rows += 1
            mark = int.from_bytes(row.content[:8], "big")
            copies += mark in seen
            seen.add(mark)
            if len(sample) < _SAMPLE:
                sample.append(row)
            elif (at := draw.randrange(rows)) < _SAMPLE:
                sample[at] = row
    try:
        status = status_of(out)
        done, usage = sum(status.rows.get(state, 0) for state in ("done", "left")), status.usage
    except ConfigError:
        done, usage = 0, Usage()
    models = await models_of(cat, work, start=False)
    reply, assumed = _reply(work, models, usage, done * cat.n)
    left = max(0, rows - copies - done)
    prompt = sum(estimate_tokens(r.messages) for r in sample) / len(sample) if sample else 0.0
    roles = tuple(_role(cat, role, model, left, prompt, reply, sample) for role, model in models.items())
    return Estimate(rows, bad, copies, done, tuple(r for r in roles if r.calls), assumed)


def _reply(work: Work, models: dict[str, Model], usage: Usage, samples: int) -> tuple[float, str]:
    sampler = usage.roles.get("sampler")
    if sampler and samples and sampler.completion_tokens:
        return sampler.completion_tokens / samples, "replies as long as those bought so far"
    params = dict(models["sampler"].params) if "sampler" in models else {}
    params.update(work.params)
    limit = params.get("max_tokens") or params.get("max_completion_tokens")
    if isinstance(limit, int):
        return limit, f"replies of {limit} tokens, the limit that is sent"
    return _REPLY, f"replies of {_REPLY} tokens, a guess: run --limit 20 first for a better one"


def _role(
    cat: CaT, role: str, model: Model, rows: int, prompt: float, reply: float, sample: list[Row]
) -> RoleEstimate:
    """For rubrics and judging as if all tasks were open-ended, which is the most that it can take."""
    group = float(cat.n)
    if sample and sample[0].completions is not None:
        group = sum(len(r.completions or ()) for r in sample) / len(sample)
    if role == "sampler":
        calls = math.ceil(cat.n / max(1, min(cat.n, model.endpoint.widest)))
        asked, answered = calls * (prompt + 40), cat.n * reply
    elif role == "anchor":
        lengths = Lengths(question=prompt, rollout=reply, synthesis=reply, frame=_FRAME)
        cost = plan_of(cat.estimator).cost(round(group), lengths) or EstimatorCost(round(group))
        calls, asked, answered = cost.calls, cost.prompt_tokens, cost.completion_tokens
    elif cat.kind == "verifiable":
        calls, asked, answered = 0, 0.0, 0.0
    elif role == "rubric_proposer":
        calls, asked, answered = 1, reply + _FRAME, _REPLY
    else:
        a_call = cat.judging.criteria_per_call or _CRITERIA
        calls = math.ceil(group * math.ceil(_CRITERIA / a_call) * cat.judging.votes)
        asked, answered = calls * (reply + _FRAME), calls * 60.0
    prompt_tokens, completion_tokens = round(rows * asked), round(rows * answered)
    price = model.endpoint.price
    usd = None if price is None else prompt_tokens * price.prompt + completion_tokens * price.completion
    return RoleEstimate(role, model.name, rows * calls, prompt_tokens, completion_tokens, usd)
