"""`catagent batch`: many rows."""

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
    ModelName,
    QuestionAware,
    Quiet,
    RolloutTokens,
    Temperature,
    said,
)

__all__ = ["batch"]


def batch(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="IN…", help="JSONL, also gz or zst; '-' or nothing reads standard input."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Output: .jsonl, or .parquet.")
    ] = None,
    mode: Annotated[str, typer.Option(help="solve, score, rollouts, sft or rl.")] = "solve",
    model: ModelName = None,
    anchor: Anchor = None,
    judge: Judge = None,
    n: GroupSize = None,
    kind: Kind = None,
    estimator: Estimator = None,
    question_aware: QuestionAware = None,
    rewards: Annotated[
        bool, typer.Option("--rewards", help="To solve: rewards of open-ended rows too, which cost calls.")
    ] = False,
    temperature: Temperature = None,
    rollout_tokens: RolloutTokens = None,
    adaptive: Annotated[
        bool, typer.Option("--adaptive", help="Draw rollouts only until the majority is settled.")
    ] = False,
    risk: Annotated[
        float, typer.Option(min=1e-6, max=0.5, help="With --adaptive: of all n having another majority.")
    ] = 0.05,
    prompt_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the prompt is. [default: messages, prompt]")
    ] = None,
    id_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="Where the id is. [default: custom_id, id]")
    ] = None,
    completions_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="To score: completions. [default: completions]")
    ] = None,
    reference_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="To score: a reference that the row brings.")
    ] = None,
    rubric_field: Annotated[
        str | None, typer.Option(metavar="NAME", help="To score: a rubric that the row brings.")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Rollouts, rubric and verdicts too.")] = False,
    in_order: Annotated[
        bool, typer.Option("--in-order", help="Lines in the order of the input, not as they are finished.")
    ] = False,
    max_usd: Annotated[float | None, typer.Option(min=0, help="Stop before the job costs more.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Stop before the job takes more, over all rows and runs.")
    ] = None,
    max_minutes: Annotated[float | None, typer.Option(min=0, help="Stop this run after that time.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first rows.")] = None,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Go on with another configuration or input.")
    ] = False,
    via: Annotated[
        str | None,
        typer.Option(metavar="SDK", help="As batches of the provider, at half price: openai or together."),
    ] = None,
    cancel_batches: Annotated[
        bool, typer.Option("--cancel-batches", help="With --via: stop what runs at the provider.")
    ] = False,
    under_way: Annotated[
        int | None,
        typer.Option(min=1, help="With --via: rows in memory at once, and so in one batch. [default: 1 GB]"),
    ] = None,
    engine: Annotated[
        str, typer.Option(help="process, or ray: on a Ray cluster (docs/scale.md).")
    ] = "process",
    ray_address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The cluster. [default: RAY_ADDRESS, else one is started]"),
    ] = None,
    ray_workers: Annotated[
        int | None, typer.Option(min=1, help="Workers on the cluster. [default: as many as fit]")
    ] = None,
    ray_cpus: Annotated[float, typer.Option(min=0.01, help="What a worker occupies of a processor.")] = 1.0,
    block_rows: Annotated[int, typer.Option(min=1, help="With ray: rows that go to a worker at once.")] = 32,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would take: rows, calls, tokens, cost.")
    ] = False,
    status: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Say how the job in a folder stands, and do nothing.")
    ] = None,
    quiet: Quiet = False,
    config: ConfigFile = None,
) -> None:
    """Solve or score many rows. The same command goes on with a job that was stopped or killed."""
    from catagent.batch.ray_options import RayOptions
    from catagent.batch.rows import Fields
    from catagent.cli.batch import Options, run, show_status
    from catagent.cli.pipeline import Pipeline

    if status is not None:
        sys.exit(show_status(status))
    if out is None:
        raise typer.BadParameter("name the output, for example -o out.jsonl", param_hint="--out")
    pipeline = Pipeline(
        model=model, anchor=anchor, judge=judge, n=n, kind=kind, estimator=estimator,
        question_aware=question_aware, config=config,
    )  # fmt: skip
    options = Options(
        inputs=inputs or [], out=out, mode=mode, pipeline=pipeline,
        params=said(temperature=temperature, max_tokens=rollout_tokens),
        fields=Fields(prompt_field, id_field, completions_field, reference_field, rubric_field),
        rewards=rewards, full=full, in_order=in_order, risk=risk if adaptive else None, usd=max_usd,
        tokens=max_tokens, minutes=max_minutes, limit=limit, accept_changes=accept_changes,
        dry_run=dry_run, quiet=quiet, via=via, cancel_batches=cancel_batches, under_way=under_way,
        engine=engine,
        ray=RayOptions(workers=ray_workers, block=block_rows, cpus=ray_cpus, address=ray_address),
    )  # fmt: skip
    sys.exit(run(options))
