"""How a reference stands to the rollouts: who agrees with it, and whether the majority does."""

from __future__ import annotations

from catagent.answers import acluster
from catagent.messages import Reference, RolloutGroup

__all__ = ["with_agreement"]


async def with_agreement(reference: Reference, group: RolloutGroup) -> Reference:
    """The reference with `agreement`, `majority` and `differs_from_majority` filled in.

    Agreement is over the surviving rollouts; one without a final answer does not agree. All three stay
    `None` for an open group, where answers cannot be compared.
    """
    alive = group.survivors
    if group.kind == "open" or not any(r.answer for r in alive):
        return reference
    answers = [r.answer for r in alive]
    found = await acluster([*answers, reference.answer])
    last = len(answers)
    sharing = next((c for c in found.classes if last in c), ())
    voting = sorted(([i for i in c if i != last] for c in found.classes), key=lambda c: (-len(c), c[:1]))
    voting = [c for c in voting if c]
    clear = bool(voting) and (len(voting) == 1 or len(voting[0]) > len(voting[1]))
    majority = alive[voting[0][0]].answer if clear else None
    differs = None
    if majority is not None and reference.answer is not None:
        undecided = any(last in pair and set(pair) & set(voting[0]) for pair in found.undecided)
        differs = None if undecided else voting[0][0] not in sharing
    return reference.model_copy(
        update={
            "agreement": (len(sharing) - 1) / len(alive) if sharing else None,
            "majority": majority,
            "differs_from_majority": differs,
        }
    )
