"""An evaluation's plots, for print and screen: no colour says anything that shape and grey do not.

Each is an SVG, which the page holds as it is, and a PNG for where that cannot go.
"""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from catagent.errors import ConfigError
from catagent.evaluation.findings import curve, departures, pareto, placebos_of
from catagent.evaluation.scores import Scores

__all__ = ["Plot", "needs_matplotlib", "plots_of"]

_MARKERS = "osD^vPX<>*hp"
_SETTINGS = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
}


@dataclass(frozen=True, slots=True)
class Plot:
    """`svg` is an element to stand in a page, `file` the same with its head; `caption` says what is seen."""

    name: str
    title: str
    caption: str
    svg: str
    file: bytes
    png: bytes


def needs_matplotlib() -> Any:
    """matplotlib. Raises `ConfigError` with the command that installs it."""
    try:
        return importlib.import_module("matplotlib")
    except ImportError:
        raise ConfigError("plots need matplotlib: pip install 'catagent[eval]'") from None


def plots_of(scores: Scores) -> list[Plot]:
    """The plots that the records have something to show in. Raises `ConfigError` without matplotlib."""
    matplotlib = needs_matplotlib()
    drawn: list[Plot] = []
    if not scores.records:
        return drawn
    for name, title, caption, draw in (
        (
            "accuracy",
            "Accuracy",
            "Mean over questions, 95% intervals. Triangles: placebos; open: one rollout and the oracle.",
            _accuracy,
        ),
        ("by-g", "Accuracy by G", "Expected value with G of the rollouts there are.", _by_g),
        (
            "pareto",
            "Accuracy against tokens",
            "Tokens a question, rollouts included. The line is the front: nothing to its left is better.",
            _pareto,
        ),
        (
            "departures",
            "Where a method departs from the majority",
            "Questions on which the reference differs from the majority of the rollouts, and who was right.",
            _departures,
        ),
    ):
        with matplotlib.rc_context({**_SETTINGS, "svg.hashsalt": name}):
            figure = draw(scores)
            if figure is not None:
                drawn.append(_saved(name, title, caption, figure))
    return drawn


def _figure(height: float = 3.4) -> tuple[Any, Any]:
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(6.4, height), layout="constrained")
    return figure, figure.add_subplot()


def _saved(name: str, title: str, caption: str, figure: Any) -> Plot:
    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    figure.savefig(png, format="png", dpi=150, metadata={"Software": None})
    text = svg.getvalue().decode()
    inline = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", text[text.index("<svg") :])
    # Its style sheet would hold for the whole page; what it says is inherited from the element as well.
    inline = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", inline, flags=re.S)
    inline = inline.replace("<svg ", '<svg role="img" style="stroke-linejoin:round" ', 1)
    return Plot(name, title, caption, inline, svg.getvalue(), png.getvalue())


def _marker(scores: Scores, method: str) -> dict[str, Any]:
    if method in ("single", scores.oracle):
        return {"marker": "o", "mfc": "white", "color": "black"}
    if method in placebos_of(scores.arms):
        return {"marker": "^", "color": "0.45"}
    return {"marker": "o", "color": "black"}


def _accuracy(scores: Scores) -> Any:
    methods = scores.methods[::-1]
    figure, axes = _figure(0.9 + 0.32 * len(methods))
    for place, method in enumerate(methods):
        interval = scores.accuracy(method).interval
        if interval.value is None:
            continue
        low, high = (interval.value if v is None else v for v in (interval.low, interval.high))
        ends = [[max(0.0, interval.value - low)], [max(0.0, high - interval.value)]]
        axes.errorbar([interval.value], [place], xerr=ends, capsize=3, lw=1.1, **_marker(scores, method))
    axes.set_yticks(range(len(methods)), methods)
    axes.set_ylim(-0.6, len(methods) - 0.4)
    _percentages(axes.xaxis)
    axes.set_xlabel("score" if scores.open else "accuracy")
    axes.grid(axis="x", color="0.88", lw=0.7)
    axes.set_axisbelow(True)
    return figure


def _percentages(axis: Any) -> None:
    axis.set_major_formatter(importlib.import_module("matplotlib.ticker").PercentFormatter(1, decimals=0))


