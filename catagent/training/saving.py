"""The trained model on disk, as `transformers` and vLLM load it: the adapter, or the merged model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from catagent.errors import ConfigError
from catagent.training.runs import Keep

__all__ = ["check_keep", "save_trained"]


def check_keep(keep: Keep, *, adapted: bool, quantised: bool) -> None:
    """Raise `ConfigError` for a form that the model cannot have, before it is trained."""
    if quantised and keep != "adapter":
        raise ConfigError(
            "an adapter cannot be merged into weights of 4 bits: set keep: adapter, and merge it into the "
            "full model later"
        )
    if not adapted and keep == "both":
        raise ConfigError("without an adapter there is one model to keep: set keep: merged")


def save_trained(model: Any, tokenizer: Any, folder: Path, keep: Keep) -> list[Path]:
    """Write the model; returns the folders. Merging changes `model`, so it comes last.

    `folder/adapter` goes with the base model (`PeftModel.from_pretrained`, vLLM's `--enable-lora`),
    `folder/merged` stands alone.
    """
    adapted = getattr(model, "peft_config", None) is not None
    written = []
    if adapted and keep in ("adapter", "both"):
        written.append(folder / "adapter")
        model.save_pretrained(written[-1], selected_adapters=["default"])
        tokenizer.save_pretrained(written[-1])
    if keep in ("merged", "both") or not adapted:
        merged = model.merge_and_unload(adapter_names=["default"]) if adapted else model
        written.append(folder / "merged")
        merged.save_pretrained(written[-1])
        tokenizer.save_pretrained(written[-1])
    return written
