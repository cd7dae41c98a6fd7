"""`catagent solve` as a user runs it: a process, its output, its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cast import cast
from tests.doubles import Fault, ProviderDouble

HANGS = 300  # seconds: a guard for busy machines, no measure
BOXED = ["\\boxed{4}", "\\boxed{5}", "\\boxed{4.0}"]


def command(double: ProviderDouble | None, *arguments: str, **env: str) -> tuple[list[str], dict[str, str]]:
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    at = {"OPENAI_BASE_URL": double.base_url, "OPENAI_API_KEY": "sk-test-123456789"} if double else {}
    return [sys.executable, "-m", "catagent", *arguments], {**clean, **at, **env, "COLUMNS": "140"}


def catagent(
    double: ProviderDouble | None, *arguments: str, stdin: str = "", cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    line, environment = command(double, *arguments, **env)
    return subprocess.run(
        line, env=environment, input=stdin, capture_output=True, text=True, cwd=cwd, timeout=HANGS,
        check=False,
    )  # fmt: skip


def test_the_reference_goes_to_standard_output_and_the_rest_to_standard_error() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        done = catagent(double, "solve", "What is 2+2?", "--model", "openai/m", "--n", "3")
        assert double.requests[0].headers["Authorization"] == "Bearer sk-test-123456789"
    assert done.returncode == 0, done.stderr
    assert done.stdout == "So it is \\boxed{4}.\n"
    assert "67% of rollouts agree" in done.stderr
    assert "2 calls" in done.stderr
    assert "rollout 3/3: answer 4.0" in done.stderr


def test_what_the_vote_stands_in_for_is_shown() -> None:
    with ProviderDouble(
        reply=cast(BOXED, "# UNIFIED RESPONSE\nIt depends on [bold]the clock[/bold].")
    ) as double:
        done = catagent(double, "solve", "What is 2+2?", "--model", "openai/m", "--n", "3")
    assert "the synthesis states no final answer" in done.stderr
    assert "set aside: It depends on [bold]the clock[/bold]." in done.stderr
    assert done.stdout == BOXED[0] + "\n"


def test_json_is_the_whole_solution_and_nothing_else() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        done = catagent(
            double, "solve", "-", "--model", "openai/m", "-n", "3", "--json", stdin="What is 2+2?\n"
        )
    solution = json.loads(done.stdout)
    assert solution["task"]["messages"][0]["content"] == "What is 2+2?"
    assert [r["value"] for r in solution["rewards"]] == [1.0, 0.0, 1.0]


def test_trace_is_a_record_of_messages(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    with ProviderDouble(reply=cast(BOXED)) as double:
        done = catagent(
            double,
            "solve",
            "q",
            "-m",
            "openai/m",
            "-n",
            "3",
            "--estimator",
            "majority",
            "--quiet",
            "--trace",
            str(trace),
        )
    assert done.returncode == 0
    assert done.stderr == ""
    kinds = [json.loads(line)["message"] for line in trace.read_text().splitlines()]
    assert kinds == [
        "Task",
        "Rollout",
        "Rollout",
        "Rollout",
        "Reference",
        "Reward",
        "Reward",
        "Reward",
        "Usage",
    ]


def test_log_probabilities_are_asked_for_and_kept(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    asked = ("solve", "q", "-m", "openai/m", "-n", "3", "--estimator", "majority", "--logprobs")
    with ProviderDouble(reply=cast(BOXED)) as double:
        done = catagent(double, *asked, "--trace", str(trace))
        assert double.requests[0].body["logprobs"] is True
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in trace.read_text().splitlines()]
    rollouts = [m for m in messages if m["message"] == "Rollout"]
    assert len(rollouts) == 3
    for rollout in rollouts:
        assert "".join(rollout["tokens"]) == rollout["text"]
        assert len(rollout["logprobs"]) == len(rollout["tokens"])
        assert all(value < 0 for value in rollout["logprobs"])


def test_an_endpoint_without_log_probabilities_is_named() -> None:
    def silent(body: dict[str, Any], index: int) -> str:
        body.pop("logprobs", None)
        return BOXED[index % 3]

    with ProviderDouble(reply=silent) as double:
        done = catagent(double, "solve", "q", "-m", "openai/m", "--estimator", "majority", "--logprobs", "-q")
    assert (done.returncode, done.stdout) == (0, "\\boxed{4}\n")
    assert done.stderr.strip() == "the endpoint gave no log-probabilities"


def test_sampling_parameters_and_kind_are_forwarded() -> None:
    with ProviderDouble(reply=cast(["a", "b"], "# UNIFIED RESPONSE\nc")) as double:
        done = catagent(
            double,
            "solve",
            "q",
            "-m",
            "openai/m",
            "--kind",
            "open",
            "--temperature",
            "0.3",
            "--max-tokens",
            "9",
        )
        body = double.requests[0].body
    assert done.stdout == "c\n"
    assert (body["temperature"], body["max_tokens"], body["n"]) == (0.3, 9, 8)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["solve", ""], "the task is empty"),
        (["solve", "q", "--model", "gpt-5"], "does not name a provider: write 'openai/gpt-5'"),
        (["solve", "q", "--config", "nowhere.yaml"], "there is no configuration file nowhere.yaml"),
        (["solve", "q", "-m", "openai/m", "--estimator", "magic"], "there is no estimator 'magic'"),
        (["solve", "q", "--kind", "closed"], "kind must be auto, verifiable or open"),
        (["solve", "q", "--trace", "/nowhere/t"], "cannot write the trace to /nowhere/t"),
        (["solve", "q", "--model", "embedded/gpt"], "there is no embedded model 'gpt'"),
    ],
)
def test_failures_are_one_sentence_and_a_non_zero_exit(arguments: list[str], said: str) -> None:
    with ProviderDouble() as double:
        done = catagent(double, *arguments)
    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert double.received == 0


def test_a_refused_key_says_so_without_showing_it() -> None:
    with ProviderDouble(key="right") as double:
        done = catagent(double, "solve", "q", "--model", "openai/m", "--quiet")
    assert done.returncode == 1
    assert "401" in done.stderr
    assert "sk-test-123456789" not in done.stderr


def test_waiting_is_shown_with_its_reason() -> None:
    faults = [Fault.rate_limited(0.2)]
    with ProviderDouble(reply=cast(BOXED), faults=[lambda body: faults.pop() if faults else None]) as double:
        done = catagent(double, "solve", "q", "--model", "openai/m", "-n", "3")
    assert done.returncode == 0
    assert "sampler waits" in done.stderr
    assert "429" in done.stderr


def test_ctrl_c_stops_at_once_and_cancels_upstream() -> None:
    with ProviderDouble(latency=30) as double:
        line, env = command(double, "solve", "q", "--model", "openai/m")
        with subprocess.Popen(line, env=env, stderr=subprocess.PIPE, text=True) as process:
            while double.in_flight == 0:
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=HANGS)
        assert process.returncode == 130
        assert "Traceback" not in said
        assert double.disconnected == 1


def test_help_says_what_there_is() -> None:
    top = catagent(None, "--help").stdout
    assert "solve" in top
    assert "models" in top
    options = catagent(None, "solve", "--help").stdout
    for name in ("--model", "--n", "--kind", "--estimator", "--json", "--trace"):
        assert name in options


def test_a_configuration_in_the_working_directory_is_found(tmp_path: Path) -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        (tmp_path / "providers.yaml").write_text(
            f"providers: {{house: {{api: openai, base_url: '{double.base_url}'}}}}\n"
            "roles: {sampler: {model: house/big, temperature: 0.5}}\ndefaults: {n: 3}\n"
        )
        done = catagent(None, "solve", "q", "--json", cwd=tmp_path)
        assert double.requests[0].body["temperature"] == 0.5
    solution = json.loads(done.stdout)
    assert len(solution["group"]["rollouts"]) == 3
    assert solution["group"]["rollouts"][0]["model"] == "house/big"


def test_models_lists_roles_and_whether_they_answer(tmp_path: Path) -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        (tmp_path / "providers.yaml").write_text(
            f"providers: {{house: {{api: openai, base_url: '{double.base_url}', attempts: 1}},\n"
            "            gone: {api: openai, base_url: 'http://127.0.0.1:9/v1', attempts: 1}}\n"
            "roles: {sampler: {model: house/big}, judge: {model: gone/away}}\n"
        )
        done = catagent(None, "models", cwd=tmp_path, CATAGENT_CACHE=str(tmp_path))
    assert done.returncode == 1
    lines = {line.split()[0]: line for line in done.stderr.splitlines() if line.strip()}
    assert "house/big" in lines["sampler"]
    assert "yes" in lines["sampler"]
    assert "house/big" in lines["anchor"]
    assert "cannot reach gone" in lines["judge"]
    assert "embedded/smollm2-135m" in lines
