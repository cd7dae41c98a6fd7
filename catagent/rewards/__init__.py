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

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from catagent.agents.prompts import Prompts
from catagent.messages import Judgement, Reference, Reward, RolloutGroup, Rubric, Task
from catagent.models.model import Model
from catagent.options import JudgeOptions, RewardOptions
from catagent.plugins import Plugins

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


@dataclass(frozen=True, slots=True)
class _Registered:
    factory: RewardFactory
    needs: frozenset[str] = frozenset()


_rewards: Plugins[_Registered] = Plugins(
    "reward", group="catagent.rewards", built_in=_BUILT_IN, adopt=_Registered
)


def reward(name: str, *, needs: tuple[str, ...] = ()) -> Callable[[RewardFactory], RewardFactory]:
    """Register a factory under `name`.

    `needs` says what has to be made first: `reference`, `judge`, `rubric` (which brings judgements).
    """

    def registered(factory: RewardFactory) -> RewardFactory:
        _rewards.add(name, _Registered(factory, frozenset(needs)))
        return factory

    return registered


def reward_names() -> list[str]:
    """Every name that `make_reward` knows."""
    return _rewards.names()


def needs(name: str) -> frozenset[str]:
    """What the reward of that name has to be given. Raises `ConfigError` when there is none."""
    return _rewards.get(name).needs


def make_reward(name: str, context: RewardContext) -> Rewarder:
    """The reward of that name. Raises `ConfigError` when there is none."""
    return _rewards.get(name).factory(context)
