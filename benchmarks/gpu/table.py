"""The results as a table, with the command that made them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["table"]


def table(results: Mapping[str, Mapping[str, Any]], *, command: str) -> str:
    lines = [f"`{command}`", ""]
    good = {name: r for name, r in results.items() if not r.get("error")}
    if any_ := next(iter(good.values()), None):
        packages = ", ".join(f"{name} {version}" for name, version in any_["packages"].items())
        lines += [f"GPU: {any_['gpu']}. {packages}.", ""]
    lines += _anchor(good) + _timing(good) + _training(good)
    failed = {name: r["error"] for name, r in results.items() if r.get("error")}
    lines += [f"- {name} failed: {error}" for name, error in failed.items()]
    return "\n".join(lines).rstrip() + "\n"


def _head(names: Sequence[str]) -> list[str]:
    return [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]


def _anchor(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [r for r in results.values() if r["case"]["kind"] == "anchor"]
    if not rows:
        return []
    head = (
        "anchor",
        "equal before the first step",
        "other than the policy after",
        "largest logit difference",
    )
    lines = _head(head)
    # Inequality before the first step ends the case with an error.
    lines += [
        f"| {r['case']['backend']} | yes | {'yes' if r['settled'] else 'NO'} | {r['distance']:.3g} |"
        for r in rows
    ]
    return [*lines, ""]


def _timing(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [r for r in results.values() if r["case"]["kind"] == "timing" and "step_seconds" in r]
    if not rows:
        return []
    gold = {r["case"]["backend"]: r["step_seconds"] for r in rows if r["case"]["method"] == "gold"}
    lines = _head(
        ("backend", "reward", "s a step", "over gold", "rollout tokens a second", "rewards", "of it anchor",
         "anchor tokens per rollout token", "peak GiB")
    )  # fmt: skip
    for r in rows:
        backend, method = r["case"]["backend"], r["case"]["method"]
        over = f"{r['step_seconds'] / gold[backend] - 1:+.1%}" if backend in gold else "?"
        step = r["step_seconds"]
        peak = f"{r['peak_gib']:.1f}" if r["peak_gib"] is not None else "-"
        lines.append(
            f"| {backend} | {method} | {step:.3g} | {over} | {r['rollout_tokens_a_second']:.0f} | "
            f"{r['rewards_seconds'] / step:.1%} | {r['anchor_seconds'] / step:.1%} | "
            f"{r['anchor_tokens'] / r['rollout_tokens']:.3f} | {peak} |"
        )
    return [*lines, ""]


def _training(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    rows = [r for r in results.values() if r["case"]["kind"] == "training"]
    if not rows:
        return []
    lines = ["| training | steps | held-out pass@1 before | after |", "|---|---|---|---|"]
    for r in rows:
        before, after = (
            f"{v:.3f}" if isinstance(v, float) else "?" for v in (r.get("before"), r.get("after"))
        )
        state = "" if r["done"] else " (not done: call again)"
        lines.append(
            f"| {r['case']['backend']} {r['case']['method']} | {r['steps']}{state} | {before} | {after} |"
        )
    return [*lines, "", "One seed. A difference between rows is one only when seeds confirm it.", ""]
