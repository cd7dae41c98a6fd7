"""Where the rows of a job are solved: in this process, or by workers on a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from catagent.batch.job import Job
from catagent.batch.options import JobOptions
from catagent.batch.ray_options import RayOptions
from catagent.batch.reading import Source
from catagent.cat import CaT
from catagent.errors import ConfigError

__all__ = ["ENGINES", "checked_engine", "job_with"]

ENGINES = ("process", "ray")


def checked_engine(engine: str, *, in_batches: bool = False) -> None:
    """Raises `ConfigError` for an engine that there is none of, or that cannot do what is asked."""
    if engine not in ENGINES:
        raise ConfigError(f"there is no engine {engine!r}; there are {', '.join(ENGINES)}")
    if engine != "process" and in_batches:
        raise ConfigError("provider batches need one process: there they are the cluster")


def job_with(
    engine: str,
    cat: CaT,
    source: Source,
    out: Path,
    options: JobOptions,
    ray: RayOptions | None = None,
    note: Callable[[str], None] | None = None,
) -> Job:
    """The job, on the engine of that name; `note` hears what the user of a cluster should know."""
    checked_engine(engine)
    if engine == "process":
        return Job(cat, source, out, options)
    from catagent.batch.ray_engine import RayJob

    return RayJob(cat, source, out, options, ray, note)
