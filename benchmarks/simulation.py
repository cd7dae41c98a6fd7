"""What a vote and a synthesis can bring, on paper: tables, and plots that can be read in grey.

    python -m benchmarks.simulation --plots docs/assets/simulation

Prints Markdown. The plots need matplotlib: pip install 'catagent[eval]'.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from catagent.simulation.adaptive import saving
from catagent.simulation.closed_forms import least_find
from catagent.simulation.curves import SIZES, Point, curve, leader
from catagent.simulation.policies import RIGHT, Policy, beta_accuracies
from catagent.simulation.skills import ByShare, Reader, voted

STYLES = (
    {"color": "0.0", "linestyle": "-", "marker": "o"},
    {"color": "0.0", "linestyle": "--", "marker": "s"},
    {"color": "0.45", "linestyle": "-", "marker": "^"},
    {"color": "0.45", "linestyle": ":", "marker": "D"},
    {"color": "0.7", "linestyle": "-.", "marker": "v"},
)
LIMITS = (8, 16, 32, 64)
READER = Reader(keep=0.97, find=0.4, create=0.01)


def policies(questions: int) -> dict[str, Policy]:
    """Four sorts of question sets. Wrong answers: 30, of which one takes 40% of what is wrong."""

    def policy(mean: float, spread: float, correlation: float) -> Policy:
        return Policy(beta_accuracies(mean, spread, questions), wrong=30, trap=0.4, correlation=correlation)

    return {
        "strong (mean 0.75)": policy(0.75, 0.4, 0.05),
        "middling (mean 0.50)": policy(0.5, 0.4, 0.05),
        "weak (mean 0.20)": policy(0.2, 0.4, 0.05),
        "weak, wrong answers agree": Policy(
            beta_accuracies(0.2, 0.4, questions), wrong=30, trap=0.9, correlation=0.05
        ),
    }


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def curves(chosen: dict[str, Policy], seed: int) -> dict[str, list[Point]]:
    print("## Accuracy as a function of G\n")
    print(
        f"Percent. The anchor keeps a right answer that leads in {READER.keep:.0%} of groups, finds one that"
    )
    print(
        f"does not lead in {READER.find:.0%}, and creates one in {READER.create:.0%} where there is none.\n"
    )
    found = {}
    for name, policy in chosen.items():
        found[name] = curve(policy, READER, seed=seed)
        print(f"**{name}**\n")
        rows = [
            [
                str(p.n), share(p.single), share(p.majority), share(p.synthesis), share(p.synthesis_vote),
                share(p.pass_at), share(p.present), share(p.differs), share(p.right_when_differs),
                f"{100 * max(p.errors.values()):.1f}",
            ]
            for p in found[name]
        ]  # fmt: skip
        table(
            ["G", "single", "majority", "synthesis", "vote of 3 syntheses", "pass@G", "right, does not lead",
             "synthesis differs", "right then", "largest standard error"],
            rows,
        )  # fmt: skip
    return found


def break_even(chosen: dict[str, Policy], seed: int, n: int = 8) -> dict[str, list[float | None]]:
    print(f"## When synthesis beats the vote at all (G = {n})\n")
    print(
        "How often (percent) the anchor must find a right answer that does not lead, so that synthesis is as "
    )
    print("good as the vote, given how often it keeps one that leads. – where even an oracle would not do.\n")
    keeps = [1.0, 0.99, 0.98, 0.95, 0.9, 0.8, 0.7]
    found = {}
    for name, policy in chosen.items():
        p = curve(policy, READER, sizes=(n,), seed=seed)[0]
        found[name] = [least_find(p.leads, p.present, p.absent, keep) for keep in keeps]
    table(
        ["keeps", *found], [[f"{k:.0%}", *(share(v[i]) for v in found.values())] for i, k in enumerate(keeps)]
    )
    return found


def skills(chosen: dict[str, Policy], seed: int) -> None:
    print("## A skill that grows with the share of right rollouts (G = 8)\n")
    print("P(right | share x) = x^s / (x^s + (1 − x)^s); s = 1 is one rollout taken at random.\n")
    sharpness = [0.5, 1.0, 2.0, 4.0, 16.0]
    rows = []
    for name, policy in chosen.items():
        points = [curve(policy, ByShare(s), sizes=(8,), seed=seed)[0] for s in sharpness]
        rows.append(
            [name, share(points[0].single), share(points[0].majority), *(share(p.synthesis) for p in points)]
        )
    table(["questions", "single", "majority", *(f"s = {s:g}" for s in sharpness)], rows)


def agreeing(chosen: dict[str, Policy], seed: int, n: int = 8, agree: float = 0.75) -> None:
    print(f"## By how many rollouts share the leading answer (G = {n})\n")
    print(
        "Share of groups, and in percent of them how often vote and synthesis are right. `auto` votes where"
    )
    print(f"at least {agree:.0%} share an answer and asks for three syntheses elsewhere.\n")
    rows = []
    for name, policy in chosen.items():
        draw = random.Random(seed)
        bins: list[list[tuple[float, float, float]]] = [[], [], []]
        for answers in (a for _ in range(4) for a in policy.rollouts(n, draw)):
            top = max(answers.count(a) for a in set(answers)) / n
            leads = leader(answers) == RIGHT
            chance = READER.chance(answers.count(RIGHT), n, leads=leads)
            several = voted(chance, 3, tie=float(leads))
            bins[0 if top >= agree else 1 if top >= 0.5 else 2].append((float(leads), chance, several))
        groups = sum(map(len, bins))
        cells = []
        for inside in bins:
            if not inside:
                cells.append("none")
                continue
            vote, one, _ = (sum(column) / len(inside) for column in zip(*inside, strict=True))
            cells.append(f"{len(inside) / groups:.0%}: {share(vote)}, {share(one)}")
        by_vote, asked = bins[0], [*bins[1], *bins[2]]
        accuracy = (sum(v for v, _, _ in by_vote) + sum(s for _, _, s in asked)) / groups
        everywhere = sum(s for _, _, s in (*by_vote, *asked)) / groups
        rows.append(
            [name, *cells, share(everywhere), f"{share(accuracy)} with {3 * len(asked) / groups:.1f} calls"]
        )
    head = [
        "questions",
        f"at least {agree:.0%} share it",
        "50% to 75%",
        "fewer",
        "3 syntheses everywhere",
        "auto",
    ]
    table(head, rows)


def correlated(questions: int, seed: int) -> list[tuple[float, Point]]:
    print("## Rollouts that resemble each other (mean 0.50, G = 8)\n")
    found = []
    for rho in (0.0, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0):
        policy = Policy(beta_accuracies(0.5, 0.4, questions), wrong=30, trap=0.4, correlation=rho)
        found.append((rho, curve(policy, READER, sizes=(8,), seed=seed)[0]))
    table(
        ["correlation", "single", "majority", "synthesis", "pass@8", "right is there, does not lead"],
        [
            [f"{r:.1f}", *map(share, (p.single, p.majority, p.synthesis, p.pass_at, p.present))]
            for r, p in found
        ],
    )
    return found


def adaptive(chosen: dict[str, Policy], seed: int, risk: float = 0.05) -> dict[str, list[float]]:
    print(f"## Rollouts only until the majority is settled (risk {risk:g})\n")
    found: dict[str, list[float]] = {}
    rows = []
    for name, policy in chosen.items():
        some = [saving(policy, n, risk, repeats=1, seed=seed) for n in LIMITS]
        found[name] = [s.drawn / s.n for s in some]
        rows.append([
            name, *(f"{s.drawn:.1f} of {s.n} ({1 - s.drawn / s.n:.0%} spared)" for s in some),
            f"{max(s.changed for s in some):.1%}",
            f"{max(abs(s.accuracy - s.accuracy_of_all) for s in some):.1%}",
        ])  # fmt: skip
    table(
        [
            "questions",
            *(f"G = {n}" for n in LIMITS),
            "majority changed, at most",
            "accuracy changed, at most",
        ],
        rows,
    )
    return found


def plots(
    folder: Path,
    drawn: dict[str, list[Point]],
    owed: dict[str, list[float | None]],
    rho: list[tuple[float, Point]],
    spared: dict[str, list[float]],
) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        sys.exit("plots need matplotlib: pip install 'catagent[eval]'")
    import matplotlib as mpl

    mpl.use("agg")
    mpl.rcParams.update({
        "svg.hashsalt": "catagent", "svg.fonttype": "path", "font.size": 9, "axes.spines.top": False,
        "axes.spines.right": False, "legend.frameon": False, "lines.markersize": 4, "lines.linewidth": 1.4,
    })  # fmt: skip
    from matplotlib import pyplot

    def saved(figure: Any, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
        figure.savefig(folder / f"{name}.png", dpi=110, bbox_inches="tight")
        pyplot.close(figure)

    figure, axes = pyplot.subplots(2, 2, figsize=(7.4, 5.8), sharex=True, sharey=True)
    names = {"pass_at": "pass@G", "synthesis": "synthesis", "synthesis_vote": "vote of 3 syntheses",
             "majority": "majority", "single": "single"}  # fmt: skip
    for axis, (title, points) in zip(axes.flat, drawn.items(), strict=True):
        for (field, label), style in zip(names.items(), STYLES, strict=True):
            axis.plot([p.n for p in points], [100 * getattr(p, field) for p in points], label=label, **style)
        axis.set_xscale("log", base=2)
        axis.set_xticks(SIZES, [str(n) for n in SIZES])
        axis.set_title(title, fontsize=9)
        axis.set_ylim(0, 100)
        axis.grid(axis="y", color="0.9", linewidth=0.6)
    for axis in axes[1]:
        axis.set_xlabel("rollouts G")
    for axis in axes[:, 0]:
        axis.set_ylabel("right, %")
    figure.legend(*axes.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    figure.subplots_adjust(bottom=0.14, hspace=0.18, wspace=0.08)
    saved(figure, "curves")

    figure, axis = pyplot.subplots(figsize=(5.4, 3.4))
    keeps = [100, 99, 98, 95, 90, 80, 70]
    for (name, values), style in zip(owed.items(), STYLES, strict=False):
        known = [(k, 100 * v) for k, v in zip(keeps, values, strict=True) if v is not None]
        axis.plot([k for k, _ in known], [v for _, v in known], label=name, **style)
    axis.set_xlabel("keeps a right answer that leads, %")
    axis.set_ylabel("must find one that does not, %")
    axis.set_ylim(0, 100)
    axis.invert_xaxis()
    axis.grid(axis="y", color="0.9", linewidth=0.6)
    axis.legend(loc="center left", bbox_to_anchor=(1.02, 0.5))
    saved(figure, "break_even")

    figure, axis = pyplot.subplots(figsize=(5.4, 3.4))
    for (field, label), style in zip(names.items(), STYLES, strict=True):
        axis.plot([r for r, _ in rho], [100 * getattr(p, field) for _, p in rho], label=label, **style)
    axis.set_xlabel("correlation between rollouts")
    axis.set_ylabel("right at G = 8, %")
    axis.set_ylim(0, 100)
    axis.grid(axis="y", color="0.9", linewidth=0.6)
    axis.legend()
    saved(figure, "correlation")

    figure, axis = pyplot.subplots(figsize=(5.4, 3.4))
    for (name, values), style in zip(spared.items(), STYLES, strict=False):
        axis.plot(LIMITS, [100 * v for v in values], label=name, **style)
    axis.set_xscale("log", base=2)
    axis.set_xticks(LIMITS, [str(n) for n in LIMITS])
    axis.set_ylim(0, 100)
    axis.set_xlabel("rollouts allowed, G")
    axis.set_ylabel("rollouts drawn, % of G")
    axis.grid(axis="y", color="0.9", linewidth=0.6)
    axis.legend()
    saved(figure, "adaptive")
    print(f"Plots: {', '.join(sorted(p.name for p in folder.iterdir()))} in {folder}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=500, help="questions a set, each with 4 groups")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="write SVG and PNG plots there")
    given = parser.parse_args()
    chosen = policies(given.questions)
    drawn = curves(chosen, given.seed)
    owed = break_even(chosen, given.seed)
    skills(chosen, given.seed)
    agreeing(chosen, given.seed)
    rho = correlated(given.questions, given.seed)
    spared = adaptive(chosen, given.seed)
    if given.plots:
        plots(given.plots, drawn, owed, rho, spared)


if __name__ == "__main__":
    main()
