"""Agreement and speed of `catagent.answers` beside plain Math-Verify.

    python benchmarks/answers.py [--data ../shared/data] [--complete] > benchmarks/answers.md

Both are measured in one process, one after the other, so that the ratios mean something on a busy machine.
Plain Math-Verify is `verify(parse(gold), parse(candidate))`, either way round, with its defaults; a text
without math delimiters is put between dollars when it holds LaTeX, as its documentation asks for.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from catagent.answers import (  # noqa: E402
    cluster,
    equivalent,
    extract,
    judging,
)
from catagent.answers.equivalence import cheap  # noqa: E402
from tests.answers.rewritings import rewritings  # noqa: E402

HARD = [
    (r"\int_0^1 x^2 dx", "1/3"), (r"\sum_{n=1}^{\infty} \frac{1}{n^2}", r"\frac{\pi^2}{6}"),
    (r"x^2-5x+6<0", "(2,3)"), (r"|x-1|<2", r"-1<x<3"), ("y=1/x", "xy=1"),
    (r"x^2 \ge 4", r"x \le -2 \text{ or } x \ge 2"),
    (r"\sin(x)\cos(x)", r"\frac{1}{2}\sin(2x)"), (r"\sqrt{5+2\sqrt{6}}", r"\sqrt{2}+\sqrt{3}"),
    (r"\frac{x^8-1}{x-1}", "(x+1)(x^2+1)(x^4+1)"), (r"\sin(3x)", r"3\sin x - 4\sin^3 x"),
    (r"\lim_{x\to 0}\frac{\sin x}{x}", "1"), (r"(a+b+c)^3", r"(c+b+a)^3+0"), (r"x^4+y^4=1", r"3x^4+3y^4-3=0"),
]  # fmt: skip


def rows(folder: Path, name: str) -> list[dict[str, Any]]:
    with (folder / name).open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def plain_math_verify() -> Callable[[str, str], bool]:
    from math_verify import parse, verify

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)

    def wrapped(text: str) -> str:
        return (
            f"${text}$"
            if "\\" in text and not any(mark in text for mark in ("$", "\\(", "\\[", "\\boxed"))
            else text
        )

    def decide(a: str, b: str) -> bool:
        x, y = parse(wrapped(a)), parse(wrapped(b))
        return bool(verify(x, y) or verify(y, x))

    return decide


def rate(function: Callable[..., Any], items: Iterable[tuple[Any, ...]]) -> float:
    items = list(items)
    begin = time.perf_counter()
    for item in items:
        function(*item)
    return len(items) / (time.perf_counter() - begin)


def forget() -> None:
    """Empty the caches of readings, so that every text is new."""
    judging.readings.cache_clear()
    judging._cleaned.cache_clear()  # noqa: SLF001 - emptied for the measurement only


def agreement(folder: Path, theirs: Callable[[str, str], bool]) -> None:
    table = rows(folder, "answer_equivalence.jsonl")
    counts = {"catagent": [0, 0, 0, 0], "Math-Verify": [0, 0, 0, 0]}
    for row in table:
        candidate = row["candidate"]
        found = extract(candidate) if row["row_kind"] == "response" else candidate
        ours = None if found is None else equivalent(row["gold"], found)
        for name, verdict in (("catagent", ours), ("Math-Verify", theirs(row["gold"], candidate))):
            counts[name][0] += verdict is row["equivalent"]
            counts[name][1] += verdict is True and not row["equivalent"]
            counts[name][2] += verdict is False and row["equivalent"]
            counts[name][3] += verdict is None
    print(f"## Labelled pairs ({len(table)} rows)\n")
    print("| | as labelled | false positives | false negatives | undecided |\n|---|---|---|---|---|")
    for name, (right, positive, negative, undecided) in counts.items():
        print(f"| {name} | {right} ({right / len(table):.1%}) | {positive} | {negative} | {undecided} |")


def recall(folder: Path, theirs: Callable[[str, str], bool], complete: bool) -> list[tuple[str, str]]:
    golds = sorted({row["answer"] for row in rows(folder, "math500.jsonl")})
    every = [(gold, text) for gold in golds for _, text in rewritings(gold, None if complete else 20)]
    sample = [(gold, text) for gold in golds for _, text in rewritings(gold, 3)]
    missed = sum(equivalent(a, b) is not True for a, b in every)
    at_once = sum(cheap(a, b) is not None for a, b in every)
    print(f"\n## MATH-500: {len(golds)} distinct gold answers and their rewritings\n")
    print("| | pairs | missed |\n|---|---|---|")
    print(f"| catagent | {len(every)} | {missed} |")
    print(f"| catagent, on the sample | {len(sample)} | {sum(not equivalent(a, b) for a, b in sample)} |")
    print(f"| Math-Verify, on the sample | {len(sample)} | {sum(not theirs(a, b) for a, b in sample)} |")
    print(f"\nDecided without a worker: {at_once / len(every):.2%} of {len(every)}.")
    wrong = 0
    for row in rows(folder, "math500.jsonl"):
        found = extract(row["solution"])
        wrong += found is None or equivalent(found, row["answer"]) is not True
    print(f"Gold solutions from which the gold answer was not extracted: {wrong} of 500.")
    return sample


def speed(sample: list[tuple[str, str]], theirs: Callable[[str, str], bool]) -> None:
    equivalent(*HARD[2], timeout=60)
    typical = sample[:: max(1, len(sample) // 300)]
    forget()
    cold = rate(equivalent, typical)
    warm = rate(equivalent, typical)
    only = rate(cheap, [pair for pair in typical if cheap(*pair) is not None])
    theirs("1", "2")
    math_verify = rate(theirs, typical)
    print(f"\n## Pairs a second ({len(typical)} typical pairs of MATH-500, {len(HARD)} hard ones)\n")
    print("| | pairs a second | times Math-Verify |\n|---|---|---|")
    for name, found in (("Math-Verify", math_verify), ("catagent, texts not seen before", cold),
                        ("catagent, texts seen before", warm),
                        ("catagent, cheap path alone", only)):  # fmt: skip
        print(f"| {name} | {found:,.0f} | {found / math_verify:.1f} |")
    forget()
    open_pairs = [pair for pair in HARD if cheap(*pair) is None]
    ours_hard, theirs_hard = rate(equivalent, HARD), rate(theirs, HARD)
    ours_open, theirs_open = rate(equivalent, open_pairs), rate(theirs, open_pairs)
    right = sum(theirs(*pair) for pair in HARD)
    print(f"| Math-Verify, hard pairs ({right} of {len(HARD)} found equal) | {theirs_hard:,.1f} | 1.0 |")
    mine = sum(equivalent(*pair) is True for pair in HARD)
    print(
        f"| catagent, hard pairs ({mine} of {len(HARD)} found equal) | {ours_hard:,.1f} "
        f"| {ours_hard / theirs_hard:.1f} |"
    )
    print(
        f"| catagent, those of them that need a worker ({len(open_pairs)}) | {ours_open:,.1f} "
        f"| {ours_open / theirs_open:.1f} |"
    )


def clusters(sample: list[tuple[str, str]], theirs: Callable[[str, str], bool]) -> None:
    groups = []
    for start in range(0, min(len(sample), 600) - 8, 6):
        (gold, one), (_, two), (_, three), (other, four) = *sample[start : start + 3], sample[start + 3]
        groups.append([gold, one, two, three, other, four, gold, one])

    def by_pairs(answers: list[str]) -> None:
        classes: list[str] = []
        for answer in answers:
            if not any(theirs(answer, first) for first in classes):
                classes.append(answer)

    forget()
    ours = rate(cluster, [(group,) for group in groups])
    plain = rate(by_pairs, [(group,) for group in groups[:: max(1, len(groups) // 25)]])
    print("\n## Clusters of eight answers a second\n\n| | clusters a second |\n|---|---|")
    print(
        f"| Math-Verify, each answer against one of each class | {plain:,.1f} |\n| catagent | {ours:,.0f} |"
    )


def cold_start() -> None:
    import subprocess

    def seconds(program: str) -> float:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
        return time.perf_counter() - begin

    base = min(seconds("pass") for _ in range(3))
    ours = (
        min(seconds("from catagent.answers import equivalent; equivalent('1/2', '0.5')") for _ in range(3))
        - base
    )
    hard = (
        min(
            seconds("from catagent.answers import equivalent; equivalent('|x-1|<2', '(-1,3)')")
            for _ in range(3)
        )
        - base
    )
    theirs = (
        min(
            seconds("from math_verify import parse, verify; verify(parse('1/2'), parse('0.5'))")
            for _ in range(3)
        )
        - base
    )
    print("\n## From a new process to the first verdict\n\n| | seconds |\n|---|---|")
    print(f"| catagent, cheap path | {ours:.2f} |\n| catagent, hard pair (starts a worker) | {hard:.2f} |")
    print(f"| Math-Verify | {theirs:.2f} |")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    options.add_argument("--complete", action="store_true", help="all rewritings instead of 20 a gold answer")
    chosen = options.parse_args()
    print("# Answer equivalence beside plain Math-Verify\n")
    option = " --complete" if chosen.complete else ""
    print(f"    python benchmarks/answers.py{option} > benchmarks/answers.md\n")
    theirs = plain_math_verify()
    agreement(chosen.data, theirs)
    sample = recall(chosen.data, theirs, chosen.complete)
    speed(sample, theirs)
    clusters(sample, theirs)
    cold_start()


if __name__ == "__main__":
    main()
