"""`catagent solve`: one task."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from catagent.cli.commands.options import (
    Anchor,
    ConfigFile,
    Estimator,
    GroupSize,
    Judge,
    Kind,
    MaxCalls,
    MaxUsd,
    ModelName,
    QuestionAware,
    Quiet,
    RolloutTokens,
    Temperature,
    said,
)

__all__ = ["solve"]


def solve(
    prompt: Annotated[
        str | None, typer.Argument(help="The task; '-' or nothing reads standard input.")
    ] = None,
    model: ModelName = None,
    anchor: Anchor = None,
    judge: Judge = None,
    n: GroupSize = None,
    kind: Kind = None,
    estimator: Estimator = None,
    question_aware: QuestionAware = None,
    temperature: Temperature = None,
    max_tokens: RolloutTokens = None,
    logprobs: Annotated[
        bool, typer.Option("--logprobs", help="Keep how likely each token of a rollout was, for traces.")
    ] = False,
    max_usd: MaxUsd = None,
    max_calls: MaxCalls = None,
    rewards: Annotated[
        bool, typer.Option("--rewards", help="Also rewards that cost calls: rubric and judge.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole solution as JSON.")] = False,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what the agents said to each other, one JSON a line."),
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with everything, self-contained HTML.")
    ] = None,
    quiet: Quiet = False,
    config: ConfigFile = None,
) -> None:
    """Solve one task: the reference goes to standard output, everything else to standard error."""
    from catagent.cli.pipeline import Pipeline
    from catagent.cli.solve import Options, run

    pipeline = Pipeline(
        model=model, anchor=anchor, judge=judge, n=n, kind=kind, estimator=estimator,
        question_aware=question_aware, config=config, max_usd=max_usd, max_calls=max_calls,
    )  # fmt: skip
    params = said(temperature=temperature, max_tokens=max_tokens, logprobs=logprobs or None)
    options = Options(
        prompt=prompt, pipeline=pipeline, params=params, rewards=rewards, as_json=as_json, trace=trace,
        report=report, quiet=quiet,
    )  # fmt: skip
    sys.exit(run(options))
