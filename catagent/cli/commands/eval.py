"""`catagent eval`: every method on a benchmark, and two evaluations beside each other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from catagent.cli.commands.options import (
    Anchor,
    ConfigFile,
    GroupSize,
    Judge,
    MaxCalls,
    MaxUsd,
    ModelName,
    QuestionAware,
    Quiet,
    Temperature,
)

__all__ = ["evaluation"]

_RUN = "run"


class _Group(TyperGroup):
    """`catagent eval gsm8k …` is `catagent eval run gsm8k …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = [_RUN, *args]
        return super().parse_args(ctx, args)


evaluation = typer.Typer(
    cls=_Group,
    no_args_is_help=True,
    help="Measure methods on a benchmark: `catagent eval gsm8k --model M` is `catagent eval run gsm8k …`.",
)


@evaluation.command(_RUN)
def run(
    benchmark: Annotated[
        str,
        typer.Argument(
            metavar="BENCHMARK_OR_FILE",
            help="math500, gsm8k, aime24, aime25, healthbench; a JSONL, JSON or Parquet file with gold "
            "answers or rubrics; or hf:owner/name/file.",
        ),
    ],
    model: ModelName = None,
    anchor: Anchor = None,
    judge: Judge = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--methods",
            metavar="NAME[:OPTION=VALUE,…],…",
            help="Estimators, `catagent estimators` lists them; one rollout and pass@k are always there. "
            "[default: majority,synthesis,placebo_other,placebo_none]",
        ),
    ] = None,
    n: GroupSize = None,
    pool: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Rollouts drawn, for baselines that may use more. [default: n]"),
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(metavar="G,G,…", help="Try every method on the first G rollouts as well.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Repeat all with fresh samples so many times.")] = 1,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first questions.")] = None,
    shuffle: Annotated[
        int | None, typer.Option(metavar="SEED", help="The first of an order drawn with this seed.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="DIR", help="Everything goes there. [default: eval-…]"),
    ] = None,
    question_aware: QuestionAware = None,
    temperature: Temperature = None,
    rollout_tokens: Annotated[int | None, typer.Option(min=1, help="At most, of each rollout.")] = None,
    prompts: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Your own prompts, in place of those of the same name.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The rows of a named benchmark, from this file.")
    ] = None,
    prompt_field: Annotated[str | None, typer.Option(metavar="NAME", help="Where the prompt is.")] = None,
    gold_field: Annotated[str | None, typer.Option(metavar="NAME", help="Where the answer is.")] = None,
    rubric_field: Annotated[str | None, typer.Option(metavar="NAME", help="Where the rubric is.")] = None,
    id_field: Annotated[str | None, typer.Option(metavar="NAME", help="Where the id is.")] = None,
    group_field: Annotated[str | None, typer.Option(metavar="NAME", help="Tables by this field.")] = None,
    judged: Annotated[
        int, typer.Option(min=0, help="With rubrics: how many rollouts a question are judged too.")
    ] = 1,
    together: Annotated[
        bool, typer.Option("--together", help="With rubrics: all criteria of a response in one call.")
    ] = False,
    max_usd: MaxUsd = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="Stop before it takes more, over all runs.")
    ] = None,
    max_calls: MaxCalls = None,
    max_minutes: Annotated[float | None, typer.Option(min=0, help="Stop this run after that time.")] = None,
    plots: Annotated[bool, typer.Option("--plots/--no-plots", help="Plots in the report.")] = True,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what it would take: calls, tokens, cost.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
    quiet: Quiet = False,
    config: ConfigFile = None,
) -> None:
    """Draw rollouts once, try every method on them, and write a report. The same command goes on."""
    from catagent.cli.evaluate import Options
    from catagent.cli.evaluate import run as evaluate

    params = {
        key: value
        for key, value in (("temperature", temperature), ("max_tokens", rollout_tokens))
        if value is not None
    }
    cat = {
        "model": model, "anchor": anchor, "judge": judge, "n": n, "question_aware": question_aware,
        "config": config, "prompts": prompts,
    }  # fmt: skip
    fields = {
        key: value
        for key, value in (
            ("prompt", prompt_field), ("gold", gold_field), ("rubric", rubric_field), ("id", id_field),
            ("group", group_field),
        )
        if value is not None
    }  # fmt: skip
    options = Options(
        benchmark=benchmark, cat=cat, methods=tuple(methods or ()), pool=pool, sizes=sizes, seeds=seeds,
        limit=limit, shuffle=shuffle, out=out, params=params, data=data, fields=fields, judged=judged,
        together=together, usd=max_usd, tokens=max_tokens, calls=max_calls, minutes=max_minutes, plots=plots,
        dry_run=dry_run, as_json=as_json, quiet=quiet,
    )  # fmt: skip
    sys.exit(evaluate(options))


@evaluation.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="A folder that `catagent eval --out` wrote.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Also a page (.html), .md or .json.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two evaluations question by question: paired intervals, wins and losses, exact tests."""
    from catagent.cli.evaluate import compare as comparing

    sys.exit(comparing(first, second, out, as_json=as_json))
