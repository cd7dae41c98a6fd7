"""What happens to provider batches, said in the terminal: a line when a batch begins another step."""

from __future__ import annotations

import time

from rich.console import Console
from rich.text import Text

from catagent.batch.progress import Progress
from catagent.events import Waiting
from catagent.models.provider_batch import BatchNews

__all__ = ["BatchLog"]

_AGAIN = 600.0


class BatchLog:
    """Hears of batches. The same news is said again every ten minutes, so that a log shows life."""

    def __init__(self, console: Console, *, quiet: bool) -> None:
        self.progress: Progress | None = None
        self.begun: dict[str, str] = {}
        """The latest of each batch that the provider is at work on."""
        self._console = console
        self._quiet = quiet
        self._said: dict[str, tuple[str, float]] = {}

    def __call__(self, news: BatchNews) -> None:
        """Take note, and say it if it is new."""
        if news.batch_id is not None:
            if news.done:
                self.begun.pop(news.batch_id, None)
            else:
                self.begun[news.batch_id] = news.text
        if self.progress is not None and news.seconds:
            waits = Waiting(role=news.stage, reason=news.text, attempt=news.looks, seconds=news.seconds)
            self.progress(waits)
        about, step, now = news.batch_id or news.stage, news.text.partition(",")[0], time.monotonic()
        before, at = self._said.get(about, ("", 0.0))
        if self._quiet or (step == before and now - at < _AGAIN):
            return
        self._said[about] = step, now
        parts = [part for part in (news.stage, news.model, news.text) if part]
        self._console.print(Text(" · ".join(parts), style="dim"), soft_wrap=True)

    def parting(self) -> str | None:
        """What to say of batches that go on after this process."""
        if not self.begun:
            return None
        names = ", ".join(self.begun)
        return (
            f"batches that go on at the provider: {names}. The same command collects them; with "
            "--cancel-batches it stops them"
        )
