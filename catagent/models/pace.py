"""How many requests a second a provider takes, found from what it refuses.

Nothing is known before the first refusal. After it the pace is set a little under the rate that was accepted
and raised slowly, so that a limit is met again and again but seldom; refusals that come by `Chance` say
nothing about it.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass

from asyncio_throttle import Throttler

from catagent.models.chance import Chance

__all__ = ["Pace", "Request"]

_UNDER_ACCEPTED = 0.92
_LEAST_KEPT = 0.6
_WINDOW = 1.0
_SLOWEST = 0.2
_FORGOTTEN = 30.0
_GROWN = 10.0
_REMEMBERED = 4096


@dataclass(slots=True)
class Request:
    """One request as the pace remembers it: when it was sent, at which pace, and whether it was refused."""

    sent_at: float
    pace: float | None = None
    refused: bool = False


class Pace:
    """How many requests may be sent a second; unlimited until a provider refuses."""

    def __init__(self) -> None:
        self.chance = Chance()
        self._base: float | None = None
        self._heeded: float | None = None
        self._burst: float | None = None
        """How fast requests were sent when the first of them was refused, which no pace held back."""
        self._cut_at = 0.0
        self._exploring = True
        self._sent: deque[Request] = deque()
        self._throttler = Throttler(rate_limit=1, period=1.0, retry_interval=0.005)

    @property
    def active(self) -> bool:
        """Whether a provider has refused lately."""
        return self._base is not None

    def at(self, now: float) -> float | None:
        """Requests a second that may be sent at the time `now`.

        Grows from the last cut: quickly as long as only the concurrency has met refusals; cautiously near
        a pace that was refused, ever faster the longer nothing is. Never beyond twice what was really
        sent: a pace that nobody used has shown nothing.
        """
        if self._base is None:
            return None
        calm = min(max(0.0, now - self._cut_at), _GROWN)
        growth = 0.3 * calm if self._exploring else 0.03 * calm
        grown = float(self._base * math.exp(growth + 0.02 * calm**3))
        return min(grown, max(self._base, 2 * self._rate(now)[0] + 2))

    def _rate(self, now: float) -> tuple[float, float]:
        """Requests sent in the second before `now`, and how many of them were accepted."""
        sent = accepted = 0
        for request in reversed(self._sent):
            if now - request.sent_at > _WINDOW:
                break
            if request.sent_at <= now:
                sent, accepted = sent + 1, accepted + (not request.refused)
        return sent / _WINDOW, accepted / _WINDOW

    def sent(self, now: float) -> Request:
        """Note a request; what it returns is told to `came_back`."""
        request = Request(now, self._heeded)
        if request.pace is not None:
            self.chance.sent(request.pace)
        self._sent.append(request)
        while now - self._sent[0].sent_at > 3 * _WINDOW or len(self._sent) > _REMEMBERED:
            self._sent.popleft()
        return request

    def came_back(self, request: Request, now: float, *, refused: bool) -> None:
        """A request was accepted or refused; `refused` says what follows from that."""
        request.refused = refused
        if request.pace is None and refused and self._burst is None:
            self._burst = max(1.0, self._rate(now)[0])
        if request.pace is None and self._burst is not None:
            self.chance.sent(self._burst)
        self.chance.came_back(request.pace or self._burst, now, refused=refused)

    def refused(self, now: float, sent_at: float, *, paced: bool) -> bool:
        """Cut to a little under the rate that was accepted in the second before the refused request.

        Returns whether there was anything to learn: a refusal that comes by chance cuts nothing.
        """
        sent, accepted = self._rate(sent_at)
        pace = self.at(now)
        known = self.chance.share
        if self.chance.explains(pace, now):
            if not known:  # from here on it may grow
                self._base, self._cut_at, self._exploring = pace, now, True
            return False
        target = accepted * _UNDER_ACCEPTED if accepted else max(1.0, sent / 2)
        if pace is not None and known:
            # Below what is accepted now: if it was chance, as many as ever are refused there.
            target = min(target, pace * _UNDER_ACCEPTED)
        elif pace is not None:
            # Refusals that have nothing to do with the pace must not drive it to nothing at once.
            target = min(max(target, sent * _LEAST_KEPT), pace * _UNDER_ACCEPTED)
        self._base = max(target, _SLOWEST)
        self._heeded = self._base
        self._cut_at = now
        self._exploring = self._exploring and not paced
        return True

    def heeded(self, now: float) -> float | None:
        """The pace, unless it is so long ago that a provider refused that it is forgotten."""
        if self._base is not None and now - self._cut_at > _FORGOTTEN:
            self._base, self._burst, self._exploring = None, None, True
            self.chance.calm()
        self._heeded = self.at(now)
        return self._heeded

    async def wait(self) -> bool:
        """Wait for this request's turn. Returns whether there was anything to wait for."""
        now = time.monotonic()
        pace = self.heeded(now)
        if pace is None:
            return False
        throttler = self._throttler
        throttler.rate_limit = max(1, round(pace * 0.05))
        throttler.period = throttler.rate_limit / pace
        await throttler.acquire()
        return time.monotonic() - now > 0.001
