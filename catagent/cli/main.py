"""The command `catagent` and its subcommands.

`commands/NAME.py` declares a command's options and imports nothing heavy, so that help is instant; what the
command does is in `NAME.py` beside it and is imported when it runs.
"""

from __future__ import annotations

from typing import Annotated

import typer

from catagent import __version__
from catagent.cli.commands.batch import batch
from catagent.cli.commands.estimators import estimators
from catagent.cli.commands.eval import evaluation
from catagent.cli.commands.judge_eval import judge_eval
from catagent.cli.commands.mcp import mcp
from catagent.cli.commands.models import models
from catagent.cli.commands.serve import serve
from catagent.cli.commands.sft import sft
from catagent.cli.commands.solve import solve
from catagent.cli.commands.train import train
from catagent.cli.commands.view import view

__all__ = ["app", "main"]

app = typer.Typer(
    name="catagent",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compute as Teacher: parallel rollouts, reconciled to one reference, turned into rewards.",
)
app.command()(solve)
app.command()(serve)
app.command()(view)
app.command()(batch)
app.command()(estimators)
app.command("judge-eval")(judge_eval)
app.command()(train)
app.command()(sft)
app.command()(mcp)
app.add_typer(models, name="models")
app.add_typer(evaluation, name="eval")


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


def main() -> None:
    """Entry point of the console script."""
    app()
