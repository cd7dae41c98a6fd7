"""What one key allows, divided among many processes that ask for shares of it.

A `Limiter` decides for one process. Where several share a key, the same two controllers, the requests and
the tokens a minute stand here, once; each process reports every few hundred milliseconds what it did and
wants, and receives a share: a promise that lapses, so that a process that dies gives its share back. However
many requests are sent, a process costs a few reports a second. Shares never add up to more than is allowed
but for the moment that news of a cut takes to reach everyone, whose refusals cut nothing again.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from catagent.models.limiter import Concurrency, Limits
from catagent.models.pace import Pace, Request

__all__ = ["Allowance", "Done", "Report", "Share"]

_COOLDOWN = 0.5
_MINUTE = 60.0


class Done(NamedTuple):
    """One request that came back: how many seconds ago, and what that says."""

    number: int
    ago: float
    outcome: str
    """`ok`, `refused` or `failed`."""
    paced: bool
    saturated: bool
    cuts: int
    """The `Share.cuts` that it was sent under."""


class Report(NamedTuple):
    """What a process did since its last report, and what it wants."""

    in_flight: int = 0
    waiting: int = 0
    sent: tuple[tuple[int, float], ...] = ()
    """Requests sent: a number of the process's own, and how many seconds ago."""
    done: tuple[Done, ...] = ()
    unused: int = 0
    """Requests a minute that were given and not used."""
    tokens_unused: float = 0.0
    tokens_wanted: float = 0.0
    """What the request at the head of the queue takes."""


class Share(NamedTuple):
    """What a process may do until it has not been heard of for `lapses` seconds."""

    slots: int
    """Requests in flight."""
    pace: float | None
    """Requests a second; `None`: as many as the slots allow."""
    requests: int | None
    """Requests of those that a minute allows; `None`: there is no such limit."""
    tokens: float | None
    """Tokens of those that a minute allows."""
    cuts: int
    """How often the allowance has been cut."""
    again: float
    """Seconds until the next report is due."""
    lapses: float
    by_chance: float
    """Of all requests, the part that is refused however slowly they come."""


@dataclass(slots=True)
class _Holder:
    """One process."""

    heard: float
    wants: int = 0
    in_flight: int = 0
    slots: int = 0
    pace: float = 0.0
    open: dict[int, Request] = field(default_factory=dict)


