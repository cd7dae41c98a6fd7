"""From a `CaTConfig` to `trl.GRPOConfig`: everything by name, and a check that it arrived.

Unsloth's generated class has other defaults (learning rate 5e-5, 8-bit AdamW, …) and changes some values
silently, so nothing that bears on learning is left to a default.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from catagent.errors import ConfigError
from catagent.training.backend import needed, trl
from catagent.training.config import CaTConfig

__all__ = ["grpo_config"]

_GIVEN: Mapping[str, Any] = {
    "remove_unused_columns": False,
    "disable_dropout": False,
    "auto_find_batch_size": False,
    "min_p": None,
    "repetition_penalty": 1.0,
    "generation_kwargs": None,
    "shuffle_dataset": True,
    "delta": None,
    "reward_weights": None,
    "importance_sampling_level": "token",
    "multi_objective_aggregation": "sum_then_normalize",
    "sync_ref_model": False,
    "top_entropy_quantile": 1.0,
    "use_bias_correction_kl": False,
    "logging_strategy": "steps",
    "logging_first_step": True,
    "save_strategy": "steps",
    "num_completions_to_print": 0,
}
"""What no option of a run sets: passed by name too, and `trl` in the settings may say otherwise."""


def grpo_config(config: CaTConfig, output: Path, *, evaluate: bool) -> Any:
    """The `GRPOConfig` of a run whose checkpoints go to `output`.

    Raises `ConfigError` when TRL does not know a field, or has another value than it was given.
    """
    torch = needed("torch")
    cpu = config.use_cpu if config.use_cpu is not None else not _accelerator(torch)
    if cpu and getattr(needed("trl.trainer.utils"), "_ChunkedLogProbFunction", object) is None and _old():
        raise ConfigError(
            f"TRL {trl().__version__} trains on a CPU only with Triton: pip install 'trl>=1.16', or triton "
            "and TRITON_INTERPRET=1 in the environment"
        )
    half = not cpu and config.dtype in ("auto", "bfloat16") and _bfloat16(torch)
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    generations_eval = config.eval_generations or config.num_generations
    asked: dict[str, Any] = {
        "output_dir": str(output),
        "use_cpu": cpu,
        "bf16": half,
        "fp16": not cpu and config.dtype == "float16",
        "seed": config.seed,
        "data_seed": config.seed,
        "max_steps": config.max_steps,
        "per_device_train_batch_size": config.per_device_train_batch_size,
        "gradient_accumulation_steps": config.accumulation(processes),
        "per_device_eval_batch_size": _eval_batch(config, generations_eval),
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.lr_scheduler_type,
        "warmup_steps": config.warmup_steps,
        "optim": config.optim,
        "weight_decay": config.weight_decay,
        "max_grad_norm": config.max_grad_norm,
        "adam_beta1": config.adam_beta1,
        "adam_beta2": config.adam_beta2,
        "adam_epsilon": config.adam_epsilon,
        "gradient_checkpointing": config.gradient_checkpointing,
        "ddp_timeout": config.ddp_timeout,
        # Rollouts.
        "num_generations": config.num_generations,
        "num_generations_eval": generations_eval,
        "max_completion_length": config.max_completion_length,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "top_k": config.top_k,
        "chat_template_kwargs": config.chat_template_kwargs or None,
        "use_vllm": config.use_vllm,
        # The objective.
        "beta": config.beta,
        "num_iterations": config.num_iterations,
        "epsilon": config.epsilon,
        "epsilon_high": config.epsilon_high,
        "loss_type": config.loss_type,
        "scale_rewards": config.scale_rewards,
        "mask_truncated_completions": config.mask_truncated_completions,
        # Watching.
        "logging_steps": config.log_every,
        "save_steps": config.save_every,
        "save_total_limit": config.keep_checkpoints,
        "eval_strategy": "steps" if evaluate and config.eval_every else "no",
        "eval_steps": config.eval_every,
        "log_completions": config.log_completions,
        "report_to": list(config.report_to) or "none",
    }
    if clash := sorted(set(asked) & set(config.trl)):
        raise ConfigError(f"trl.{clash[0]} is set by catagent: use the option of the run instead")
    asked = {**_GIVEN, **asked, **config.trl}
    built_class = trl().GRPOConfig
    known = {field.name for field in fields(built_class)}
    if strange := sorted(set(config.trl) - known):
        raise ConfigError(f"trl.{strange[0]} is no field of this TRL's GRPOConfig")
    try:
        built = built_class(**{name: value for name, value in asked.items() if name in known})
    except ValueError as error:
        raise ConfigError(f"TRL refuses these settings: {error}") from None
    _arrived(asked, built, known)
    return built


def _eval_batch(config: CaTConfig, generations: int) -> int:
    """Whole groups in each batch of evaluation, about as many samples as in one of training."""
    return generations * max(1, config.per_device_train_batch_size // generations)


def _arrived(asked: Mapping[str, Any], built: Any, known: set[str]) -> None:
    """Raise `ConfigError` for a value that is another than was asked for."""
    for name in sorted(set(asked) & known):
        wanted, has = _plain(asked[name]), _plain(getattr(built, name))
        if name == "report_to":
            wanted, has = sorted(_listed(wanted)), sorted(_listed(has))
        if name == "optim" and {wanted, has} == {"adamw_torch", "adamw_torch_fused"}:
            continue  # one algorithm: Unsloth takes its fused kernel
        if wanted is not None and wanted != has:
            raise ConfigError(
                f"{name} was set to {wanted!r} and {type(built).__name__} made it {has!r}: "
                "ask for a value that this backend takes, or set backend: plain"
            )


def _listed(value: Any) -> list[str]:
    return (
        []
        if value in (None, "none", [], ["none"])
        else list(value)
        if not isinstance(value, str)
        else [value]
    )


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


def _old() -> bool:
    """Whether this TRL has no other way than Triton to compute log-probabilities."""
    major, minor = (int(part) for part in trl().__version__.split(".")[:2])
    return (major, minor) < (1, 16)


def _accelerator(torch: Any) -> bool:
    return bool(torch.cuda.is_available() or torch.backends.mps.is_available())


def _bfloat16(torch: Any) -> bool:
    return bool(not torch.cuda.is_available() or torch.cuda.is_bf16_supported())
