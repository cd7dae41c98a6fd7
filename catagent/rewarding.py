"""The second half of the pipeline: from a reference, or a rubric, to one reward a rollout.

A proposer that fails costs the rewards, not the solution: they are `None` and say why. Errors that end a
whole job (`AccountError`, `BudgetError`) are raised.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from catagent.agents.judge import Judge
from catagent.agents.prompts import Prompts
from catagent.agents.rubric_proposer import RubricProposer
from catagent.errors import AccountError, ConfigError, ModelError, RubricError
from catagent.events import Emit, RewardsReady, RubricReady
from catagent.gathering import gathered
from catagent.messages import Criterion, Judgement, Reference, Reward, RolloutGroup, Rubric, Task
from catagent.models.model import Model
from catagent.options import JudgeOptions, RewardOptions, RubricOptions
from catagent.rewards import RewardContext, needs
from catagent.rewards.combined import combined

__all__ = ["Derived", "brought_rubric", "derive_rewards"]


@dataclass(frozen=True, slots=True)
class Derived:
    """The rewards and what they were derived from."""

    rewards: tuple[Reward, ...] = ()
    rubric: Rubric | None = None
    judgements: tuple[Judgement, ...] = ()
    notes: tuple[str, ...] = ()


async def derive_rewards(
    task: Task,
    group: RolloutGroup,
    weights: Mapping[str, float],
    *,
    model: Callable[[str], Awaitable[Model]],
    prompts: Prompts,
    question: str,
    reference: Reference | None = None,
    rubric: Rubric | None = None,
    proposing: RubricOptions,
    judging: JudgeOptions,
    rewarding: RewardOptions,
    emit: Emit | None = None,
) -> Derived:
    """The rewards named in `weights`; `model` gives the model of a role. A `rubric` saves the proposer."""
    wanted = frozenset().union(*(needs(name) for name in weights))
    notes: list[str] = []
    judgements: tuple[Judgement, ...] = ()
    judge = await model("judge") if wanted & {"judge", "rubric"} else None
    if judge is not None and judge.name in {r.model for r in group.rollouts}:
        notes.append(
            f"the judge is the policy itself ({judge.name}): its verdicts may favour its own ways; "
            "name an independent judge"
        )
    failure = None
    if "reference" in wanted and reference is None:
        failure = "there is no reference"
    if "rubric" in wanted and failure is None:
        assert judge is not None
        try:
            if rubric is not None:
                if emit:
                    emit(RubricReady(rubric=rubric))
            elif reference is None:
                raise RubricError("there is neither a rubric nor a reference to propose one from")
            else:
                propose = RubricProposer(
                    await model("rubric_proposer"),
                    prompts,
                    proposing,
                    question=question,
                    group=group,
                    emit=emit,
                )
                rubric = await propose(reference)
        except AccountError:
            raise
        except (ModelError, RubricError) as error:
            failure = f"no rubric: {error}"
        else:
            judged = Judge(judge, prompts, rubric, judging, question=question, emit=emit)
            judgements = tuple(await gathered(judged(rollout) for rollout in group.rollouts))
    if failure is not None:
        notes.append(failure)
        rewards = tuple(
            Reward(parents=(r.id,), rollout_id=r.id, value=None, name="+".join(weights), reason=failure)
            for r in group.rollouts
        )
    else:
        context = RewardContext(
            task=task,
            prompts=prompts,
            reference=reference,
            judge=judge,
            question=question,
            rubric=rubric,
            judgements=judgements,
            options=rewarding,
            judging=judging,
        )
        rewards = await combined(weights, context)(group)
    if emit:
        emit(RewardsReady(rewards=rewards))
    notes += _noted(judgements)
    return Derived(rewards, rubric, judgements, tuple(notes))


def _noted(judgements: tuple[Judgement, ...]) -> list[str]:
    """What a user should know of the verdicts: how many are missing, which rollouts speak to the judge."""
    notes = []
    verdicts = [v for j in judgements for v in j.verdicts]
    if missing := sum(v.state == "unscored" for v in verdicts):
        notes.append(f"{missing} of {len(verdicts)} verdicts are unscored")
    if suspicious := [j for j in judgements if j.findings]:
        kinds = sorted({finding.kind for j in suspicious for finding in j.findings})
        notes.append(f"{len(suspicious)} rollouts seem to address the judge: {', '.join(kinds)}")
    return notes


def brought_rubric(rubric: Rubric | str | Iterable[str | Criterion | Mapping[str, Any]]) -> Rubric:
    """The caller's own rubric. Raises `ConfigError` for one that cannot be used."""
    try:
        return Rubric.of(rubric)
    except ValueError as error:  # of pydantic, or our own
        said = str(error).splitlines()[0] if isinstance(error, ValidationError) else str(error)
        raise ConfigError(f"the rubric cannot be used: {said}") from None
