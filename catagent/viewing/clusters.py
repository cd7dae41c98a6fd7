"""Which rollouts of a group say the same, for people: a class of equal answers has a number."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from catagent.answers.clusters import cluster
from catagent.answers.equivalence import cheap
from catagent.messages import Answer

__all__ = ["Clustering", "Clusters"]


class Clusters(NamedTuple):
    """The classes of one group by number, 0 for the one with most rollouts."""

    numbers: tuple[int | None, ...]
    """Of each rollout; `None` where there is no answer."""
    references: tuple[int | None, ...]
    """Of each reference, `None` where it has no answer."""
    clear: bool
    """Whether class 0 has more rollouts than any other: it is the majority."""


class Clustering:
    """Classes of equal answers, group after group.

    Comparing symbolically takes worker processes and time. Once `seconds` of that are spent over all groups,
    the rest is compared by what can be decided at once, and `cheaply` counts the groups of which that left a
    pair open.
    """

    def __init__(self, seconds: float = 60.0) -> None:
        self.cheaply = 0
        self._left = seconds

    def __call__(
        self, answers: Sequence[Answer | None], references: Sequence[Answer | None] = ()
    ) -> Clusters:
        """The classes of a group's answers, and where the answers of references stand among them."""
        last = len(answers)
        answers = [*answers, *references]
        classes = self._classes(answers)
        sizes = [sum(index < last for index in members) for members in classes]
        order = sorted(range(len(classes)), key=lambda one: (-sizes[one], classes[one][0]))
        numbers: list[int | None] = [None] * len(answers)
        for number, one in enumerate(order):
            for index in classes[one]:
                numbers[index] = number
        largest = sorted(sizes, reverse=True)[:2]
        return Clusters(
            tuple(numbers[:last]),
            tuple(numbers[last:]),
            bool(largest) and largest[0] > 0 and (len(largest) == 1 or largest[0] > largest[1]),
        )

    def _classes(self, answers: Sequence[Answer | None]) -> Sequence[Sequence[int]]:
        known = [i for i, answer in enumerate(answers) if answer is not None]
        if len({str(answers[i]).strip() for i in known}) == 1:
            return [known]
        if self._left > 0:
            began = time.monotonic()
            classes = cluster(answers, timeout=1.0).classes
            self._left -= time.monotonic() - began
            return classes
        return self._at_once(answers)

    def _at_once(self, answers: Sequence[Answer | None]) -> list[list[int]]:
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
        return classes
