"""`catagent view`: a page for people."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from catagent.cli.commands.options import Quiet

__all__ = ["view"]


def view(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="TRACE_OR_RUN",
            help="A trace (solve --trace), a solution (solve --json), a batch's output or .job folder, "
            "the folder of an evaluation or a training run.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="The page. [default: beside the input, as .html]"),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Serve it on this machine until Ctrl-C; 0 takes a free port."),
    ] = None,
    prompts: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="The input of the batch, for outputs that do not hold prompts."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of the page. [default: the name of the input]")] = None,
    quiet: Quiet = False,
) -> None:
    """Make one self-contained HTML page of a trace or a run: rollouts, reference, rubric, costs, times."""
    from catagent.cli.view import Options, run

    sys.exit(run(Options(source, out, port, tuple(prompts or ()), title, quiet)))
