"""`catagent sft`: fine-tuning on references."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from catagent.cli.train import Steps, guarded
from catagent.errors import ConfigError
from catagent.training.sft import SftRun, train_sft

__all__ = ["run"]


def run(settings: Mapping[str, Any], *, resume: bool, quiet: bool) -> int:
    """Run the command; returns the exit code."""

    def work() -> int:
        if settings["keep"] not in ("adapter", "merged", "both"):
            raise ConfigError(f"--keep is adapter, merged or both, not {settings['keep']!r}")
        for folder in train_sft(SftRun(**settings), resume=resume, hear=None if quiet else Steps()):
            Console(highlight=False).print(Text(str(folder)), soft_wrap=True)
        return 0

    return guarded(work)
