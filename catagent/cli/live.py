"""The live view of a solve: G rollouts side by side, then the synthesis as it is written.

Taking an event costs O(1); the screen is redrawn four times a second at most, by the display's own
timer. Without a terminal the same becomes plain lines.
"""

from __future__ import annotations

import textwrap
import time
from types import TracebackType
from typing import Protocol

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from catagent.events import (
    Event,
    Judged,
    ReferenceReady,
    RolloutFinished,
    RolloutToken,
    RubricReady,
    Started,
    SynthesisStarted,
    SynthesisToken,
    Waiting,
)
from catagent.messages import Rollout

__all__ = ["LiveView", "PlainView", "SilentView", "View", "view_for"]

_KEPT = 4000


class View(Protocol):
    """Something that shows events."""

    def __call__(self, event: Event) -> None:
        """Take one event."""
        ...

    def __enter__(self) -> View: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def view_for(console: Console, *, quiet: bool) -> View:
    """The view that suits where output goes."""
    if quiet:
        return SilentView()
    return LiveView(console) if console.is_terminal else PlainView(console)


class SilentView:
    """Shows nothing."""

    def __call__(self, event: Event) -> None:
        """Take one event."""

    def __enter__(self) -> SilentView:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class PlainView(SilentView):
    """One line for what matters, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._began = time.monotonic()
        self._n = 0
        self._judged = 0

    def _say(self, text: str) -> None:
        self._console.print(Text(f"[{time.monotonic() - self._began:6.1f} s] {text}"), soft_wrap=True)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        match event:
            case Started():
                self._n = event.n
                self._say(f"{event.n} rollouts by {event.model}")
            case RolloutFinished(rollout=rollout):
                self._say(f"rollout {rollout.index + 1}/{self._n}: {_outcome(rollout)}")
            case SynthesisStarted():
                subsets = f" of {event.groups} subsets" if event.groups > 1 else ""
                self._say(f"synthesis, round {event.round}{subsets}, by {event.model}")
            case Waiting():
                self._say(_waiting(event))
            case ReferenceReady(reference=reference):
                self._say(f"reference by {reference.method}: {reference.answer or 'no single answer'}")
            case RubricReady(rubric=rubric):
                self._say(f"rubric of {len(rubric.criteria)} criteria")
            case Judged():
                self._judged += 1
                self._say(f"judged {self._judged}/{self._n}: {_verdicts(event)}")
            case _:
                pass


class LiveView:
    """Panels in a terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._texts: list[str] = []
        self._attempts: list[int] = []
        self._done: dict[int, Rollout] = {}
        self._began = time.monotonic()
        self._model = ""
        self._synthesis: str | None = None
        self._synthesis_attempt = 1
        self._round = ""
        self._waits: dict[str, tuple[float, Waiting]] = {}
        self._criteria = 0
        self._judged = 0
        self._live = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._drawn)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def __call__(self, event: Event) -> None:
        """Take one event."""
        match event:
            case Started():
                self._texts, self._attempts = [""] * event.n, [1] * event.n
                self._model = event.model
            case RolloutToken(index=i):
                kept = self._texts[i] if event.attempt == self._attempts[i] else ""
                self._attempts[i] = event.attempt
                self._texts[i] = (kept + event.text)[-_KEPT:]
            case RolloutFinished(rollout=rollout):
                self._done[rollout.index] = rollout
                self._waits.clear()
            case SynthesisStarted():
                self._synthesis = ""
                self._round = f"round {event.round}, {event.groups} subsets" if event.groups > 1 else ""
                self._model = event.model
            case SynthesisToken():
                before = self._synthesis if event.attempt == self._synthesis_attempt else ""
                self._synthesis_attempt = event.attempt
                self._synthesis = ((before or "") + event.text)[-_KEPT:]
            case RubricReady(rubric=rubric):
                self._criteria = len(rubric.criteria)
                self._waits.clear()
            case Judged():
                self._judged += 1
            case Waiting():
                self._waits[event.role] = (time.monotonic() + event.seconds, event)
            case _:
                pass

    def _drawn(self) -> RenderableType:
        width = max(24, self._console.width // min(4, max(1, len(self._texts))) - 2)
        rows = max(1, -(-len(self._texts) // max(1, self._console.width // (width + 1))))
        height = max(3, min(8, (self._console.height - 10) // rows))
        parts: list[RenderableType] = [
            Columns([self._panel(i, width, height) for i in range(len(self._texts))], padding=(0, 0))
        ]
        if self._synthesis is not None:
            tail = _tail(self._synthesis, self._console.width - 4, 8)
            parts.append(Panel(Text(tail), title=f"synthesis {self._round}".strip(), border_style="cyan"))
        parts.append(Text(self._status(), style="dim"))
        return Group(*parts)

    def _panel(self, index: int, width: int, height: int) -> Panel:
        rollout = self._done.get(index)
        if rollout is None:
            style, title = "blue", f"{index + 1}"
        elif rollout.ok:
            style, title = "green", f"{index + 1}: {_short(str(rollout.answer or 'no answer'), width - 10)}"
        else:
            style, title = "red", f"{index + 1}: failed"
        text = rollout.error if rollout is not None and rollout.error else self._texts[index]
        body = _tail(text or "", width - 4, height - 2)
        return Panel(Text(body), title=Text(title), width=width, height=height, border_style=style)

    def _status(self) -> str:
        now = time.monotonic()
        waits = [_waiting(w) for until, w in self._waits.values() if until > now]
        done = f"{len(self._done)}/{len(self._texts)} rollouts"
        judging = [f"{self._judged} judged by {self._criteria} criteria"] if self._criteria else []
        return " · ".join([f"{now - self._began:.0f} s", self._model, done, *judging, *waits])


def _waiting(event: Waiting) -> str:
    return (
        f"{event.role} waits {event.seconds:.0f} s after attempt {event.attempt}: {_short(event.reason, 120)}"
    )


def _verdicts(event: Judged) -> str:
    states = [v.state for v in event.judgement.verdicts]
    return ", ".join(f"{states.count(s)} {s}" for s in ("met", "unmet", "unscored") if s in states)


def _outcome(rollout: Rollout) -> str:
    if not rollout.ok:
        return f"failed: {rollout.error}"
    return f"answer {_short(str(rollout.answer), 80)}" if rollout.answer else "no single answer"


def _short(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: max(1, width - 1)] + "…"


def _tail(text: str, width: int, lines: int) -> str:
    """The last lines of `text` as a panel of that width wraps it."""
    wrapped: list[str] = []
    for line in text[-width * lines * 2 :].splitlines():
        wrapped += textwrap.wrap(line, width) or [""]
    return "\n".join(wrapped[-lines:])
