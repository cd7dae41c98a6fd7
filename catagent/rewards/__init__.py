"""Rewards: from a reference, or a rubric and its verdicts, to one number a rollout.

A reward is an async callable `RolloutGroup -> tuple[Reward, ...]`, one a rollout and in their order; one that
cannot be known is `None`, never 0: training then leaves the rollout out. To add one, write a factory that
takes a `RewardContext` and register it:

    @reward("brevity")
    def brevity(context: RewardContext) -> Rewarder:
        async def rewarded(group: RolloutGroup) -> tuple[Reward, ...]:
            return tuple(
                Reward(rollout_id=r.id, name="brevity", value=1 / len(r.text) if r.text else None)
                for r in group.rollouts
            )
        return rewarded

Another package can register one under the entry point group `catagent.rewards`.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from catagent.agents.prompts import Prompts
from catagent.errors import ConfigError
from catagent.messages import Judgement, Reference, Reward, RolloutGroup, Rubric, Task
from catagent.models.model import Model
from catagent.options import JudgeOptions, RewardOptions

__all__ = [
    "RewardContext",
    "RewardFactory",
    "Rewarder",
    "make_reward",
    "needs",
    "reward",
    "reward_names",
]


@dataclass(frozen=True, slots=True)
class RewardContext:
    """What a reward may use. It never sees gold labels.

    `judge` is there for rewards that need one; `rubric` and `judgements` for those that need a rubric.
    """

    task: Task
    prompts: Prompts
    reference: Reference | None = None
    judge: Model | None = None
    question: str | None = None
    rubric: Rubric | None = None
    judgements: tuple[Judgement, ...] = ()
    options: RewardOptions = field(default_factory=RewardOptions)
    judging: JudgeOptions = field(default_factory=JudgeOptions)


Rewarder: TypeAlias = Callable[[RolloutGroup], Awaitable[tuple[Reward, ...]]]
RewardFactory: TypeAlias = Callable[[RewardContext], Rewarder]

_BUILT_IN = {
    "answer_match": "catagent.rewards.answer_match",
    "judge_equivalence": "catagent.rewards.judge_equivalence",
    "length_penalty": "catagent.rewards.length",
    "rubric": "catagent.rewards.rubric",
}
_factories: dict[str, RewardFactory] = {}
_needs: dict[str, frozenset[str]] = {}


def reward(name: str, *, needs: tuple[str, ...] = ()) -> Callable[[RewardFactory], RewardFactory]:
    """Register a factory under `name`.

    `needs` says what has to be made first: `reference`, `judge`, `rubric` (which brings judgements).
    """

    def registered(factory: RewardFactory) -> RewardFactory:
        _factories[name] = factory
        _needs[name] = frozenset(needs)
        return factory

    return registered


def reward_names() -> list[str]:
    """Every name that `make_reward` knows."""
    plugged = (e.name for e in importlib.metadata.entry_points(group="catagent.rewards"))
    return sorted({*_BUILT_IN, *_factories, *plugged})


def _loaded(name: str) -> RewardFactory:
    if name not in _factories and name in _BUILT_IN:
        importlib.import_module(_BUILT_IN[name])
    if name not in _factories:
        for entry in importlib.metadata.entry_points(group="catagent.rewards", name=name):
            _factories.setdefault(name, entry.load())
    if name not in _factories:
        names = reward_names()
        near = difflib.get_close_matches(name, names, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
        raise ConfigError(f"there is no reward {name!r}; {hint}")
    return _factories[name]


def needs(name: str) -> frozenset[str]:
    """What the reward of that name has to be given. Raises `ConfigError` when there is none."""
    _loaded(name)
    return _needs.get(name, frozenset())


def make_reward(name: str, context: RewardContext) -> Rewarder:
    """The reward of that name. Raises `ConfigError` when there is none."""
    return _loaded(name)(context)
