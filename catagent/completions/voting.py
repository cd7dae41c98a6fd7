"""A vote on which tools to call: the calls that most rollouts agree on.

Calls are the same when their names and their arguments, read as JSON, are. Where no set of calls has more
votes than another, the names are voted on first and the arguments among the rollouts that call those.
"""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import orjson

from catagent.errors import EstimationError
from catagent.estimators import Estimator, EstimatorContext, estimator, make_estimator
from catagent.estimators.majority import most_confident
from catagent.messages import Reference, Rollout, RolloutGroup
from catagent.models.journal import canonical

__all__ = ["NAME"]

NAME = "tool_vote"

K = TypeVar("K", bound=Hashable)


@estimator(NAME)
def tool_vote(context: EstimatorContext) -> Estimator:
    """The estimator `tool_vote`. Rollouts that only wrote text are a party of their own; when it wins, the
    reference is their synthesis.
    """

    async def estimate(group: RolloutGroup) -> Reference:
        alive = group.survivors
        if not alive:
            raise EstimationError("no rollout survived to vote")
        parties = _parties(alive, _calls)
        tie = len(parties) > 1 and len(parties[0]) == len(parties[1])
        if tie:
            leading = _parties(alive, _names)
            parties = _parties(leading[0], _calls)
        winners = parties[0]
        if not winners[0].tool_calls:
            texts = group.model_copy(update={"rollouts": tuple(winners), "kind": "open"})
            return await make_estimator("synthesis", context)(texts)
        speaker = most_confident(winners)
        others = tuple(r.id for r in winners if r.id != speaker.id)
        return Reference(
            parents=(speaker.id, *others),
            text=speaker.text or "",
            answer=speaker.answer,
            method=NAME,
            fallback="no calls had more votes than others; their names decided" if tie else None,
        )

    return estimate


def _parties(rollouts: Sequence[Rollout], of: Callable[[Rollout], K]) -> list[list[Rollout]]:
    """The rollouts by what they say, the largest party first, among equals the one that spoke first."""
    parties: dict[K, list[Rollout]] = defaultdict(list)
    for rollout in rollouts:
        parties[of(rollout)].append(rollout)
    return sorted(parties.values(), key=len, reverse=True)


def _names(rollout: Rollout) -> tuple[str, ...]:
    return tuple(str((call.get("function") or {}).get("name")) for call in rollout.tool_calls)


def _calls(rollout: Rollout) -> bytes:
    said = []
    for call in rollout.tool_calls:
        function = call.get("function") or {}
        arguments = function.get("arguments")
        with contextlib.suppress(orjson.JSONDecodeError, TypeError):  # else they are compared as they stand
            arguments = orjson.loads(arguments or "{}")
        said.append({"name": function.get("name"), "arguments": arguments})
    return canonical(said)
