"""Whether a provider refuses by chance, however slowly it is asked.

A provider that is overloaded, or that shares a capacity among all its customers, refuses a part of all
requests (429) whatever one customer does. To slow down is then no remedy: after a while of no relief the
right thing is to go on and ask again.
"""

from __future__ import annotations

import math
from collections import deque

__all__ = ["Chance"]

_WAITED_OUT = 15.0
"""Seconds for which refusals are met by slowing down alone: most storms are shorter."""
_OCTAVES = 2
_ENOUGH = 8
_CLOSED = 0.9
_HALF_LIFE = 60.0
_RECENT = 64
_SIGMAS = 2.5


class Chance:
    """Compares the share of refusals at a slow pace with that at a pace four times as fast.

    Where a rate is what the provider limits, a slower pace is refused less. Where the share stays what it
    was, it becomes `share`: that much is expected, and only what is refused beyond it tells of a limit.
    """

    def __init__(self) -> None:
        self.share = 0.0
        """Of all requests, the part that is refused by chance; 0 unless there is evidence."""
        self._began: float | None = None
        self._aged = 0.0
        self._levels: dict[int, list[float]] = {}
        self._recent: deque[bool] = deque(maxlen=_RECENT)
        self._came = self._refusals = 0
        self._after_cut = False

    def sent(self, pace: float) -> None:
        """A request was sent while so many a second were allowed, since there had been refusals."""
        self._counts(pace)[0] += 1

    def came_back(self, pace: float | None, now: float, *, refused: bool) -> None:
        """A request that was sent at that pace (`None`: at none) came back."""
        if refused:
            if self._began is None:
                self._began = self._aged = now
            if pace is not None:
                self._counts(pace)[1] += 1
        if self.share:
            self._recent.append(refused)
            self._came += 1
            self._refusals += refused
            self._follow()

    def explains(self, pace: float | None, now: float) -> bool:
        """Whether a refusal at the present pace is one of those that come by chance; if not, it will cut."""
        if not self.share:
            self._conclude(pace, now)
            return self.share > 0
        refused = sum(self._recent) / _RECENT
        if len(self._recent) < _RECENT or refused <= self.share + _deviation(self.share, _RECENT):
            return True
        self._watch(after_cut=True)
        if refused > _CLOSED:
            self.share = 0.0
            self.calm()
        return False

    def calm(self) -> None:
        """There were no refusals for long: what is known of single paces is out of date."""
        self._began = None
        self._levels.clear()

    def _counts(self, pace: float) -> list[float]:
        """Requests and refusals at a level, which is an octave of paces."""
        return self._levels.setdefault(_level(pace), [0.0, 0.0])

    def _conclude(self, pace: float | None, now: float) -> None:
        if pace is None or self._began is None or now - self._began < _WAITED_OUT:
            return
        kept = 0.5 ** ((now - self._aged) / _HALF_LIFE)
        self._aged = now
        for counts in self._levels.values():
            counts[:] = [count * kept for count in counts]
        for level in sorted(known for known in self._levels if known >= _level(pace)):
            slowly = self._refused([at for at in self._levels if at <= level])
            quickly = self._refused([at for at in self._levels if at >= level + _OCTAVES])
            if slowly is not None and quickly is not None and _alike(slowly, quickly):
                self.share = slowly
                self._watch()
                return

    def _refused(self, levels: list[int]) -> float | None:
        """The share of refusals at some levels, if there were enough of them to say."""
        sent, refused = (sum(self._levels[level][i] for level in levels) for i in (0, 1))
        return refused / max(sent, refused) if refused >= _ENOUGH else None

    def _watch(self, *, after_cut: bool = False) -> None:
        self._after_cut = after_cut
        self._came = self._refusals = 0
        self._recent.clear()

    def _follow(self) -> None:
        """Fewer are refused than were expected: expect fewer, and nothing when none is.

        Right after a cut the pace is one that was accepted: all that is refused there comes by chance.
        """
        if self._came < max(_RECENT, _ENOUGH / self.share):
            return
        refused = self._refusals / self._came
        if not refused:
            self.calm()
        if self._after_cut or refused < self.share - _deviation(self.share, self._came):
            self.share = refused
        self._after_cut = False
        self._came = self._refusals = 0


def _level(pace: float) -> int:
    return math.floor(math.log2(max(pace, 0.01)))


def _deviation(share: float, count: int) -> float:
    """How far the share of refusals among so many requests may be from that of all."""
    return _SIGMAS * math.sqrt(share * (1 - share) / count)


def _alike(slowly: float, quickly: float) -> bool:
    """Whether a slower pace was no remedy.

    What a limit on the rate refuses is known from two sides: to go slower lets a larger part pass, and a
    window that is used up lets nothing pass.
    """
    passed, passed_quickly = 1 - slowly, 1 - quickly
    return quickly / 2 <= slowly <= _CLOSED and passed_quickly / 2 <= passed <= 2 * passed_quickly
