"""Where and how wide a job runs on a cluster. Apart, so that to name it loads nothing."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RayOptions"]


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Where and how wide a job runs. `workers` is how many actors at the most, `None` as many as fit.

    A worker takes `block` rows at a time and works on `blocks` of them at once. `address` is that of a
    cluster (`auto`, `host:port`); without one `RAY_ADDRESS` counts, else a cluster is made on this machine.
    `cpus` are what a worker occupies in Ray's books; it mostly waits, so a part of one will do.
    """

    workers: int | None = None
    block: int = 32
    blocks: int = 8
    cpus: float = 1.0
    address: str | None = None
