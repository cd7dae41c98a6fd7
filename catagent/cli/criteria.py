"""The table of criteria by rollout, in a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from catagent.agents.fencing import INVISIBLE
from catagent.messages import Solution

__all__ = ["MARKS", "criteria_table"]

MARKS = {"met": "✓", "unmet": "✗", "unscored": "?"}

_STYLES = {"met": "green", "unmet": "red", "unscored": "yellow"}


def criteria_table(solution: Solution) -> Table:
    """One row a criterion, one column a rollout, the rewards below; `?` is a verdict that nobody knows."""
    assert solution.rubric is not None
    table = Table(box=None, pad_edge=False, show_footer=True)
    table.add_column("criterion", footer="reward", ratio=1, overflow="fold")
    weighted = len({c.weight for c in solution.rubric.criteria}) > 1
    if weighted:
        table.add_column("weight", justify="right")
    rewards = {r.rollout_id: r.value for r in solution.rewards}
    columns = []
    judged = {j.rollout_id: {v.criterion_id: v.state for v in j.verdicts} for j in solution.judgements}
    for rollout in solution.rollouts:
        value = rewards.get(rollout.id)
        table.add_column(
            str(rollout.index + 1), footer="–" if value is None else f"{value:.2f}", justify="center"
        )
        columns.append(judged.get(rollout.id, {}))
    for criterion in solution.rubric.criteria:
        states = [column.get(criterion.id, "unscored") for column in columns]
        marks = [Text(MARKS[state], style=_STYLES[state]) for state in states]
        weight = [f"{criterion.weight:g}"] if weighted else []
        table.add_row(Text(INVISIBLE.sub("", criterion.text)), *weight, *marks)
    return table
