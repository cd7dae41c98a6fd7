"""What happens during a solve, as it happens.

Events are for people and streams: everything of lasting value in them is also in the solution.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from catagent.messages import Judgement, Reference, Reward, Rollout, Rubric, Solution, Task

__all__ = [
    "Emit",
    "Event",
    "Judged",
    "Noted",
    "ReferenceReady",
    "RewardsReady",
    "RolloutFinished",
    "RolloutToken",
    "RubricReady",
    "Solved",
    "Started",
    "SynthesisStarted",
    "SynthesisToken",
    "Waiting",
]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Started(_Event):
    """The task is on its way: `n` rollouts by `model`."""

    type: Literal["started"] = "started"
    task: Task
    n: int
    model: str


class RolloutToken(_Event):
    """A piece of rollout `index`. When `attempt` grows, a retry began that rollout anew."""

    type: Literal["rollout_token"] = "rollout_token"
    index: int
    text: str
    attempt: int = 1


class RolloutFinished(_Event):
    """A rollout is there, or failed and says why."""

    type: Literal["rollout_finished"] = "rollout_finished"
    rollout: Rollout


class SynthesisStarted(_Event):
    """The anchor begins round `round` of `rounds` with `groups` subsets."""

    type: Literal["synthesis_started"] = "synthesis_started"
    round: int
    rounds: int
    groups: int
    model: str


class SynthesisToken(_Event):
    """A piece of the last synthesis. When `attempt` grows, a retry began it anew."""

    type: Literal["synthesis_token"] = "synthesis_token"
    text: str
    attempt: int = 1


class ReferenceReady(_Event):
    """The reference is estimated."""

    type: Literal["reference_ready"] = "reference_ready"
    reference: Reference


class RubricReady(_Event):
    """The criteria are there: proposed, or brought by the caller."""

    type: Literal["rubric_ready"] = "rubric_ready"
    rubric: Rubric


class Judged(_Event):
    """One rollout has all its verdicts."""

    type: Literal["judged"] = "judged"
    judgement: Judgement


class RewardsReady(_Event):
    """Every rollout has its reward, or `None` in its place."""

    type: Literal["rewards_ready"] = "rewards_ready"
    rewards: tuple[Reward, ...]


class Waiting(_Event):
    """A request waits before its next attempt."""

    type: Literal["waiting"] = "waiting"
    role: str
    reason: str
    attempt: int
    seconds: float


class Noted(_Event):
    """Something a user should know."""

    type: Literal["noted"] = "noted"
    text: str


class Solved(_Event):
    """The end: the whole solution."""

    type: Literal["solved"] = "solved"
    solution: Solution


Event: TypeAlias = Annotated[
    Started
    | RolloutToken
    | RolloutFinished
    | SynthesisStarted
    | SynthesisToken
    | ReferenceReady
    | RubricReady
    | Judged
    | RewardsReady
    | Waiting
    | Noted
    | Solved,
    Field(discriminator="type"),
]
Emit: TypeAlias = Callable[[Event], None]
