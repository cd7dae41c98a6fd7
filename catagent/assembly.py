"""Groups for callers who bring rows: whole batches in no order, or one completion at a time.

A reward of CaT needs the group: the reference is made from all rollouts of a prompt. Trainers hand over rows,
and many hand over each row alone, as soon as it is generated. `score_rows` sorts a batch into groups;
`Assembly` lets the members of a group wait for each other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catagent.cat import CaT, Completion, Prompt
from catagent.errors import AccountError, BudgetError, CatError, ConfigError
from catagent.gathering import gathered
from catagent.messages import ChatMessage, Kind, Solution, Task
from catagent.models.journal import canonical

__all__ = ["Assembly", "Row", "RowReward", "neutral", "score_rows", "spoken"]

_log = logging.getLogger("catagent")


@dataclass(frozen=True, slots=True)
class Row:
    """One completion of one prompt. `reference` and `rubric` are taken from the first row of a group."""

    prompt: Prompt
    completion: Completion
    reference: str | None = None
    rubric: Any = None
    """What `CaT.score` takes: criteria as texts, messages or mappings."""

    @property
    def key(self) -> bytes:
        """What rows of one prompt have in common."""
        task = Task.of(self.prompt)
        return canonical([list(task.messages), self.reference, _plain(self.rubric)])


@dataclass(frozen=True, slots=True)
class RowReward:
    """What a row earned: `value` is `None` where it is not known, and `reason` says why.

    `baseline` is the mean of what is known in the row's group, for trainers that cannot leave a row out.
    """

    value: float | None
    reason: str | None = None
    baseline: float = 0.0
    solution: Solution | None = None

    @property
    def neutral(self) -> float:
        """The value, or in its place the group's mean: in a group-relative advantage it counts as nothing."""
        return self.baseline if self.value is None else self.value


def spoken(messages: Sequence[ChatMessage]) -> ChatMessage | None:
    """The completion in a conversation that the policy continued: what the assistant said last."""
    return next((m for m in reversed(messages) if m.get("role") == "assistant"), None)


def neutral(rewards: Sequence[RowReward]) -> list[float]:
    """A number for every row."""
    return [reward.neutral for reward in rewards]


async def score_rows(
    cat: CaT,
    rows: Sequence[Row],
    *,
    size: int | None = None,
    kind: Kind | None = None,
    estimator: str | None = None,
) -> list[RowReward]:
    """A reward for each row, in order; rows with the same prompt are one group.

    With `size`, rows of a prompt are cut into groups of that many as they come, and a number of rows that
    is no multiple of it is a `ConfigError`: half a group would be rewarded by half of its rollouts.
    A group that cannot be scored has rewards of `None`. Raises what ends a job: `AccountError`,
    `BudgetError`, `ConfigError`.
    """
    prompts: dict[bytes, list[int]] = {}
    for index, row in enumerate(rows):
        prompts.setdefault(row.key, []).append(index)
    groups: list[list[int]] = []
    for members in prompts.values():
        if size is not None and len(members) % size:
            raise ConfigError(
                f"a prompt has {len(members)} completions in this batch, which is no multiple of the group "
                f"size {size}: make the batch of each process a multiple of it"
            )
        step = size or len(members)
        groups += [members[i : i + step] for i in range(0, len(members), step)]
    scored = await gathered(_group(cat, [rows[i] for i in g], kind, estimator) for g in groups)
    rewards: list[RowReward | None] = [None] * len(rows)
    for members, earned in zip(groups, scored, strict=True):
        for index, reward in zip(members, earned, strict=True):
            rewards[index] = reward
    return [reward for reward in rewards if reward is not None]


