"""Training runs, one JSON file each; what is there is not run again.

    python -m benchmarks.training_cpu.run choose        # the grid on the validation split
    python -m benchmarks.training_cpu.run final         # all methods and seeds, then the test split
    python -m benchmarks.training_cpu.run final --task past --seeds 3 --methods cat,majority

Several processes may run at once: each takes the next run that nobody has. A run that was broken off begins
anew. `settings.yaml` holds what was chosen.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # spinning threads starve on a busy machine

import torch
import yaml
from filelock import FileLock, Timeout
from transformers import TrainerCallback

from benchmarks.training_cpu.exact import right_lines
from benchmarks.training_cpu.lines import ESTIMATORS
from benchmarks.training_cpu.tasks import TASKS, Question, Task
from catagent.training import CaTConfig, CaTTrainer, load_model

MODEL = "embedded/smollm2-135m"
HERE = Path(__file__).parent
RUNS = HERE / "runs"
WORK = Path(tempfile.gettempdir()) / "catagent-training-cpu"
METHODS = ("cat", "majority", "placebo", "random", "gold")
LAYERS = {
    "upper": r".*\.layers\.2\d\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)",
    "all": r".*\.layers\.\d+\.(self_attn\.[qkvo]_proj|mlp\.(gate|up|down)_proj)",
}
SYNTHESES = dict(zip(("cat", "placebo", "placebo_none"), ESTIMATORS, strict=True))
KEPT = ("label_accuracy", "reward_accuracy", "pass_at_1", "pass_at_g", "agreement", "differs_from_majority",
        "right_when_it_differs", "zero_variance", "unknown_rewards", "distinct_answers")  # fmt: skip


def settings_of(task: str) -> dict[str, Any]:
    """What was chosen for a task."""
    given: dict[str, Any] = yaml.safe_load((HERE / "settings.yaml").read_text())
    return {**given["both"], **given[task]}


def measured(model: Any, tokenizer: Any, task: Task, asked: tuple[Question, ...]) -> dict[str, list[float]]:
    """Accuracy on each question: the probability of the right line, and whether it is the likeliest."""
    lines = right_lines(model, tokenizer, [task.prompt(q.text) for q in asked], [q.answer for q in asked])
    return {"p": [round(line.p[1.0], 5) for line in lines], "greedy": [int(line.greedy) for line in lines]}


def loaded() -> tuple[Any, Any]:
    """The model, whose responses end with their line."""
    model, tokenizer = load_model(MODEL, dtype="float32")
    (line_break,) = tokenizer("\n", add_special_tokens=False)["input_ids"]
    model.generation_config.eos_token_id = [tokenizer.eos_token_id, line_break]
    return model, tokenizer


class Watch(TrainerCallback):  # type: ignore[misc]
    """Measures the policy on the validation split every few steps; never when `every` is 0."""

    def __init__(self, tokenizer: Any, task: Task, every: int) -> None:
        self.tokenizer, self.task, self.every = tokenizer, task, every
        self.curve: dict[int, dict[str, list[float]]] = {}

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **_: Any) -> None:
        if self.every and state.global_step % self.every == 0:
            asked = self.task.splits["validation"]
            self.curve[state.global_step] = measured(model, self.tokenizer, self.task, asked)


def train(name: str, by: str, seed: int, chosen: dict[str, Any], work: Path, *, test: bool) -> dict[str, Any]:
    """One run; the test split is measured once, after the last step, and only when `test`."""
    task = TASKS[name]
    model, tokenizer = loaded()
    shutil.rmtree(work, ignore_errors=True)
    began = time.perf_counter()
    used = by
    if by in SYNTHESES:
        options = f"task={name},form={chosen['form']},temperature={chosen['anchor_temperature']}"
        used = f"{SYNTHESES[by]}:{options}"
    rows = [{"prompt": task.prompt(q.text), "label": q.answer} for q in task.splits["train"]]
    trainer = CaTTrainer(
        model, rows,
        CaTConfig(
            method=used, kind="verifiable", chat=False, instruct=False, stop=("\n",), backend="plain",
            lora={"r": chosen["rank"], "target_modules": LAYERS[chosen["layers"]]},
            num_generations=8, prompts_per_step=chosen["prompts_per_step"],
            per_device_train_batch_size=8 * chosen["prompts_per_step"],
            max_completion_length=task.tokens, max_steps=chosen["steps"], seed=seed,
            learning_rate=chosen["learning_rate"], use_cpu=True, dtype="float32",
            save_every=10_000, keep_checkpoints=1, log_completions=False, trl={"disable_tqdm": True},
        ),
        processing_class=tokenizer, output_dir=work,
    )  # fmt: skip
    watch = Watch(tokenizer, task, chosen["watch"])
    trainer.add_callback(watch)
    try:
        trainer.train()
    finally:
        trainer.close()
    figures = [
        {"step": line["step"], "entropy": line.get("entropy"), "grad_norm": line.get("grad_norm")}
        | {key: line.get(f"cat/{key}") for key in KEPT}
        for line in trainer.state.log_history
        if "reward" in line
    ]
    result = {
        "task": name, "method": by, "seed": seed, "settings": chosen, "validation": watch.curve,
        "figures": figures,
    }  # fmt: skip
    if test:
        result["test"] = measured(trainer.model, tokenizer, task, task.splits["test"])
    return {**result, "seconds": round(time.perf_counter() - began)}


def kept(path: Path, make: Any) -> bool:
    """Make the run of a file unless it is there or under way; whether it was made here."""
    WORK.mkdir(parents=True, exist_ok=True)
    if path.is_file():
        return False
    try:
        with FileLock(WORK / f"{path.stem}.lock", timeout=0):
            if path.is_file():
                return False
            result = make(WORK / path.stem)
            part = path.with_suffix(".part")
            part.write_text(json.dumps(result) + "\n")
            part.replace(path)
    except Timeout:
        return False
    curve = result["validation"]
    said = ", ".join(f"{k}: {sum(v['p']) / len(v['p']):.3f}" for k, v in curve.items())
    print(
        f"{time.strftime('%H:%M:%S')} {path.stem}: validation {said}; {result.get('seconds', 0)} s",
        flush=True,
    )
    return True


def before(name: str, *, test: bool) -> dict[str, Any]:
    """The untrained model."""
    task = TASKS[name]
    model, tokenizer = loaded()
    parts = ("validation", "test") if test else ("validation",)
    made = {part: measured(model, tokenizer, task, task.splits[part]) for part in parts}
    return {"task": name, "method": "before", "seed": 0, **made, "validation": {0: made["validation"]}}


def choose(names: list[str]) -> None:
    """The grid, with a seed that no final run has; the test split is not touched."""
    grid = yaml.safe_load((HERE / "settings.yaml").read_text())["grid"]
    for changed in grid:
        for name in names:
            chosen = settings_of(name) | changed
            tag = "-".join(f"{key}={value}" for key, value in changed.items())
            path = RUNS / f"choose-{name}-{tag}.json"
            kept(path, lambda work, n=name, c=chosen: train(n, "cat", 100, c, work, test=False))


def final(names: list[str], seeds: int, methods: list[str]) -> None:
    """Every method and seed, the seeds in the outer loop, so that what is there is balanced."""
    for name in names:
        kept(RUNS / f"{name}-before.json", lambda _, n=name: before(n, test=True))
    for seed, name, by in itertools.product(range(seeds), names, methods):
        chosen = settings_of(name) | {"watch": 0}
        path = RUNS / f"{name}-{by}-{seed}.json"
        kept(path, lambda work, n=name, b=by, s=seed, c=chosen: train(n, b, s, c, work, test=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("choose", "final"))
    parser.add_argument("--task", choices=list(TASKS), help="one task only")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", default=",".join(METHODS), help="separated by commas")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    RUNS.mkdir(exist_ok=True)
    names = [given.task] if given.task else list(TASKS)
    if given.what == "choose":
        choose(names)
    else:
        final(names, given.seeds, given.methods.split(","))


if __name__ == "__main__":
    main()