class Allowance:
    """The allowance of one key. `again` and `lapses` are seconds; `clock` is for tests."""

    def __init__(
        self, limits: Limits, clock: Callable[[], float], *, again: float = 0.1, lapses: float = 10.0
    ) -> None:
        self.concurrency = Concurrency(limits)
        self.pace = Pace()
        self.cuts = 0
        self._limits = limits
        self._clock = clock
        self._again = again
        self._lapses = lapses
        self._holders: dict[str, _Holder] = {}
        self._last_cut = -math.inf
        self._given: deque[list[float]] = deque()
        self._tokens = float(limits.tpm or 0)
        self._filled = clock()

    @property
    def holders(self) -> int:
        """How many processes hold a share."""
        return len(self._holders)

    def exchange(self, who: str, report: Report) -> Share:
        """Take note of a report and give a share for the time until the next."""
        now = self._clock()
        for name in [n for n, h in self._holders.items() if now - h.heard > self._lapses]:
            del self._holders[name]
        mine = self._holders.setdefault(who, _Holder(now))
        mine.heard = now
        self._learn(mine, report, now)
        self._give_back(report)
        mine.in_flight, mine.wants = report.in_flight, report.in_flight + report.waiting
        share = self._share(mine, report, now)
        if not mine.wants and not mine.open:
            del self._holders[who]
        return share

    def _learn(self, mine: _Holder, report: Report, now: float) -> None:
        full = sum(min(h.wants, h.slots) for h in self._holders.values()) >= int(self.concurrency.limit)
        in_flight = max(1, sum(h.in_flight for h in self._holders.values()))
        for number, ago in report.sent:
            mine.open[number] = self.pace.sent(now - ago)
        for done in sorted(report.done, key=lambda d: -d.ago):
            request = mine.open.pop(done.number, Request(now))
            if done.outcome == "ok":
                self.pace.came_back(request, now, refused=False)
                self.concurrency.succeeded(now - done.ago, saturated=done.saturated and full)
            elif done.outcome == "refused":
                self.pace.came_back(request, now, refused=True)
                if done.cuts == self.cuts and now - self._last_cut >= _COOLDOWN:
                    self._last_cut = now
                    if self.pace.refused(now, request.sent_at, paced=done.paced):
                        self.cuts += 1
                        if not done.paced:
                            self.concurrency.refused(now, in_flight)

    def _give_back(self, report: Report) -> None:
        left = report.unused
        while left > 0 and self._given:
            part = min(left, int(self._given[-1][1]))
            self._given[-1][1] -= part
            left -= part
            if self._given[-1][1]:
                break
            self._given.pop()
        if self._limits.tpm:
            self._tokens = min(float(self._limits.tpm), self._tokens + report.tokens_unused)

    def _share(self, mine: _Holder, report: Report, now: float) -> Share:
        mine.slots = self._slots(mine)
        pace = self.pace.heeded(now)
        mine.pace = 0.0 if pace is None else self._part(mine, pace)
        return Share(
            mine.slots,
            None if pace is None else mine.pace,
            self._requests(mine, now) if self._limits.rpm else None,
            self._take_tokens(mine, report, now) if self._limits.tpm else None,
            self.cuts,
            max(self._again, 0.005 * len(self._holders)),
            self._lapses,
            self.pace.chance.share,
        )

    def _slots(self, mine: _Holder) -> int:
        """A fair share of the slots: what others do not want goes to who does. Shrinks at once, grows as
        others give back.
        """
        limit = max(1, int(self.concurrency.limit))
        if not mine.wants:
            return 0
        others = [h for h in self._holders.values() if h is not mine]
        left, count = limit, len(others) + 1
        wanted = mine.wants + mine.wants // 4 + 2
        for other in sorted(others, key=lambda h: h.wants):
            if other.wants * count > left or other.wants > wanted:
                break
            left, count = left - other.wants, count - 1
        target = min(wanted, max(1, -(-left // count)))
        free = limit - sum(max(h.slots, h.in_flight) for h in others)
        return min(target, max(free, min(mine.slots, target), 0))

    def _part(self, mine: _Holder, pace: float) -> float:
        """A part of the pace by demand, as far as others have given theirs back."""
        demand = sum(h.wants for h in self._holders.values())
        target = pace * mine.wants / demand if demand else 0.0
        free = pace - sum(h.pace for h in self._holders.values() if h is not mine)
        return min(target, max(free, min(mine.pace, target), 0.0))

    def _requests(self, mine: _Holder, now: float) -> int:
        while self._given and now - self._given[0][0] > _MINUTE:
            self._given.popleft()
        left = (self._limits.rpm or 0) - int(sum(count for _, count in self._given))
        demand = sum(h.wants for h in self._holders.values())
        fair = -(-left * mine.wants // demand) if demand else 0
        given = max(0, min(left, fair, mine.wants))
        if given:
            self._given.append([now, float(given)])
        return given

    def _take_tokens(self, mine: _Holder, report: Report, now: float) -> float:
        """Enough for the request that is next, and a fair part of what there is."""
        most = float(self._limits.tpm or 0)
        self._tokens = min(most, self._tokens + (now - self._filled) * most / _MINUTE)
        self._filled = now
        need = report.tokens_wanted
        if not need or self._tokens < min(need, most):
            return 0.0
        demand = sum(h.wants for h in self._holders.values())
        fair = min(self._tokens * mine.wants / max(1, demand), need * max(1, mine.wants))
        given = max(need, fair)
        self._tokens -= given
        return given
