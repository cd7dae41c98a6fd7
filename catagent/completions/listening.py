"""What a streaming reply shows of a solve: where it stands, and the synthesis as it is written.

Events are folded into a state as they come, and the reader takes the state when it is ready for it. A slow
reader therefore costs no memory.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from catagent.completions.draft import Draft
from catagent.completions.reply import Body
from catagent.events import (
    Event,
    Judged,
    RolloutFinished,
    RolloutToken,
    RubricReady,
    SynthesisStarted,
    SynthesisToken,
    Waiting,
)

__all__ = ["ContentDelta", "Final", "Listener", "Progress", "Stage", "StreamItem"]

Stage: TypeAlias = Literal["rollouts", "synthesis", "rewards"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a solve is: for people, and to keep a connection alive. `pieces` counts pieces of rollouts."""

    stage: Stage
    finished: int = 0
    failed: int = 0
    n: int = 0
    pieces: int = 0
    waiting: str | None = None

    def __str__(self) -> str:
        if self.waiting:
            return f"{self.stage}: {self.waiting}"
        if self.stage != "rollouts":
            return self.stage
        failed = f", {self.failed} failed" if self.failed else ""
        return f"rollouts {self.finished}/{self.n}{failed}, {self.pieces} pieces"


@dataclass(frozen=True, slots=True)
class ContentDelta:
    """A piece of choice `index`. Thinking and pieces of tool calls come from requests that pass through."""

    index: int
    text: str = ""
    reasoning: str | None = None
    tool_calls: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Final:
    """The end: the whole `chat.completion`, as without streaming."""

    completion: Body


StreamItem: TypeAlias = Progress | ContentDelta | Final


class Listener:
    """Hears the events of one solve. `changed` is set when there is something new to show."""

    def __init__(self, n: int, *, live: bool) -> None:
        self.changed = asyncio.Event()
        self.draft = Draft()
        self._live = live
        self._n = n
        self._stage: Stage = "rollouts"
        self._finished = self._failed = self._pieces = 0
        self._waiting: str | None = None
        self._shown: Progress | None = None

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event:
            case RolloutToken():
                self._pieces += 1
                self._waiting = None
                return
            case SynthesisToken():
                self._waiting = None
                if not self._live:
                    return
                self.draft.add(event.text, event.attempt)
            case RolloutFinished():
                self._waiting = None
                self._finished += 1
                self._failed += not event.rollout.ok
            case SynthesisStarted():
                self._stage = "synthesis"
            case RubricReady() | Judged():
                self._stage = "rewards"
            case Waiting():
                self._waiting = f"waiting {event.seconds:.0f} s after attempt {event.attempt} ({event.role})"
            case _:
                return
        self.changed.set()

    @property
    def progress(self) -> Progress:
        """Where it stands."""
        return Progress(self._stage, self._finished, self._failed, self._n, self._pieces, self._waiting)

    def news(self) -> list[StreamItem]:
        """What is new since the last time."""
        self.changed.clear()
        items: list[StreamItem] = []
        if (progress := self.progress) != self._shown and not self.draft.began:
            self._shown = progress
            items.append(progress)
        if self._live and (text := self.draft.news()):
            items.append(ContentDelta(0, text))
        return items
