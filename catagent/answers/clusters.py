"""Equivalence classes of a group of answers, for votes and agreement.

Equal spellings are grouped for nothing, then each answer is compared with one representative a class,
cheaply first; only what stays open goes to workers. An answer joins the first class whose representative
it equals, so the classes are a partition whatever the tolerances are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from dataclasses import dataclass

from catagent.messages import Answer

from .equivalence import acompare_hard, cheap, compare_hard, spelling
from .rules import DEFAULT_RULES, Rules

__all__ = ["Classes", "acluster", "cluster"]

_Pair = tuple[int, int]
_Steps = Generator[list[_Pair], list[bool | None], "Classes"]


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a group, as indices into it, the largest first and ties by first seen.

    `undecided` holds the pairs (representative, answer) of which nobody knows whether they are equal; they
    stand in different classes. `None` answers are in no class.
    """

    classes: tuple[tuple[int, ...], ...]
    undecided: tuple[tuple[int, int], ...] = ()
    size: int = 0
    """How many answers were given, `None` included."""

    @property
    def majority(self) -> tuple[int, ...] | None:
        """The one largest class; `None` when there is none or the largest are tied."""
        if not self.classes or (len(self.classes) > 1 and len(self.classes[0]) == len(self.classes[1])):
            return None
        return self.classes[0]

    @property
    def agreement(self) -> float | None:
        """Share of the answers there are that stand in the largest class; `None` when there are none."""
        total = sum(map(len, self.classes))
        return len(self.classes[0]) / total if total else None

    def class_of(self, index: int) -> tuple[int, ...] | None:
        """The class an answer stands in; `None` for an answer that is `None`."""
        return next((members for members in self.classes if index in members), None)


def cluster(
    answers: Sequence[Answer | str | None], *, timeout: float = 2.0, rules: Rules | None = None
) -> Classes:
    """The equivalence classes of a group of answers. Blocks; see `acluster`.

    `timeout` is seconds of CPU for one hard pair. Few pairs are compared: at most one a class and answer.
    """
    rules = rules or DEFAULT_RULES
    steps = _steps(answers, rules)
    try:
        pairs = next(steps)
        while True:
            pairs = steps.send(
                [compare_hard(_at(answers, i), _at(answers, j), timeout, rules) for i, j in pairs]
            )
    except StopIteration as stop:
        found: Classes = stop.value
        return found


async def acluster(
    answers: Sequence[Answer | str | None],
    *,
    timeout: float = 2.0,  # noqa: ASYNC109 - CPU time on a worker
    rules: Rules | None = None,
) -> Classes:
    """`cluster` for async code: hard pairs of one answer are decided side by side, the loop is never
    blocked."""
    rules = rules or DEFAULT_RULES
    steps = _steps(answers, rules)
    try:
        pairs = next(steps)
        while True:
            verdicts = await asyncio.gather(
                *(acompare_hard(_at(answers, i), _at(answers, j), timeout, rules) for i, j in pairs)
            )
            pairs = steps.send(list(verdicts))
    except StopIteration as stop:
        found: Classes = stop.value
        return found


def _at(answers: Sequence[Answer | str | None], index: int) -> Answer | str:
    answer = answers[index]
    assert answer is not None
    return answer


def _steps(answers: Sequence[Answer | str | None], rules: Rules) -> _Steps:
    """Builds the classes; yields the hard pairs and is sent their verdicts."""
    classes: list[list[int]] = []
    spellings: dict[object, int] = {}
    undecided: list[_Pair] = []
    for index, answer in enumerate(answers):
        if answer is None:
            continue
        key = spelling(answer)
        known = spellings.get(key) if key is not None else None
        if known is None:
            known = yield from _place(index, answer, answers, classes, undecided, rules)
            if known is None:
                known = len(classes)
                classes.append([])
            if key is not None:
                spellings[key] = known
        classes[known].append(index)
    order = sorted(classes, key=lambda members: (-len(members), members[0]))
    return Classes(tuple(map(tuple, order)), tuple(undecided), len(answers))


def _place(
    index: int,
    answer: Answer | str,
    answers: Sequence[Answer | str | None],
    classes: list[list[int]],
    undecided: list[_Pair],
    rules: Rules,
) -> Generator[list[_Pair], list[bool | None], int | None]:
    hard: list[int] = []
    for number, members in enumerate(classes):
        verdict = cheap(_at(answers, members[0]), answer, rules)
        if verdict:
            return number
        if verdict is None:
            hard.append(number)
    if not hard:
        return None
    pairs = [(classes[number][0], index) for number in hard]
    verdicts = yield pairs
    for number, verdict in zip(hard, verdicts, strict=True):
        if verdict:
            return number
    undecided.extend(pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict is None)
    return None
