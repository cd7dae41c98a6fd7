"""A progress bar for models that are fetched, and the place where notes are said."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

__all__ = ["DownloadBar"]


class DownloadBar:
    """Shows a bar from the first byte to the last; without a terminal, a line every tenth."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._tenth = -1

    def __enter__(self) -> DownloadBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def note(self, text: str) -> None:
        """Say something once."""
        if not self._quiet:
            self._console.print(Text(text, style="dim"), soft_wrap=True)

    def progress(self, done: int, total: int | None) -> None:
        """`done` of `total` bytes are here."""
        if self._quiet:
            return
        if not self._console.is_terminal:
            tenth = 10 * done // total if total else 0
            if tenth > self._tenth:
                self._tenth = tenth
                self._console.print(f"fetching the model: {done >> 20} of {(total or 0) >> 20} MiB")
            return
        if self._bar is None:
            self._bar = Progress(
                TextColumn("fetching the model"),
                BarColumn(),
                DownloadColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._task = self._bar.add_task("", total=total)
            self._bar.start()
        assert self._task is not None
        self._bar.update(self._task, completed=done, total=total)
        if total and done >= total:
            self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
