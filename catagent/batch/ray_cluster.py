"""The Ray cluster that a job runs on: found, or a small one made for the job on this machine."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Any

from catagent.batch.ray_desk import Allowances
from catagent.batch.ray_options import RayOptions
from catagent.errors import ConfigError

__all__ = ["attached", "needs_ray", "shared_allowances"]

INSTALL = "the engine ray needs Ray Data: pip install 'catagent[ray]'"
NAMESPACE = "catagent"


def needs_ray() -> Any:
    """The module `ray`. Raises `ConfigError` with the command that installs it."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what matters comes as an exception
    try:
        import ray
        import ray.data
    except ImportError:
        raise ConfigError(INSTALL) from None
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    return ray


@contextlib.contextmanager
def attached(options: RayOptions, note: Callable[[str], None] | None = None) -> Iterator[Any]:
    """Ray, connected to the cluster until the block ends. A connection that is there already is used."""
    ray = needs_ray()
    address = options.address or os.environ.get("RAY_ADDRESS")
    if address and address.startswith("ray://"):
        raise ConfigError(
            f"{address} is the address of a Ray client: run the command on a node of the cluster, for "
            "example with `ray job submit`, and name its address as host:port or auto"
        )
    if ray.is_initialized():
        yield ray
        return
    if not address and note:
        note("no Ray cluster is named (--ray-address, RAY_ADDRESS): one is started on this machine")
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "namespace": NAMESPACE}
    if not address:
        quiet |= {"include_dashboard": False, "address": "local"}
        if options.workers is not None:
            quiet["num_cpus"] = max(options.workers, os.cpu_count() or 1)
    try:
        ray.init(**({"address": address} if address else {}), **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(f"no Ray cluster can be reached at {address or 'this machine'}: {said}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def shared_allowances(ray: Any) -> Any:
    """The actor with the cluster's allowances, made if there is none. Blocks for a moment."""
    actor = ray.remote(Allowances)
    for _ in range(5):  # it may be about to end itself
        found = actor.options(
            name="catagent-allowances",
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            num_cpus=0,
            max_concurrency=1000,
        ).remote()
        with contextlib.suppress(ray.exceptions.RayActorError):
            ray.get(found.ready.remote())
            return found
    raise ConfigError("the cluster's limits cannot be reached: their actor does not start")
