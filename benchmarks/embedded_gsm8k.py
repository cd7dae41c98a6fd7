"""GSM8K questions through an embedded model, end to end: what the smallest models can and cannot do.

    python -m benchmarks.embedded_gsm8k PATH/gsm8k_test.jsonl --questions 20

The file has one JSON object a line with `question` and `answer` (GSM8K's own format). Gold answers stay
here: no agent sees them.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import time
from pathlib import Path

import catagent as cat
from catagent.estimators.majority import vote


async def measure(rows: list[dict[str, str]], model: str, n: int) -> None:
    right = {"one rollout (mean)": 0.0, "majority": 0.0, "synthesis, else majority": 0.0, "any rollout": 0.0}
    fallbacks = abstained = calls = tokens = 0
    began = time.monotonic()
    async with cat.CaT(model, n=n, kind="verifiable") as solver:
        await solver.prepare()
        for i, row in enumerate(rows):
            gold = row["answer"].rpartition("####")[2].strip().replace(",", "")
            solution = await solver.solve(row["question"])
            hits = [bool(r.answer and cat.answers.equivalent(r.answer, gold)) for r in solution.rollouts]
            voted = (await vote(solution.group)).answer
            reference = solution.reference
            right["one rollout (mean)"] += sum(hits) / len(hits)
            right["any rollout"] += any(hits)
            right["majority"] += bool(voted and cat.answers.equivalent(voted, gold))
            right["synthesis, else majority"] += bool(
                reference.answer and cat.answers.equivalent(reference.answer, gold)
            )
            fallbacks += reference.method != "synthesis"
            abstained += reference.answer is None
            calls += solution.usage.calls
            tokens += solution.usage.tokens
            print(
                f"{i + 1}/{len(rows)} gold {gold}: {sum(hits)}/{n} right, reference {solution.answer}",
                flush=True,
            )
    seconds = time.monotonic() - began
    print(f"\n{model}, {len(rows)} questions, G = {n}, {platform.machine()}, {time.strftime('%Y-%m-%d')}\n")
    print("| method | right |\n|---|---|")
    for name, count in right.items():
        share = count / len(rows)
        error = (share * (1 - share) / len(rows)) ** 0.5
        print(f"| {name} | {share:.0%} ± {error:.0%} |")
    print(f"\nSynthesis without a final answer, so the vote stood in: {fallbacks} of {len(rows)}; ", end="")
    print(f"no reference answer at all: {abstained}. {calls} calls, {tokens} tokens, {seconds:.0f} s.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--model", default="embedded/auto")
    parser.add_argument("--n", type=int, default=8)
    a = parser.parse_args()
    lines = a.path.read_text(encoding="utf-8").splitlines()[: a.questions]
    asyncio.run(measure([json.loads(line) for line in lines], a.model, a.n))
