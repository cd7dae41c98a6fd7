"""`catagent sft`: CaT-SFT."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from catagent.cli.commands.options import Quiet

__all__ = ["sft"]


def sft(
    data: Annotated[
        Path, typer.Argument(metavar="PAIRS.jsonl", help="What `catagent batch --mode sft` wrote.")
    ],
    model: Annotated[str, typer.Option("--model", "-m", metavar="NAME", help="The model to fine-tune.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder of the run.")],
    epochs: Annotated[float, typer.Option(min=0.01, help="Passes over the pairs.")] = 1.0,
    learning_rate: Annotated[float, typer.Option(min=1e-9)] = 5e-5,
    batch_size: Annotated[int, typer.Option(min=1, help="Pairs a step.")] = 32,
    device_batch: Annotated[int, typer.Option(min=1, help="Pairs in memory at once.")] = 4,
    rank: Annotated[int, typer.Option(min=0, help="Of the adapter; 0 trains all weights.")] = 32,
    max_length: Annotated[int, typer.Option(min=8, help="Tokens of a pair; longer ones are cut.")] = 4096,
    least_agreement: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Leave out pairs whose reference fewer rollouts agree with."),
    ] = None,
    keep: Annotated[str, typer.Option(help="adapter, merged or both.")] = "adapter",
    seed: Annotated[int, typer.Option()] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")] = False,
    quiet: Quiet = False,
) -> None:
    """Fine-tune a model on the references that `catagent batch --mode sft` wrote (docs/training.md)."""
    from catagent.cli.sft import run

    sys.exit(
        run(
            {
                "model": model, "data": data, "output": out, "epochs": epochs, "learning_rate": learning_rate,
                "batch_size": batch_size, "device_batch": device_batch, "rank": rank or None,
                "max_length": max_length, "least_agreement": least_agreement,
                "keep": "merged" if not rank and keep == "adapter" else keep, "seed": seed,
            },
            resume=resume,
            quiet=quiet,
        )
    )  # fmt: skip
