"""A vote among texts that were made from rollouts, with the rollouts as the tie-break."""

from __future__ import annotations

from collections.abc import Sequence

from catagent.answers import acluster
from catagent.messages import Reference, RolloutGroup

__all__ = ["elected"]


async def elected(texts: Sequence[Reference], group: RolloutGroup) -> Reference | None:
    """The first of the texts that state the answer most of them state.

    A tie goes to the answer that more rollouts share. `None` when none states an answer, or the rollouts do
    not break the tie either.
    """
    stating = [t for t in texts if t.answer is not None]
    if not stating:
        return None
    alive = group.survivors
    found = await acluster([*(t.answer for t in stating), *(r.answer for r in alive)])
    last = len(stating)
    standing = []
    for members in found.classes:
        mine = [i for i in members if i < last]
        if mine:
            standing.append((len(mine), len(members) - len(mine), mine))
    standing.sort(key=lambda one: (-one[0], -one[1], one[2][0]))
    if not standing or (len(standing) > 1 and standing[0][:2] == standing[1][:2]):
        return None
    winners = standing[0][2]
    speaker = stating[winners[0]]
    return speaker.model_copy(update={"parents": tuple(stating[i].id for i in winners)})
