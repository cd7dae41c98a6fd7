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

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from catagent.agents.prompts import Prompts
from catagent.errors import ConfigError
from catagent.estimators.costs import CostOf, EstimatorCost, Lengths
from catagent.events import Emit, SynthesisStarted
from catagent.messages import Reference, RolloutGroup, Task
from catagent.models.model import Model
from catagent.naming import keywords, options_of_factory, split_name
from catagent.plugins import Plugins

__all__ = [
    "Estimator",
    "EstimatorContext",
    "EstimatorCost",
    "EstimatorFactory",
    "EstimatorPlan",
    "Lengths",
    "estimator",
    "estimator_names",
    "make_estimator",
    "plan_of",
]


@dataclass(frozen=True, slots=True)
class EstimatorContext:
    """What an estimator may use. It never sees gold labels.

    `donor` is a group of rollouts of another question, for the placebos; `models` are the other models
    that the plan names, by their strings.
    """

    task: Task
    anchor: Model
    prompts: Prompts
    question_aware: bool = False
    emit: Emit | None = None
    donor: RolloutGroup | None = None
    models: Mapping[str, Model] = field(default_factory=dict)

    def tell(self, groups: int, round: int = 1, rounds: int = 1) -> None:  # noqa: A002 - the event's word
        """Say that the anchor begins a round of `groups` calls, for displays of progress."""
        if self.emit:
            self.emit(SynthesisStarted(round=round, rounds=rounds, groups=groups, model=self.anchor.name))


Estimator: TypeAlias = Callable[[RolloutGroup], Awaitable[Reference]]
EstimatorFactory: TypeAlias = Callable[..., Estimator]
"""Takes an `EstimatorContext`, and options as keyword-only parameters."""


@dataclass(frozen=True, slots=True)
class _Registered:
    factory: EstimatorFactory
    cost: CostOf | None = None
    logprobs: bool = False
    models: str | None = None
    donor: bool = False


@dataclass(frozen=True, slots=True)
class EstimatorPlan:
    """What a name with its options stands for, before anything is made or sent.

    `options` holds every option, defaults included. `logprobs` says that the rollouts need their
    log-probabilities; `models` are the strings of other models that the estimator asks; `donor` that it needs
    the rollouts of another question.
    """

    name: str
    options: Mapping[str, Any]
    logprobs: bool
    models: tuple[str, ...]
    donor: bool
    _registered: _Registered

    @property
    def summary(self) -> str:
        """The first sentence of its documentation, empty where there is none."""
        said = " ".join((self._registered.factory.__doc__ or "").split())
        return said.partition(". ")[0].removesuffix(".")

    def make(self, context: EstimatorContext) -> Estimator:
        """The estimator. Raises `ConfigError` when something it needs is absent."""
        return self._registered.factory(context, **self.options)

    def cost(self, n: int, lengths: Lengths | None = None) -> EstimatorCost | None:
        """What it takes for `n` rollouts; `None` where the estimator does not say."""
        said = self._registered.cost
        return None if said is None else said(n, lengths or Lengths(), **self.options)


_BUILT_IN = {
    name: f"catagent.estimators.{module}"
    for name, module in {
        "auto": "auto",
        "genselect": "genselect",
        "majority": "majority",
        "min_ppl": "min_ppl",
        "moa": "moa",
        "mutual_predictability": "mutual_predictability",
        "placebo_none": "placebo",
        "placebo_other": "placebo",
        "rsa": "rsa",
        "self_bon": "self_bon",
        "single": "single",
        "synthesis": "synthesis",
        "synthesis_vote": "synthesis_vote",
        "usc": "usc",
    }.items()
}
_estimators: Plugins[_Registered] = Plugins(
    "estimator", group="catagent.estimators", built_in=_BUILT_IN, adopt=_Registered
)


def estimator(
    name: str,
    *,
    cost: CostOf | None = None,
    logprobs: bool = False,
    models: str | None = None,
    donor: bool = False,
) -> Callable[[EstimatorFactory], EstimatorFactory]:
    """Register a factory under `name`.

    `cost` says what it takes; `logprobs` that it needs the log-probabilities of the rollouts, which are
    then asked for; `models` names the option that holds strings of other models, which it finds in
    `context.models`; `donor` that it needs the rollouts of another question, which it finds in
    `context.donor`: `solve` and `score` are given them, an evaluation takes the next question's, training
    one's from the same batch.
    """
    if set(name) & set(":,=+ "):
        raise ConfigError(f"an estimator's name has no colon, comma, equals sign, plus or space: {name!r}")

    def registered(factory: EstimatorFactory) -> EstimatorFactory:
        _estimators.add(name, _Registered(factory, cost, logprobs, models, donor))
        return factory

    return registered


def estimator_names(*, options: bool = False) -> list[str]:
    """Every name that `make_estimator` knows; with `options` each with the options that it takes."""
    names = _estimators.names()
    return [_documented(name) for name in names] if options else names


def _documented(name: str) -> str:
    options = options_of_factory(_estimators.get(name).factory)
    return f"{name}:{','.join(map(str, options))}" if options else name


def plan_of(name: str) -> EstimatorPlan:
    """What `name` stands for: a registered name, or one with options (`synthesis:aware`).

    Raises `ConfigError` when there is none or an option does not fit.
    """
    bare, parts = split_name(name)
    registered = _estimators.get(bare)
    defaults = {o.name: o.default for o in options_of_factory(registered.factory) if not o.needed}
    options = {**defaults, **keywords(name, registered.factory, parts)}
    models = tuple(options[registered.models]) if registered.models else ()
    return EstimatorPlan(bare, options, registered.logprobs, models, registered.donor, registered)


def make_estimator(name: str, context: EstimatorContext) -> Estimator:
    """The estimator that `name` stands for.

    Raises `ConfigError` when there is none, an option does not fit, or something it needs is absent.
    """
    return plan_of(name).make(context)
