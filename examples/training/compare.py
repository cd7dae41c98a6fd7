"""CaT-RL beside its controls: the same run with several methods and seeds, and held-out accuracy of each.

    python examples/training/compare.py examples/training/tiny.yaml --methods cat majority random --seeds 0 1

A difference between methods is one only when it is larger than what seeds make of it.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from catagent.training.execution import train
from catagent.training.runs import read_run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("settings", type=Path)
    parser.add_argument("--methods", nargs="+", default=["cat", "majority", "random", "placebo"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=Path("runs/compare"))
    asked = parser.parse_args()
    print(f"{'method':<24}{'before':>8}{'after':>8}{'seeds':>24}")
    for method in asked.methods:
        before, after = [], []
        for seed in asked.seeds:
            folder = asked.out / f"{method.replace(':', '-')}-{seed}"
            run = read_run(asked.settings, [f"method={method}", f"seed={seed}", f"output={folder}"])
            done = train(run, resume=(folder / "settings.yaml").is_file())
            before.append((done.before or {}).get("pass@1", float("nan")))
            after.append((done.after or {}).get("pass@1", float("nan")))
        each = " ".join(f"{value:.3f}" for value in after)
        print(f"{method:<24}{statistics.fmean(before):>8.3f}{statistics.fmean(after):>8.3f}{each:>24}")


if __name__ == "__main__":
    main()
