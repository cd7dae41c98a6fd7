"""What was bought once need not be bought again.

A journal keeps each sample under the hash of everything that made it: role, model, rendered messages
(and so task and prompt version), parameters and sample index. The index is part of the key and never
sent: without it a cache would collapse G samples into one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import orjson

from catagent.messages import ChatMessage

__all__ = ["FarJournal", "Journal", "MemoryJournal", "SharedJournal", "canonical", "sample_keys"]


class Journal(Protocol):
    """Where samples are kept. Values are JSON bytes. Called on the event loop: must not block."""

    def get(self, key: str) -> bytes | None:
        """The sample kept under `key`, if any."""
        ...

    def put(self, key: str, value: bytes) -> None:
        """Keep a sample. A failed one is never put: it is owed again."""
        ...


class FarJournal(Journal, Protocol):
    """A journal in another process, which has to be waited for."""

    async def fetch(self, keys: Sequence[str]) -> None:
        """Have what is kept under these keys here, for the calls of `get` that come next."""
        ...


class SharedJournal(Journal, Protocol):
    """A journal for draws that run side by side and may ask for the same samples."""

    def claim(self, keys: Sequence[str]) -> AbstractAsyncContextManager[None]:
        """Wait until nobody else buys one of these samples, and keep others from it meanwhile."""
        ...


class MemoryJournal:
    """A journal for the life of the process: repeated solves and new judges do not re-buy rollouts."""

    def __init__(self) -> None:
        self._samples: dict[str, bytes] = {}

    def get(self, key: str) -> bytes | None:
        """See `Journal.get`."""
        return self._samples.get(key)

    def put(self, key: str, value: bytes) -> None:
        """See `Journal.put`."""
        self._samples[key] = value

    def __len__(self) -> int:
        return len(self._samples)


def canonical(content: Any) -> bytes:
    """JSON with sorted keys: equal content gives equal bytes."""
    try:
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # lone surrogates, integers of more than 64 bits, objects
        return json.dumps(content, sort_keys=True, default=repr).encode()


def sample_keys(
    role: str, model: str, messages: Sequence[ChatMessage], params: Mapping[str, Any], indices: Sequence[int]
) -> list[str]:
    """The key of each sample of one conversation: `role:hash`, so that a journal can be told by stage."""
    base = hashlib.sha256(canonical([role, model, list(messages), dict(params)]))
    keys = []
    for index in indices:
        digest = base.copy()
        digest.update(b"#%d" % index)
        keys.append(f"{role}:{digest.hexdigest()}")
    return keys
