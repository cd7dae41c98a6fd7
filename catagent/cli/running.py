"""Running a command's coroutine: errors to one sentence and an exit code, Ctrl-C to a clean end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from rich.console import Console

from catagent.errors import CatError

__all__ = ["console", "run_command", "run_plainly"]

console = Console(stderr=True, highlight=False)


def run_command(work: Coroutine[Any, Any, int | None]) -> int:
    """Run it; returns what it returns or 0, 1 after an error that was said, 130 after Ctrl-C."""
    return run_plainly(lambda: asyncio.run(work))


def run_plainly(work: Callable[[], int | None]) -> int:
    """The same for a command that has nothing to wait for beside its work."""
    try:
        return work() or 0
    except CatError as error:
        console.print(f"[bold red]error:[/] {_escaped(str(error))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
        return 130
    except BrokenPipeError:
        return 0


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
