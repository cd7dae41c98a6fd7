"""Whole jobs in provider batches: four stages, the same lines as without, nothing bought twice."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from catagent.batch.api import batch
from catagent.batch.job import Job as Running
from catagent.batch.options import JobOptions
from catagent.batch.reading import Rows
from catagent.batch.via import cancel_batches, in_batches
from catagent.batch.work import Work
from catagent.errors import AccountError, ConfigError
from catagent.models.provider_batches import BatchTerms
from tests.batch.jobs import lines_of
from tests.batch.via import POLLING, SETTLE, Worker, cat_for, run_via, stages, tasks
from tests.cast import SYNTHESIS
from tests.doubles import prompt_of
from tests.doubles.batch_api import BatchApiDouble, Job

VIAS = pytest.mark.parametrize("via", ["openai", "together"])
OPEN = {"kind": "open", "judging": {"criteria_per_call": None}}

EVERY_STEP = ["upload", "create", "retrieve retrieve", "content"]


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def told(lines: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What matters in the lines of a job, in the order of the rows."""
    keys = ("id", "answer", "text", "rewards", "error")
    return sorted(tuple(repr(line.get(key)) for key in keys) for line in lines)


def roles_of(job: Job) -> Counter[str]:
    """Who asked the requests of a batch, told from their prompts."""

    def role(prompt: str) -> str:
        if "Write a rubric" in prompt:
            return "rubrics"
        if "<criteria_1_" in prompt:
            return "verdicts"
        return "references" if SYNTHESIS in prompt else "rollouts"

    return Counter(role(prompt_of(line["body"])) for line in job.lines)


@VIAS
async def test_four_stages_are_four_batches_with_the_lines_of_the_direct_path(
    via: str, tmp_path: Path
) -> None:
    rows = tasks(40)
    with BatchApiDouble(via, reply=stages) as double:  # type: ignore[arg-type]
        report = await run_via(via, double.base_url, rows, tmp_path / "b.jsonl", cat=OPEN, mode="rl")
        assert [roles_of(job) for job in double.made] == [
            {"rollouts": 40},
            {"references": 40},
            {"rubrics": 40},
            {"verdicts": 40 * 4},
        ]
        ids = [ident for job in double.made for ident in job.ids]
        assert len(ids) == len(set(ids)) == double.bought
        assert double.direct == 0
        assert all(job.lines[0]["body"]["n"] == 4 for job in double.made[:1])
        if via == "openai":
            assert [job.stage for job in double.made] == ["rollouts", "references", "rubrics", "verdicts"]
        async with cat_for(via, double.base_url, **OPEN) as cat:
            direct = await batch(rows, tmp_path / "d.jsonl", cat=cat, mode="rl")
        assert double.direct == double.bought
    assert told(lines_of(tmp_path / "b.jsonl")) == told(lines_of(tmp_path / "d.jsonl"))
    assert (report.done, report.errors) == (direct.done, direct.errors) == (40, 0)
    assert report.usage.tokens == direct.usage.tokens > 0


@pytest.mark.parametrize(
    ("via", "points"),
    [
        ("openai", [*EVERY_STEP, "upload", "retrieve", "upload", "content", "upload", "create", "content"]),
        ("together", EVERY_STEP),
    ],
)
def test_killed_at_every_step_nothing_is_bought_twice(
    via: str, points: list[str], tmp_path: Path, worker: Worker
) -> None:
    """The process dies as the provider has done what it was asked and has not answered yet."""
    pid, known, left = 0, threading.Event(), list[str]()

    def killer(operation: str, _: Job | None) -> None:
        if left and left[0] == operation:
            left.pop(0)
            if not left:
                assert known.wait(60)
                os.kill(pid, signal.SIGKILL)

    job = [tasks(3), str(tmp_path / "out.jsonl"), {"cat": OPEN, "mode": "rl"}]
    with BatchApiDouble(via, reply=stages, on=killer) as double:  # type: ignore[arg-type]
        ends = []
        for point in [*points, ""]:
            known.clear()
            left = point.split()
            pid = worker.start(via, double.base_url, *job)
            known.set()
            ends.append(worker.wait())
        assert ends == [-signal.SIGKILL] * len(points) + [0]
        assert double.bought == 3 + 3 + 3 + 3 * 4
        assert max(double.billed.values()) == 1
    lines = lines_of(tmp_path / "out.jsonl")
    assert sorted(line["id"] for line in lines) == [0, 1, 2]
    assert all(line["rewards"] == [1.0] * 4 for line in lines)