def _by_g(scores: Scores) -> Any:
    found = curve(scores)
    if len(found) < 2:
        return None
    figure, axes = _figure(3.8)
    ks = [p.k for p in found]
    axes.plot(ks, [p.oracle for p in found], ":^", color="black", ms=4, mfc="white", label="pass@G (oracle)")
    axes.plot(ks, [p.vote.drawing for p in found], "-o", color="black", ms=4, label="majority, ties drawn")
    axes.plot(
        ks, [p.vote.abstaining for p in found], "--o", color="0.45", ms=3, label="majority, ties abstain"
    )
    asked = [a for a in scores.arms if a.partition("@")[0].partition(":")[0] != "majority"]
    names = list(dict.fromkeys(a.rpartition("@")[0] if scores.size_of(a) != scores.n else a for a in asked))
    for number, name in enumerate(names):
        mine = [
            (scores.size_of(a), value)
            for a in asked
            if (a == name or a.rpartition("@")[0] == name)
            and (value := scores.accuracy(a).interval.value) is not None
        ]
        mine.sort()
        grey = "0.45" if name in placebos_of(scores.arms) else "black"
        axes.plot(
            *zip(*mine, strict=True), "-." if len(mine) > 1 else "", marker=_MARKERS[1 + number % 11],
            color=grey, ms=6, mfc="white", label=name,
        )  # fmt: skip
    axes.set_xticks(ks if len(ks) <= 16 else ks[:: len(ks) // 8])
    axes.set_xlabel("G, rollouts")
    axes.set_ylabel("accuracy")
    _percentages(axes.yaxis)
    axes.grid(color="0.9", lw=0.7)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    return figure


def _pareto(scores: Scores) -> Any:
    points = []
    rollout = scores.rollout.tokens
    for method in [m for m in scores.methods if m != scores.oracle]:
        tokens, value = scores.cost(method).tokens, scores.accuracy(method).interval.value
        if tokens and value is not None:
            points.append((method, tokens, value))
    if len(points) < 2:
        return None
    votes = [(p.k * rollout, p.vote.drawing) for p in curve(scores)] if rollout else []
    figure, axes = _figure(3.8)
    if len(votes) > 1:
        axes.plot(
            *zip(*votes, strict=True), "--", color="0.6", lw=1, label="majority of 1, 2, … (ties drawn)"
        )
    front = sorted((p for p in points if p[0] in pareto(points)), key=lambda p: p[1])
    axes.step([p[1] for p in front], [p[2] for p in front], where="post", color="black", lw=1, label="front")
    for number, (method, tokens, value) in enumerate(points):
        look = {**_marker(scores, method), "marker": _MARKERS[number % len(_MARKERS)], "ms": 7, "ls": ""}
        axes.plot([tokens], [value], label=method, **look)
    axes.set_xscale("log")
    ticks = importlib.import_module("matplotlib.ticker")
    axes.xaxis.set_major_locator(ticks.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ticks.FuncFormatter(lambda tokens, _: f"{tokens:,.0f}"))
    axes.xaxis.set_minor_formatter(ticks.NullFormatter())
    axes.set_xlabel("tokens a question (logarithmic)")
    axes.set_ylabel("score" if scores.open else "accuracy")
    _percentages(axes.yaxis)
    axes.grid(color="0.9", lw=0.7)
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


def _departures(scores: Scores) -> Any:
    arms = [a for a in scores.arms if a.partition("@")[0] != "majority"]
    rows = [d for d in departures(scores, arms) if d.count][::-1]
    if not rows:
        return None
    figure, axes = _figure(1.3 + 0.34 * len(rows))
    left = [0] * len(rows)
    for label, pick, look in (
        ("the method was right", lambda d: d.right, {"color": "0.15"}),
        ("the majority was right", lambda d: d.majority_right, {"color": "white", "hatch": "//"}),
        ("neither", lambda d: d.neither, {"color": "0.75"}),
        ("undecided", lambda d: d.undecided, {"color": "white", "hatch": "xx"}),
    ):
        pick_: Callable[[Any], int] = pick
        counts = [pick_(d) for d in rows]
        if any(counts):
            axes.barh(range(len(rows)), counts, left=left, label=label, edgecolor="black", lw=0.6, **look)
        left = [a + b for a, b in zip(left, counts, strict=True)]
    axes.set_yticks(range(len(rows)), [d.method for d in rows])
    axes.set_xlabel("questions")
    axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure
