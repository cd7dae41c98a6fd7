"""`catagent train`: CaT-RL."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from catagent.cli.commands.options import Quiet

__all__ = ["train"]


def train(
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RUN.yaml [KEY=VALUE…]",
            help="The settings of the run, and changes to them: learning_rate=1e-5, lora.r=8.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the settings and the data, count, and stop.")
    ] = False,
    presets: Annotated[bool, typer.Option("--presets", help="Show the presets and stop.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train a model on references made from its own rollouts (docs/training.md).

    RUN.yaml names at least model, data and output; preset: paper-math, paper-healthbench, lora-math or smoke
    fills in the rest. Ctrl-C ends after the step under way and keeps a checkpoint.
    """
    from catagent.cli.train import run, show_presets

    if presets:
        sys.exit(show_presets())
    files = [one for one in settings or [] if "=" not in one]
    if len(files) > 1:
        raise typer.BadParameter(f"one file of settings, not {len(files)}; changes are KEY=VALUE")
    changes = [one for one in settings or [] if "=" in one]
    if not files and not changes:
        raise typer.BadParameter("name a file of settings, for example run.yaml")
    sys.exit(run(Path(files[0]) if files else None, changes, resume=resume, dry_run=dry_run, quiet=quiet))
