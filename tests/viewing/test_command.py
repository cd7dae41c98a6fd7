"""`catagent view` as a user runs it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow
import pytest
from click.testing import Result
from pyarrow import parquet
from typer.testing import CliRunner

from catagent.cli.main import app
from catagent.viewing import is_page, write_page
from tests.cast import cast
from tests.doubles import ProviderDouble
from tests.viewing import samples
from tests.viewing.unpacking import packed, rows_of


def ran(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "catagent", *arguments],
        cwd=folder, env={**os.environ, "COLUMNS": "200", **env}, capture_output=True, text=True, timeout=100,
        check=False,
    )  # fmt: skip


def called(*arguments: str) -> Result:
    """The same within this process, which is faster."""
    return CliRunner().invoke(app, ["view", *arguments])


def trace(path: Path, count: int = 1) -> Path:
    lines = [line for seed in range(count) for line in samples.verifiable(seed).trace()]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_from_a_solve_to_its_page(tmp_path: Path) -> None:
    with ProviderDouble(reply=cast(["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}"])) as double:
        env = {"OPENAI_BASE_URL": double.base_url, "OPENAI_API_KEY": "sk-test-123456789"}
        asked = ("What is 2+2?", "--model", "openai/m", "-n", "3", "-q")
        done = ran(tmp_path, "solve", *asked, "--trace", "t.jsonl", "--report", "r.html", **env)
    assert done.returncode == 0, done.stderr
    done = ran(tmp_path, "view", "t.jsonl")
    assert (done.returncode, done.stdout) == (0, "t.html\n")
    assert "1 row, 0." in done.stderr
    by_trace, by_report = rows_of(tmp_path / "t.html"), rows_of(tmp_path / "r.html")
    for [row] in (by_trace, by_report):
        assert [r["letter"] for r in row["rollouts"]] == ["A", "B", "A"]
        assert [r["text"] for r in row["references"]] == ["So it is \\boxed{4}."]
        assert [call[0] for call in row["usage"]["timeline"]] == ["sampler", "anchor"]
    assert by_trace[0]["usage"] == by_report[0]["usage"]


def test_what_was_left_out_is_on_the_page_and_in_the_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with trace(tmp_path / "t.jsonl", 60).open("a", encoding="utf-8") as file:
        file.write('{"torn')
    done = called("t.jsonl", "-o", "page.html", "--title", "Mine")
    assert done.exit_code == 0, done.stderr
    assert "60 rows" in done.stderr
    assert "1 line was left out" in done.stderr
    [about] = packed(tmp_path / "page.html", "about")
    assert (about["title"], about["rows"]) == ("Mine", 60)
    assert about["notes"][0].startswith("1 line was left out")


def test_prompts_come_from_the_input_of_the_batch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"prompt": f"Question {i}"} for i in range(3)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with ProviderDouble(reply=cast(["\\boxed{4}"])) as double:
        env = {"OPENAI_BASE_URL": double.base_url, "OPENAI_API_KEY": "sk-test-123456789"}
        done = ran(tmp_path, "batch", "in.jsonl", "-o", "o.jsonl", "-m", "openai/m", "-n", "2", "-q", **env)
    assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    for source, page in (("o.jsonl", "o.html"), ("o.jsonl.job", "o.html")):
        viewed = called(source, "--prompts", "in.jsonl")
        assert (viewed.exit_code, viewed.stdout) == (0, f"{page}\n"), viewed.stderr
        asked = [row["messages"][0]["content"] for row in rows_of(tmp_path / page)]
        assert sorted(asked) == ["Question 0", "Question 1", "Question 2"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.jsonl"], "error: cannot read absent.jsonl: No such file or directory"),
        (["garbage.jsonl"], "holds nothing that can be shown: line 1: not JSON"),
        (["."], "is a folder with neither the journal of a batch job nor completions"),
        (["t.jsonl"], "t.html is there and is no page of catagent: name another file with -o"),
        (["t.jsonl", "-o", "absent/p.html"], "cannot write the page to absent/p.html"),
        (["t.jsonl", "-o", "p.html", "--prompts", "garbage.jsonl"], "there is no prompt in garbage.jsonl"),
        (["t.jsonl", "-o", "p.html", "--prompts", "absent"], "cannot read absent"),
    ],
)
def test_failures_are_one_sentence_and_leave_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    trace(tmp_path / "t.jsonl")
    (tmp_path / "garbage.jsonl").write_text("garbage\n")
    (tmp_path / "t.html").write_text("<p>mine</p>")
    before = sorted(tmp_path.iterdir())
    done = called(*arguments)
    assert done.exit_code == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(tmp_path.iterdir()) == before
    assert not is_page(tmp_path / "t.html")


def test_a_port_serves_until_ctrl_c_and_leaves_nothing(tmp_path: Path) -> None:
    trace(tmp_path / "t.jsonl")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with subprocess.Popen(
        [sys.executable, "-m", "catagent", "view", "t.jsonl", "--port", "0"],
        cwd=tmp_path, env={**os.environ, "TMPDIR": str(temporary)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=60)
        connection.request("GET", "/")
        assert b"<title>t.jsonl</title>" in connection.getresponse().read()
        connection.close()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0
    assert address.startswith("http://127.0.0.1:")
    assert "stopped" in said
    assert "Traceback" not in said
    assert list(temporary.iterdir()) == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.jsonl", "tmp"]


def test_the_page_of_an_evaluation_is_there_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    write_page(tmp_path / "run" / "questions.html", samples.rows(2), title="t")
    assert called("run").stdout == "run/questions.html\n"
    assert called("run/questions.html", "-o", "copy.html").stdout == "copy.html\n"
    assert (tmp_path / "copy.html").read_bytes() == (tmp_path / "run" / "questions.html").read_bytes()
    assert "cannot write the page to absent/x.html" in called("run", "-o", "absent/x.html").stderr


def test_pages_are_called_after_what_they_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run-0.5b"
    (folder / "completions").mkdir(parents=True)
    table = pyarrow.table({"step": [1], "prompt": ["Q"], "completion": ["a"], "cat_reward": [1.0]})
    parquet.write_table(table, folder / "completions" / "completions_00001.parquet")
    monkeypatch.chdir(tmp_path)
    assert called("run-0.5b").stdout == "run-0.5b.html\n"
    monkeypatch.chdir(folder)
    assert called(".").stdout == f"{tmp_path / 'run-0.5b.html'}\n"
    [about] = packed(tmp_path / "run-0.5b.html", "about")
    assert about["title"] == "run-0.5b"


def test_a_port_that_is_taken_is_found_out_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    trace(tmp_path / "t.jsonl")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = called("t.jsonl", "-o", "p.html", "--port", str(taken.getsockname()[1]))
    assert done.exit_code == 1
    assert "cannot serve on port" in done.stderr
    assert not (tmp_path / "p.html").exists()
