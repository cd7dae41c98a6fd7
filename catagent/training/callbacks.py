"""What a trainer does between steps: metrics to a file, the moving anchor, stopping for a reason.

Made by a function, since their base class is a class of transformers, which is imported late.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import signal
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from catagent.training.anchors import move_average
from catagent.training.backend import needed

__all__ = ["callbacks_for"]


def callbacks_for(trainer: Any) -> list[Any]:
    """The callbacks of a `CaTTrainer`, in their order; kept in `trainer.cat_callbacks` as well."""
    base = needed("transformers").TrainerCallback
    config = trainer.cat_config

    class RandomState(base):  # type: ignore[misc, valid-type]
        """Remembers the random state from before a step, so that a checkpoint made in the middle of it leads
        to the same rollouts, whose rewards are in the journal.

        The trainer loads it before the data are shuffled where a checkpoint ends an epoch, else after the
        batches are fetched; so does this.
        """

        def __init__(self) -> None:
            self.kept: Any = None
            self._of_epoch: Any = None

        def on_epoch_begin(self, *_: Any, **__: Any) -> None:
            self._of_epoch = _random_state()

        def on_step_begin(self, args: Any, state: Any, *_: Any, train_dataloader: Any, **__: Any) -> None:
            whole = -(-len(train_dataloader) // args.gradient_accumulation_steps)
            first = state.global_step % max(1, whole) == 0
            self.kept = self._of_epoch if first else _random_state()

        def before_checkpoint(self) -> None:
            if self.kept is not None:
                _restore_random_state(self.kept)

    class Metrics(base):  # type: ignore[misc, valid-type]
        """Writes every line of the log to `metrics.jsonl`, with the share of a step that rewards took."""

        def __init__(self, path: Path) -> None:
            self.path = path

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if not state.is_world_process_zero or not logs:
                return
            line = {"step": state.global_step, **_plain(logs)}
            if (share := _share(line)) is not None:
                line["cat/share_of_step"] = share
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")

    class MovingAnchor(base):  # type: ignore[misc, valid-type]
        """Moves the anchor after the policy, once a step (an EMA teacher, 2508.00410)."""

        def on_step_end(self, *_: Any, **__: Any) -> None:
            move_average(trainer.accelerator.unwrap_model(trainer.model), "ema", config.ema_decay)

    class SavedAdapters(base):  # type: ignore[misc, valid-type]
        """Gives the trained adapter a folder of its own in a checkpoint that holds several.

        PEFT puts it at the top and the others into folders; transformers before 5.18 resumes from the
        folders alone, and the policy would start anew.
        """

        def on_save(self, args: Any, state: Any, *_: Any, **__: Any) -> None:
            if state.is_world_process_zero:
                self.after_checkpoint(Path(args.output_dir) / f"checkpoint-{state.global_step}")

        def after_checkpoint(self, folder: Path) -> None:
            if any(folder.glob("*/adapter_config.json")) and not (folder / "default").exists():
                (folder / "default").mkdir()
                for file in folder.glob("adapter_*"):
                    shutil.copyfile(file, folder / "default" / file.name)

    class Collapse(base):  # type: ignore[misc, valid-type]
        """Stops when entropy or diversity stays under its floor: what is learnt then is not to say more."""

        def __init__(self) -> None:
            self.low: dict[str, int] = {}
            self.reason: str | None = None

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            floors = {"entropy": config.stop_entropy, "cat/distinct_answers": config.stop_diversity}
            for name, floor in floors.items():
                value = (logs or {}).get(name)
                if floor is None or value is None:
                    continue
                self.low[name] = self.low.get(name, 0) + 1 if value < floor else 0
                if self.low[name] >= config.stop_patience:
                    self.reason = (
                        f"{name.removeprefix('cat/')} was under {floor:g} for {self.low[name]} steps "
                        f"(last {value:.3g})"
                    )
                    control.should_training_stop = control.should_save = True

    class Interrupted(base):  # type: ignore[misc, valid-type]
        """Ctrl-C ends the step under way, saves and stops; a second one stops at once."""

        def __init__(self) -> None:
            self.asked = False
            self.reason: str | None = None
            self._before: Any = None

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.asked = False
            if threading.current_thread() is threading.main_thread():
                self._before = signal.signal(signal.SIGINT, self._heard)

        def _heard(self, *_: Any) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True
            print("stopping after this step; once more to stop at once", flush=True)  # noqa: T201

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if trainer.cat_any(self.asked):
                self.asked, self.reason = True, "it was interrupted"
                control.should_training_stop = control.should_save = True

        def on_train_end(self, *_: Any, **__: Any) -> None:
            self.restore()

        def restore(self) -> None:
            if self._before is not None:
                signal.signal(signal.SIGINT, self._before)
                self._before = None

    made: list[Any] = [
        RandomState(),
        Metrics(trainer.cat_output / "metrics.jsonl"),
        Collapse(),
        Interrupted(),
        SavedAdapters(),
    ]
    if trainer.cat_anchor == "ema":
        made.append(MovingAnchor())
    return made


def _plain(logs: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers that JSON has; `NaN` is unknown and becomes null."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in logs.items()
        if isinstance(value, int | float | str) or value is None
    }


def _share(line: Mapping[str, Any]) -> float | None:
    seconds, step = line.get("cat/seconds_rewards"), line.get("step_time")
    if not isinstance(seconds, float) or not isinstance(step, float) or step <= 0:
        return None
    return min(1.0, seconds / step)


def _random_state() -> dict[str, Any]:
    numpy, torch = needed("numpy"), needed("torch")
    state = {"python": random.getstate(), "numpy": numpy.random.get_state(), "cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _restore_random_state(state: Mapping[str, Any]) -> None:
    numpy, torch = needed("numpy"), needed("torch")
    random.setstate(state["python"])
    numpy.random.set_state(state["numpy"])
    torch.set_rng_state(state["cpu"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"])
