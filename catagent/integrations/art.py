"""OpenPipe ART: rewards for a trajectory group, in the place of its RULER.

    groups = await art.gather_trajectory_groups(…, after_each=CatJudge(anchor="openai/gpt-5-mini"))

The reference is made from the group's own final answers; no label is needed.
"""

from __future__ import annotations

from typing import Any

from catagent.assembly import Row, score_rows, spoken
from catagent.cat import CaT
from catagent.errors import ConfigError
from catagent.integrations.extras import absent
from catagent.messages import Kind

try:
    from art import TrajectoryGroup
except ImportError as error:
    raise absent("art", error) from error

__all__ = ["CatJudge", "score_group"]


class CatJudge:
    """For `after_each`: gives each trajectory its reward. `options` are those of `CaT`, unless one is given.

    A trajectory's conversation up to its last assistant message is the prompt of the group's first one. ART
    has no unknown reward: a trajectory without one is taken out of the group, and a group in which fewer than
    two have one is dropped, so that nothing is learnt from what nobody knows. What was spent is in the
    group's metrics.

    Raises what ends a job: `AccountError`, `BudgetError`, `ConfigError`.
    """

    def __init__(
        self,
        cat: CaT | None = None,
        *,
        kind: Kind | None = None,
        estimator: str | None = None,
        rubric: Any = None,
        **options: Any,
    ) -> None:
        if cat is not None and options:
            raise ConfigError(f"with a CaT of its own the judge takes no {', '.join(options)}: give it those")
        self.cat = cat or CaT(**options)
        self._kind = kind
        self._estimator = estimator
        self._rubric = rubric

    async def __call__(self, group: TrajectoryGroup) -> TrajectoryGroup | None:
        """The group with its rewards, or `None` when it has too few."""
        trajectories = list(group.trajectories)
        if not trajectories:
            return None
        talks = [[dict(message) for message in trajectory.messages()] for trajectory in trajectories]
        prompt = _before(talks[0])
        rows = [Row(prompt, _said(talk), rubric=self._rubric) for talk in talks]
        rewards = await score_rows(self.cat, rows, kind=self._kind, estimator=self._estimator)
        known = []
        for trajectory, reward in zip(trajectories, rewards, strict=True):
            if reward.value is not None:
                trajectory.reward = reward.value
                known.append(trajectory)
            else:
                group.log(f"a trajectory has no reward: {reward.reason}")
        solution = next((reward.solution for reward in rewards if reward.solution), None)
        if solution is not None:
            group.metrics["cat_calls"] = solution.usage.calls
            if solution.reference and solution.reference.agreement is not None:
                group.metrics["cat_agreement"] = solution.reference.agreement
        group.metrics["cat_unknown"] = len(trajectories) - len(known)
        group.trajectories = known
        return group if len(known) > 1 else None


async def score_group(group: TrajectoryGroup, cat: CaT | None = None, **options: Any) -> TrajectoryGroup:
    """`group` with rewards, for one call. Raises `ConfigError` when fewer than two can have one."""
    scored = await CatJudge(cat, **options)(group)
    if scored is None:
        raise ConfigError("fewer than two trajectories of the group have a reward")
    return scored


def _before(talk: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last = max((i for i, message in enumerate(talk) if message.get("role") == "assistant"), default=len(talk))
    return talk[:last]


def _said(talk: list[dict[str, Any]]) -> dict[str, Any] | None:
    said = spoken(talk)
    return said if said and (said.get("content") or said.get("tool_calls")) else None
