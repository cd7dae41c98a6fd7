"""Checks and times CaT-RL on a GPU, stage by stage; each call takes at most `--minutes` and goes on where the
last one stopped.

    python -m benchmarks.gpu --model Qwen/Qwen3-4B-Instruct-2507 --data train.jsonl --held-out test.jsonl
    python -m benchmarks.gpu --cpu-smoke   # the same stages on a tiny model, to see that the script works

Every stage runs in a process of its own, since Unsloth has to be imported before everything else. The table
is printed after each call and kept beside the results.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.gpu.cases import Case, cases
from benchmarks.gpu.table import table


def main() -> int:
    asked = arguments()
    out: Path = asked.out
    out.mkdir(parents=True, exist_ok=True)
    results = known(out)
    ends = time.monotonic() + asked.minutes * 60
    for case in cases(asked.backends, cpu=asked.cpu_smoke):
        if results.get(case.name, {}).get("done"):
            continue
        left = ends - time.monotonic()
        if left < (5 if asked.cpu_smoke else 60):
            print(f"time is up before {case.name}; call again to go on")
            break
        print(f"{case.name} …", flush=True)
        results[case.name] = run(case, asked, left)
        (out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
        if error := results[case.name].get("error"):
            print(f"  failed: {error}")
    text = table(results, command=" ".join(["python -m benchmarks.gpu", *sys.argv[1:]]))
    (out / "table.md").write_text(text)
    print(text)
    failed = [name for name, result in results.items() if result.get("error")]
    return 1 if failed else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--model", help="a hub name or a folder")
    parser.add_argument("--data", type=Path, help="JSONL with prompt and label")
    parser.add_argument("--held-out", type=Path, help="JSONL with prompt and label")
    parser.add_argument("--out", type=Path, default=Path("runs/gpu"))
    parser.add_argument("--minutes", type=float, default=9.0, help="of this call")
    parser.add_argument("--backends", nargs="+", default=["plain", "unsloth"])
    parser.add_argument("--tokens", type=int, default=512, help="new tokens of a rollout")
    parser.add_argument("--device-batch", type=int, default=8)
    parser.add_argument("--prompts-per-step", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6, help="of a timing; the first is not counted")
    parser.add_argument("--training-steps", type=int, default=200, help="of the long run")
    parser.add_argument("--learning-rate", type=float, default=1e-5)
    parser.add_argument("--cpu-smoke", action="store_true", help="a tiny model on a CPU")
    asked = parser.parse_args()
    if not asked.cpu_smoke and not (asked.model and asked.data and asked.held_out):
        parser.error("name --model, --data and --held-out, or take --cpu-smoke")
    if asked.cpu_smoke:
        asked.backends = ["plain"]
    return asked


def known(out: Path) -> dict[str, Any]:
    path = out / "results.json"
    return dict(json.loads(path.read_text())) if path.is_file() else {}


def run(case: Case, asked: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """One case in a process of its own; what it printed last is its result."""
    settings = {
        **{k: str(v) if isinstance(v, Path) else v for k, v in vars(asked).items()},
        "case": case.as_dict(),
        "seconds": seconds,
        "folder": str(asked.out / case.name.replace(" ", "-")),
    }
    command = [sys.executable, "-m", "benchmarks.gpu.worker", json.dumps(settings)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
    except subprocess.TimeoutExpired:
        return {"done": False, "error": f"it was not done {seconds + 120:.0f} s later"}
    (asked.out / f"{case.name.replace(' ', '-')}.log").write_text(done.stdout + done.stderr)
    if done.returncode:
        last = [line for line in done.stderr.splitlines() if line.strip()][-1:] or ["nothing was said"]
        return {"done": False, "error": last[0][:300]}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


if __name__ == "__main__":
    sys.exit(main())
