"""Which rollouts of a group say the same, for people: a class of equal answers has a number."""

from __future__ import annotations

import time
from collections.abc import Sequence

from catagent.answers.clusters import cluster
from catagent.answers.equivalence import cheap
from catagent.messages import Answer

__all__ = ["Clustering"]


class Clustering:
    """Classes of equal answers, group after group.

    Comparing symbolically takes worker processes and time. Once `seconds` of that are spent over all groups,
    the rest is compared by what can be decided at once, and `cheaply` counts the groups of which that left a
    pair open.
    """

    def __init__(self, seconds: float = 60.0) -> None:
        self.cheaply = 0
        self._left = seconds

    def __call__(self, answers: Sequence[Answer | None]) -> list[int | None]:
        """The number of each answer's class, 0 for the largest; `None` for an answer that is `None`."""
        known = [i for i, answer in enumerate(answers) if answer is not None]
        if len({str(answers[i]).strip() for i in known}) == 1:
            return [0 if answer is not None else None for answer in answers]
        if self._left > 0:
            began = time.monotonic()
            classes = cluster(answers, timeout=1.0).classes
            self._left -= time.monotonic() - began
        else:
            classes = self._at_once(answers)
        numbers: list[int | None] = [None] * len(answers)
        for number, members in enumerate(classes):
            for index in members:
                numbers[index] = number
        return numbers

    def _at_once(self, answers: Sequence[Answer | None]) -> tuple[tuple[int, ...], ...]:
        classes: list[list[int]] = []
        undecided = False
        for index, answer in enumerate(answers):
            if answer is None:
                continue
            for members in classes:
                other = answers[members[0]]
                assert other is not None
                verdict = cheap(other, answer)
                if verdict:
                    members.append(index)
                    break
                undecided = undecided or verdict is None
            else:
                classes.append([index])
        self.cheaply += undecided
        return tuple(map(tuple, sorted(classes, key=lambda members: (-len(members), members[0]))))
