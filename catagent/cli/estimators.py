"""`catagent estimators`: what `--estimator` may name."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from catagent.errors import ConfigError
from catagent.estimators import EstimatorCost, estimator_names, plan_of

__all__ = ["show"]


def show(n: int) -> int:
    """Print each estimator with its options, its cost for `n` rollouts and its summary. Always 0."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("name:options")
    table.add_column(f"calls, n={n}", justify="right")
    table.add_column("the reference is")
    for written in estimator_names(options=True):
        bare = written.partition(":")[0]
        plan, cost = None, None
        try:
            plan = plan_of(bare if bare != "moa" else "moa:models=one+two")
            cost = plan.cost(n)
        except ConfigError:
            pass  # one with options that it cannot do without
        table.add_row(Text(written.replace(",", ", ")), _calls(cost), Text(plan.summary if plan else ""))
    console = Console()
    console.print(table)
    console.print(
        "\nOptions follow the name: rsa:population=8,subset=4. Calls are added to the rollouts; those of "
        "auto are the most there can be, those of moa are with two models.",
        style="dim",
    )
    return 0


def _calls(cost: EstimatorCost | None) -> str:
    return "unknown" if cost is None else str(cost.calls)
