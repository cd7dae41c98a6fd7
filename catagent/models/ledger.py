"""What a run consumes, by role, and the budget it may consume.

Everything counts: failed attempts, refusals, discarded samples. A budget is checked before a request is
sent, with what is in flight already taken into account, so it is not overshot by a fan-out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

from catagent.errors import BudgetError
from catagent.messages import Call, RoleUsage, Usage
from catagent.models.client import Completion

__all__ = ["Budget", "Ledger", "Price"]

_TIMED = 1000
"""Calls of one run whose times are kept."""


class Price(NamedTuple):
    """US dollars for one prompt token and one completion token."""

    prompt: float
    completion: float


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of a run; `None` means no limit. `seconds` is wall time since the run began."""

    usd: float | None = None
    tokens: int | None = None
    calls: int | None = None
    seconds: float | None = None


class _Tally:
    """The counters of one role: mutable twins of `RoleUsage`."""

    def __init__(self) -> None:
        self.calls = self.failed = self.refused = self.cached = self.discarded = 0
        self.prompt_tokens = self.completion_tokens = self.unmetered = self.unpriced = 0
        self.usd = self.seconds = 0.0


class Ledger:
    """Counts one run. Not a message: `usage()` takes a picture that is one.

    What is counted here is counted in `parent` as well, whose budget is heeded too: that of a job with
    many runs. `before` is what was consumed earlier and counts against the budget, except for its seconds.
    `exhausted` says why, once the budget has refused a request. With `timed` it also keeps when each request
    was under way: for a single run, since a job has too many.
    """

    def __init__(
        self,
        budget: Budget | None = None,
        parent: Ledger | None = None,
        before: Usage | None = None,
        *,
        timed: bool = False,
    ) -> None:
        self._budget = budget or Budget()
        self._limited = any(getattr(self._budget, f.name) is not None for f in fields(self._budget))
        self._parent = parent
        self._calls: list[Call] | None = [] if timed else None
        self._roles: dict[str, _Tally] = {}
        for role, usage in (before.roles if before else {}).items():
            vars(self._of(role)).update(usage.model_dump())
        self._before_seconds = before.seconds if before else 0.0
        self.exhausted: str | None = None
        self._began = time.monotonic()
        self._reserved_tokens = 0
        self._reserved_usd = 0.0

    def _of(self, role: str) -> _Tally:
        tally = self._roles.get(role)
        if tally is None:
            tally = self._roles[role] = _Tally()
        return tally

    async def afford(self, tokens: int, price: Price | None) -> None:
        """Where a budget is shared with other processes, fetch what a request may cost, before `reserve`."""
        if self._parent is not None:
            await self._parent.afford(tokens, price)

    def reserve(self, role: str, tokens: int, price: Price | None) -> tuple[int, float]:
        """Account for a request about to be sent. Raises `BudgetError` when it does not fit."""
        usd = tokens * max(price) if price else 0.0
        if self._limited:
            try:
                self._check(tokens, usd)
            except BudgetError as error:
                self.exhausted = str(error)
                raise
        if self._parent is not None:
            self._parent.reserve(role, tokens, price)
        self._of(role).calls += 1
        self._reserved_tokens += tokens
        self._reserved_usd += usd
        return tokens, usd

    def _check(self, tokens: int, usd: float) -> None:
        budget, tallies = self._budget, self._roles.values()
        spent_tokens = sum(t.prompt_tokens + t.completion_tokens for t in tallies) + self._reserved_tokens
        spent_usd = sum(t.usd for t in tallies) + self._reserved_usd
        if budget.calls is not None and sum(t.calls for t in tallies) + 1 > budget.calls:
            raise BudgetError(f"the budget of {budget.calls} calls is used up")
        if budget.seconds is not None and time.monotonic() - self._began > budget.seconds:
            raise BudgetError(f"the budget of {budget.seconds:g} seconds is used up")
        if budget.tokens is not None and spent_tokens + tokens > budget.tokens:
            raise BudgetError(
                f"the budget of {budget.tokens} tokens does not allow another request "
                f"({spent_tokens} spent or in flight, about {tokens} needed)"
            )
        if budget.usd is not None and any(t.unpriced for t in tallies):
            raise BudgetError(
                f"a budget of ${budget.usd:g} cannot be kept, since the price of a call is not known: "
                "set `price` for the model in providers.yaml, or a budget of tokens or calls"
            )
        if budget.usd is not None and spent_usd + usd > budget.usd:
            raise BudgetError(
                f"the budget of ${budget.usd:g} does not allow another request "
                f"(${spent_usd:.4f} spent or in flight)"
            )

    def failed(self, role: str, reserved: tuple[int, float], seconds: float, *, refused: bool) -> None:
        """A request brought nothing usable."""
        if self._parent is not None:
            self._parent.failed(role, reserved, seconds, refused=refused)
        tally = self._settle(role, reserved, seconds, "refused" if refused else "failed")
        tally.failed += 1
        tally.refused += refused

    def succeeded(
        self,
        role: str,
        reserved: tuple[int, float],
        seconds: float,
        completion: Completion,
        price: Price | None,
    ) -> None:
        """A request brought a completion."""
        if self._parent is not None:
            self._parent.succeeded(role, reserved, seconds, completion, price)
        tally = self._settle(role, reserved, seconds)
        prompt, generated = completion.prompt_tokens, completion.completion_tokens
        tally.prompt_tokens += prompt or 0
        tally.completion_tokens += generated or 0
        tally.unmetered += prompt is None or generated is None
        if completion.usd is not None:
            tally.usd += completion.usd
        elif price is not None and prompt is not None and generated is not None:
            tally.usd += prompt * price.prompt + generated * price.completion
        else:
            tally.unpriced += 1

    def _settle(
        self,
        role: str,
        reserved: tuple[int, float],
        seconds: float,
        outcome: Literal["ok", "failed", "refused"] = "ok",
    ) -> _Tally:
        if self._calls is not None and len(self._calls) < _TIMED:
            began = max(0.0, time.monotonic() - self._began - seconds)
            self._calls.append(
                Call(role=role, began=round(began, 4), seconds=round(seconds, 4), outcome=outcome)
            )
        self._reserved_tokens -= reserved[0]
        self._reserved_usd -= reserved[1]
        tally = self._of(role)
        tally.seconds += seconds
        return tally

    def cached(self, role: str, samples: int = 1) -> None:
        """Samples came from the journal."""
        if self._parent is not None:
            self._parent.cached(role, samples)
        self._of(role).cached += samples

    def discarded(self, role: str, samples: int = 1) -> None:
        """Samples were bought and not used."""
        if self._parent is not None:
            self._parent.discarded(role, samples)
        self._of(role).discarded += samples

    def usage(self) -> Usage:
        """What has been consumed so far."""
        roles = {role: RoleUsage(**vars(tally)) for role, tally in self._roles.items()}
        seconds = self._before_seconds + time.monotonic() - self._began
        return Usage(roles=roles, seconds=seconds, timeline=tuple(self._calls or ()))
