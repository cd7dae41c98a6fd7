"""Rewards over HTTP: for one prompt, for many, and in the words of OpenRLHF's remote reward protocol.

A batch is grouped by prompt, since a reference is made from all completions of one prompt. Labels that a
trainer sends along are not looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catagent.cat import CaT
from catagent.completions import ApiError, Body, CatOptions, cast_of
from catagent.completions.reply import accounts_of, usage_of
from catagent.completions.request import problem_of
from catagent.gathering import gathered
from catagent.messages import ChatMessage, Kind, Solution, Usage
from catagent.server.options import ServerOptions

__all__ = ["ScoreRequest", "score", "score_request"]

_ENDS = (
    "<|im_end|>",
    "<|eot_id|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "</s>",
    "<eos>",
    "<end_of_turn>",
)


class ScoreRequest(BaseModel):
    """The body of `POST /v1/score`, in one of three shapes.

    `prompt` with its `completions`; `prompts` and `completions` of the same length; or `prompts` and
    `query`, which is prompt and response in one text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(default="cat", min_length=1, max_length=500)
    prompt: str | list[ChatMessage] | None = None
    prompts: list[str] | None = Field(default=None, min_length=1)
    completions: list[str | ChatMessage | None] | None = Field(default=None, min_length=1)
    query: list[str] | None = Field(default=None, min_length=1)
    labels: Any = Field(
        default=None, description="Taken and not looked at: gold labels never reach an agent."
    )
    reference: str | None = Field(default=None, min_length=1, description="A reference of your own.")
    rubric: list[str | dict[str, Any]] | None = Field(default=None, min_length=1)
    kind: Kind | None = None
    estimator: str | None = Field(default=None, min_length=1, max_length=500)


def score_request(body: object) -> ScoreRequest:
    """The request in a JSON body. Raises `ApiError` (400)."""
    try:
        request = ScoreRequest.model_validate(body)
    except ValidationError as error:
        raise problem_of(error) from None
    shape = (request.prompt is not None, request.prompts is not None, request.query is not None)
    if shape == (True, False, False) and request.completions:
        return request
    if request.prompts and (shape[2] != (request.completions is not None)) and not shape[0]:
        other = request.query or request.completions or []
        if len(other) == len(request.prompts):
            return request
        raise ApiError(
            400, f"there are {len(request.prompts)} prompts and {len(other)} texts", code="invalid_value"
        )
    raise ApiError(
        400,
        "send prompt and completions; or prompts and completions, one each; or prompts and query",
        code="invalid_value",
    )


async def score(request: ScoreRequest, cat: CaT, options: ServerOptions) -> Body:
    """The rewards, in the order of the completions. A reward that is not known is `None`."""
    await cat.begin()
    chosen = CatOptions(kind=request.kind, estimator=request.estimator)
    judge = cast_of(request.model, cat, chosen).cat
    count = len(request.completions or request.query or ())
    if count > options.most_completions:
        raise ApiError(400, f"{count} completions; at most {options.most_completions}", code="invalid_value")
    if request.prompt is not None:
        prompt = request.prompt if isinstance(request.prompt, str) else tuple(request.prompt)
        solution = await _scored(judge, prompt, request.completions or [], request)
        return {**_one(solution), "model": request.model}
    prompts = request.prompts or []
    texts: Sequence[Any] = request.completions or [
        _response(prompt, text) for prompt, text in zip(prompts, request.query or (), strict=True)
    ]
    places: dict[str, list[int]] = defaultdict(list)
    for place, prompt in enumerate(prompts):
        places[prompt].append(place)
    solutions = await gathered(
        _scored(judge, prompt, [texts[i] for i in mine], request) for prompt, mine in places.items()
    )
    values: list[float | None] = [None] * len(prompts)
    for mine, solution in zip(places.values(), solutions, strict=True):
        for place, reward in zip(mine, solution.rewards, strict=True):
            values[place] = reward.value
    if request.query is not None:
        return _for_trainer(values, list(places.values()))
    total = sum((s.usage for s in solutions), Usage())
    return {
        "object": "score",
        "model": request.model,
        "rewards": values,
        "groups": [
            {"places": mine, **_about(solution)}
            for mine, solution in zip(places.values(), solutions, strict=True)
        ],
        "usage": usage_of(total),
        "catagent": {"usage": accounts_of(total)},
    }


async def _scored(cat: CaT, prompt: Any, completions: Sequence[Any], request: ScoreRequest) -> Solution:
    try:
        return await cat.score(prompt, completions, reference=request.reference, rubric=request.rubric)
    except ValueError as error:  # of a rubric that the caller brought
        raise ApiError(400, f"rubric: {error}", code="invalid_value", param="rubric") from None


def _one(solution: Solution) -> Body:
    return {
        "object": "score",
        "rewards": [reward.value for reward in solution.rewards],
        **_about(solution),
        "usage": usage_of(solution.usage),
        "catagent": {"usage": accounts_of(solution.usage)},
    }


def _about(solution: Solution) -> Body:
    reference = solution.reference
    return {
        "details": [
            {"value": r.value, "name": r.name, "reason": r.reason, "breakdown": r.breakdown}
            for r in solution.rewards
        ],
        "reference": {
            "text": reference.text,
            "answer": solution.answer,
            "method": reference.method,
            "agreement": reference.agreement,
            "fallback": reference.fallback,
        }
        if reference
        else None,
        "rubric": [c.model_dump() for c in solution.rubric.criteria] if solution.rubric else None,
        "notes": list(solution.notes),
    }


def _response(prompt: str, query: str) -> str:
    """What the policy wrote: the query without the prompt it begins with and without the end of turn."""
    text = query.removeprefix(prompt).strip()
    while end := next((e for e in _ENDS if text.endswith(e)), None):
        text = text.removesuffix(end).rstrip()
    return text


def _for_trainer(values: list[float | None], groups: list[list[int]]) -> Body:
    """Numbers for a trainer that has no word for unknown.

    An unknown reward becomes the mean of its group, which has no advantage; where nothing in a group is
    known all are 0, which has none either. `extra_logs` tells them apart.
    """
    filled = [0.0] * len(values)
    for group in groups:
        known = [value for place in group if (value := values[place]) is not None]
        mean = sum(known) / len(known) if known else 0.0
        for place in group:
            value = values[place]
            filled[place] = mean if value is None else value
    unknown = [float(value is None) for value in values]
    return {"rewards": filled, "scores": filled, "extra_logs": {"catagent_unknown": unknown}}
