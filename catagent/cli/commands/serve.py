"""The declaration of `catagent serve`."""

from __future__ import annotations

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
    Kind,
    ModelName,
    QuestionAware,
    Quiet,
)

__all__ = ["serve"]


def serve(
    model: ModelName = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any but this machine's own needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", "-p", min=0, max=65535, help="0 takes a free one.")] = 8080,
    anchor: Anchor = None,
    judge: Judge = None,
    n: GroupSize = None,
    kind: Kind = None,
    estimator: Estimator = None,
    question_aware: QuestionAware = None,
    keys: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Bearer keys, one a line; also CATAGENT_SERVER_KEYS, with commas."),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="A model that requests may name (cat, cat/openai/*); repeat."),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests worked on at once.")] = 64,
    queue: Annotated[int, typer.Option(min=0, help="Requests that may wait; more are refused (503).")] = 256,
    wait: Annotated[float, typer.Option(min=0, help="Seconds one may wait.")] = 30.0,
    per_key: Annotated[
        int | None, typer.Option(min=1, help="Requests under way for one key; more are refused (429).")
    ] = None,
    max_body_mb: Annotated[float, typer.Option(min=0.001, help="Largest request (413 beyond).")] = 20.0,
    max_n: Annotated[int, typer.Option(min=1, max=1024, help="Most rollouts a request may ask for.")] = 64,
    max_usd: EachUsd = None,
    max_calls: EachCalls = None,
    grace: Annotated[
        float, typer.Option(min=0, help="Seconds that requests under way have when the server stops.")
    ] = 30.0,
    open_metrics: Annotated[bool, typer.Option("--open-metrics", help="/metrics without a key.")] = False,
    spans: Annotated[
        bool, typer.Option("--spans", help="Send OpenTelemetry spans (OTEL_EXPORTER_OTLP_ENDPOINT).")
    ] = False,
    config: ConfigFile = None,
    quiet: Quiet = False,
) -> None:
    """Serve CaT behind OpenAI's API: /v1/chat/completions, /v1/responses, /v1/score, /v1/models.

    Point any OpenAI client at http://127.0.0.1:8080/v1 and ask for the model `cat`, for a profile, or for
    any model as `cat/provider/model`.
    """
    from catagent.cli.pipeline import Pipeline
    from catagent.cli.serve import Options, run

    pipeline = Pipeline(
        model=model, anchor=anchor, judge=judge, n=n, kind=kind, estimator=estimator,
        question_aware=question_aware, config=config, max_usd=max_usd, max_calls=max_calls,
    )  # fmt: skip
    options = Options(
        pipeline=pipeline,
        host=host,
        port=port,
        keys=keys,
        allow=tuple(allow or ()),
        concurrency=concurrency,
        queue=queue,
        wait=wait,
        per_key=per_key,
        max_body=int(max_body_mb * 2**20),
        max_n=max_n,
        grace=grace,
        open_metrics=open_metrics,
        spans=spans,
        quiet=quiet,
    )
    raise typer.Exit(run(options))
