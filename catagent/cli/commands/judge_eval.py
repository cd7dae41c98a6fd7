"""`catagent judge-eval`: how good a judge is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from catagent.cli.commands.options import (
    ConfigFile,
    MaxCalls,
    MaxUsd,
    Quiet,
)

__all__ = ["judge_eval"]


def judge_eval(
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA…", help="JSONL with human labels; docs/judging.md has formats."),
    ],
    judge: Annotated[
        str | None, typer.Option("--judge", "-j", metavar="PROVIDER/NAME", help="The judge to measure.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most about this many items a file.")] = None,
    together: Annotated[
        bool, typer.Option("--together", help="All criteria of a response in one call.")
    ] = False,
    votes: Annotated[int | None, typer.Option(min=1, help="Votes a verdict.")] = None,
    evidence: Annotated[bool, typer.Option("--evidence", help="Ask for quotes and check them.")] = False,
    question: Annotated[bool, typer.Option("--question", help="Show the judge the question too.")] = False,
    as_json_reply: Annotated[
        bool, typer.Option("--json-verdicts", help="Ask for JSON by schema instead of XML.")
    ] = False,
    report: Annotated[
        Path, typer.Option(metavar="FILE", help="The report: a page, or figures alone as .json.")
    ] = Path("judge-eval.html"),
    verdicts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write every verdict, one JSON a line.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="Of the bootstrap.")] = 2000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap and of --limit.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    max_usd: MaxUsd = None,
    max_calls: MaxCalls = None,
    quiet: Quiet = False,
    config: ConfigFile = None,
) -> None:
    """Measure a judge on data with human labels: accuracy, kappa, unscored, attacks, cost."""
    from catagent.cli.judge_eval import Options, run
    from catagent.cli.pipeline import Pipeline

    asked = (
        ("criteria_per_call", None, together),
        ("votes", votes, votes is not None),
        ("evidence", True, evidence),
        ("sees_question", True, question),
        ("format", "json", as_json_reply),
    )
    judging: dict[str, object] = {key: value for key, value, wanted in asked if wanted}
    pipeline = Pipeline(judge=judge, config=config, max_usd=max_usd, max_calls=max_calls)
    options = Options(
        data=tuple(data), pipeline=pipeline, judging=judging, limit=limit, resamples=resamples, seed=seed,
        report=report, verdicts=verdicts, as_json=as_json, quiet=quiet,
    )  # fmt: skip
    sys.exit(run(options))
