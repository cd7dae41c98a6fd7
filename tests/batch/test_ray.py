"""Jobs on a Ray cluster: two workers on this machine, one allowance, nothing lost and nothing paid twice."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from catagent.batch.api import batch
from catagent.batch.capacity import Capacity
from catagent.batch.options import JobOptions
from catagent.batch.progress import Report
from catagent.batch.ray_cluster import needs_ray
from catagent.batch.ray_engine import RayJob
from catagent.batch.ray_options import RayOptions
from catagent.batch.reading import Files
from catagent.errors import AccountError, ConfigError
from tests.batch.jobs import lines_of, questions, spoken, written
from tests.cast import cat_on
from tests.doubles import Fault, ProviderDouble, RateLimit, when

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """A cluster of two processors on this machine; its address."""
    with pytest.MonkeyPatch.context() as env:
        env.setenv("RAY_USAGE_STATS_ENABLED", "0")
        env.setenv("PYTHONPATH", str(ROOT))
        import ray

        info = ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=100 << 20,
            logging_level=logging.ERROR,
            log_to_driver=False,
            namespace="catagent",
        )
        try:
            yield info.address_info["address"]
        finally:
            with contextlib.suppress(ValueError):
                ray.kill(ray.get_actor("catagent-allowances"))
            ray.shutdown()


class Running:
    """A job on two workers, each with two blocks of four rows at a time."""

    def __init__(self, double: ProviderDouble, rows: Path, out: Path, **options: Any) -> None:
        self.cat = cat_on(double, kind="verifiable", **options.pop("cat", {}))
        ray = RayOptions(workers=2, block=4, blocks=2)
        self.job = RayJob(self.cat, Files([rows]), out, JobOptions(**options), ray)

    async def report(self) -> Report:
        try:
            return await self.job.run()
        finally:
            await self.cat.aclose()


async def test_every_row_is_solved_once_by_two_workers(cluster: str, tmp_path: Path) -> None:
    rows = [*questions(60), "{oh\n", {"id": "again", "prompt": "What is 3 + 3?"}]
    out = tmp_path / "out.jsonl"
    plan = [when(lambda body: "What is 7 +" in str(body), Fault.status_code(400))]
    with ProviderDouble(reply=spoken("4", "5"), latency=0.05, faults=plan) as double:
        running = Running(double, written(tmp_path / "in.jsonl", rows), out)
        report = await running.report()
        assert double.received == 59 * 2 + 2  # the row that is refused is asked for once more, alone
    lines = lines_of(out)
    assert Counter(line["id"] for line in lines) == Counter([*(f"q{i}" for i in range(60)), "again"])
    assert (report.done, report.errors, report.bad, report.copies) == (59, 1, 1, 1)
    for line in lines:
        if line["id"] == "q7":
            assert line["error"].startswith("QuorumError")
        else:
            assert (line["answer"], line["rewards"], line["error"]) == ("4", [1.0, 0.0, 1.0, 0.0], None)
    assert report.usage.calls == 120
    assert 1 <= len(running.job.workers) <= 2  # the second may start when the work is done
    assert "not JSON" in lines_of(tmp_path / "out.errors.jsonl")[0]["error"]


async def test_a_program_names_the_engine(cluster: str) -> None:
    with ProviderDouble(reply=spoken("4", "5")) as double:
        cat = cat_on(double, kind="verifiable")
        report = await batch(
            ["What is 1 + 3?", "What is 2 + 2?"], cat=cat, engine="ray", ray=RayOptions(workers=1, block=1)
        )
        await cat.aclose()
    assert [line["answer"] for line in report] == ["4", "4"]
    with pytest.raises(ConfigError, match="no engine 'raii'; there are process, ray"):
        await batch(["What is 1 + 3?"], cat=cat, engine="raii")
    with pytest.raises(ConfigError, match="need one process"):
        await batch(["What is 1 + 3?"], "out.jsonl", cat=cat, engine="ray", via="openai")


async def test_two_workers_keep_to_the_rate_of_one_key(cluster: str, tmp_path: Path) -> None:
    limit = RateLimit(25, burst=10)
    rows = written(tmp_path / "in.jsonl", questions(160))
    with ProviderDouble(reply=spoken("4"), latency=0.1, limits=[limit]) as double:
        running = Running(double, rows, tmp_path / "out.jsonl", cat={"n": 1, "estimator": "majority"})
        report = await running.report()
    assert (report.done, report.errors) == (160, 0)
    assert limit.admitted == 160
    assert report.usage.total.refused == limit.refused
    assert limit.refused <= 60, "the workers do not know of each other"


async def test_a_worker_that_is_killed_takes_nothing_with_it(cluster: str, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    killed: list[int] = []
    answer = spoken("4", "5")

    def reply(body: dict[str, Any], index: int) -> str:
        if not killed and double.received > 40 and running.job.workers:
            killed.append(int(min(running.job.workers).split("-")[1]))
            os.kill(killed[0], signal.SIGKILL)
        return answer(body, index)

    with ProviderDouble(reply=reply, latency=0.05) as double:
        running = Running(double, written(tmp_path / "in.jsonl", questions(60)), out)
        report = await running.report()
        assert killed
        assert double.received <= 120 + 40, (
            "more is bought again than what was in flight or not yet committed"
        )
    assert (report.done, report.errors) == (60, 0)
    assert Counter(line["id"] for line in lines_of(out)) == Counter(f"q{i}" for i in range(60))


async def test_what_a_killed_command_bought_is_not_bought_again(cluster: str, tmp_path: Path) -> None:
    rows, out = written(tmp_path / "in.jsonl", questions(60)), tmp_path / "out.jsonl"
    with ProviderDouble(reply=spoken("4", "5"), latency=0.1) as double:
        provider = {"api": "openai", "base_url": double.base_url}
        config = tmp_path / "providers.yaml"
        config.write_text(yaml.safe_dump({"providers": {"double": provider}}))
        command = [
            *(sys.executable, "-m", "catagent", "batch", str(rows), "-o", str(out), "-q"),
            *("--model", "double/m", "--n", "4", "--kind", "verifiable", "--config", str(config)),
            *("--engine", "ray", "--ray-address", cluster, "--ray-workers", "2", "--block-rows", "4"),
        ]
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
        try:
            while double.received < 50:
                assert process.returncode is None
                await asyncio.sleep(0.02)
        finally:
            process.kill()
            await process.wait()
        await _quiet(double)
        bought = double.received
        report = await Running(double, rows, out).report()
        assert 0 < bought < 120
        assert double.received <= 120 + 40, (
            "more is bought again than what was in flight or not yet committed"
        )
    assert report.done + report.before == 60
    assert Counter(line["id"] for line in lines_of(out)) == Counter(f"q{i}" for i in range(60))


async def test_a_refused_key_ends_the_job(cluster: str, tmp_path: Path) -> None:
    rows = written(tmp_path / "in.jsonl", questions(60))
    with ProviderDouble(key="right", latency=0.02) as double:
        with pytest.raises(AccountError, match="401"):
            await Running(double, rows, tmp_path / "out.jsonl").report()
        assert double.hits["/v1/chat/completions"] <= 32


async def test_a_budget_is_one_for_all_workers(cluster: str, tmp_path: Path) -> None:
    rows, out = written(tmp_path / "in.jsonl", questions(60)), tmp_path / "out.jsonl"
    with ProviderDouble(reply=spoken("4")) as double:
        report = await Running(double, rows, out, tokens=6000).report()
    assert report.stopped == "budget"
    assert "6000 tokens" in (report.why or "")
    total = report.usage.total
    assert 3000 < total.prompt_tokens + total.completion_tokens <= 6500
    assert 10 < report.done < 60
    assert len(lines_of(out)) == report.done


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'catagent\[ray\]'"):
        needs_ray()


def test_capacity_is_that_of_the_narrowest_place() -> None:
    job = Capacity(latency=2.0, requests=2, workers=4, rows=256)
    assert (job.bound, job.rows_a_second) == ("workers", 256.0)
    job = replace(job, rpm=6000)
    assert (job.bound, job.rows_a_second, job.rows_a_day) == ("rate", 50.0, 4_320_000)
    assert replace(job, slots=40).bound == "slots"


async def _quiet(double: ProviderDouble) -> None:
    """Until the workers of a driver that is gone are gone as well."""
    seen = -1
    while seen != double.received:
        seen = double.received
        await asyncio.sleep(1.0)
