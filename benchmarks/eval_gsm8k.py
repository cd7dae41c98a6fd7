"""GSM8K with three worked examples before each question, for `catagent eval` with small models.

    python -m benchmarks.eval_gsm8k PATH/gsm8k_test.jsonl gsm8k_3shot.jsonl [--steps 2]
    catagent eval gsm8k --data gsm8k_3shot.jsonl --model M --n 8 --out run

A small model solves hardly any question that takes many steps, and where it solves none, no method differs
from another; `--steps` keeps the short ones.

The examples are our own, in no benchmark, and short: a model that copies their style answers in a few lines,
which on a processor is what makes eight rollouts a question affordable.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

ASK = "\n\nWork it out step by step. End with the final answer alone inside \\boxed{}."
EXAMPLES = {
    "Tom has 4 boxes with 6 pens each. He gives away 5 pens. How many pens are left?": [
        "4 boxes have 4 * 6 = 24 pens.",
        "After giving away 5 there are 24 - 5 = 19.",
        "\\boxed{19}",
    ],
    "A shirt costs $20. It is sold at 25% off, and Ann buys 3. How much does she pay?": [
        "The discount is 20 * 0.25 = 5 dollars.",
        "A shirt costs 20 - 5 = 15 dollars.",
        "Three cost 3 * 15 = 45 dollars.",
        "\\boxed{45}",
    ],
    "Lea reads 12 pages a day, twice as many as Max. How many pages do both read in a week?": [
        "Max reads 12 / 2 = 6 pages a day.",
        "Together they read 12 + 6 = 18 pages a day.",
        "In a week that is 18 * 7 = 126 pages.",
        "\\boxed{126}",
    ],
}


def conversation(question: str) -> list[dict[str, str]]:
    """The examples as turns, and the question; how to end is added by the sampler."""
    said = []
    for asked, answered in EXAMPLES.items():
        said.append({"role": "user", "content": asked + ASK})
        said.append({"role": "assistant", "content": "\n".join(answered)})
    return [*said, {"role": "user", "content": question}]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path, help="GSM8K, one object a line with `question` and `answer`")
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--steps", type=int, help="only questions whose solution has so many calculations at most"
    )
    a = parser.parse_args()
    with a.path.open(encoding="utf-8") as rows, a.out.open("w", encoding="utf-8") as out:
        for number, line in enumerate(rows, 1):
            row = json.loads(line)
            if a.steps is not None and not 0 < row.get("solution", row["answer"]).count("<<") <= a.steps:
                continue
            kept = {
                "id": f"test-{number}",
                "messages": conversation(row["question"]),
                "answer": row["answer"],
            }
            out.write(json.dumps(kept) + "\n")


if __name__ == "__main__":
    main()
