"""The files in examples/training: each holds with the code, and each trains, on a model that is made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from catagent.cli.main import app
from catagent.training.datasets import read_prompts
from catagent.training.execution import plan
from catagent.training.runs import read_run
from tests.doubles import ProviderDouble
from tests.judges import judge
from tests.training import tiny

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples" / "training").glob("*.yaml"))
SMALL = (
    "max_steps=1", "num_generations=4", "prompts_per_step=2", "per_device_train_batch_size=4",
    "max_completion_length=6", "anchor_tokens=6", "use_cpu=true", "dtype=float32", "log_completions=false",
)  # fmt: skip


def data(folder: Path, count: int) -> Path:
    path = folder / "prompts.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in tiny.rows(count)))
    return path


def test_there_are_examples() -> None:
    assert {path.stem for path in EXAMPLES} == {"open", "run", "tiny"}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_settings_hold_as_they_stand(example: Path, tmp_path: Path) -> None:
    prompts = data(tmp_path, 64)
    run = read_run(example, [f"data={prompts}"] + [f"held_out={prompts}"] * (example.stem == "run"))
    assert plan(run).steps == run.config.max_steps
    said = yaml.safe_load(example.read_text())
    settings = run.settings()
    for name in set(said) - {"preset", "data", "held_out", "lora", "judging"}:
        # To YAML 1e-5 is a text, which the settings read as a number.
        wanted = float(said[name]) if isinstance(settings[name], float) else said[name]
        assert settings[name] == wanted, name


def test_the_data_of_the_small_one_are_there() -> None:
    said = yaml.safe_load((ROOT / "examples" / "training" / "tiny.yaml").read_text())
    assert read_prompts(ROOT / said["data"]).labelled
    assert read_prompts(ROOT / said["held_out"]).labelled


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_a_small_run_of_it_comes_to_its_end(example: Path, tmp_path: Path, taught: Any) -> None:
    tiny.model(weights=taught).save_pretrained(tmp_path / "model")
    tiny.tokenizer().save_pretrained(tmp_path / "model")
    prompts, out = data(tmp_path, 4), tmp_path / "out"
    settings = [
        f"model={tmp_path / 'model'}",
        f"data={prompts}",
        f"held_out={prompts}",
        f"output={out}",
        *SMALL,
    ]
    kind = read_run(example, settings).config.settled_kind
    with ProviderDouble(reply=judge(lambda response, criterion: len(response) % 2 == 0)) as double:
        if kind == "open":  # with the judge on loopback instead of a provider's
            config = tmp_path / "providers.yaml"
            config.write_text(
                yaml.safe_dump({"providers": {"double": {"api": "openai", "base_url": double.base_url}}})
            )
            settings += [f"providers={config}", "judge=double/m", "rubric_proposer=double/m"]
        done = CliRunner().invoke(app, ["train", str(example), *settings])
        assert done.exit_code == 0, done.output
        assert bool(double.received) == (kind == "open")
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    (step,) = (line for line in lines if "loss" in line)
    assert 0 <= step["reward"] + step.get("cat/over_length_limit", 0) <= 1
    assert json.loads((out / "summary.json").read_text())["steps"] == 1
    assert list((out / "model").iterdir())
