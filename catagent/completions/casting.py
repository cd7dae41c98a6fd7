"""Which `CaT` a model name stands for.

`cat` is the one that is there; `cat/provider/model` the same with another sampler; the name of a profile
(with or without `cat/`) what the configuration says under `profiles`. All of them share connections and
limiters, so that two names of one model do not get two limiters.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from typing import Any

from catagent.cat import CaT
from catagent.completions.problems import ApiError
from catagent.completions.request import CatOptions

__all__ = ["Cast", "cast_of", "model_names"]


@dataclass(frozen=True, slots=True)
class Cast:
    """A `CaT` for one request, and what its model name sets beside it.

    `rewards` are wanted by default; `params` are sampling parameters that a request may replace.
    """

    cat: CaT
    rewards: bool = False
    params: dict[str, Any] = field(default_factory=dict)


def model_names(cat: CaT) -> list[str]:
    """The names to list: `cat` and the profiles."""
    return ["cat", *sorted(f"cat/{name}" for name in cat.config.profiles)]


def cast_of(name: str, cat: CaT, options: CatOptions | None = None) -> Cast:
    """The `CaT` behind a model name, with a request's options on top.

    Raises `ApiError` (404) for a name that stands for nothing.
    """
    found = _named(name, cat)
    options = options or CatOptions()
    twin = found.cat.recast(
        n=options.n,
        kind=options.kind,
        estimator=options.estimator,
        question_aware=options.question_aware,
    )
    return Cast(twin, found.rewards if options.rewards is None else options.rewards, found.params)


def _named(name: str, cat: CaT) -> Cast:
    if name == "cat":
        return Cast(cat)
    bare = name.removeprefix("cat/")
    profile = cat.config.profiles.get(bare)
    if profile is not None:
        twin = cat.recast(
            profile.model,
            anchor=profile.anchor,
            rubric_proposer=profile.rubric_proposer,
            judge=profile.judge,
            n=profile.n,
            kind=profile.kind,
            estimator=profile.estimator,
            question_aware=profile.question_aware,
        )
        return Cast(twin, profile.rewards, dict(profile.params))
    if name.startswith("cat/") and "/" in bare:
        return Cast(cat.recast(bare))
    known = model_names(cat)
    near = difflib.get_close_matches(name, [*known, *cat.config.profiles], 1)
    hint = (
        f"did you mean {near[0]!r}?"
        if near
        else f"there are {', '.join(known)}, and any model as cat/provider/model"
    )
    raise ApiError(404, f"there is no model {name!r}; {hint}", code="model_not_found", param="model")
