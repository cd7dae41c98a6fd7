"""Questions of Reasoning Gym (arXiv 2505.24760), made by rule from a seed, for `catagent eval`.

    pip install reasoning-gym
    python -m benchmarks.eval_reasoning_gym chain_sum chain_sum.jsonl --size 300 --seed 42 --set max_digits=2
    catagent eval chain_sum.jsonl --model M --prompts benchmarks/short --n 8 --out run

Nobody can have trained on questions that are made here, and short ones make several hundred groups of eight
affordable on a processor; `benchmarks/short` asks for the answer without reasoning. `reasoning-gym` is no
dependency of catagent.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path


def setting(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    try:
        if equals:
            return name, json.loads(value)
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"write NAME=VALUE with a number, true, false or a list, not {text!r}")


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("task", help="a task of Reasoning Gym: chain_sum, products, gcd, …")
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=300)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--set", nargs="*", type=setting, default=[], metavar="NAME=VALUE", dest="settings")
    a = parser.parse_args()
    try:
        gym = importlib.import_module("reasoning_gym")
    except ImportError:
        parser.error("this needs Reasoning Gym: pip install reasoning-gym")
    try:
        made = gym.create_dataset(a.task, size=a.size, seed=a.seed, **dict(a.settings))
    except (ValueError, TypeError, AssertionError) as error:
        parser.error(f"Reasoning Gym makes no such questions: {error}")
    seen: set[str] = set()
    with a.out.open("w", encoding="utf-8") as out:
        for number, entry in enumerate(made):
            if entry["question"] not in seen:
                row = {
                    "id": f"{a.task}-{number}",
                    "prompt": entry["question"],
                    "answer": str(entry["answer"]),
                }
                out.write(json.dumps(row) + "\n")
            seen.add(entry["question"])


if __name__ == "__main__":
    main()
