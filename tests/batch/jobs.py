"""Jobs on the provider double, with little said."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from catagent.batch.api import batch
from catagent.batch.progress import Report
from tests.cast import SYNTHESIS, cat_on
from tests.doubles import ProviderDouble, prompt_of


def spoken(
    *answers: str, synthesis: str = "# UNIFIED RESPONSE\nIt is \\boxed{4}."
) -> Callable[[dict[str, Any], int], str]:
    """Rollout `i` of each row answers in turn and repeats the question, so that no two prompts are equal."""

    def reply(body: dict[str, Any], index: int) -> str:
        prompt = prompt_of(body)
        if SYNTHESIS in prompt:
            return synthesis
        return f"{prompt.splitlines()[0]} \\boxed{{{answers[index % len(answers)]}}}"

    return reply


def questions(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [{"id": f"q{i}", "prompt": f"What is {i} + {i}?"} for i in range(start, start + count)]


def written(path: Path, rows: Iterable[Mapping[str, Any] | str]) -> Path:
    path.write_text("".join(r if isinstance(r, str) else json.dumps(r) + "\n" for r in rows))
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def run(double: ProviderDouble, rows: Any, out: Path | None = None, **options: Any) -> Report:
    """A job whose roles are all played by the double; options of `CaT` and of `batch` alike."""
    known = ("model", "n", "kind", "estimator", "provider", "anchor", "judge", "budget", "prompts", "config")
    mine = {name: options.pop(name) for name in known if name in options}
    cat = cat_on(double, **{"kind": "verifiable", **mine})
    try:
        return await batch(rows, out, cat=cat, **options)
    finally:
        await cat.aclose()
