"""What the anchor makes of rollouts of the untrained model, beside majority and its placebos.

    python -m benchmarks.training_cpu.screen [--task past]                # all forms, validation split
    python -m benchmarks.training_cpu.screen --test [--task past]         # the chosen form, test split

Rollouts are sampled; the accuracy of a synthesis is computed (`exact`), not sampled. A tied vote is wrong.
± is one standard error over questions; differences are paired by question.
"""

from __future__ import annotations

import argparse
import random
from collections import Counter
from collections.abc import Iterator

from benchmarks.training_cpu.analysis import mean, standard_error
from benchmarks.training_cpu.exact import Line, right_lines, samples
from benchmarks.training_cpu.run import loaded, settings_of
from benchmarks.training_cpu.tasks import TASKS, Task, anchor_prompt, said

TEMPERATURES = (1.0, 0.5)
G = 8


def vote(guesses: list[str]) -> str | None:
    """The most frequent one; `None` for a tie."""
    ranks = Counter(guesses).most_common(2)
    return None if len(ranks) > 1 and ranks[0][1] == ranks[1][1] else ranks[0][0]


class Screened:
    """A task's rollouts on a split, and what is right about them, a value a question."""

    def __init__(self, task: Task, split: str, seed: int) -> None:
        self.model, self.tokenizer = loaded()
        self.task = task
        self.asked = task.splits[split]
        self.answers = [q.answer for q in self.asked]
        prompts = [task.prompt(q.text) for q in self.asked]
        self.alone = right_lines(self.model, self.tokenizer, prompts, self.answers, TEMPERATURES)
        found = samples(self.model, self.tokenizer, prompts, G, task.tokens, seed)
        groups = [[said(text) for text in texts] for texts in found]
        pairs = list(zip(groups, self.answers, strict=True))
        self.sampled = [mean([float(g == a) for g in group]) for group, a in pairs]
        self.covered = [float(a in group) for group, a in pairs]
        self.majority = [float(vote(group) == a) for group, a in pairs]
        order = random.Random(seed)
        self.groups = [order.sample(group, G) for group in groups]

    def synthesis(self, form: str) -> Iterator[tuple[str, list[Line]]]:
        """By what the anchor sees: its accuracy on each question."""
        views = {
            "its own": self.groups,
            "another question's": [*self.groups[1:], self.groups[0]],
            "none": [[]] * len(self.groups),
        }
        for seen, shown in views.items():
            prompts = [
                anchor_prompt(self.task, form, q.text, g) for q, g in zip(self.asked, shown, strict=True)
            ]
            if form != "blind" or seen == "its own":
                yield seen, right_lines(self.model, self.tokenizer, prompts, self.answers, TEMPERATURES)


def figure(values: list[float], *, sign: bool = False) -> str:
    """Points of a hundred, with the standard error over questions."""
    return f"{100 * mean(values):{'+' if sign else ''}.1f} ± {100 * (standard_error(values) or 0):.1f}"


def forms(task: Task) -> None:
    """Every form on the validation split."""
    made = Screened(task, "validation", seed=0)
    print(f"\n### {task.name}: {len(made.asked)} validation questions, G = {G}\n")
    print(
        f"One rollout {figure([line.p[1.0] for line in made.alone])} (sampled {figure(made.sampled)}), ",
        end="",
    )
    print(f"any of G {figure(made.covered)}, majority {figure(made.majority)}.\n")
    print("| form | rollouts seen | " + " | ".join(f"T = {t:g}" for t in TEMPERATURES) + " | greedy |")
    print("|---|---|" + "---|" * (len(TEMPERATURES) + 1), flush=True)
    for form in ("above", "within", "blind"):
        for seen, lines in made.synthesis(form):
            cells = [figure([line.p[t] for line in lines]) for t in TEMPERATURES]
            greedy = figure([float(line.greedy) for line in lines])
            print(f"| {form} | {seen} | {' | '.join(cells)} | {greedy} |", flush=True)


def chosen(task: Task) -> None:
    """The chosen form on the test split."""
    settings = settings_of(task.name)
    form, t = settings["form"], settings["anchor_temperature"]
    made = Screened(task, "test", seed=1)
    print(f"\n### {task.name}: {len(made.asked)} test questions, form {form}, T = {t:g}, G = {G}\n")
    print("| answer of | right | its own rollouts, less this |")
    print("|---|---|---|")
    views = {seen: [line.p[t] for line in lines] for seen, lines in made.synthesis(form)}
    rows = {
        "synthesis of its own rollouts": views["its own"],
        "synthesis of another question's": views["another question's"],
        "synthesis of none": views["none"],
        "one rollout, T = 1": [line.p[1.0] for line in made.alone],
        f"one rollout, T = {t:g}": [line.p[t] for line in made.alone],
        "majority": made.majority,
        "any of G": made.covered,
    }
    for name, values in rows.items():
        less = [a - b for a, b in zip(views["its own"], values, strict=True)]
        print(f"| {name} | {figure(values)} | {figure(less, sign=True) if any(less) else ''} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=list(TASKS), help="one task only")
    parser.add_argument("--test", action="store_true", help="the chosen form on the test split")
    given = parser.parse_args()
    for name in [given.task] if given.task else TASKS:
        (chosen if given.test else forms)(TASKS[name])


if __name__ == "__main__":
    main()
