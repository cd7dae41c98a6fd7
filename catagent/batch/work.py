"""What is done for one row: the pipeline entered and left where the mode says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from catagent.batch.lines import Mode
from catagent.batch.rows import Row
from catagent.cat import CaT
from catagent.messages import Solution, Task

__all__ = ["ROLES_OF", "Work"]

ROLES_OF: dict[Mode, tuple[str, ...]] = {
    "solve": ("sampler", "anchor"),
    "score": ("anchor", "rubric_proposer", "judge"),
    "rollouts": ("sampler",),
    "sft": ("sampler", "anchor"),
    "rl": ("sampler", "anchor", "rubric_proposer", "judge"),
}
"""Who is asked, by mode: `solve` asks the other two as well when it is to give rewards."""


@dataclass(frozen=True, slots=True)
class Work:
    """From a row to its solution."""

    mode: Mode = "solve"
    rewards: bool = False
    """Rewards that cost calls, in the mode `solve`."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Sampling parameters of the rollouts; those of a row come before them."""

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that may be asked."""
        return ROLES_OF["rl" if self.mode == "solve" and self.rewards else self.mode]

    async def __call__(self, cat: CaT, row: Row) -> Solution:
        """The solution of one row. Raises what `CaT.solve` and `CaT.score` raise."""
        task = Task.of(row.messages, kind=cat.kind, params={**self.params, **row.params})
        if self.mode == "score":
            return await cat.score(task, row.completions or (), reference=row.reference, rubric=row.rubric)
        if self.mode == "rollouts":
            return await self._rollouts(cat, task)
        return await cat.solve(task, rewards=self.rewards or self.mode == "rl")

    async def _rollouts(self, cat: CaT, task: Task) -> Solution:
        run = await cat.begin()
        sample = cat.sampler(await run.model("sampler"), cat.prompts, n=cat.n, quorum=cat.quorum)
        group = await sample(task)
        return Solution(parents=(task.id, group.id), task=task, group=group, usage=run.ledger.usage())
