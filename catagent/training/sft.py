"""CaT-SFT: fine-tune on (question, reference) pairs (paper, section 1): LoRA of rank 32, learning rate 5e-5,
cosine with warm-up, batches of 32.

The pairs are what `catagent batch --mode sft` writes. The loss is over the reference alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from catagent.errors import ConfigError
from catagent.training.backend import choose_backend, needed, trl
from catagent.training.config import CaTConfig, LoraOptions
from catagent.training.loading import load_policy
from catagent.training.runs import Keep, environment, last_checkpoint
from catagent.training.saving import check_keep, save_trained

__all__ = ["SftRun", "read_pairs", "train_sft"]


@dataclass(frozen=True, slots=True)
class SftRun:
    """One fine-tuning. `least_agreement` leaves out pairs whose reference fewer rollouts agree with."""

    model: str
    data: Path
    output: Path
    epochs: float = 1.0
    learning_rate: float = 5e-5
    batch_size: int = 32
    device_batch: int = 4
    rank: int | None = 32
    warmup: float = 0.03
    max_length: int = 4096
    least_agreement: float | None = None
    keep: Keep = "adapter"
    seed: int = 0
    save_every: int = 100
    use_cpu: bool | None = None
    backend: Any = "auto"


def read_pairs(path: Path, least_agreement: float | None = None) -> list[dict[str, Any]]:
    """The pairs of a file, as TRL takes them: `prompt` and `completion`, texts or messages.

    Raises `ConfigError` with the line that is not one.
    """
    if not path.is_file():
        raise ConfigError(
            f"there is no file {path}: write one with `catagent batch … --mode sft -o {path.name}`"
        )
    pairs = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                raise ConfigError(f"{path}, line {number} is not JSON: {error}") from None
            if not isinstance(row, Mapping) or not row.get("prompt") or not row.get("completion"):
                raise ConfigError(f"{path}, line {number} is no pair of `prompt` and `completion`")
            agreement = row.get("agreement")
            if least_agreement is not None and agreement is not None and agreement < least_agreement:
                continue
            prompt, completion = row["prompt"], row["completion"]
            if isinstance(prompt, str) != isinstance(completion, str):
                raise ConfigError(
                    f"{path}, line {number}: prompt and completion are both texts or both messages"
                )
            pairs.append({"prompt": prompt, "completion": completion})
    if not pairs:
        raise ConfigError(f"{path} has no pairs to train on")
    return pairs


def train_sft(
    run: SftRun, *, resume: bool = False, hear: Callable[[Mapping[str, Any]], None] | None = None
) -> tuple[Path, ...]:
    """Fine-tune; returns the folders of the model. Raises `ConfigError`."""
    pairs = read_pairs(run.data, run.least_agreement)
    check_keep(run.keep, adapted=run.rank is not None, quantised=False)
    checkpoint = last_checkpoint(run.output)
    if checkpoint is not None and not resume:
        raise ConfigError(
            f"{run.output} holds a run already: go on with it by --resume, or name another output"
        )
    if checkpoint is None and resume:
        raise ConfigError(f"{run.output} holds no run to go on with; leave out --resume to start one")
    device = min(run.device_batch, run.batch_size)
    if run.batch_size % device:
        raise ConfigError(f"a batch of {run.batch_size} is not a multiple of {device} samples at once")
    backend = choose_backend(run.backend)
    config = CaTConfig(
        lora=LoraOptions(r=run.rank) if run.rank else None,
        use_cpu=run.use_cpu,
        seed=run.seed,
        backend=run.backend,
    )
    policy = load_policy(run.model, None, config, backend)
    torch = needed("torch")
    cpu = run.use_cpu if run.use_cpu is not None else not torch.cuda.is_available()
    steps = -(-len(pairs) // run.batch_size)
    args = trl().SFTConfig(
        output_dir=str(run.output),
        num_train_epochs=run.epochs,
        learning_rate=run.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=round(run.warmup * steps * run.epochs),
        per_device_train_batch_size=device,
        gradient_accumulation_steps=run.batch_size // device,
        optim="adamw_torch",
        weight_decay=0.0,
        max_grad_norm=1.0,
        max_length=run.max_length,
        completion_only_loss=True,
        packing=False,
        seed=run.seed,
        use_cpu=cpu,
        bf16=not cpu,
        gradient_checkpointing=not cpu,
        logging_steps=1,
        save_steps=run.save_every,
        save_total_limit=2,
        report_to="none",
        disable_tqdm=True,
    )
    trainer = trl().SFTTrainer(
        model=policy.model,
        args=args,
        train_dataset=needed("datasets").Dataset.from_list(pairs),
        processing_class=policy.tokenizer,
        peft_config=policy.peft_config if backend == "plain" else None,
    )
    transformers = needed("transformers")
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.add_callback(_listener(run.output / "metrics.jsonl", hear))
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if not trainer.accelerator.is_main_process:
        return ()
    (run.output / "environment.json").write_text(json.dumps(environment(), indent=2) + "\n", encoding="utf-8")
    plain = trainer.accelerator.unwrap_model(trainer.model)
    return tuple(save_trained(plain, policy.tokenizer, run.output / "model", run.keep))


def _listener(path: Path, hear: Callable[[Mapping[str, Any]], None] | None) -> Any:
    base = needed("transformers").TrainerCallback

    class Listener(base):  # type: ignore[misc, valid-type]
        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if not state.is_world_process_zero or not logs:
                return
            line = {"step": state.global_step, "of": state.max_steps, **logs}
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({k: v for k, v in line.items() if k != "of"}) + "\n")
            if hear:
                hear(line)

    return Listener()
