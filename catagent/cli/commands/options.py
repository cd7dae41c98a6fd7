"""The options that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "Anchor",
    "ConfigFile",
    "EachCalls",
    "EachUsd",
    "Estimator",
    "GroupSize",
    "Judge",
    "Kind",
    "MaxCalls",
    "MaxUsd",
    "ModelName",
    "QuestionAware",
    "Quiet",
    "RolloutTokens",
    "Temperature",
    "said",
]

ModelName = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="PROVIDER/NAME", help="Model of all roles that have none of their own."
    ),
]
Anchor = Annotated[
    str | None, typer.Option(metavar="PROVIDER/NAME", help="Model that synthesises; default: --model.")
]
Judge = Annotated[
    str | None,
    typer.Option(metavar="PROVIDER/NAME", help="Model that judges; better not the one that answers."),
]
GroupSize = Annotated[
    int | None, typer.Option("--n", "-n", min=1, max=1024, help="Rollouts a task. [default: 8]")
]
Kind = Annotated[
    str | None, typer.Option(help="auto, verifiable (one final answer) or open. [default: auto]")
]
Estimator = Annotated[
    str | None,
    typer.Option(
        metavar="NAME[:OPTION=VALUE,…]",
        help="How the reference is made: synthesis, synthesis_vote, auto, majority, single, min_ppl, "
        "self_bon, usc, genselect, mutual_predictability, rsa, moa, placebo_none or placebo_other; "
        "`catagent estimators` lists their options. [default: synthesis]",
    ),
]
QuestionAware = Annotated[
    bool | None,
    typer.Option("--question-aware/--question-blind", help="Whether the anchor sees the question."),
]
Temperature = Annotated[float | None, typer.Option(min=0, help="Of the rollouts.")]
RolloutTokens = Annotated[int | None, typer.Option(min=1, help="At most, of each rollout.")]
MaxUsd = Annotated[float | None, typer.Option(min=0, help="Stop before it costs more.")]
MaxCalls = Annotated[int | None, typer.Option(min=1, help="Stop before it takes more requests.")]
EachUsd = Annotated[
    float | None, typer.Option("--max-usd", min=0, help="What each request from outside may cost.")
]
EachCalls = Annotated[
    int | None, typer.Option("--max-calls", min=1, help="Calls to models that each may take.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration instead of ./providers.yaml.")
]


def said(**options: Any) -> dict[str, Any]:
    """The options that were given, without those that were left out."""
    return {name: value for name, value in options.items() if value is not None}
