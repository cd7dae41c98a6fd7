"""A training run as a file: what is trained on what, where it goes, and everything in its folder.

The folder holds the settings, the environment, `metrics.jsonl`, completions, checkpoints, the journal of
rewards, and at the end plots, the model and its card. A run that stopped goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast, get_args

import yaml

from catagent.errors import ConfigError
from catagent.settings import read_settings
from catagent.training.config import CaTConfig
from catagent.training.presets import PRESETS

__all__ = ["Keep", "Run", "read_run"]

Keep: TypeAlias = Literal["adapter", "merged", "both"]
_OWN = ("preset", "model", "data", "held_out", "output", "keep", "limit", "callbacks")
_FREE = frozenset(
    {
        "max_steps", "eval_every", "save_every", "keep_checkpoints", "log_every", "log_completions",
        "report_to", "judge_patience", "longest_wait", "ddp_timeout", "providers", "stop_entropy",
        "stop_diversity", "stop_patience", "anchor_batch", "use_cpu", "gradient_checkpointing",
    }
)  # fmt: skip
"""What may be another when a run goes on: nothing of it changes what is learnt from."""


@dataclass(frozen=True)
class Run:
    """One run. `model`, `data` and `held_out` are names and files, `output` its folder."""

    model: str
    data: Path
    output: Path
    config: CaTConfig = field(default_factory=CaTConfig)
    held_out: Path | None = None
    keep: Keep = "adapter"
    limit: int | None = None

    def settings(self) -> dict[str, Any]:
        """Everything, as plain data that `read_run` takes."""
        own = {
            "model": self.model,
            "data": str(self.data),
            "held_out": str(self.held_out) if self.held_out else None,
            "output": str(self.output),
            "keep": self.keep,
            "limit": self.limit,
        }
        return {**own, **self.config.model_dump(mode="json")}

    @property
    def settings_path(self) -> Path:
        """Where the settings of the run are kept."""
        return self.output / "settings.yaml"

    def begin(self, *, resume: bool) -> Path | None:
        """Make the folder, or find the checkpoint to go on from.

        Raises `ConfigError` when there is a run that is not to be gone on with, none to go on with, or one
        with other settings.
        """
        before = self._before()
        if before is None:
            if resume:
                raise ConfigError(
                    f"{self.output} holds no run to go on with; leave out --resume to start one"
                )
            self._write()
            return None
        if not resume:
            raise ConfigError(
                f"{self.output} holds a run already: go on with it by --resume, or name another output"
            )
        mine = self.settings()
        other = [
            k for k in sorted({*before, *mine} - _FREE) if before.get(k) != mine.get(k) and k != "output"
        ]
        if other:
            raise ConfigError(
                f"the run in {self.output} was begun with another {', '.join(other)}: set it back "
                f"({other[0]}={before.get(other[0])!r}), or name another output"
            )
        self._write()
        return last_checkpoint(self.output)

    def _before(self) -> dict[str, Any] | None:
        if not self.settings_path.is_file():
            return None
        return read_settings(self.settings_path, "the settings of the run") or None

    def _write(self) -> None:
        try:
            self.output.mkdir(parents=True, exist_ok=True)
            self.settings_path.write_text(yaml.safe_dump(self.settings(), sort_keys=False), encoding="utf-8")
            path = self.output / "environment.json"
            path.write_text(json.dumps(environment(), indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{self.output} cannot be written: {error.strerror}") from None


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that was written to its end."""
    found = [
        (int(number), path)
        for path in folder.glob("checkpoint-*")
        if (number := path.name.removeprefix("checkpoint-")).isdigit()
        and (path / "trainer_state.json").is_file()
    ]
    return max(found)[1] if found else None


def read_run(path: Path | None, changes: Sequence[str] = ()) -> Run:
    """The run that a YAML file describes, with `key=value` changes over it; keys may be dotted.

    A `preset` is what the rest is laid on. Raises `ConfigError` that names the file and the key.
    """
    settings: dict[str, Any] = {}
    if path is not None:
        settings = read_settings(path, "settings: write `model: …`, `data: …`, `output: …`")
    for change in changes:
        _set(settings, change)
    preset = settings.pop("preset", None)
    if preset is not None:
        if preset not in PRESETS:
            raise ConfigError(f"there is no preset {preset!r}; there are {', '.join(PRESETS)}")
        settings = _laid_over(PRESETS[preset], settings)
    named = str(path) if path else "the run"
    for needed in ("model", "data", "output"):
        if not settings.get(needed):
            raise ConfigError(
                f"{named} does not say {needed}: write `{needed}: …`, or {needed}=… after the file"
            )
    keep = settings.get("keep") or "adapter"
    if keep not in get_args(Keep):
        raise ConfigError(f"keep is adapter, merged or both, not {keep!r}")
    limit = settings.get("limit")
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise ConfigError(f"limit is a number of rows, not {limit!r}")
    held_out = settings.get("held_out")
    return Run(
        model=str(settings["model"]),
        data=Path(str(settings["data"])),
        output=Path(str(settings["output"])),
        held_out=Path(str(held_out)) if held_out else None,
        keep=cast("Keep", keep),
        limit=limit,
        config=CaTConfig(**{k: v for k, v in settings.items() if k not in _OWN}),
    )


def _set(settings: dict[str, Any], change: str) -> None:
    """`lora.r=8` into nested mappings; the value is read as YAML."""
    name, equals, text = change.partition("=")
    if not equals or not name.strip():
        raise ConfigError(f"{change!r} is no setting: write key=value, for example lora.r=8")
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError):
        value = text
    *path, last = name.strip().split(".")
    here = settings
    for step in path:
        inner = here.get(step)
        here[step] = dict(inner) if isinstance(inner, Mapping) else {}
        here = here[step]
    here[last] = value


def _laid_over(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        mine = merged.get(key)
        both = isinstance(mine, Mapping) and isinstance(value, Mapping)
        merged[key] = _laid_over(mine, value) if both else value  # type: ignore[arg-type]
    return merged


def environment(version_of: Callable[[str], str] | None = None) -> dict[str, Any]:
    """What the run runs on: versions of the packages that bear on results, and the machine."""
    look_up = version_of or version
    packages = {}
    for name in ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "unsloth", "vllm"):
        try:
            packages[name] = look_up(name)
        except PackageNotFoundError:
            continue
    return {
        "catagent": look_up("catagent"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages,
        "begun": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
