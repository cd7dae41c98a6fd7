"""One case, in a process of its own. The last line on standard output is its result as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import fmean
from typing import Any


def main() -> None:
    asked = json.loads(sys.argv[1])
    from catagent.training import CaTConfig, CaTTrainer
    from catagent.training.backend import choose_backend

    case, cpu = asked["case"], asked["cpu_smoke"]
    choose_backend(case["backend"])  # Unsloth comes before torch's friends
    import torch

    folder = Path(asked["folder"])
    kind = case["kind"]
    steps = {"anchor": 2, "timing": asked["steps"], "training": asked["training_steps"]}[kind]
    config: dict[str, Any] = {
        "method": case["method"] if kind != "anchor" else "format",
        "backend": case["backend"],
        "kind": "verifiable",
        "num_generations": 8,
        "prompts_per_step": asked["prompts_per_step"],
        "per_device_train_batch_size": asked["device_batch"],
        "max_completion_length": asked["tokens"],
        "learning_rate": asked["learning_rate"] if kind != "anchor" else 1e-3,
        "max_steps": steps,
        "gradient_checkpointing": not cpu,
        "save_every": 10 if kind == "training" else 1_000_000,
        "log_completions": kind == "training",
        "trl": {"disable_tqdm": True},
    }
    model: Any = asked["model"]
    more: dict[str, Any] = {"train_dataset": asked["data"], "eval_dataset": asked["held_out"]}
    if cpu:
        from tests.training import tiny

        kept = {name: config[name] for name in ("method", "learning_rate", "num_generations")}
        config |= {**tiny.SETTINGS, "max_steps": min(steps, 4), "per_device_train_batch_size": 8, **kept}
        model = tiny.model(weights=tiny.taught(30))
        more = {
            "train_dataset": tiny.rows(),
            "eval_dataset": tiny.rows(4),
            "processing_class": tiny.tokenizer(),
        }
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    trainer = CaTTrainer(model=model, args=CaTConfig(**config), output_dir=folder, **more)
    deadline = time.monotonic() + asked["seconds"] - (0 if cpu else 45)
    trainer.add_callback(_clock(deadline))
    checkpoint = _last(folder) if kind == "training" else None
    if kind != "training":
        (folder / "metrics.jsonl").unlink(missing_ok=True)
    before = _before(trainer, folder) if kind == "training" else None
    trainer.train(resume_from_checkpoint=checkpoint)
    result = {
        "done": trainer.state.global_step >= trainer.args.max_steps,
        "case": case,
        "steps": trainer.state.global_step,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None,
        "packages": _packages(),
        **_figures(folder, trainer),
    }
    if kind == "anchor":
        result |= {"settled": trainer.cat_check.settled, "distance": trainer.cat_check.distance}
        if not trainer.cat_check.settled:
            trainer.cat_check(trainer.state.global_step)
            result |= {"settled": trainer.cat_check.settled, "distance": trainer.cat_check.distance}
    if kind == "training":
        trainer.model.eval()
        after = trainer.evaluate()
        result |= {"before": before, "after": after.get("eval_cat/pass_at_1")}
    trainer.close()
    print(json.dumps(result))


def _clock(deadline: float) -> Any:
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        """Ends a call in time, with a checkpoint."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if time.monotonic() > deadline:
                control.should_training_stop = control.should_save = True

    return Clock()


def _last(folder: Path) -> str | None:
    from catagent.training.runs import last_checkpoint

    found = last_checkpoint(folder)
    return str(found) if found else None


def _before(trainer: Any, folder: Path) -> float | None:
    path = folder / "before.json"
    if path.is_file():
        return float(json.loads(path.read_text()))
    trainer.model.eval()
    found = trainer.evaluate().get("eval_cat/pass_at_1")
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found))
    return None if found is None else float(found)


def _figures(folder: Path, trainer: Any) -> dict[str, Any]:
    """Means over the steps but the first, which compiles and warms up."""
    from catagent.training.plots import read_metrics

    rows = [row for row in read_metrics(folder / "metrics.jsonl") if isinstance(row.get("step_time"), float)][
        1:
    ]
    if not rows:
        return {}
    samples = trainer.cat_config.prompts_per_step * trainer.cat_config.num_generations
    seconds = fmean(row["step_time"] for row in rows)
    tokens = fmean(row["completions/mean_length"] for row in rows) * samples
    return {
        "step_seconds": seconds,
        "rollout_tokens_a_second": tokens / seconds,
        "rewards_seconds": fmean(row.get("cat/seconds_rewards", 0.0) for row in rows),
        "anchor_seconds": fmean(row.get("cat/seconds_anchor", 0.0) for row in rows),
        "anchor_tokens": fmean(row.get("cat/anchor_tokens", 0.0) for row in rows),
        "rollout_tokens": tokens,
        "label_accuracy": _mean(rows, "cat/label_accuracy"),
        "pass_at_1": _mean(rows, "cat/pass_at_1"),
    }


def _mean(rows: list[dict[str, Any]], key: str) -> float | None:
    known = [row[key] for row in rows if isinstance(row.get(key), float)]
    return fmean(known) if known else None


def _packages() -> dict[str, str]:
    from catagent.training.runs import environment

    return dict(environment()["packages"])


if __name__ == "__main__":
    main()
