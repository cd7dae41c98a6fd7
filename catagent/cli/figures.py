"""Figures with their intervals as text, for terminals and pages alike."""

from __future__ import annotations

from collections.abc import Sequence

from catagent.evaluation.calibration import Calibration
from catagent.evaluation.statistics import Estimate

__all__ = ["percent", "plain", "rows_of"]


def rows_of(figures: Sequence[Calibration]) -> list[tuple[str, list[str]]]:
    """The table of figures: a label and one cell a set; rows that say nothing anywhere are left out."""
    rows: list[tuple[str, list[str]]] = [
        ("items", [f"{f.items}" for f in figures]),
        ("clusters", [f"{f.clusters}" for f in figures]),
        ("accuracy", [percent(f.accuracy) for f in figures]),
        ("  always the commoner label", [percent(Estimate(f.majority_class)) for f in figures]),
        ("macro-F1", [plain(f.macro_f1) for f in figures]),
        ("Cohen's kappa", [plain(f.kappa) for f in figures]),
        ("preferences reproduced", [percent(f.pair_accuracy) for f in figures]),
        ("unscored", [percent(f.unscored) for f in figures]),
        ("attacks that succeed", [percent(f.attack_success) for f in figures]),
        ("attacks with a sign found", [percent(Estimate(f.attacks_found)) for f in figures]),
        ("false alarms", [percent(Estimate(f.false_alarms)) for f in figures]),
        ("HealthBench score", [plain(Estimate(f.healthbench)) for f in figures]),
        ("calls", [f"{f.usage.calls}" for f in figures]),
        ("tokens", [f"{f.usage.tokens}" for f in figures]),
        ("cost", ["unknown" if f.usage.usd is None else f"${f.usage.usd:.4f}" for f in figures]),
        ("seconds", [f"{f.usage.seconds:.0f}" for f in figures]),
    ]
    return [(label, cells) for label, cells in rows if any(cell != "–" for cell in cells)]


def percent(e: Estimate) -> str:
    """A share with its interval, in per cent."""
    if e.value is None:
        return "–"
    between = "" if e.low is None or e.high is None else f" [{e.low:.1%}, {e.high:.1%}]"
    return f"{e.value:.1%}{between}"


def plain(e: Estimate) -> str:
    """A number with its interval."""
    if e.value is None:
        return "–"
    between = "" if e.low is None or e.high is None else f" [{e.low:.2f}, {e.high:.2f}]"
    return f"{e.value:.2f}{between}"
