"""The card of a trained model: what it was trained on and how, and what came of it, as measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from catagent.training.methods import method_of
from catagent.training.runs import Run

__all__ = ["model_card"]

_LIMITS = (
    "The reference that training rewards is the model's own synthesis of its own answers: what it is sure of "
    "and wrong about is rewarded too. Method: Compute as Teacher, arXiv 2509.14234."
)


def model_card(
    run: Run,
    environment: Mapping[str, Any],
    *,
    steps: int,
    before: Mapping[str, float] | None,
    after: Mapping[str, float] | None,
    stopped: str | None,
    usage: Mapping[str, Any],
    plots: Sequence[str],
) -> str:
    """The card as Markdown with the header that model hubs read."""
    config = run.config
    header: dict[str, Any] = {"library_name": "transformers", "tags": ["catagent", "cat-rl", "grpo"]}
    if "/" in run.model and not run.model.startswith(("gguf:", "embedded/", "/", ".")):
        header["base_model"] = run.model
    method = method_of(config.method)
    labels = "with gold labels" if method.control == "gold" else "without labels"
    said = f"{config.method}` ({method.summary})" if method.summary else f"{config.method}`"
    trained = (
        f"`{run.model}`, trained {labels} by catagent {environment['catagent']}: GRPO with the "
        f"method `{said}, for {steps} of {config.max_steps} steps on `{run.data.name}` "
        f"({config.settled_kind} tasks)."
    )
    lines = [
        "---",
        yaml.safe_dump(header, sort_keys=False).strip(),
        "---",
        "",
        f"# {run.output.name}",
        "",
        trained,
        "",
    ]
    if stopped:
        lines += [f"Training stopped early: {stopped}.", ""]
    lines += ["## Held-out accuracy", ""]
    if before and after:
        lines += ["| | before | after |", "|---|---|---|"]
        lines += [f"| {name} | {before[name]:.3f} | {after[name]:.3f} |" for name in before if name in after]
        where = run.held_out.name if run.held_out else ""
        caution = (
            f"On `{where}`, one run, sampled at temperature {config.temperature:g}. One run shows no "
            "difference between methods: repeat it over seeds, beside the controls `random` and `placebo`."
        )
        lines += ["", caution]
    else:
        lines.append("Not measured: the run had no held-out data with labels.")
    lines += [
        "",
        "## Settings",
        "",
        "```yaml",
        yaml.safe_dump(run.settings(), sort_keys=False).strip(),
        "```",
        "",
    ]
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    lines += [f"Python {environment['python']}, {packages}.", ""]
    if usage:
        lines += ["## Cost", "", "```json", json.dumps(dict(usage), indent=2), "```", ""]
    if plots:
        lines += ["## Plots", "", *(f"![{name}](plots/{name})" for name in plots), ""]
    lines += [
        "## Limits",
        "",
        _LIMITS,
        "",
    ]
    return "\n".join(lines)
