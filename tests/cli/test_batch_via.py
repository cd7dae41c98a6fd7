"""`catagent batch --via`: what it says, how it is interrupted, how its batches are cancelled."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from catagent.batch.via import in_batches
from catagent.cli.main import app
from tests.batch.jobs import lines_of
from tests.batch.via import POLLING, SETTLE, stages, tasks
from tests.doubles.batch_api import BatchApiDouble, Job


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    fast = partial(in_batches, settle=SETTLE, polling=POLLING)
    monkeypatch.setattr("catagent.cli.batch.in_batches", fast)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in tasks(4)))
    return tmp_path


def command(double: BatchApiDouble, monkeypatch: pytest.MonkeyPatch, *more: str) -> tuple[int, str]:
    monkeypatch.setenv("OPENAI_BASE_URL", double.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-double")
    words = "batch in.jsonl -o out.jsonl --via openai -m openai/m -n 2 --kind verifiable"
    result = CliRunner().invoke(app, [*words.split(), *more])
    return result.exit_code, result.output


def test_it_says_how_the_batches_stand(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with BatchApiDouble(reply=stages) as double:
        code, said = command(double, monkeypatch)
    assert code == 0, said
    assert len(lines_of(folder / "out.jsonl")) == 4
    for text in ("rollouts · m · batch_2: in progress, 2 of 4", "references · m · ", ": completed, 4 of 4"):
        assert text in said


def test_interrupted_it_names_what_goes_on_and_can_cancel_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on(operation: str, job: Job | None) -> None:
        if operation == "retrieve" and job is not None and job.looks == 2 and not double.hits["cancel"]:
            os.kill(os.getpid(), signal.SIGINT)

    with BatchApiDouble(reply=stages, on=on, held=lambda job: job.looks < 9) as double:
        code, said = command(double, monkeypatch)
        assert code == 3, said
        assert "batches that go on at the provider: batch_2. The same command collects them" in said
        code, said = command(double, monkeypatch, "--cancel-batches")
        assert (code, double.bought) == (0, 2)
        assert "cancelled: batch_2" in said
        code, said = command(double, monkeypatch, "--cancel-batches")
        assert "nothing runs at the provider" in said
        code, said = command(double, monkeypatch)
        assert code == 0, said
        assert (double.bought, max(double.billed.values())) == (8, 1)
    assert len(lines_of(folder / "out.jsonl")) == 4
