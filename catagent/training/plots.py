"""Pictures of a run from its `metrics.jsonl`, readable without colours: lines differ in stroke and mark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from catagent.training.backend import needed

__all__ = ["PLOTS", "plot_run", "read_metrics"]

PLOTS: Mapping[str, tuple[str, str, tuple[tuple[str, str], ...]]] = {
    "reward": (
        "Reward of the policy's samples",
        "reward",
        (("reward", "mean reward"), ("reward_std", "spread in a group")),
    ),
    "references": (
        "References",
        "share",
        (
            ("cat/agreement", "rollouts that agree with it"),
            ("cat/differs_from_majority", "differs from the majority"),
            ("cat/label_accuracy", "right by the label"),
            ("cat/right_when_it_differs", "right where it differs"),
            ("cat/reference_fallback", "fallen back"),
        ),
    ),
    "accuracy": (
        "Accuracy by the labels, which training does not see",
        "share",
        (
            ("cat/pass_at_1", "training prompts, pass@1"),
            ("cat/reward_accuracy", "rewards that are right"),
            ("eval_cat/pass_at_1", "held out, pass@1"),
            ("eval_cat/pass_at_g", "held out, pass@G"),
        ),
    ),
    "signal": (
        "What teaches nothing",
        "share",
        (
            ("cat/zero_variance", "groups without variance"),
            ("cat/unknown_rewards", "unknown rewards"),
            ("cat/unscored_verdicts", "unscored verdicts"),
        ),
    ),
    "diversity": (
        "Diversity",
        "",
        (("cat/distinct_answers", "different answers in a group"), ("entropy", "entropy of a token (nats)")),
    ),
    "length": (
        "Length of a completion",
        "tokens",
        (("completions/mean_length", "mean"), ("completions/max_length", "longest")),
    ),
    "time": (
        "Time of a step",
        "seconds",
        (("step_time", "step"), ("cat/seconds_rewards", "rewards"), ("cat/seconds_anchor", "anchor")),
    ),
}
_STROKES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_MARKS = ("o", "s", "^", "x", "D")
_GREYS = ("0.0", "0.35", "0.5", "0.2", "0.6")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The lines of a `metrics.jsonl`; of a step that was done twice the last, and no torn line."""
    found: dict[tuple[int, bool], dict[str, Any]] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if isinstance(row, dict) and isinstance(row.get("step"), int) and "train_runtime" not in row:
                found[row["step"], any(k.startswith("eval_") for k in row)] = row
    return [found[key] for key in sorted(found)]


def plot_run(metrics: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """One picture for each group of figures that the run has; returns the files."""
    matplotlib = needed("matplotlib")
    matplotlib.use("Agg")
    pyplot = needed("matplotlib.pyplot")
    written = []
    for name, (title, unit, series) in PLOTS.items():
        lines = [(label, _points(metrics, key)) for key, label in series]
        lines = [(label, points) for label, points in lines if points]
        if not lines:
            continue
        figure, axes = pyplot.subplots(figsize=(6.4, 3.6), dpi=120)
        for number, (label, points) in enumerate(lines):
            style = number % len(_STROKES)
            axes.plot(
                [x for x, _ in points],
                [y for _, y in points],
                linestyle=_STROKES[style],
                marker=_MARKS[style] if len(points) <= 40 else None,
                markersize=4,
                color=_GREYS[style],
                label=label,
            )
        axes.set_title(title, fontsize=11)
        axes.set_xlabel("step")
        axes.set_ylabel(unit)
        axes.grid(visible=True, color="0.9")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False)
        figure.tight_layout()
        folder.mkdir(parents=True, exist_ok=True)
        written.append(folder / f"{name}.png")
        figure.savefig(written[-1])
        pyplot.close(figure)
    return written


def _points(metrics: Sequence[Mapping[str, Any]], key: str) -> list[tuple[int, float]]:
    return [(int(row["step"]), float(row[key])) for row in metrics if isinstance(row.get(key), int | float)]
