"""Whole groups from what each process holds, and back.

TRL gathers rewards, not completions, and a group may be spread over processes. Processes in order give the
sampler's order again, in which the samples of a prompt stand side by side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from catagent.training.backend import needed

__all__ = ["Group", "Sampled", "donors_of", "gathered_objects", "grouped", "mine"]


@dataclass(frozen=True, slots=True)
class Sampled:
    """One completion as the trainer has it. `row` is its prompt's row in the data, `tokens` its length."""

    row: int
    text: str
    tokens: int
    finished: bool
    """Whether it ended by itself, before the limit on tokens."""


@dataclass(frozen=True, slots=True)
class Group:
    """All samples of one prompt in one batch; `first` is where they begin in the batch of all processes."""

    index: int
    first: int
    row: int
    samples: tuple[Sampled, ...]


def gathered_objects(accelerator: Any, items: Sequence[Any]) -> list[Any]:
    """The items of all processes, process by process. All must call it."""
    if accelerator.num_processes == 1:
        return list(items)
    return list(needed("accelerate.utils").gather_object(list(items)))


def grouped(samples: Sequence[Sampled], size: int, *, exact: bool) -> list[Group]:
    """Samples in the sampler's order as groups of `size`.

    With `exact` a group of another size is a `RuntimeError`: it would be rewarded by half of its rollouts.
    The last batch of an evaluation over several processes may hold one that is cut or repeated.
    """
    groups: list[Group] = []
    first = 0
    while first < len(samples):
        last = first
        while last < len(samples) and last - first < size and samples[last].row == samples[first].row:
            last += 1
        if exact and last - first != size:
            raise RuntimeError(
                f"a group of the batch has {last - first} of {size} completions: the sampler of this TRL "
                "does not keep the completions of a prompt side by side"
            )
        groups.append(Group(len(groups), first, samples[first].row, tuple(samples[first:last])))
        first = last
    return groups


def mine(groups: Sequence[Group], process: int, processes: int) -> list[Group]:
    """The groups that one process scores."""
    return [group for group in groups if group.index % processes == process]


def donors_of(groups: Sequence[Group], before: Group | None) -> list[Group | None]:
    """For each group another one with another prompt: the next in the batch, else one from before."""
    found: list[Group | None] = []
    for at, group in enumerate(groups):
        others = (*groups[at + 1 :], *groups[:at], *((before,) if before else ()))
        found.append(
            next((o for o in others if o.row != group.row and any(s.text.strip() for s in o.samples)), None)
        )
    return found
