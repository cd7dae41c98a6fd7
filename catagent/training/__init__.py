"""CaT-RL and CaT-SFT: train a model on references made from its own rollouts (paper, sections 1 and 3).

    from catagent.training import CaTConfig, CaTTrainer

    trainer = CaTTrainer(
        model="Qwen/Qwen3-4B-Instruct-2507",
        train_dataset="prompts.jsonl",
        args=CaTConfig(kind="verifiable", num_generations=8),
    )
    trainer.train()

The rewards come from the same agents as those of `CaT.score`; the frozen anchor is the policy with its
adapter switched off. Importing this package loads neither torch nor TRL: they are imported when a trainer is
made, Unsloth before them where it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import CaTConfig
    from .datasets import Prompts, read_prompts
    from .failures import TrainingStopped
    from .loading import load_model
    from .methods import METHODS, Method, method_names, method_of, register_method
    from .presets import PRESETS
    from .trainer import CaTTrainer, make_cat_trainer

__all__ = [
    "METHODS",
    "PRESETS",
    "CaTConfig",
    "CaTTrainer",
    "Method",
    "Prompts",
    "TrainingStopped",
    "load_model",
    "make_cat_trainer",
    "method_names",
    "method_of",
    "read_prompts",
    "register_method",
]

_HOMES = {
    "METHODS": "methods",
    "PRESETS": "presets",
    "CaTConfig": "config",
    "CaTTrainer": "trainer",
    "Method": "methods",
    "Prompts": "datasets",
    "TrainingStopped": "failures",
    "load_model": "loading",
    "make_cat_trainer": "trainer",
    "method_names": "methods",
    "method_of": "methods",
    "read_prompts": "datasets",
    "register_method": "methods",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
