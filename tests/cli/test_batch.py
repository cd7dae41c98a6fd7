"""`catagent batch` as a user runs it: a process, its output, its exit code."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tests.batch.jobs import lines_of, questions, spoken, written
from tests.cli.test_solve import catagent
from tests.doubles import Fault, ProviderDouble, prompt_of, when

MODEL = ("-m", "openai/m", "--n", "2", "--kind", "verifiable")


def test_a_job_says_what_it_did_and_the_same_command_does_nothing_more(tmp_path: Path) -> None:
    written(tmp_path / "in.jsonl", [*questions(20), questions(1)[0] | {"id": "again"}])
    with ProviderDouble(reply=spoken("4")) as double:
        line = ("batch", "in.jsonl", "-o", "out.jsonl", *MODEL)
        done = catagent(double, *line, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        assert "20 rows done, 1 copies of others" in done.stderr
        assert "sampler" in done.stderr
        assert double.received == 40
        again = catagent(double, *line, cwd=tmp_path)
        assert again.returncode == 0
        assert "0 rows done, 21 done before" in again.stderr
        assert double.received == 40
        assert catagent(double, *line, "--quiet", cwd=tmp_path).stderr == ""
        status = catagent(double, "batch", "--status", "out.jsonl.job", cwd=tmp_path)
        assert status.returncode == 0
        assert "no process is at work on it" in status.stderr
        assert "21 rows done" in status.stderr
        assert "40 sampler samples kept" in status.stderr
        other = catagent(double, *line, "--temperature", "0.5", cwd=tmp_path)
        assert other.returncode == 1
        assert "temperature was not set and is 0.5" in other.stderr
        assert "--accept-changes" in other.stderr
    assert len(lines_of(tmp_path / "out.jsonl")) == 21


def test_several_inputs_packed_and_piped_with_a_field_for_the_prompt(tmp_path: Path) -> None:
    rows = [json.dumps({"key": i, "question": f"What is {i}?"}) + "\n" for i in range(6)]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress("".join(rows[:3]).encode()))
    with ProviderDouble(reply=spoken("4")) as double:
        done = catagent(
            double, "batch", "a.jsonl.gz", "-", "-o", "out.jsonl", *MODEL, "--prompt-field", "question",
            "--id-field", "key", "--in-order", "--mode", "rollouts", "--rollout-tokens", "50",
            stdin="".join(rows[3:]), cwd=tmp_path,
        )  # fmt: skip
        assert double.requests[0].body["max_tokens"] == 50
    assert done.returncode == 0, done.stderr
    assert [line["id"] for line in lines_of(tmp_path / "out.jsonl")] == list(range(6))


def test_a_dry_run_sends_nothing(tmp_path: Path) -> None:
    written(tmp_path / "in.jsonl", [*questions(10), *questions(2), "{bad\n"])
    (tmp_path / "providers.yaml").write_text(
        "providers: {house: {api: openai, base_url: 'http://127.0.0.1:9/v1', "
        "price: {prompt: 1, completion: 2}}}\n"
    )
    done = catagent(
        None, "batch", "in.jsonl", "-o", "out.jsonl", "-m", "house/m", "--dry-run", "--rollout-tokens", "100",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "12 rows · 2 copies · 1 bad lines · 0 done before · 10 to solve" in done.stderr
    assert "8,000" in done.stderr  # tokens of rollouts
    assert "estimated cost: $0.0" in done.stderr
    assert "replies of 100 tokens, the limit that is sent" in done.stderr
    assert not (tmp_path / "out.jsonl").exists()


def test_errors_and_budgets_have_exit_codes_and_say_how_to_go_on(tmp_path: Path) -> None:
    written(tmp_path / "in.jsonl", [*questions(5), "{bad\n"])
    plan = [when(lambda body: "What is 1 +" in prompt_of(body), Fault.status_code(400))]
    with ProviderDouble(reply=spoken("4"), faults=plan) as double:
        line = ("batch", "in.jsonl", "-o", "out.jsonl", *MODEL)
        done = catagent(double, *line, cwd=tmp_path)
        assert done.returncode == 1
        assert "1 rows failed and are owed: the same command tries them again" in done.stderr
        assert "1 lines hold no row: see out.errors.jsonl" in done.stderr
        stopped = catagent(
            double, "batch", "in.jsonl", "-o", "2.jsonl", *MODEL, "--max-tokens", "200", cwd=tmp_path
        )
        assert stopped.returncode == 3
        assert "raise the budget and run the same command again" in stopped.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["in.jsonl"], 2, "-o out.jsonl"),
        (["nowhere.jsonl", "-o", "out.jsonl"], 1, "cannot read nowhere.jsonl: No such file"),
        (["in.jsonl", "-o", "in.jsonl"], 1, "in.jsonl is both input and output"),
        (["in.jsonl", "-o", "out.jsonl", "--mode", "magic"], 1, "there is no mode 'magic'"),
        (["--status", "nowhere"], 1, "there is no job in nowhere.job"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    written(tmp_path / "in.jsonl", questions(1))
    with ProviderDouble() as double:
        done = catagent(double, "batch", *arguments, cwd=tmp_path)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert double.received == 0
