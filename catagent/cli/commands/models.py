"""`catagent models`: the models in each role."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from catagent.cli.commands.options import (
    ConfigFile,
)

__all__ = ["models"]

models = typer.Typer(invoke_without_command=True, help="The models in each role, and the embedded catalogue.")


@models.callback()
def _models(
    context: typer.Context,
    check: Annotated[bool, typer.Option(help="Ask each model for one token.")] = True,
    config: ConfigFile = None,
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
