"""What estimators share that take one rollout as it stands instead of writing a new text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from catagent.agents.conversation import question_of
from catagent.agents.selector import Selector
from catagent.errors import AccountError, EstimationError, ModelError
from catagent.estimators import Estimator, EstimatorContext
from catagent.estimators.fallback import voted
from catagent.gathering import gathered
from catagent.messages import Reference, Rollout, RolloutGroup

__all__ = ["by_selector", "candidates", "taken"]


def candidates(group: RolloutGroup) -> tuple[Rollout, ...]:
    """The rollouts that can be chosen from. Raises `EstimationError` when there is none."""
    found = tuple(r for r in group.survivors if r.text)
    if not found:
        raise EstimationError("no rollout has text to choose from")
    return found


def taken(rollout: Rollout, method: str) -> Reference:
    """The rollout as the reference."""
    return Reference(
        parents=(rollout.id,),
        text=rollout.text or "",
        answer=rollout.answer,
        method=method,
        cut_off=rollout.finish_reason == "length",
    )


def by_selector(
    method: str, prompt: str, context: EstimatorContext, *, subset: int | None = None, votes: int = 1
) -> Estimator:
    """An estimator that asks the anchor by `prompt`, in a knock-out of `subset` at a time, `votes` times.

    When the model names no rollout, the vote over final answers stands in and the reference says so.
    """

    select = Selector(context.anchor, context.prompts, prompt, question=question_of(context.task))

    async def estimate(group: RolloutGroup) -> Reference:
        rollouts = candidates(group)
        context.tell(votes)
        try:
            picks = await gathered(_knocked_out(select, rollouts, subset, v) for v in range(votes))
        except AccountError:
            raise
        except ModelError as error:
            return await voted(group, f"no choice: {error}")
        named = Counter(pick for pick in picks if pick is not None)
        if not named:
            return await voted(group, "the model named no rollout")
        best, count = named.most_common(1)[0]
        if list(named.values()).count(count) > 1:  # the rollout drawn first, not the one named first
            best = min(i for i, c in named.items() if c == count)
        return taken(rollouts[best], method)

    return estimate


async def _knocked_out(
    select: Selector, rollouts: Sequence[Rollout], subset: int | None, variant: int
) -> int | None:
    """The index of the last one standing; `None` when a game has no winner."""
    left = list(range(len(rollouts)))
    while len(left) > 1:
        size = subset or len(left)
        games = [left[i : i + size] for i in range(0, len(left), size)]
        winners = await gathered(select([rollouts[i].text or "" for i in game], variant) for game in games)
        standing = [game[winner] for game, winner in zip(games, winners, strict=True) if winner is not None]
        if len(standing) < len(games):
            return None
        left = standing
    return left[0]
