"""A synthesis on its way to a reader who cannot be told to forget what was sent.

The reader gets what will be the reference: not the thinking, not what stands before the heading, no
invisible characters. Should the reference turn out as another text (an attempt broke off, or the estimator
fell back to the vote), the reader is told in words, and gets that text whole.
"""

from __future__ import annotations

import re

from catagent.agents.fencing import INVISIBLE
from catagent.agents.synthesizer import HEADING

__all__ = ["ANEW", "SUPERSEDED", "Draft"]

SUPERSEDED = "\n\n[The text above is not the reference: {reason}. The reference follows.]\n\n"
ANEW = "\n\n[The text above broke off. It is written anew.]\n\n"

_OPEN = re.compile(r"<(think|thinking|reasoning)>", re.I)
_LONGEST_TAG = len("</reasoning>")
_LONGEST_HEADING = 60


def _may_be_heading(line: str) -> bool:
    words = line.lstrip(" \t>*")
    return words.startswith(("#", "UNIFIED")) or "UNIFIED".startswith(words)


class _Attempt:
    """One attempt at a synthesis, as far as it has come."""

    def __init__(self) -> None:
        self._rest = ""
        self._inside: str | None = None
        self._before = ""
        self._body: str | None = None

    def add(self, piece: str) -> None:
        self._rest += piece
        visible = []
        while self._rest:
            if self._inside is not None:
                end = re.search(re.escape(self._inside), self._rest, re.I)
                if end is None:
                    self._rest = self._rest[-_LONGEST_TAG:]
                    break
                self._rest, self._inside = self._rest[end.end() :], None
                continue
            start = _OPEN.search(self._rest)
            if start is None:
                edge = self._rest.rfind("<")
                keep = len(self._rest) - edge if edge >= 0 else 0
                cut = len(self._rest) - (keep if keep < _LONGEST_TAG else 0)
                visible.append(self._rest[:cut])
                self._rest = self._rest[cut:]
                break
            visible.append(self._rest[: start.start()])
            self._inside = f"</{start[1]}>"
            self._rest = self._rest[start.end() :]
        self._show(INVISIBLE.sub("", "".join(visible)))

    def _show(self, text: str) -> None:
        if not text:
            return
        held = (self._before if self._body is None else self._body) + text
        whole = held.rfind("\n") + 1  # a heading is one once its line has ended
        marks = list(HEADING.finditer(held, 0, whole)) if "#" in held or "UNIFIED" in held else []
        if marks:
            self._body = held[marks[-1].end() :]
        elif self._body is None:
            self._before = held
        else:
            self._body = held

    @property
    def visible(self) -> str:
        """The reference as far as it is written; empty before the heading has come."""
        body = self._body or ""
        line = body[body.rfind("\n") + 1 :]
        if len(line) < _LONGEST_HEADING and _may_be_heading(line):
            body = body[: len(body) - len(line)]  # perhaps another heading
        return body.strip()


class Draft:
    """What to send, given what was sent.

    `superseded` says whether the reader has something that is not the reference; `offset` is where, in all
    that was sent, the reference begins.
    """

    def __init__(self) -> None:
        self._attempt = _Attempt()
        self._number = 1
        self._total = 0
        self._sent = ""
        self.offset = 0
        self.superseded = False

    @property
    def began(self) -> bool:
        """Whether anything was sent."""
        return self._total > 0

    def add(self, piece: str, attempt: int = 1) -> None:
        """Take a piece. A higher attempt begins anew."""
        if attempt != self._number:
            self._attempt, self._number = _Attempt(), attempt
        self._attempt.add(piece)

    def news(self) -> str:
        """What can be sent at this point."""
        visible = self._attempt.visible
        if visible.startswith(self._sent):
            return self._send("", visible)
        if self._sent.startswith(visible):
            return ""  # a new attempt may say the same again
        return self._send(ANEW, visible)

    def settle(self, text: str, reason: str) -> str:
        """The rest, once the reference is settled."""
        if text.startswith(self._sent):
            return self._send("", text)
        return self._send(SUPERSEDED.format(reason=reason), text)

    def _send(self, notice: str, text: str) -> str:
        if notice:
            self.superseded = True
            self.offset = self._total + len(notice)
            news = notice + text
        else:
            news = text[len(self._sent) :]
        self._sent = text
        self._total += len(news)
        return news
