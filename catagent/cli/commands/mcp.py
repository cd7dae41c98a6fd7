"""`catagent mcp`: the tools solve, score and compare_answers for assistants."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from catagent.cli.commands.options import (
    Anchor,
    ConfigFile,
    EachCalls,
    EachUsd,
    Estimator,
    GroupSize,
    Judge,
    ModelName,
    QuestionAware,
)

__all__ = ["mcp"]


def mcp(
    model: ModelName = None,
    anchor: Anchor = None,
    judge: Judge = None,
    n: GroupSize = None,
    estimator: Estimator = None,
    question_aware: QuestionAware = None,
    max_usd: EachUsd = None,
    max_calls: EachCalls = None,
    http: Annotated[
        bool,
        typer.Option("--http", help="Serve streamable HTTP at /mcp instead of standard input and output."),
    ] = False,
    host: Annotated[str, typer.Option(help="With --http: the address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --http; 0 takes a free one.")] = 8849,
    keys: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --http: bearer keys that are let in, one a line; else those in CATAGENT_KEYS, "
            "separated by commas. Needed beyond this machine.",
        ),
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Serve assistants over the Model Context Protocol: tools solve, score and compare_answers.

    An assistant starts it itself when its settings name the command `catagent` with the arguments
    `["mcp", "--model", "openai/gpt-5-mini"]`.
    """
    from catagent.cli.mcp import Options, run
    from catagent.cli.pipeline import Pipeline

    pipeline = Pipeline(
        model=model, anchor=anchor, judge=judge, n=n, estimator=estimator,
        question_aware=question_aware, config=config, max_usd=max_usd, max_calls=max_calls,
    )  # fmt: skip
    sys.exit(run(Options(pipeline=pipeline, http=http, host=host, port=port, keys=keys)))
