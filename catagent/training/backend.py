"""Which training stack is used: Unsloth where a GPU and the package are there, else plain TRL and PEFT.

Unsloth replaces classes of TRL, transformers and PEFT when it is imported and has to come before them. So
nothing here is imported at module level, and nobody keeps a class of TRL from before.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import warnings
from types import ModuleType
from typing import Any, Literal, TypeAlias

from catagent.errors import ConfigError

__all__ = ["Backend", "choose_backend", "grpo_trainer", "needed", "trl"]

Backend: TypeAlias = Literal["plain", "unsloth"]
_LATE = ("trl", "transformers", "peft")


def needed(name: str, extra: str = "train") -> ModuleType:
    """An optional package. Raises `ConfigError` with the command that installs it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        raise ConfigError(
            f"training needs the package {missing!r}, which is not installed: pip install 'catagent[{extra}]'"
        ) from None


def choose_backend(asked: Literal["auto", "plain", "unsloth"] = "auto") -> Backend:
    """The backend to use; Unsloth is imported by this, so call it before TRL is imported.

    `auto` takes Unsloth when CUDA and the package are there and it can be imported, and says why if not.
    Raises `ConfigError` when Unsloth is asked for and cannot be had.
    """
    if asked == "plain":
        return "plain"
    torch = needed("torch")
    there = importlib.util.find_spec("unsloth") is not None
    if not there or not torch.cuda.is_available():
        if asked == "unsloth":
            why = "it is not installed" if not there else "there is no CUDA device"
            raise ConfigError(
                f"Unsloth cannot be used: {why}; pip install 'catagent[unsloth]' on a machine with a GPU, "
                "or set backend: plain"
            )
        return "plain"
    if "unsloth" not in sys.modules and (early := [name for name in _LATE if name in sys.modules]):
        said = f"{', '.join(early)} was imported before Unsloth, whose patches then come too late"
        if asked == "unsloth":
            raise ConfigError(f"{said}: import catagent.training first, or set backend: plain")
        warnings.warn(f"{said}; training with plain TRL", stacklevel=2)
        return "plain"
    os.environ.setdefault("UNSLOTH_DISABLE_STATISTICS", "1")
    try:
        importlib.import_module("unsloth")
    except (ImportError, RuntimeError, NotImplementedError, OSError) as error:
        if asked == "unsloth":
            raise ConfigError(f"Unsloth cannot be imported: {error}; set backend: plain") from None
        warnings.warn(f"Unsloth cannot be imported ({error}); training with plain TRL", stacklevel=2)
        return "plain"
    return "unsloth"


def trl() -> Any:
    """TRL, with the classes that it has at this moment."""
    return needed("trl")


def grpo_trainer() -> type:
    """Whatever `trl.GRPOTrainer` is at this moment: TRL's own, or the one Unsloth generated."""
    found: type = trl().GRPOTrainer
    return found