@VIAS
async def test_what_expired_and_what_is_missing_is_owed_again(via: str, tmp_path: Path) -> None:
    def fate(body: dict[str, Any], before: int) -> Any:
        prompt = prompt_of(body)
        if before == 0 and ("No.001" in prompt or "No.002" in prompt) and SYNTHESIS not in prompt:
            return "expired"
        return "missing" if before == 0 and "No.003" in prompt and SYNTHESIS not in prompt else None

    with BatchApiDouble(via, reply=stages, fate=fate) as double:  # type: ignore[arg-type]
        report = await run_via(via, double.base_url, tasks(6), tmp_path / "out.jsonl")
        assert double.made[0].status == "expired"
        sizes = [dict(roles_of(job)) for job in double.made]
        assert sizes[0] == {"rollouts": 6}
        assert {"rollouts": 3} in sizes
        assert double.bought == 6 + 6
    assert (report.done, report.errors) == (6, 0)


@VIAS
async def test_errors_of_rows_are_errors_of_rows(via: str, tmp_path: Path) -> None:
    def fate(body: dict[str, Any], before: int) -> Any:
        prompt = prompt_of(body)
        if "No.001" in prompt:
            return 400
        if "No.002" in prompt:
            return ("invalid_model", "Nothing of the kind.")
        if "No.003" in prompt and before == 0:
            return 500
        return 429 if "No.004" in prompt and before == 0 else None

    with BatchApiDouble(via, reply=stages, fate=fate) as double:  # type: ignore[arg-type]
        report = await run_via(via, double.base_url, tasks(6), tmp_path / "out.jsonl", cat={"n": 1})
        assert (report.done, report.errors) == (4, 2)
        double.fate = lambda body, before: None
        again = await run_via(via, double.base_url, tasks(6), tmp_path / "out.jsonl", cat={"n": 1})
        assert (again.before, again.done, again.errors) == (4, 2, 0)
    texts = {line["id"]: line["error"] for line in lines_of(tmp_path / "out.jsonl")}
    assert texts == dict.fromkeys(range(6))


async def test_a_job_ends_when_the_account_is_refused_and_goes_on_later(tmp_path: Path) -> None:
    with BatchApiDouble(reply=stages, troubles={"create": [401]}) as double:
        with pytest.raises(AccountError, match="401"):
            await run_via("openai", double.base_url, tasks(3), tmp_path / "out.jsonl")
        assert double.bought == 0
        report = await run_via("openai", double.base_url, tasks(3), tmp_path / "out.jsonl")
    assert (report.done, double.bought) == (3, 6)


async def test_an_interrupted_job_leaves_its_batch_running_and_collects_it_later(tmp_path: Path) -> None:
    out, stopped = tmp_path / "out.jsonl", False

    def on(operation: str, job: Job | None) -> None:
        nonlocal stopped
        stopped = stopped or (operation == "retrieve" and job is not None and job.looks == 2)

    with BatchApiDouble(reply=stages, on=on, held=lambda job: job.looks < 4) as double:
        own = in_batches(cat_for("openai", double.base_url), "openai", out, settle=SETTLE, polling=POLLING)
        async with own:
            work = Running(own, Rows(tasks(3)), out, JobOptions())
            running = asyncio.ensure_future(work.run())
            await double.until(lambda: stopped)
            work.stop("interrupt", "it was interrupted")
            work.abort()
            report = await running
        assert (report.stopped, report.done, double.made[0].status) == ("interrupt", 0, "validating")
        report = await run_via("openai", double.base_url, tasks(3), out)
        assert (report.done, double.bought, len(double.made)) == (3, 6, 2)


