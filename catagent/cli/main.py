"""The command `catagent` and its subcommands. Each imports what it needs when it runs: help is instant."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from catagent import __version__

__all__ = ["app", "main"]

app = typer.Typer(
    name="catagent",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compute as Teacher: parallel rollouts, reconciled to one reference, turned into rewards.",
)
models = typer.Typer(invoke_without_command=True, help="The models in each role, and the embedded catalogue.")
app.add_typer(models, name="models")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"catagent {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


_CONFIG = typer.Option("--config", metavar="FILE", help="Configuration instead of ./providers.yaml.")


@app.command()
def solve(
    prompt: Annotated[
        str | None, typer.Argument(help="The task; '-' or nothing reads standard input.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="PROVIDER/NAME", help="Model of all roles that have none of their own."
        ),
    ] = None,
    anchor: Annotated[
        str | None, typer.Option(metavar="PROVIDER/NAME", help="Model that synthesises; default: --model.")
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(metavar="PROVIDER/NAME", help="Model that judges; better not the one that answers."),
    ] = None,
    n: Annotated[
        int | None, typer.Option("--n", "-n", min=1, max=1024, help="Rollouts. [default: 8]")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(help="auto, verifiable (one final answer) or open. [default: auto]"),
    ] = None,
    estimator: Annotated[
        str | None,
        typer.Option(help="How the reference is made: synthesis or majority. [default: synthesis]"),
    ] = None,
    question_aware: Annotated[
        bool | None,
        typer.Option("--question-aware/--question-blind", help="Whether the anchor sees the question."),
    ] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="Of the rollouts.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Of each rollout.")] = None,
    max_usd: Annotated[float | None, typer.Option(min=0, help="Stop before it costs more.")] = None,
    max_calls: Annotated[int | None, typer.Option(min=1, help="Stop before it takes more requests.")] = None,
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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    config: Annotated[Path | None, _CONFIG] = None,
) -> None:
    """Solve one task: the reference goes to standard output, everything else to standard error."""
    from catagent.cli.solve import Options, run

    params = {
        key: value
        for key, value in (("temperature", temperature), ("max_tokens", max_tokens))
        if value is not None
    }
    options = Options(
        prompt=prompt, model=model, anchor=anchor, judge=judge, n=n, kind=kind, estimator=estimator,
        question_aware=question_aware, params=params, max_usd=max_usd, max_calls=max_calls,
        rewards=rewards, as_json=as_json, trace=trace, report=report, quiet=quiet, config=config,
    )  # fmt: skip
    sys.exit(run(options))


@app.command()
def batch(
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="IN…", help="JSONL, also gz or zst; '-' or nothing reads standard input."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Output: .jsonl, or .parquet.")
    ] = None,
    mode: Annotated[str, typer.Option(help="solve, score, rollouts, sft or rl.")] = "solve",
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", metavar="PROVIDER/NAME", help="Model of all roles that have none of their own."
        ),
    ] = None,
    anchor: Annotated[
        str | None, typer.Option(metavar="PROVIDER/NAME", help="Model that synthesises; default: --model.")
    ] = None,
    judge: Annotated[
        str | None, typer.Option(metavar="PROVIDER/NAME", help="Model that judges; default: --anchor.")
    ] = None,
    n: Annotated[
        int | None, typer.Option("--n", "-n", min=1, max=1024, help="Rollouts a row. [default: 8]")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="auto, verifiable or open. [default: auto]")] = None,
    estimator: Annotated[str | None, typer.Option(help="synthesis or majority. [default: synthesis]")] = None,
    question_aware: Annotated[
        bool | None,
        typer.Option("--question-aware/--question-blind", help="Whether the anchor sees the question."),
    ] = None,
    rewards: Annotated[
        bool, typer.Option("--rewards", help="To solve: rewards of open-ended rows too, which cost calls.")
    ] = False,
    temperature: Annotated[float | None, typer.Option(min=0, help="Of the rollouts.")] = None,
    rollout_tokens: Annotated[int | None, typer.Option(min=1, help="At most, of each rollout.")] = None,
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
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    config: Annotated[Path | None, _CONFIG] = None,
) -> None:
    """Solve or score many rows. The same command goes on with a job that was stopped or killed."""
    from catagent.batch.ray_options import RayOptions
    from catagent.batch.rows import Fields
    from catagent.cli.batch import Options, run, show_status

    if status is not None:
        sys.exit(show_status(status))
    if out is None:
        raise typer.BadParameter("name the output, for example -o out.jsonl", param_hint="--out")
    params = {
        key: value
        for key, value in (("temperature", temperature), ("max_tokens", rollout_tokens))
        if value is not None
    }
    cat = {
        "model": model, "anchor": anchor, "judge": judge, "n": n, "kind": kind, "estimator": estimator,
        "question_aware": question_aware, "config": config,
    }  # fmt: skip
    options = Options(
        inputs=inputs or [], out=out, mode=mode, cat=cat, params=params,
        fields=Fields(prompt_field, id_field, completions_field, reference_field, rubric_field),
        rewards=rewards, full=full, in_order=in_order, risk=risk if adaptive else None, usd=max_usd,
        tokens=max_tokens, minutes=max_minutes, limit=limit, accept_changes=accept_changes,
        dry_run=dry_run, quiet=quiet, via=via, cancel_batches=cancel_batches, under_way=under_way,
        engine=engine,
        ray=RayOptions(workers=ray_workers, block=block_rows, cpus=ray_cpus, address=ray_address),
    )  # fmt: skip
    sys.exit(run(options))


@app.command("judge-eval")
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
    max_usd: Annotated[float | None, typer.Option(min=0, help="Stop before it costs more.")] = None,
    max_calls: Annotated[int | None, typer.Option(min=1, help="Stop before it takes more requests.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    config: Annotated[Path | None, _CONFIG] = None,
) -> None:
    """Measure a judge on data with human labels: accuracy, kappa, unscored, attacks, cost."""
    from catagent.cli.judge_eval import Options, run

    asked = (
        ("criteria_per_call", None, together),
        ("votes", votes, votes is not None),
        ("evidence", True, evidence),
        ("sees_question", True, question),
        ("format", "json", as_json_reply),
    )
    judging: dict[str, object] = {key: value for key, value, wanted in asked if wanted}
    options = Options(
        data=tuple(data), judge=judge, judging=judging, limit=limit, resamples=resamples, seed=seed,
        report=report, verdicts=verdicts, as_json=as_json, max_usd=max_usd, max_calls=max_calls,
        quiet=quiet, config=config,
    )  # fmt: skip
    sys.exit(run(options))


@models.callback()
def _models(
    context: typer.Context,
    check: Annotated[bool, typer.Option(help="Ask each model for one token.")] = True,
    config: Annotated[Path | None, _CONFIG] = None,
) -> None:
    """List the roles, what each resolves to and whether it answers, and the embedded catalogue."""
    if context.invoked_subcommand is None:
        from catagent.cli.models import show

        sys.exit(show(config, check=check))


@models.command()
def pull(
    name: Annotated[
        str | None, typer.Argument(help="Name in the catalogue; default: the best to be had.")
    ] = None,
    again: Annotated[bool, typer.Option("--again", help="Fetch it even if it is there.")] = False,
) -> None:
    """Fetch an embedded model."""
    from catagent.cli.models import pull as fetch

    sys.exit(fetch(name, again=again))


def main() -> None:
    """Entry point of the console script."""
    app()
