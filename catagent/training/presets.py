"""Settings to start from: the paper's two, and one that shows the machinery on a CPU.

What the paper does not say is not invented: it is catagent's default, and `docs/training.md` names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["PRESETS"]

_PAPER: Mapping[str, Any] = {
    "method": "cat",
    "num_generations": 8,
    "prompts_per_step": 32,
    "max_steps": 1000,
    "learning_rate": 5e-7,
    "lr_scheduler_type": "constant",
    "reward_kl": 1e-3,
    "loss_type": "grpo",
    "lora": None,
    "gradient_checkpointing": True,
    "save_every": 50,
    "eval_every": 50,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "paper-math": {**_PAPER, "kind": "verifiable", "max_completion_length": 1536},
    "paper-healthbench": {
        **_PAPER,
        "kind": "open",
        "max_completion_length": 1024,
        "length_limit": 750,
        "judge": "openai/gpt-4o",
    },
    "lora-math": {
        "method": "cat",
        "kind": "verifiable",
        "num_generations": 8,
        "prompts_per_step": 32,
        "max_steps": 500,
        "learning_rate": 1e-5,
        "max_completion_length": 1536,
        "gradient_checkpointing": True,
        "eval_every": 50,
    },
    "smoke": {
        "method": "cat",
        "kind": "verifiable",
        "num_generations": 4,
        "prompts_per_step": 2,
        "per_device_train_batch_size": 4,
        "max_steps": 4,
        "max_completion_length": 24,
        "learning_rate": 1e-4,
        "save_every": 2,
        "eval_every": 2,
        "use_cpu": True,
    },
}
