"""One budget for many processes: each has a ledger with a ceiling of its own, raised from a `Purse`.

A ceiling is a promise that the others cannot spend. It is raised by more than one request needs, so that
not every request has to ask; a process with nothing in flight gives the rest back.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from catagent.errors import BudgetError
from catagent.messages import RoleUsage, Usage
from catagent.models.ledger import Budget, Ledger, Price

__all__ = ["Ask", "Purse", "Raise", "SharedLedger"]

_PART = 16


class Ask(NamedTuple):
    """What is needed beyond the ceiling, and what the process has spent so far."""

    spent_tokens: int
    spent_usd: float
    tokens: int = 0
    usd: float = 0.0
    idle: bool = False
    """Nothing is in flight: what is left under the ceiling is not needed."""


class Raise(NamedTuple):
    """The new ceiling, and why it could not be raised as far as was asked."""

    tokens: int
    usd: float
    why: str | None = None


Raising: TypeAlias = Callable[[Ask], Awaitable[Raise]]


@dataclass(slots=True)
class _Promise:
    tokens: int = 0
    usd: float = 0.0
    spent_tokens: int = 0
    spent_usd: float = 0.0


class Purse:
    """What is left of a job's budget, and to whom parts of it are promised."""

    def __init__(self, budget: Budget, before: Usage) -> None:
        self._budget = budget
        total = before.total
        self._tokens = total.prompt_tokens + total.completion_tokens
        self._usd = total.usd
        self._promises: dict[str, _Promise] = {}

    def ask(self, who: str, ask: Ask) -> Raise:
        """Raise a ceiling, as far as the budget goes."""
        mine = self._promises.setdefault(who, _Promise())
        mine.spent_tokens, mine.spent_usd = ask.spent_tokens, ask.spent_usd
        if ask.idle:
            mine.tokens, mine.usd = ask.spent_tokens, ask.spent_usd
        why = None
        parts = _PART * len(self._promises)
        if (most := self._budget.tokens) is not None and ask.tokens:
            left = most - self._tokens - sum(p.tokens for p in self._promises.values())
            if left >= ask.tokens:
                mine.tokens += max(ask.tokens, left // parts)
            else:
                why = (
                    f"the budget of {most} tokens does not allow another request "
                    f"({most - left} spent or promised, about {ask.tokens} more needed)"
                )
        if (cost := self._budget.usd) is not None and ask.usd:
            rest = cost - self._usd - sum(p.usd for p in self._promises.values())
            if rest >= ask.usd:
                mine.usd += max(ask.usd, rest / parts)
            else:
                why = (
                    f"the budget of ${cost:g} does not allow another request "
                    f"(${cost - rest:.4f} spent or promised)"
                )
        return Raise(mine.tokens, mine.usd, why)

    def forget(self, who: str) -> None:
        """A process is gone: what it had not spent is free again."""
        if (promise := self._promises.get(who)) is not None:
            promise.tokens, promise.usd = promise.spent_tokens, promise.spent_usd


class SharedLedger(Ledger):
    """A ledger whose budget is a ceiling that `raising` raises. `budget` says what is limited."""

    def __init__(self, budget: Budget, raising: Raising) -> None:
        own = Budget(usd=None if budget.usd is None else 0.0, tokens=None if budget.tokens is None else 0)
        super().__init__(own)
        self._raising = raising

    @property
    def total(self) -> RoleUsage:
        """What was spent, over all roles."""
        return self.usage().total

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight."""
        return self._reserved_tokens <= 0

    async def afford(self, tokens: int, price: Price | None) -> None:
        """See `Ledger.afford`. Raises `BudgetError` when the budget of all does not allow it."""
        while self._limited:
            short_tokens, short_usd = self._short(tokens, price)
            if short_tokens <= 0 and short_usd <= 0:
                return
            self._raised(await self._raising(self._ask(max(0, short_tokens), max(0.0, short_usd))))

    async def give_back(self) -> None:
        """Return what is not needed."""
        if self._limited and self.idle:
            ask = self._ask(0, 0.0)._replace(idle=True)
            self._ceiling(ask.spent_tokens, ask.spent_usd)
            self._raised(await self._raising(ask))

    def _short(self, tokens: int, price: Price | None) -> tuple[int, float]:
        total, budget = self.total, self._budget
        spent = total.prompt_tokens + total.completion_tokens + self._reserved_tokens
        usd = total.usd + self._reserved_usd + (tokens * max(price) if price else 0.0)
        return (
            0 if budget.tokens is None else spent + tokens - budget.tokens,
            0.0 if budget.usd is None else usd - budget.usd,
        )

    def _ask(self, tokens: int, usd: float) -> Ask:
        total = self.total
        return Ask(total.prompt_tokens + total.completion_tokens, total.usd, tokens, usd)

    def _ceiling(self, tokens: int, usd: float) -> None:
        limited = self._budget
        self._budget = Budget(
            usd=None if limited.usd is None else usd, tokens=None if limited.tokens is None else tokens
        )

    def _raised(self, raised: Raise) -> None:
        self._ceiling(raised.tokens, raised.usd)
        if raised.why:
            self.exhausted = raised.why
            raise BudgetError(raised.why)
