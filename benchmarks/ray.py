"""Rows a second in one process and on one and two Ray workers, and what the capacity model says.

`python -m benchmarks.ray` prints the table of docs/scale.md. All on one machine: the provider double runs in
a process of its own and answers after a fixed time. Rates are those of the middle 80 % of the rows.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from catagent.batch.capacity import Capacity
from catagent.batch.job import Job
from catagent.batch.options import JobOptions
from catagent.batch.ray_engine import RayJob
from catagent.batch.ray_options import RayOptions
from catagent.batch.reading import Rows
from catagent.cat import CaT
from catagent.models.config import ProviderConfig, load_config

LATENCY = 1.0
RATE = 16.0
BLOCK, BLOCKS = 8, {None: 2, RATE: 8}
"""Few rows at once where the workers are to be the bound, enough where the rate is."""


class Double:
    """The provider double in a process of its own."""

    def __init__(self, rate: float | None) -> None:
        limit = ["--rate", str(rate), "--burst", "4"] if rate else []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.doubles.provider", "--latency", str(LATENCY), "--canned",
             "It is \\boxed{4}.", *limit],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.base_url = self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()


async def measured(
    double: Double, rows: int, workers: int | None, blocks: int, folder: Path
) -> tuple[float, str, float]:
    """Rows a second in the middle of the job, refusals, seconds until the first row."""
    base = load_config()
    own = ProviderConfig.model_validate({"api": "openai", "base_url": double.base_url})
    config = base.model_copy(update={"providers": {**base.providers, "double": own}})
    source = Rows([{"id": i, "prompt": f"What is {i} + {i}?"} for i in range(rows)])
    out = folder / f"{time.monotonic_ns()}.jsonl"
    async with CaT("double/m", n=4, kind="verifiable", estimator="majority", config=config) as cat:
        if workers is None:
            job: Job = Job(cat, source, out, JobOptions())
        else:
            job = RayJob(
                cat,
                source,
                out,
                JobOptions(),
                RayOptions(workers=workers, block=BLOCK, blocks=blocks, cpus=0.5),
            )
        running = asyncio.create_task(job.run())
        times: dict[int, float] = {}
        while not running.done():
            times.setdefault(job.progress.done, time.monotonic())
            await asyncio.sleep(0.01)
        report = await running
        assert report.done == rows, report
    lower = next(n for n in sorted(times) if n >= rows / 10)
    upper = next(n for n in sorted(times) if n >= rows * 9 / 10)
    first = times[min(n for n in times if n)] - times[0]
    return (
        (upper - lower) / (times[upper] - times[lower]),
        f"{report.usage.total.refused} of {report.usage.total.calls}",
        first,
    )


def model(workers: int | None, rate: float | None) -> Capacity:
    """A row here is one request for four rollouts, whose majority is the reference."""
    rows = BLOCK * BLOCKS[rate] if workers else 10_000
    return Capacity(LATENCY, 1, stages=1, workers=workers or 1, rows=rows, rpm=rate and rate * 60)


async def main(rows: int) -> None:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    import ray

    ray.init(
        address="local", num_cpus=2, include_dashboard=False, object_store_memory=200 << 20,
        logging_level=logging.ERROR, log_to_driver=False, namespace="catagent",
    )  # fmt: skip
    print("| engine | provider | rows/s | model | measured / model | refused | first row after |")
    print("|---|---|---|---|---|---|---|")
    try:
        with tempfile.TemporaryDirectory() as folder:
            for rate in (None, RATE):
                for workers in (None, 1, 2):
                    double = Double(rate)
                    count = rows if rate is None else rows * 3 // 4
                    got, refused, first = await measured(double, count, workers, BLOCKS[rate], Path(folder))
                    double.close()
                    engine = f"ray, {workers} worker{'s' * (workers > 1)}" if workers else "one process"
                    said = f"{rate:g} requests/s" if rate else "no limit"
                    best = model(workers, rate).rows_a_second
                    fits = "–" if workers is None and rate is None else f"{best:.1f} | {got / best:.2f}"
                    fits = fits if "|" in fits else "– | –"
                    print(
                        f"| {engine} | {said} | {got:.1f} | {fits} | {refused} | {first:.1f} s |",
                        flush=True,
                    )
    finally:
        ray.shutdown()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=600)
    asyncio.run(main(parser.parse_args().rows))
