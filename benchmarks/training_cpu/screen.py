"""Which synthesis prompt: its accuracy on the validation split, beside majority and its placebos.

    python -m benchmarks.training_cpu.screen [addition past]

Rollouts of the untrained model are sampled once a task; the accuracy of a synthesis is computed (`exact`),
not sampled.
"""

from __future__ import annotations

import random
import sys
from collections import Counter

from benchmarks.training_cpu.exact import right_lines, samples
from benchmarks.training_cpu.tasks import TASKS, Task, anchor_prompt, said
from catagent.training import load_model

MODEL = "embedded/smollm2-135m"
TEMPERATURES = (1.0, 0.5)
G = 8


def vote(guesses: list[str]) -> str | None:
    """The most frequent one; `None` for a tie."""
    ranks = Counter(guesses).most_common(2)
    return None if len(ranks) > 1 and ranks[0][1] == ranks[1][1] else ranks[0][0]


def screen(task: Task, model: object, tokenizer: object) -> None:
    asked = task.splits["validation"]
    answers = [q.answer for q in asked]
    prompts = [task.prompt(q.text) for q in asked]
    single = right_lines(model, tokenizer, prompts, answers)
    groups = [
        [said(text) for text in texts] for texts in samples(model, tokenizer, prompts, G, task.tokens, seed=0)
    ]
    n = len(asked)
    sampled = sum(g == a for group, a in zip(groups, answers, strict=True) for g in group) / (n * G)
    covered = sum(a in group for group, a in zip(groups, answers, strict=True)) / n
    voted = sum(vote(group) == a for group, a in zip(groups, answers, strict=True)) / n
    print(f"\n### {task.name}: {n} validation questions, G = {G}\n")
    alone = sum(line.p[1.0] for line in single) / n
    greedy = sum(line.greedy for line in single) / n
    print(f"one rollout {alone:.3f} computed, {sampled:.3f} sampled, greedy {greedy:.3f}; ", end="")
    print(f"any of G {covered:.3f}; majority {voted:.3f}\n")
    print("| form | rollouts seen | " + " | ".join(f"T = {t:g}" for t in TEMPERATURES) + " | greedy |")
    print("|---|---|" + "---|" * (len(TEMPERATURES) + 1), flush=True)
    order = random.Random(0)
    shuffled = [order.sample(group, len(group)) for group in groups]
    for form in ("above", "within", "blind"):
        for seen, shown in (
            ("its own", shuffled),
            ("another question's", [*shuffled[1:], shuffled[0]]),
            ("none", [[]] * n),
        ):
            if form == "blind" and seen != "its own":
                continue
            lines = right_lines(
                model, tokenizer,
                [anchor_prompt(task, form, q.text, g) for q, g in zip(asked, shown, strict=True)],
                answers, TEMPERATURES,
            )  # fmt: skip
            cells = [f"{sum(line.p[t] for line in lines) / n:.3f}" for t in TEMPERATURES]
            print(f"| {form} | {seen} | " + " | ".join(cells), end="")
            print(f" | {sum(line.greedy for line in lines) / n:.3f} |", flush=True)


def main() -> None:
    model, tokenizer = load_model(MODEL, dtype="float32")
    for name in sys.argv[1:] or TASKS:
        screen(TASKS[name], model, tokenizer)


if __name__ == "__main__":
    main()
