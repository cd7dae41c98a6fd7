"""Two processes over gloo: groups that straddle them, one synthesis a group, stopping together."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]


CASES: dict[str, dict[str, Any]] = {
    "halves": {"per_device_train_batch_size": 2, "prompts_per_step": 1},
    "uneven": {"per_device_train_batch_size": 3, "prompts_per_step": 3},
    "lockstep": {"per_device_train_batch_size": 3, "prompts_per_step": 3, "spread": True},
    "evaluation": {
        "per_device_train_batch_size": 2, "prompts_per_step": 1, "max_steps": 1, "eval_every": 1,
        "eval_generations": 2,
    },
    "dead": {"kind": "open", "judge_patience": 0.2, "dead": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, taught: Any) -> Path:
    """All cases, one after another, in one pair of processes."""
    folder = tmp_path_factory.mktemp("ranks")
    torch.save(taught, folder / "taught.pt")
    (folder / "cases.json").write_text(json.dumps(CASES))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2",
        "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0",
        "-m", "tests.training.two_ranks", str(folder),
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    # Who breaks first says why; the other then only says that it was left alone.
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[:8000]}\n…\n{done.stderr[-4000:]}"
    return folder


def said_in(runs: Path, case: str) -> list[dict[str, Any]]:
    return [json.loads((runs / case / f"rank{rank}.json").read_text()) for rank in (0, 1)]


def together(said: list[dict[str, Any]], nth: int) -> list[tuple[int, str, float | None, str | None]]:
    """The samples of one batch of both processes, in the sampler's order."""
    batches = [rank["batches"][nth] for rank in said]
    return [
        row
        for batch in batches
        for row in zip(batch["rows"], batch["texts"], batch["rewards"], batch["references"], strict=True)
    ]


@pytest.mark.timeout(320)
@pytest.mark.parametrize("case", ["halves", "uneven", "lockstep"])
def test_groups_that_straddle_processes(runs: Path, case: str) -> None:
    said, prompts = said_in(runs, case), CASES[case]["prompts_per_step"]
    assert len(said[0]["batches"]) == len(said[1]["batches"]) == 2
    for nth in range(2):
        samples = together(said, nth)
        assert len(samples) == 4 * prompts
        for at in range(0, len(samples), 4):
            group = samples[at : at + 4]
            assert len({row for row, *_ in group}) == 1
            assert len({reference for *_, reference in group}) == 1
            for _, text, reward, reference in group:
                if reward is not None and reference and "boxed" in reference and "boxed" in text:
                    assert reward == float(text.strip() == reference.strip())
        assert said[0]["batches"][nth]["metrics"] == said[1]["batches"][nth]["metrics"]
    halves = [set(rank["batches"][0]["rows"]) for rank in said]
    assert halves[0] & halves[1], "the test is about groups that are in both processes"
    assert said[0]["served"] + said[1]["served"] == 2 * prompts, "one synthesis a group, wherever it is made"
    assert said[0]["weights"] == said[1]["weights"]
    if case == "lockstep":
        assert said[0]["calls"] == said[1]["calls"]


def test_evaluation_over_two_processes(runs: Path) -> None:
    said = said_in(runs, "evaluation")
    evaluated = [b for rank in said for b in rank["batches"] if b["mode"] == "eval"]
    assert {row for batch in evaluated for row in batch["rows"]} == {0, 1, 2}
    assert said[0]["batches"][-1]["metrics"]["pass_at_1"] == said[1]["batches"][-1]["metrics"]["pass_at_1"]


def test_a_judge_that_is_dead_for_one_process_stops_both(runs: Path) -> None:
    said = said_in(runs, "dead")
    assert said[0]["stopped"] == said[1]["stopped"]
    assert "has answered nothing" in said[0]["stopped"]
    checkpoint = runs / "dead" / "run" / "checkpoint-0"
    assert (checkpoint / "trainer_state.json").is_file()
    assert (checkpoint / "rng_state_1.pth").is_file()
