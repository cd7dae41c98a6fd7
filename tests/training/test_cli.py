"""`catagent train` and `catagent sft` from end to end, on a tiny model in a folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from catagent.cli.main import app
from tests.training import tiny

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = {
    **{k: v for k, v in tiny.SETTINGS.items() if k != "trl"},
    "preset": "smoke",
    "max_steps": 2,
    "save_every": 1,
    "log_completions": True,
    "lora": {"r": 4},
}


@pytest.fixture
def here(tmp_path: Path, taught: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, prompts and settings."""
    monkeypatch.chdir(tmp_path)
    tiny.model(weights=taught).save_pretrained("model")
    tiny.tokenizer().save_pretrained("model")
    for name, rows in (("prompts.jsonl", tiny.rows()), ("held_out.jsonl", tiny.rows(2))):
        Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    write(tmp_path)
    return tmp_path


def write(folder: Path, **changes: Any) -> None:
    settings = {
        **SETTINGS, "model": str(folder / "model"), "data": "prompts.jsonl", "held_out": "held_out.jsonl",
        "output": "run", **changes,
    }  # fmt: skip
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))


def catagent(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def logits(model: Any) -> Any:
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([[1, 5, 9, 40, 41]])).logits


def test_a_run_from_settings_to_a_model_that_loads(here: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    done = catagent("train", "run.yaml", "keep=both", "learning_rate=1e-2", "method=random")
    assert done.exit_code == 0, done.output
    run = here / "run"
    written = {path.name for path in run.iterdir()}
    assert {
        "settings.yaml", "environment.json", "metrics.jsonl", "completions", "checkpoint-2", "before.json",
        "summary.json", "README.md", "model", "plots", "rewards-0.sqlite", "anchor.json",
    } <= written  # fmt: skip
    settings = yaml.safe_load((run / "settings.yaml").read_text())
    assert (settings["learning_rate"], settings["lora"]["r"], settings["method"]) == (1e-2, 4, "random")
    summary = json.loads((run / "summary.json").read_text())
    assert summary["steps"] == 2
    assert set(summary["before"]) == set(summary["after"]) == {"pass@1", "pass@G"}
    assert "held-out pass@1" in done.output
    assert {"reward.png", "accuracy.png", "time.png"} <= {path.name for path in (run / "plots").iterdir()}
    card = (run / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: transformers")
    assert "for 2 of 2 steps" in card
    assert "| pass@1 |" in card

    merged = AutoModelForCausalLM.from_pretrained(run / "model" / "merged")
    base = AutoModelForCausalLM.from_pretrained(here / "model")
    before = logits(base).clone()
    adapted = PeftModel.from_pretrained(base, run / "model" / "adapter")
    assert torch.allclose(logits(merged), logits(adapted), atol=1e-5)
    assert not torch.allclose(logits(merged), before, atol=1e-4)
    assert AutoTokenizer.from_pretrained(run / "model" / "merged").chat_template == tiny.TEMPLATE


def test_what_is_saved_is_what_was_trained(trainer: Any, tmp_path: Path, taught: Any) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from catagent.training.saving import save_trained

    made = trainer(method="random", max_steps=2)
    made.train()
    trained = logits(made.model).clone()
    folders = save_trained(made.model, made.processing_class, tmp_path / "out", "both")
    assert [folder.name for folder in folders] == ["adapter", "merged"]
    again = PeftModel.from_pretrained(tiny.model(weights=taught), folders[0])
    assert torch.equal(logits(again), trained)
    in_memory = made.model.get_base_model()  # merged in place by the saving
    assert torch.equal(logits(AutoModelForCausalLM.from_pretrained(folders[1])), logits(in_memory))


def test_a_run_that_is_there_is_not_begun_again(here: Path) -> None:
    assert catagent("train", "run.yaml", "method=majority", "-q").exit_code == 0
    again = catagent("train", "run.yaml", "method=majority")
    assert again.exit_code == 1
    assert "holds a run already" in again.output
    other = catagent("train", "run.yaml", "method=random", "--resume")
    assert other.exit_code == 1
    assert "begun with another method" in other.output
    longer = catagent("train", "run.yaml", "method=majority", "max_steps=3", "--resume")
    assert longer.exit_code == 0, longer.output
    lines = (here / "run" / "metrics.jsonl").read_text().splitlines()
    assert [row["step"] for row in map(json.loads, lines) if "loss" in row] == [1, 2, 3]
    finished = catagent("train", "run.yaml", "method=majority", "max_steps=3", "--resume")
    assert finished.exit_code == 0, finished.output


def test_a_dry_run_counts_and_leaves_nothing(here: Path) -> None:
    done = catagent("train", "run.yaml", "--dry-run", "kind=open", "judge=openai/gpt-5-mini")
    assert done.exit_code == 0, done.output
    assert "8 prompts, 8 with labels; 2 held out" in done.output
    assert "16 rollouts" in done.output
    assert "4 calls" in done.output
    assert "about 80" in done.output
    assert not (here / "run").exists()
    for method, calls in [("min_ppl", 16), ("mutual_predictability", 16), ("majority", 0), ("placebo", 4)]:
        counted = catagent("train", "run.yaml", "--dry-run", f"method={method}")
        assert f"{calls} calls" in counted.output, counted.output


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["lerning_rate=1"], "did you mean 'learning_rate'"),
        (["method=synthesiss"], "did you mean 'synthesis'"),
        (["method=majority", "kind=open"], "is for verifiable tasks"),
        (["data=nowhere.jsonl"], "there is no file nowhere.jsonl"),
        (["prompts_per_step=9"], "has 8 prompts and a step takes 9"),
        (["per_device_train_batch_size=3"], "do not divide"),
        (["preset=paper"], "there is no preset 'paper'"),
        (["model="], "does not say model"),
        (["keep=all"], "keep is adapter, merged or both"),
        (["lora.rank=4"], "there is no training option 'rank'"),
        (["judge_patience=5000"], "half of ddp_timeout"),
        (["load_in_4bit=true", "keep=merged"], "cannot be merged into weights of 4 bits"),
        (["lora.init=pissa"], "rewrites the base weights"),
        (["model=nowhere/at-all-"], "cannot be loaded"),
        (["backend=unsloth"], "Unsloth cannot be used"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    here: Path, changes: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = catagent("train", "run.yaml", *changes)
    assert done.exit_code == 1
    assert "error:" in done.output
    assert said in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_the_file_itself_may_be_wrong(here: Path) -> None:
    def said(name: str) -> str:
        done = catagent("train", name)
        assert done.exit_code == 1
        return " ".join(done.output.split())

    (here / "list.yaml").write_text("- a\n")
    (here / "torn.yaml").write_text("a: [1\n")
    (here / "day.yaml").write_text("output: 2026-02-31\n")
    assert "list.yaml must hold settings: write `model: …`" in said("list.yaml")
    assert "torn.yaml is not YAML at line 2" in said("torn.yaml")
    assert "day.yaml holds a value that is none" in said("day.yaml")
    assert "cannot read nothing.yaml: No such file" in said("nothing.yaml")
    assert catagent("train").exit_code == 2


def test_presets_are_settings_that_hold() -> None:
    from catagent.training import PRESETS, CaTConfig

    done = catagent("train", "--presets")
    assert done.exit_code == 0
    for name, settings in PRESETS.items():
        assert f"# preset: {name}" in done.output
        assert CaTConfig(**settings).max_steps == settings["max_steps"]


@pytest.mark.timeout(300)
def test_ctrl_c_keeps_the_step_and_the_run_goes_on(here: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    write(here, max_steps=200, save_every=1000, method="random", held_out=None)
    command = [sys.executable, "-m", "catagent", "train", "run.yaml"]
    with subprocess.Popen(
        command, cwd=here, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("step 2/"):
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=200)
    assert process.returncode == 130, err
    assert "go on with: catagent train run.yaml --resume" in err
    (checkpoint,) = (here / "run").glob("checkpoint-*")
    step = int(checkpoint.name.removeprefix("checkpoint-"))
    assert 2 <= step < 200
    write(here, max_steps=step + 1, save_every=1000, method="random", held_out=None)
    again = catagent("train", "run.yaml", "--resume")
    assert again.exit_code == 0, again.output
    assert json.loads((here / "run" / "summary.json").read_text())["steps"] == step + 1


def test_a_missing_extra_gives_the_command_that_installs_it(here: Path) -> None:
    """In a process where TRL cannot be imported."""
    code = (
        "import sys; sys.modules['trl'] = None\n"
        "from catagent.cli.main import app\n"
        "app(['train', 'run.yaml'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "pip install 'catagent[train]'" in " ".join(done.stderr.split())


def test_importing_catagent_loads_no_torch() -> None:
    code = (
        "import sys, catagent, catagent.training, catagent.cli.main, catagent.cli.commands.train\n"
        "catagent.training.CaTConfig(kind='verifiable', num_generations=8)\n"
        "heavy = {'torch', 'trl', 'transformers', 'peft', 'datasets', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)


def test_sft_on_what_batch_wrote(here: Path) -> None:
    from transformers import AutoModelForCausalLM

    pairs = [
        {
            "id": a,
            "prompt": [{"role": "user", "content": tiny.question(a)}],
            "completion": [{"role": "assistant", "content": f"\\boxed{{{a + 3}}}"}],
            "agreement": a / 8,
        }
        for a in range(8)
    ]
    (here / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    done = catagent(
        "sft", "pairs.jsonl", "-m", str(here / "model"), "-o", "tuned", "--batch-size", "4", "--epochs", "4",
        "--learning-rate", "1e-2", "--least-agreement", "0.25", "--keep", "merged", "--rank", "8",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (here / "tuned" / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in lines if "loss" in row]
    assert len(losses) == 8, "six pairs, four at a time, four times"
    assert losses[-1] < losses[0]
    tuned = AutoModelForCausalLM.from_pretrained(here / "tuned" / "model" / "merged")
    assert not torch.allclose(logits(tuned), logits(AutoModelForCausalLM.from_pretrained(here / "model")))
    again = catagent("sft", "pairs.jsonl", "-m", str(here / "model"), "-o", "tuned")
    assert again.exit_code == 1
    assert "holds a run already" in again.output


def test_pairs_that_are_none_are_refused(here: Path) -> None:
    for text, said in (
        ('{"prompt": "a"}\n', "line 1 is no pair"),
        ("nonsense\n", "line 1 is not JSON"),
        ('{"prompt": "a", "completion": [{"role": "assistant", "content": "b"}]}\n', "both texts"),
        ('{"prompt": "a", "completion": "b", "agreement": 0.1}\n', "has no pairs"),
    ):
        (here / "bad.jsonl").write_text(text)
        done = catagent("sft", "bad.jsonl", "-m", "model", "-o", "x", "--least-agreement", "0.5")
        assert done.exit_code == 1
        assert said in " ".join(done.output.split())
    assert "there is no file" in catagent("sft", "none.jsonl", "-m", "model", "-o", "x").output