async def test_time_that_is_over_does_not_wait_for_batches(tmp_path: Path) -> None:
    out, options = tmp_path / "out.jsonl", JobOptions(minutes=0.5 / 60, at_once=True)
    with BatchApiDouble(reply=stages, held=lambda _: True) as double:
        own = in_batches(cat_for("openai", double.base_url), "openai", out, settle=SETTLE, polling=POLLING)
        async with own:
            report = await Running(own, Rows(tasks(3)), out, options).run()
        assert (report.stopped, report.done, double.bought) == ("time", 0, 0)


@VIAS
async def test_batches_are_cancelled_on_request_and_what_they_did_is_kept(via: Any, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with BatchApiDouble(via, reply=stages, troubles={"retrieve": [None, 401]}) as double:
        with pytest.raises(AccountError):
            await run_via(via, double.base_url, tasks(8), out)
        async with in_batches(cat_for(via, double.base_url), via, out) as own:
            assert await cancel_batches(own, Work(), out) == [double.made[0].id]
            assert await cancel_batches(own, Work(), out) == []
        assert double.bought == 4
        report = await run_via(via, double.base_url, tasks(8), out)
        assert (report.done, double.bought) == (8, 8 + 8)
        assert max(double.billed.values()) == 1


async def test_a_batch_that_somebody_cancels_ends_the_job(tmp_path: Path) -> None:
    def on(operation: str, job: Job | None) -> None:
        if operation == "retrieve" and job is not None and job.looks == 2 and job is double.made[0]:
            double.finish(job, "cancelled", half=True)

    out = tmp_path / "out.jsonl"
    with BatchApiDouble(reply=stages, on=on) as double:
        with pytest.raises(AccountError, match="was cancelled at openai before it had come to 4 requests"):
            await run_via("openai", double.base_url, tasks(8), out)
        report = await run_via("openai", double.base_url, tasks(8), out)
        assert (report.done, double.bought, max(double.billed.values())) == (8, 16, 1)


async def test_a_model_that_gives_one_sample_a_request_is_asked_the_same_way_again(tmp_path: Path) -> None:
    """The second wave is under way when the process ends; the next one has to ask in the same words."""
    out, troubles = tmp_path / "out.jsonl", {"retrieve": [*[None] * 4, None, 401]}
    with BatchApiDouble(reply=stages, max_n=1, troubles=troubles) as double:
        with pytest.raises(AccountError):
            await run_via("openai", double.base_url, tasks(3), out)
        assert [len(job.lines) for job in double.made] == [3, 9]
        report = await run_via("openai", double.base_url, tasks(3), out)
        assert (report.done, double.bought, len(double.made)) == (3, 3 * 4 + 3, 3)


async def test_a_job_may_go_on_without_batches(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with BatchApiDouble(reply=stages, troubles={"upload": [None, 401]}) as double:
        with pytest.raises(AccountError):
            await run_via("openai", double.base_url, tasks(5), out)
        async with cat_for("openai", double.base_url) as cat:
            report = await batch(tasks(5), out, cat=cat)
        assert (report.done, double.bought, double.direct) == (5, 5, 5)


@VIAS
async def test_a_wave_is_split_by_what_a_file_may_hold(via: str, tmp_path: Path) -> None:
    with BatchApiDouble(via, reply=stages) as double:  # type: ignore[arg-type]
        report = await run_via(
            via, double.base_url, tasks(25), tmp_path / "out.jsonl", lane={"terms": BatchTerms(requests=10)}
        )
        rollouts = [len(job.lines) for job in double.made if roles_of(job)["rollouts"]]
        assert sorted(rollouts) == [5, 10, 10]
        assert max(len(job.lines) for job in double.made) == 10
    assert (report.done, double.bought) == (25, 50)


async def test_models_that_cannot_go_this_way_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with BatchApiDouble(reply=stages) as double:
        for via, model, said in (
            ("openai", "anthropic/claude-haiku-4-5", "LiteLLM"),
            ("together", "openai/m", "models of together_ai"),
            ("openai", "together_ai/m", "other models than Together's"),
            ("nobody", "openai/m", "batches go via openai or together"),
        ):
            with pytest.raises(ConfigError, match=said):
                await batch(tasks(1), out, via=via, model=model)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="needs `out`"):
            await batch(tasks(1), via="openai", model="openai/m")
        assert not double.hits
