"""The tables of the runs that are there, and a plot of every run's accuracy.

python -m benchmarks.training_cpu.report [--plot FILE.png]
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.training_cpu.analysis import Measured, against, mean

RUNS = Path(__file__).parent / "runs"
ORDER = ("before", "cat", "majority", "placebo", "placebo_none", "random", "gold")
PAIRS = (("cat", "before"), ("majority", "before"), ("placebo", "before"), ("random", "before"),
         ("gold", "before"), ("cat", "majority"), ("cat", "placebo"), ("cat", "random"),
         ("majority", "random"), ("placebo", "random"), ("gold", "cat"))  # fmt: skip
Runs = dict[str, dict[str, dict[int, dict[str, Any]]]]


def read(folder: Path = RUNS) -> Runs:
    """Task, method, seed: the run."""
    found: Runs = defaultdict(lambda: defaultdict(dict))
    for path in sorted(folder.glob("*.json")):
        if not path.name.startswith("choose-"):
            run = json.loads(path.read_text())
            found[run["task"]][run["method"]][run["seed"]] = run
    return found


def percent(value: float | None, *, sign: bool = False) -> str:
    """Points of a hundred."""
    return "–" if value is None else f"{100 * value:{'+' if sign else ''}.1f}"


def accuracies(methods: dict[str, dict[int, dict[str, Any]]]) -> list[str]:
    """Held-out accuracy of each method."""
    lines = ["| reward | seeds | sampled | SE seeds | SE questions | by seed | greedy | SE seeds |",
             "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for name in ORDER:
        if name not in methods:
            continue
        runs = methods[name]
        p = Measured.of({seed: run["test"]["p"] for seed, run in runs.items()})
        greedy = Measured.of({seed: run["test"]["greedy"] for seed, run in runs.items()})
        single = ", ".join(percent(mean(runs[seed]["test"]["p"])) for seed in sorted(runs))
        lines.append(
            f"| {name} | {p.count if name != 'before' else '–'} | {percent(p.mean)} | {percent(p.seeds)} "
            f"| {percent(p.questions)} | {single} | {percent(greedy.mean)} | {percent(greedy.seeds)} |"
        )
    return lines


def differences(methods: dict[str, dict[int, dict[str, Any]]]) -> list[str]:
    """Paired differences of sampled accuracy."""
    lines = ["| difference | seeds | points | SE seeds | SE questions |", "|---|---|---|---|---|"]
    for one, other in PAIRS:
        if one not in methods or other not in methods:
            continue
        a, b = ({seed: run["test"]["p"] for seed, run in methods[name].items()} for name in (one, other))
        found = against(a, b)
        lines.append(
            f"| {one} − {other} | {found.count} | {percent(found.mean, sign=True)} "
            f"| {percent(found.seeds)} | {percent(found.questions)} |"
        )
    return lines


def diagnostics(methods: dict[str, dict[int, dict[str, Any]]]) -> list[str]:
    """What was seen while training: means over all steps and seeds; labels were for these figures alone."""
    keys = {"label_accuracy": "reference right", "reward_accuracy": "reward right",
            "differs_from_majority": "differs from majority",
            "right_when_it_differs": "right when it differs", "zero_variance": "groups without variance",
            "unknown_rewards": "rewards unknown"}  # fmt: skip
    lines = ["| reward | " + " | ".join(keys.values()) + " |", "|---|" + "---|" * len(keys)]
    for name in ORDER[1:]:
        if name not in methods:
            continue
        figures = [run["figures"] for run in methods[name].values()]
        cells = []
        for key in keys:
            values = [line[key] for run in figures for line in run if line.get(key) is not None]
            cells.append(percent(mean(values)) if values else "–")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def chosen() -> list[str]:
    """The grid on the validation split."""
    lines = ["| task | changed | validation, by step |", "|---|---|---|"]
    for path in sorted(RUNS.glob("choose-*.json")):
        run = json.loads(path.read_text())
        curve = ", ".join(f"{step}: {percent(mean(v['p']))}" for step, v in run["validation"].items())
        changed = path.stem.split("-", 2)[2]
        lines.append(f"| {run['task']} | {changed} | {curve} |")
    return lines


def plot(found: Runs, target: Path) -> None:
    """One dot a run, a bar at the mean of each method, and a line for the untrained model."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    found = {task: methods for task, methods in found.items() if set(methods) - {"before"}}
    figure, axes = plt.subplots(1, len(found), figsize=(4.8 * len(found), 3.4), squeeze=False)
    for axis, (task, methods) in zip(axes[0], sorted(found.items()), strict=True):
        shown = [name for name in ORDER[1:] if name in methods]
        for place, name in enumerate(shown):
            values = [100 * mean(run["test"]["p"]) for _, run in sorted(methods[name].items())]
            spread = [place + 0.08 * (i - (len(values) - 1) / 2) for i in range(len(values))]
            axis.plot(spread, values, "o", color="0.45", markersize=5)
            axis.hlines(mean(values), place - 0.3, place + 0.3, color="black", linewidth=2)
        start = 100 * mean(methods["before"][0]["test"]["p"])
        axis.axhline(start, linestyle="--", color="0.6", linewidth=1)
        axis.annotate("untrained", (len(shown) - 0.45, start), fontsize=8, va="bottom", ha="right")
        axis.set(title=task, ylabel="right on the test split, sampled (%)", xticks=range(len(shown)))
        axis.set_xticklabels(shown, fontsize=8)
        axis.set_xlim(-0.6, len(shown) - 0.4)
    figure.tight_layout()
    figure.savefig(target, dpi=140)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plot", type=Path)
    given = parser.parse_args()
    found = read()
    print("\n".join(["### The grid", "", *chosen()]))
    for task, methods in sorted(found.items()):
        print(f"\n### {task}: test split\n")
        for table in (accuracies(methods), differences(methods), diagnostics(methods)):
            print("\n".join(table), end="\n\n")
    if given.plot:
        plot(found, given.plot)


if __name__ == "__main__":
    main()