async def _group(cat: CaT, rows: Sequence[Row], kind: Kind | None, estimator: str | None) -> list[RowReward]:
    first = rows[0]
    try:
        solution = await cat.score(
            first.prompt,
            [row.completion for row in rows],
            reference=first.reference,
            rubric=first.rubric,
            kind=kind,
            estimator=estimator,
        )
    except (AccountError, BudgetError, ConfigError):
        raise
    except CatError as error:
        _log.warning("a group of %d rows has no rewards: %s", len(rows), error)
        return [RowReward(None, str(error)) for _ in rows]
    known = [reward.value for reward in solution.rewards if reward.value is not None]
    mean = sum(known) / len(known) if known else 0.0
    return [
        RowReward(reward.value, rollout.error or reward.reason, mean, solution)
        for rollout, reward in zip(solution.rollouts, solution.rewards, strict=True)
    ]


@dataclass(slots=True)
class _Waiting:
    """A group that is not complete."""

    members: list[tuple[Row, asyncio.Future[RowReward]]] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None


class Assembly:
    """Members of a group meet here: each brings its completion and waits for the reward.

    A group is scored when `size` members have come. When none has come for `patience` seconds, those who
    are there are scored together, since a rollout that failed elsewhere never comes. Belongs to one event
    loop.
    """

    def __init__(
        self,
        cat: CaT,
        *,
        size: int,
        patience: float = 300.0,
        kind: Kind | None = None,
        estimator: str | None = None,
    ) -> None:
        if size < 1:
            raise ConfigError(f"a group has at least one member, not {size}")
        self.size = size
        self.patience = patience
        self._cat = cat
        self._kind = kind
        self._estimator = estimator
        self._groups: dict[tuple[object, bytes], _Waiting] = {}
        self._scoring: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Groups that are not complete."""
        return len(self._groups)

    async def reward(self, row: Row, *, group: object = None) -> RowReward:
        """The reward of `row`, once its group is complete.

        Rows meet by their prompt, and by `group` where one prompt is sampled for several groups at a time
        (the trainer's own id). Cancelling it takes the row out of a group that still waits.
        Raises what `score_rows` raises.
        """
        key = (group, row.key)
        waiting = self._groups.setdefault(key, _Waiting())
        future: asyncio.Future[RowReward] = asyncio.get_running_loop().create_future()
        member = (row, future)
        waiting.members.append(member)
        if len(waiting.members) == self.size:
            self._complete(key)
        else:
            self._wait(key, waiting)
        try:
            return await future
        finally:
            if self._groups.get(key) is waiting and member in waiting.members:
                waiting.members.remove(member)
                if not waiting.members:
                    self._drop(key)

    def _wait(self, key: tuple[object, bytes], waiting: _Waiting) -> None:
        if waiting.timer:
            waiting.timer.cancel()
        waiting.timer = asyncio.get_running_loop().call_later(self.patience, self._complete, key)

    def _drop(self, key: tuple[object, bytes]) -> _Waiting:
        waiting = self._groups.pop(key)
        if waiting.timer:
            waiting.timer.cancel()
        return waiting

    def _complete(self, key: tuple[object, bytes]) -> None:
        members = self._drop(key).members
        if len(members) < self.size:
            _log.warning("a group is scored with %d of %d members: no more came", len(members), self.size)
        task = asyncio.ensure_future(self._score(members))
        self._scoring.add(task)
        task.add_done_callback(self._scoring.discard)
        left = {future for _, future in members}

        def gone(future: asyncio.Future[RowReward]) -> None:
            left.discard(future)
            if not left:
                task.cancel()  # nobody waits for it any more, or all have theirs

        for _, future in members:
            future.add_done_callback(gone)

    async def _score(self, members: list[tuple[Row, asyncio.Future[RowReward]]]) -> None:
        try:
            rewards = await _group(self._cat, [row for row, _ in members], self._kind, self._estimator)
        except Exception as error:  # noqa: BLE001 - no member may wait for ever
            for _, future in members:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), reward in zip(members, rewards, strict=True):
            if not future.done():
                future.set_result(reward)


def _plain(rubric: Any) -> Any:
    """A rubric as JSON has it, to compare by."""
    if rubric is None or isinstance(rubric, str):
        return rubric
    dump = getattr(rubric, "model_dump", None)
    if dump is not None:
        return dump(mode="json")
    if isinstance(rubric, Mapping):
        return dict(rubric)
    return [_plain(one) for one in rubric]
