"""What a method costs, whoever paid: every sample carries its price in the journal.

Methods are compared on the same rollouts, which are bought once, and a run that goes on after a stop buys
nothing again. So a ledger, which counts what is bought, cannot say what a method takes. Here the price of a
sample is kept beside it, and a method costs the sum over the samples that it asked for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import NamedTuple

import orjson

from catagent.evaluation.purchases import Purchases
from catagent.messages import RoleUsage, Usage
from catagent.models.client import Completion
from catagent.models.journal import Journal
from catagent.models.ledger import Ledger, Price

__all__ = ["NOTHING", "Cost", "Meter", "total_cost"]


class Cost(NamedTuple):
    """What some samples cost. Failed attempts and discarded samples are in the usage of the run, not here.

    `calls` are requests; a request for n samples counts 1/n for each. `unmetered` samples have no count of
    tokens and `unpriced` ones no price, so that sums over them are too low.
    """

    samples: float = 0.0
    calls: float = 0.0
    prompt_tokens: float = 0.0
    completion_tokens: float = 0.0
    usd: float = 0.0
    unmetered: float = 0.0
    unpriced: float = 0.0

    @property
    def tokens(self) -> float | None:
        """Prompt and completion tokens; `None` when some sample has no count."""
        return None if self.unmetered else self.prompt_tokens + self.completion_tokens

    @property
    def dollars(self) -> float | None:
        """The price; `None` when some sample has none."""
        return None if self.unpriced else self.usd

    def as_usage(self) -> RoleUsage:
        """The same as a message says it."""
        return RoleUsage(
            calls=round(self.calls),
            prompt_tokens=round(self.prompt_tokens),
            completion_tokens=round(self.completion_tokens),
            usd=self.usd,
            unmetered=round(self.unmetered),
            unpriced=round(self.unpriced),
        )

    def plus(self, other: Cost) -> Cost:
        """The sum of two costs."""
        return Cost(*(a + b for a, b in zip(self, other, strict=True)))


NOTHING = Cost()


def total_cost(costs: dict[str, Cost]) -> Cost:
    """The sum over roles."""
    total = NOTHING
    for cost in costs.values():
        total = total.plus(cost)
    return total


class Meter:
    """A journal and a ledger that know each other, for one stage of one question.

    `by_role` is what the samples cost that were asked for through it, bought now or found in `journal`.
    `seed` sets replications apart: the same question asked with another seed is another sample. Writes and
    counts go on to `journal` and to `totals`. Meters over one journal share their `purchases`.
    """

    def __init__(
        self, journal: Journal, totals: Ledger, *, seed: int = 0, purchases: Purchases | None = None
    ) -> None:
        self.by_role: dict[str, Cost] = {}
        self.ledger = _PricingLedger(totals)
        self._inner = journal
        self._seed = seed
        self._awaited: set[str] = set()
        self._purchases = purchases or Purchases()

    def claim(self, keys: Sequence[str]) -> AbstractAsyncContextManager[None]:
        """See `SharedJournal.claim`."""
        return self._purchases.claim([self._own(key) for key in keys])

    def get(self, key: str) -> bytes | None:
        """See `Journal.get`."""
        value = self._inner.get(self._own(key))
        if value is not None:
            self._count(key, _price_in(value))
        else:
            self._awaited.add(key)
        return value

    def put(self, key: str, value: bytes) -> None:
        """See `Journal.put`; the price goes with the sample."""
        sample = orjson.loads(value)
        cost = self.ledger.take_price(sample.get("text"))
        sample["cost"] = list(cost)
        self._count(key, cost)
        self._awaited.discard(key)
        self._inner.put(self._own(key), orjson.dumps(sample))

    @property
    def lost(self) -> int:
        """Samples that were asked for and never came: the request failed for good, or was refused.

        A reply without text is a reply.
        """
        return max(0, len(self._awaited) - self.ledger.blank)

    @property
    def usage(self) -> Usage:
        """What was bought through this meter, failed attempts included."""
        return self.ledger.usage()

    def _count(self, key: str, cost: Cost) -> None:
        role = key.partition(":")[0]
        self.by_role[role] = self.by_role.get(role, NOTHING).plus(cost)

    def _own(self, key: str) -> str:
        if not self._seed:
            return key
        role, _, digest = key.rpartition(":")
        return f"{role}:{hashlib.sha256(f'{digest}/{self._seed}'.encode()).hexdigest()}"


class _PricingLedger(Ledger):
    """Remembers what the samples of each completion cost, until they are put into the journal."""

    def __init__(self, parent: Ledger) -> None:
        super().__init__(None, parent)
        self._prices: dict[str | None, list[Cost]] = {}
        self.blank = 0

    def succeeded(
        self,
        role: str,
        reserved: tuple[int, float],
        seconds: float,
        completion: Completion,
        price: Price | None,
    ) -> None:
        """See `Ledger.succeeded`."""
        super().succeeded(role, reserved, seconds, completion, price)
        share = 1 / len(completion.choices)
        prompt, generated, usd = completion.prompt_tokens, completion.completion_tokens, completion.usd
        metered = prompt is not None and generated is not None
        if usd is None and metered and price is not None:
            usd = (prompt or 0) * price.prompt + (generated or 0) * price.completion
        cost = Cost(
            samples=1,
            calls=share,
            prompt_tokens=(prompt or 0) * share,
            completion_tokens=(generated or 0) * share,
            usd=(usd or 0.0) * share,
            unmetered=int(not metered),
            unpriced=int(usd is None),
        )
        for choice in completion.choices:
            self.blank += not (choice.text or choice.tool_calls)
            self._prices.setdefault(choice.text, []).append(cost)

    def take_price(self, text: str | None) -> Cost:
        """What the sample with this text cost; nothing is known of one that came by another way."""
        waiting = self._prices.get(text)
        return waiting.pop(0) if waiting else _UNKNOWN


_UNKNOWN = Cost(samples=1, unmetered=1, unpriced=1)


def _price_in(value: bytes) -> Cost:
    try:
        return Cost(*orjson.loads(value)["cost"])
    except (ValueError, KeyError, TypeError):
        return _UNKNOWN
