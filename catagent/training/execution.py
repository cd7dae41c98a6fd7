"""Carrying out a `Run`: from its settings to a trained model with its card, in one folder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catagent.errors import ConfigError
from catagent.estimators import plan_of
from catagent.training.cards import model_card
from catagent.training.config import CaTConfig
from catagent.training.datasets import Prompts, read_prompts
from catagent.training.methods import method_of
from catagent.training.plots import plot_run, read_metrics
from catagent.training.runs import Run, environment
from catagent.training.saving import check_keep, save_trained

__all__ = ["Finished", "Plan", "plan", "train"]

_HELD_OUT = {"pass@1": "eval_cat/pass_at_1", "pass@G": "eval_cat/pass_at_g"}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do, known without loading a model."""

    prompts: int
    labelled: int
    held_out: int
    steps: int
    rollouts: int
    anchor_calls: int | None
    """Texts that the anchor writes or scores for references; `None` where the method does not say."""
    judge_calls: int
    passes: float
    """How often each prompt comes up."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of a run. `before` and `after` are held-out figures, where there are labels."""

    output: Path
    steps: int
    models: tuple[Path, ...]
    before: Mapping[str, float] | None
    after: Mapping[str, float] | None
    stopped: str | None
    interrupted: bool = False


def plan(run: Run) -> Plan:
    """Check everything that can be checked cheaply, and count. Raises `ConfigError`."""
    config, data, held_out = run.config, _data(run, run.data), _held_out(run)
    check_keep(run.keep, adapted=config.lora is not None, quantised=config.load_in_4bit)
    method = method_of(config.method)
    if method.control == "gold" and sum(label is not None for label in data.labels) < len(data):
        raise ConfigError(f"the method 'gold' rewards by labels, and {run.data} has prompts without one")
    if len(data) < config.prompts_per_step:
        raise ConfigError(
            f"{run.data} has {len(data)} prompts and a step takes {config.prompts_per_step}: give more, or "
            "lower prompts_per_step"
        )
    if method.donor and len(data) < 2:
        raise ConfigError("the placebo takes rollouts of another question, and there is one question")
    config.accumulation(int(os.environ.get("WORLD_SIZE", "1")))
    groups = config.max_steps * config.prompts_per_step
    cost = plan_of(method.estimator).cost(config.num_generations)
    scored = config.num_generations if method.likelihoods else 0  # a sampler elsewhere tells them for nothing
    judged = groups * config.num_generations if config.settled_kind == "open" else 0
    return Plan(
        prompts=len(data),
        labelled=sum(label is not None for label in data.labels),
        held_out=len(held_out) if held_out else 0,
        steps=config.max_steps,
        rollouts=groups * config.num_generations,
        anchor_calls=0 if method.control else None if cost is None else groups * (cost.calls + scored),
        judge_calls=judged * (1 if method.name == "judge_equivalence" else 5),
        passes=groups / len(data),
    )


def train(
    run: Run, *, resume: bool = False, hear: Callable[[Mapping[str, Any]], None] | None = None
) -> Finished:
    """Train, evaluate before and after, and write everything into the run's folder.

    `hear` is told each line of metrics. Raises `ConfigError` before anything is loaded, and `TrainingStopped`
    with a checkpoint when a model elsewhere does not answer.
    """
    plan(run)
    main = int(os.environ.get("RANK", "0")) == 0
    checkpoint = run.begin(resume=resume) if main else _found(run, resume=resume)
    from catagent.training.trainer import CaTTrainer

    trainer = CaTTrainer(
        model=run.model,
        train_dataset=_data(run, run.data),
        eval_dataset=_held_out(run),
        args=_quiet(run.config),
        output_dir=run.output,
        callbacks=[_listener(hear)] if hear else [],
    )
    _remove_printers(trainer)
    try:
        return _trained(run, trainer, checkpoint, main=main)
    finally:
        trainer.close()


def _trained(run: Run, trainer: Any, checkpoint: Path | None, *, main: bool) -> Finished:
    config = run.config
    labelled = run.held_out is not None and trainer.cat_held_out.labelled
    before = _kept(run.output / "before.json")
    if labelled and before is None and checkpoint is None:
        before = _evaluated(trainer)
        if main:
            (run.output / "before.json").write_text(json.dumps(before) + "\n", encoding="utf-8")
    done = _step_of(checkpoint) >= config.max_steps if checkpoint else False
    if done:
        trainer._load_from_checkpoint(str(checkpoint))  # noqa: SLF001 - transformers has no public name for it
        trainer.state.global_step = _step_of(checkpoint)
    else:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    steps, stopped = int(trainer.state.global_step), trainer.cat_stopped
    if trainer.cat_interrupted:
        return Finished(run.output, steps, (), before, None, stopped, interrupted=True)
    after = _evaluated(trainer) if labelled else None
    usage = trainer.cat_usage.model_dump()
    models: list[Path] = []
    if main:
        plain = trainer.accelerator.unwrap_model(trainer.model)
        models = save_trained(plain, trainer.processing_class, run.output / "model", run.keep)
        plots = plot_run(read_metrics(run.output / "metrics.jsonl"), run.output / "plots")
        summary = {"steps": steps, "before": before, "after": after, "stopped": stopped, "usage": usage}
        (run.output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
        card = model_card(
            run,
            environment(),
            steps=steps,
            before=before,
            after=after,
            stopped=stopped,
            usage=usage.get("roles", {}),
            plots=[path.name for path in plots],
        )
        (run.output / "README.md").write_text(card, encoding="utf-8")
        for folder in models:
            (folder / "README.md").write_text(card.replace("](plots/", "](../../plots/"), encoding="utf-8")
    return Finished(run.output, steps, tuple(models), before, after, stopped)


def _data(run: Run, path: Path) -> Prompts:
    return read_prompts(path, label_field=run.config.label_field, limit=run.limit)


def _held_out(run: Run) -> Prompts | None:
    return read_prompts(run.held_out, label_field=run.config.label_field) if run.held_out else None


def _found(run: Run, *, resume: bool) -> Path | None:
    from catagent.training.runs import last_checkpoint

    return last_checkpoint(run.output) if resume else None


def _step_of(checkpoint: Path | None) -> int:
    return int(checkpoint.name.removeprefix("checkpoint-")) if checkpoint else 0


def _kept(path: Path) -> dict[str, float] | None:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def _evaluated(trainer: Any) -> dict[str, float]:
    """Held-out figures. TRL's own log is left as it is; these are taken from the same evaluation."""
    trainer.model.eval()
    said: dict[str, float] = trainer.evaluate()
    return {name: said[key] for name, key in _HELD_OUT.items() if said.get(key) is not None}


def _quiet(config: CaTConfig) -> CaTConfig:
    """Without bars and printed dictionaries: whoever started the run says what there is to say."""
    return config.changed({"trl": {"disable_tqdm": True, **config.trl}})


def _listener(hear: Callable[[Mapping[str, Any]], None]) -> Any:
    from catagent.training.backend import needed

    base = needed("transformers").TrainerCallback

    class Listener(base):  # type: ignore[misc, valid-type]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if state.is_world_process_zero and logs:
                hear({"step": state.global_step, "of": state.max_steps, **logs})

    return Listener()


def _remove_printers(trainer: Any) -> None:
    from catagent.training.backend import needed

    transformers = needed("transformers")
    for name in ("PrinterCallback", "ProgressCallback"):
        trainer.remove_callback(getattr(transformers, name))
