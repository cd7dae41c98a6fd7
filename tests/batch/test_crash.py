"""Kills, full disks, locks: what was bought is kept, and the output is whole."""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from catagent.errors import JournalError
from tests.batch.jobs import lines_of, questions, run, spoken, written
from tests.doubles import ProviderDouble

LIMIT = 24
HANGS = 300  # seconds: a guard for busy machines, no measure
N = 4


def command(double: ProviderDouble, folder: Path, *more: str) -> tuple[list[str], dict[str, str]]:
    """A job as a user runs it, with at most `LIMIT` requests in flight."""
    (folder / "providers.yaml").write_text(
        f"providers: {{house: {{api: openai, base_url: '{double.base_url}', "
        f"limits: {{start: {LIMIT}, max_concurrency: {LIMIT}}}}}}}\n"
    )
    arguments = [
        "batch",
        "in.jsonl",
        "-o",
        "out.jsonl",
        "-m",
        "house/m",
        "--kind",
        "verifiable",
        "-n",
        str(N),
    ]
    env = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    return [sys.executable, "-m", "catagent", *arguments, "--quiet", *more], env


def started(double: ProviderDouble, folder: Path, *more: str, **options: Any) -> subprocess.Popen[str]:
    line, env = command(double, folder, *more)
    return subprocess.Popen(line, env=env, cwd=folder, stderr=subprocess.PIPE, text=True, **options)


def wait_for(condition: Any, process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)


def bought(double: ProviderDouble) -> Counter[str]:
    """How often each request was answered."""
    return Counter(json.dumps(r.body, sort_keys=True) for r in double.requests if r.status == 200)


@pytest.mark.parametrize("order", [[], ["--in-order"]])
def test_kills_lose_nothing_and_buy_nothing_twice_but_what_was_in_flight(
    tmp_path: Path, order: list[str]
) -> None:
    written(tmp_path / "in.jsonl", questions(250))
    draw, kills = random.Random(7), 0
    with ProviderDouble(latency=0.01) as double:
        for _ in range(4):
            before = double.served
            process = started(double, tmp_path, *order)
            goal = before + draw.randrange(10, 120)
            wait_for(lambda goal=goal: double.served >= goal, process)
            process.kill()
            process.wait()
            process.communicate()
            kills += 1
            out = tmp_path / "out.jsonl"
            if out.exists():  # all but the last line are whole, whatever moment it was
                whole = out.read_bytes().split(b"\n")[:-1]
                assert len({json.loads(line)["id"] for line in whole}) == len(whole)
        process = started(double, tmp_path, *order)
        _, said = process.communicate(timeout=HANGS)
        assert process.returncode == 0, said
        twice = sum(bought(double).values()) - len(bought(double))
    lines = lines_of(tmp_path / "out.jsonl")
    assert Counter(line["id"] for line in lines) == dict.fromkeys((f"q{i}" for i in range(250)), 1)
    assert not any(line["error"] or line["partial"] for line in lines)
    if order:
        assert [line["id"] for line in lines] == [f"q{i}" for i in range(250)]
    assert twice <= kills * 2 * LIMIT  # and what came in the moment that a commit takes


def test_two_processes_never_work_on_one_job(tmp_path: Path) -> None:
    written(tmp_path / "in.jsonl", questions(50))
    with ProviderDouble(latency=30) as double:
        first = started(double, tmp_path)
        wait_for(lambda: double.in_flight, first)
        second = started(double, tmp_path)
        _, said = second.communicate(timeout=HANGS)
        assert second.returncode == 1
        assert "another process is at work on the job" in said
        first.kill()
        first.communicate()


def test_ctrl_c_once_finishes_what_is_under_way_and_twice_stops_at_once(tmp_path: Path) -> None:
    written(tmp_path / "in.jsonl", questions(500))
    with ProviderDouble(latency=0.3) as double:
        process = started(double, tmp_path)
        wait_for(lambda: double.served >= 2 * LIMIT, process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=HANGS)
        assert process.returncode == 3
        assert "Ctrl-C again stops at once" in said
        assert "run the same command again to go on" in said
        assert "Traceback" not in said
        done = len(lines_of(tmp_path / "out.jsonl"))
        assert 0 < done < 500
        assert double.disconnected == 0
        double.latency = 30
        process = started(double, tmp_path)
        wait_for(lambda: double.in_flight >= LIMIT, process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert "Ctrl-C again stops at once" in process.stderr.readline()  # two signals at once are one
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=HANGS)
        assert process.returncode == 3
        assert len(lines_of(tmp_path / "out.jsonl")) == done
        double.latency = 0
        process = started(double, tmp_path)
        _, said = process.communicate(timeout=HANGS)
        assert process.returncode == 0, said
    assert len(lines_of(tmp_path / "out.jsonl")) == 500


def test_a_full_disk_is_one_sentence_and_the_job_goes_on_when_there_is_room(tmp_path: Path) -> None:
    def little_room() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))

    written(tmp_path / "in.jsonl", questions(400))
    with ProviderDouble() as double:
        process = started(double, tmp_path, preexec_fn=little_room)
        _, said = process.communicate(timeout=HANGS)
        assert process.returncode == 1
        assert "Traceback" not in said
        assert len(said.strip().splitlines()) == 1
        assert "run the same command again" in said
        served = double.served
        assert served < 700
        kept = sqlite3.connect(tmp_path / "out.jsonl.job" / "journal.sqlite")
        assert kept.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        stages = dict(kept.execute("SELECT stage, count(*) FROM samples GROUP BY stage").fetchall())
        kept.close()
        requests_kept = stages["sampler"] // N + stages.get("anchor", 0)
        assert requests_kept > 0
        process = started(double, tmp_path)
        _, said = process.communicate(timeout=HANGS)
        assert process.returncode == 0, said
        twice = sum(bought(double).values()) - len(bought(double))
    assert len(lines_of(tmp_path / "out.jsonl")) == 400
    assert twice <= served - requests_kept, "what was kept is not bought again"


async def test_a_journal_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with ProviderDouble() as double:
        with pytest.raises(JournalError, match="cannot write the journal in"):
            await run(double, questions(1), tmp_path / "file" / "out.jsonl")
        (tmp_path / "out.jsonl.job").mkdir()
        (tmp_path / "out.jsonl.job" / "journal.sqlite").write_text("This is no database. " * 100)
        with pytest.raises(JournalError, match="cannot be used: file is not a database"):
            await run(double, questions(1), tmp_path / "out.jsonl")
        assert double.received == 0


@pytest.mark.parametrize("order", [False, True])
@pytest.mark.parametrize("damage", ["torn", "short", "lost", "foreign", "longer"])
async def test_the_output_is_mended_from_the_journal(tmp_path: Path, damage: str, order: bool) -> None:
    out = tmp_path / "out.jsonl"
    with ProviderDouble(reply=spoken("4")) as double:
        await run(double, questions(30), out, in_order=order)
        before = out.read_bytes()
        lines = before.splitlines(keepends=True)
        out.write_bytes(
            {
                "torn": b"".join(lines[:20]) + lines[20][:9],
                "short": b"".join(lines[:7]),
                "lost": b"",
                "foreign": before.replace(b"q", b"x"),
                "longer": before + b'{"id": "no line of ours"}\n',
            }[damage]
        )
        if damage == "lost":
            out.unlink()
        report = await run(double, questions(30), out, in_order=order)
        assert double.received == 60
    assert (report.before, report.done) == (30, 0)
    assert out.read_bytes() == before
