"""What gold labels are for: to say how good the references and rewards of a label-free run are.

They are compared here, beside the agents, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence

from catagent.answers import aequivalent, extract
from catagent.gathering import gathered
from catagent.messages import Answer

__all__ = ["is_right", "right_ones"]


async def is_right(answer: Answer | str | None, label: str) -> bool | None:
    """Whether an answer is the label: no answer is wrong; `None` when it could not be decided in time."""
    if answer is None:
        return False
    gold = extract(label) if "\\boxed" in label else None
    return await aequivalent(answer, gold or Answer(text=label))


async def right_ones(texts: Sequence[str], label: str) -> list[bool | None]:
    """For each response, whether its final answer is the label."""
    return list(await gathered(is_right(extract(text) if text else None, label) for text in texts))
