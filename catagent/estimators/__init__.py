"""Estimators: from a group of rollouts to a reference.

An estimator is an async callable `RolloutGroup -> Reference`. To add one, write a factory that takes an
`EstimatorContext` and register it; its keyword-only parameters are the options that its name may carry:

    @estimator("longest")
    def longest(context: EstimatorContext, *, at_most: int = 4000) -> Estimator:
        async def estimate(group: RolloutGroup) -> Reference:
            fitting = [r for r in group.survivors if len(r.text or "") <= at_most]
            best = max(fitting, key=lambda r: len(r.text or ""))
            return Reference(parents=(best.id,), text=best.text or "", answer=best.answer, method="longest")
        return estimate

It is then named `longest` or `longest:at_most=2000` wherever a method is named. Another package can register
one under the entry point group `catagent.estimators`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from catagent.agents.prompts import Prompts
from catagent.errors import ConfigError
from catagent.events import Emit
from catagent.messages import Reference, RolloutGroup, Task
from catagent.models.model import Model
from catagent.naming import keywords, options_of_factory, split_name
from catagent.plugins import Plugins

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
    """What an estimator may use. It never sees gold labels.

    `donor` is a group of rollouts of another question, for the placebos.
    """

    task: Task
    anchor: Model
    prompts: Prompts
    question_aware: bool = False
    emit: Emit | None = None
    donor: RolloutGroup | None = None


Estimator: TypeAlias = Callable[[RolloutGroup], Awaitable[Reference]]
EstimatorFactory: TypeAlias = Callable[..., Estimator]
"""Takes an `EstimatorContext`, and options as keyword-only parameters."""

_BUILT_IN = {
    "majority": "catagent.estimators.majority",
    "placebo_none": "catagent.estimators.placebo",
    "placebo_other": "catagent.estimators.placebo",
    "synthesis": "catagent.estimators.synthesis",
}
_estimators: Plugins[EstimatorFactory] = Plugins(
    "estimator", group="catagent.estimators", built_in=_BUILT_IN, adopt=lambda brought: brought
)


def estimator(name: str) -> Callable[[EstimatorFactory], EstimatorFactory]:
    """Register a factory under `name`."""
    if set(name) & set(":,=+ "):
        raise ConfigError(f"an estimator's name has no colon, comma, equals sign, plus or space: {name!r}")

    def registered(factory: EstimatorFactory) -> EstimatorFactory:
        _estimators.add(name, factory)
        return factory

    return registered


def estimator_names(*, options: bool = False) -> list[str]:
    """Every name that `make_estimator` knows; with `options` each with the options that it takes."""
    names = _estimators.names()
    return [_documented(name) for name in names] if options else names


def _documented(name: str) -> str:
    options = options_of_factory(_estimators.get(name))
    return f"{name}:{','.join(map(str, options))}" if options else name


def make_estimator(name: str, context: EstimatorContext) -> Estimator:
    """The estimator that `name` stands for: a registered name, or one with options (`synthesis:aware`).

    Raises `ConfigError` when there is none, an option does not fit, or something it needs is absent.
    """
    bare, parts = split_name(name)
    factory = _estimators.get(bare)
    return factory(context, **keywords(name, factory, parts))
