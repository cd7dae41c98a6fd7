"""What was consumed: requests, tokens, money and time, by role.

Everything counts, failed attempts and discarded samples too, and a price that nobody knows is `None`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

__all__ = ["Call", "RoleUsage", "Usage"]


class RoleUsage(BaseModel):
    """What one role consumed, failed attempts and discarded samples included."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    calls: int = 0
    """Requests sent, whatever came back."""
    failed: int = 0
    """Of these, requests that brought nothing usable."""
    refused: int = 0
    """Of the failed ones, refusals for the rate limit (429)."""
    cached: int = 0
    """Samples taken from the journal instead of bought."""
    discarded: int = 0
    """Samples bought and not used."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unmetered: int = 0
    """Successful calls whose reply did not say how many tokens it cost."""
    usd: float = 0.0
    """Cost of the calls whose price is known."""
    unpriced: int = 0
    """Calls whose price is not known."""
    seconds: float = 0.0
    """Time spent waiting for replies, summed over calls that ran side by side."""

    def __add__(self, other: RoleUsage) -> RoleUsage:
        mine, theirs = self.__dict__, other.__dict__
        return RoleUsage.model_construct(**{name: mine[name] + theirs[name] for name in mine})

    def __sub__(self, other: RoleUsage) -> RoleUsage:
        mine, theirs = self.__dict__, other.__dict__
        return RoleUsage.model_construct(**{name: mine[name] - theirs[name] for name in mine})


class Call(BaseModel):
    """When one request of a run was under way, for a timeline; waiting for the limiter is not in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str
    began: float
    """Seconds since the run began."""
    seconds: float
    outcome: Literal["ok", "failed", "refused"] = "ok"


class Usage(BaseModel):
    """What a solve consumed, in all and by role."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    roles: dict[str, RoleUsage] = {}
    seconds: float = 0.0
    """Wall time."""
    timeline: tuple[Call, ...] = ()
    """The requests of one run in the order they ended, a thousand at most; a sum of usages has none."""

    @property
    def total(self) -> RoleUsage:
        """The sum over roles."""
        return sum(self.roles.values(), RoleUsage())

    @property
    def calls(self) -> int:
        """Requests sent."""
        return self.total.calls

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        total = self.total
        return total.prompt_tokens + total.completion_tokens

    @property
    def usd(self) -> float | None:
        """Cost in US dollars; `None` when the price of some call is not known."""
        total = self.total
        return None if total.unpriced else total.usd

    def __add__(self, other: Usage) -> Usage:
        roles = dict(self.roles)
        for role, usage in other.roles.items():
            roles[role] = roles.get(role, RoleUsage()) + usage
        return Usage(roles=roles, seconds=self.seconds + other.seconds)

    def since(self, before: Usage) -> Usage:
        """What was consumed since `before`, an earlier picture of the same ledger."""
        spent = {role: usage - before.roles.get(role, RoleUsage()) for role, usage in self.roles.items()}
        roles = {role: usage for role, usage in spent.items() if usage.calls or usage.cached}
        return Usage(roles=roles, seconds=self.seconds - before.seconds)
