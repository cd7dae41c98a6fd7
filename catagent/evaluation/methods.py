"""Methods under evaluation: the estimators of the registry, each on a group of some size.

`single` (one rollout) and `pass@k` (the oracle) are no estimators: they follow from the rollouts and are
always reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from catagent.answers import extract
from catagent.cat import CaT
from catagent.errors import (
    AccountError,
    BudgetError,
    ConfigError,
    FetchError,
    JournalError,
    PromptError,
)
from catagent.estimators import EstimatorContext, EstimatorPlan, estimator_names, plan_of
from catagent.estimators.agreement import with_agreement
from catagent.evaluation.grading import Grader
from catagent.evaluation.metering import Meter
from catagent.evaluation.records import Outcome
from catagent.messages import Reference, RolloutGroup, Task

__all__ = ["DERIVED", "ENDS", "Arm", "arms_of", "estimated", "foremost", "method_names", "outcome_of"]

DERIVED = ("single", "oracle")
"""Names that follow from the rollouts: naming them among the methods is allowed and changes nothing."""
ENDS = (AccountError, BudgetError, ConfigError, FetchError, JournalError, PromptError)
"""Errors that end an evaluation: every further question would meet them as well."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A method on the first `size` rollouts. `name` is what tables call it."""

    name: str
    method: str
    size: int
    plan: EstimatorPlan

    @property
    def base(self) -> str:
        """The estimator's name without options."""
        return self.plan.name


def method_names(given: Iterable[str]) -> list[str]:
    """The methods in what was written: names joined by commas, options of a name with commas among them.

    `rsa:population=8,subset=4,majority` is two methods: a word with `=`, or one that no estimator is
    called, goes on with the options of the name before it.
    """
    known = set(estimator_names()) | set(DERIVED)
    found: list[str] = []
    for text in given:
        begun = False
        for part in (p.strip() for p in text.split(",")):
            if not part:
                continue
            bare, colon, _ = part.partition(":")
            goes_on = begun and not colon and ("=" in part or bare not in known)
            if goes_on and ":" in found[-1]:
                found[-1] += f",{part}"
            else:
                found.append(part)
                begun = True
    return list(dict.fromkeys(found))


def arms_of(methods: Iterable[str], n: int, sizes: Iterable[int] = ()) -> tuple[Arm, ...]:
    """Every method on `n` rollouts and on each smaller size. Raises `ConfigError` for an unknown one."""
    arms = []
    names = [m for m in methods if m not in DERIVED and not m.startswith("pass@")]
    for size in (n, *sorted(set(sizes) - {n}, reverse=True)):
        if not 1 <= size <= n:
            raise ConfigError(f"a size is between 1 and n, which is {n}; {size} is not")
        for method in names:
            label = method if size == n else f"{method}@{size}"
            arms.append(Arm(label, method, size, plan_of(method)))
    return tuple(arms)


def foremost(arms: Sequence[Arm]) -> str | None:
    """The method to look at first: a synthesis, else the first that is more than a vote, else the first."""
    bases = [arm.base for arm in arms]
    for wanted in ("synthesis", "synthesis_vote", "auto"):
        if wanted in bases:
            return arms[bases.index(wanted)].name
    return next((arm.name for arm in arms if arm.base != "majority"), arms[0].name if arms else None)


async def estimated(
    arm: Arm, cat: CaT, task: Task, group: RolloutGroup, donor: RolloutGroup | None
) -> Reference:
    """The reference that the method makes of a group, with its agreement. Raises what it raises."""
    run = await cat.begin()
    context = EstimatorContext(
        task=task,
        anchor=await run.model("anchor"),
        prompts=cat.prompts,
        question_aware=cat.question_aware,
        donor=donor,
        models={name: await run.proposer(name) for name in arm.plan.models},
    )
    return await with_agreement(await arm.plan.make(context)(group), group)


async def outcome_of(reference: Reference, grader: Grader, meter: Meter) -> Outcome:
    """The graded reference. An open task has no final answer to abstain from.

    A fall-back since a request was lost is an outcome with an error: another try may bring the real one.
    """
    if meter.lost and reference.fallback:
        return Outcome(error=reference.fallback[:1000], lost=meter.lost, cost=dict(meter.by_role))
    open_ended = grader.question.open
    value = await grader.value(reference.text, reference.answer)
    abstained = not open_ended and reference.answer is None
    guess = await grader.value(reference.text, extract(reference.text)) if abstained else value
    return Outcome(
        value=value,
        guess=guess,
        answer=None if reference.answer is None else reference.answer.text[:400],
        abstained=abstained,
        differs=None if open_ended else reference.differs_from_majority,
        agreement=reference.agreement,
        method=reference.method,
        fallback=reference.fallback,
        lost=meter.lost,
        cost=dict(meter.by_role),
    )
