"""Estimators: from a group of rollouts to a reference.

An estimator is an async callable `RolloutGroup -> Reference`. To add one, write a factory that takes an
`EstimatorContext` and register it:

    @estimator("longest")
    def longest(context: EstimatorContext) -> Estimator:
        async def estimate(group: RolloutGroup) -> Reference:
            best = max(group.survivors, key=lambda r: len(r.text or ""))
            return Reference(parents=(best.id,), text=best.text or "", answer=best.answer, method="longest")
        return estimate

Another package can register one under the entry point group `catagent.estimators`.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from catagent.agents.prompts import Prompts
from catagent.errors import ConfigError
from catagent.events import Emit
from catagent.messages import Reference, RolloutGroup, Task
from catagent.models.model import Model

__all__ = [
    "Estimator",
    "EstimatorContext",
    "EstimatorFactory",
    "estimator",
    "estimator_names",
    "make_estimator",
]


@dataclass(frozen=True, slots=True)
class EstimatorContext:
    """What an estimator may use. It never sees gold labels."""

    task: Task
    anchor: Model
    prompts: Prompts
    question_aware: bool = False
    emit: Emit | None = None


Estimator: TypeAlias = Callable[[RolloutGroup], Awaitable[Reference]]
EstimatorFactory: TypeAlias = Callable[[EstimatorContext], Estimator]

_BUILT_IN = {name: f"catagent.estimators.{name}" for name in ("synthesis", "majority")}
_factories: dict[str, EstimatorFactory] = {}


def estimator(name: str) -> Callable[[EstimatorFactory], EstimatorFactory]:
    """Register a factory under `name`."""

    def registered(factory: EstimatorFactory) -> EstimatorFactory:
        _factories[name] = factory
        return factory

    return registered


def estimator_names() -> list[str]:
    """Every name that `make_estimator` knows."""
    plugged = (e.name for e in importlib.metadata.entry_points(group="catagent.estimators"))
    return sorted({*_BUILT_IN, *_factories, *plugged})


def make_estimator(name: str, context: EstimatorContext) -> Estimator:
    """The estimator of that name. Raises `ConfigError` when there is none."""
    if name not in _factories and name in _BUILT_IN:
        importlib.import_module(_BUILT_IN[name])
    if name not in _factories:
        for entry in importlib.metadata.entry_points(group="catagent.estimators", name=name):
            _factories[name] = entry.load()
    if name not in _factories:
        names = estimator_names()
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise ConfigError(f"there is no estimator {name!r}; {hint}")
    return _factories[name](context)
