"""What the lines of a job depend on, so that two configurations are never mixed in one output."""

from __future__ import annotations

import hashlib
from typing import Any

from catagent.batch.work import Work
from catagent.cat import CaT
from catagent.models.endpoint import Endpoint
from catagent.models.model import Model

__all__ = ["endpoints_of", "fingerprint_of", "models_of", "prompts_of"]

_PROMPTS = {
    "sampler": ("rollout_auto", "rollout_verifiable"),
    "anchor": ("synthesis_freeform", "synthesis_reasoning"),
    "rubric_proposer": ("rubric_proposal",),
    "judge": ("judge_equivalence", "judge_verdict", "judge_verdicts"),
}


async def models_of(cat: CaT, work: Work, *, start: bool = True) -> dict[str, Model]:
    """The model in each role that the work may ask; `start` loads an embedded one."""
    run = await cat.begin()
    return {role: await run.model(role, start=start) for role in work.roles}


def endpoints_of(models: dict[str, Model]) -> list[Endpoint]:
    """Their endpoints, each once, fall-backs included."""
    found = {id(e): e for model in models.values() for e in model.endpoints}
    return list(found.values())


def prompts_of(models: dict[str, Model]) -> list[str]:
    """The names of the prompts that these roles may use."""
    return [name for role in models for name in _PROMPTS[role]]


def fingerprint_of(cat: CaT, work: Work, models: dict[str, Model], **layout: Any) -> dict[str, Any]:
    """Models, parameters, prompts and options, as names and values. `layout` is what lines look like."""
    roles = {
        role: {
            "model": model.endpoint.identity,
            "fallbacks": [e.identity for e in model.endpoints[1:]],
            "params": {**model.endpoint.params, **model.params, **(work.params if role == "sampler" else {})},
        }
        for role, model in models.items()
    }
    prompts = {
        name: f"{prompt.version} ({hashlib.sha256(prompt.body.encode()).hexdigest()[:8]})"
        for role in models
        for name in _PROMPTS[role]
        for prompt in (cat.prompts[name],)
    }
    said: dict[str, Any] = {
        "mode": work.mode,
        "rewards": work.rewards,
        "n": cat.n,
        "kind": cat.kind,
        "estimator": cat.estimator,
        "question_aware": cat.question_aware,
        "quorum": cat.quorum,
        "roles": roles,
        "prompts": prompts,
        "layout": layout,
    }
    if work.mode != "rollouts":
        said["rewarding"] = cat.rewarding.model_dump(mode="json")
    if "judge" in models:
        said["proposing"] = cat.proposing.model_dump(mode="json")
        said["judging"] = cat.judging.model_dump(mode="json")
    return said
