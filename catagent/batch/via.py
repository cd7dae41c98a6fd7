"""A job whose requests go as a provider's own batches: half the price, within a day.

The job is the same one. Only the way to its models differs, so a job may begin in batches and end without,
or the other way round: what was bought stays in its journal.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from catagent.batch.store import folder_of
from catagent.batch.work import Work
from catagent.cat import CaT
from catagent.errors import ConfigError, JournalError
from catagent.models.deferred_registry import VIA, DeferredRegistry, Via
from catagent.models.provider_batch import Hear

__all__ = ["cancel_batches", "in_batches", "rows_in_batches"]

_MOST_ROWS = 25_000
_MOST_REQUESTS = 40_000


def in_batches(cat: CaT, via: Via, out: str | Path, *, hear: Hear | None = None, **options: Any) -> CaT:
    """A twin of `cat` for the job that writes `out`, which has to be closed like any other.

    `via` names the SDK, `hear` is told what happens to the batches; `options` are those of
    `DeferredRegistry`. Raises `ConfigError` when there is no such way.
    """
    if via not in VIA:
        raise ConfigError(f"batches go via {' or '.join(VIA)}, not {via!r}")
    folder = folder_of(out) / "batches"
    return cat.reached_by(partial(DeferredRegistry, via=via, folder=folder, hear=hear, **options))


def rows_in_batches(cat: CaT, work: Work) -> int:
    """How many rows to have under way: as many as the requests that wait for them fit into about 1 GB.

    A row has one request at a time, or one for each rollout and criterion while it is judged.
    """
    requests = 1
    if work.mode in ("rl", "score") or work.rewards:
        in_one = cat.judging.criteria_per_call or cat.proposing.at_most
        requests = cat.n * cat.judging.votes * -(-cat.proposing.at_most // in_one)
    if cat.kind == "verifiable":
        requests = 1
    return max(1, min(_MOST_ROWS, _MOST_REQUESTS // requests))


async def cancel_batches(cat: CaT, work: Work, out: str | Path) -> list[str]:
    """Cancel what runs at the provider for the job that writes `out`; returns the ids of the batches.

    `cat` is one made by `in_batches`. Raises `JournalError` while a process is at work on the job.
    """
    folder = folder_of(out)
    if not folder.is_dir():
        raise ConfigError(f"there is no job in {folder}")
    lock = FileLock(folder / "lock", thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise JournalError(f"a process is at work on the job in {folder}: stop it first") from None
    try:
        run = await cat.begin()
        for role in work.roles:
            await run.model(role)
        registry = run.registry
        assert isinstance(registry, DeferredRegistry)
        return [ident for lane in registry.lanes.values() for ident in await lane.cancel_batches()]
    finally:
        lock.release()
