"""Completions that a trainer logged, as lines that can be shown: one a prompt and step.

TRL writes `completions/completions_00042.parquet` into the folder of a run, one completion a row: `step`,
`prompt`, `completion`, a column a reward function, `advantage`, and what the reward functions logged beside
(`reference` is the text that CaT made of the group).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from catagent.errors import ConfigError

__all__ = ["Item", "logged", "logs_of"]

Item: TypeAlias = tuple[str, bytes | str]
"""Where something stands, and its JSON; or, as a text, why it cannot be read."""

_NOT_REWARDS = frozenset({"step", "prompt", "completion", "advantage", "reference"})


def logs_of(folder: Path) -> list[Path]:
    """The files of logged completions in the folder of a run, in the order of their steps."""
    inside = folder / "completions"
    return sorted((inside if inside.is_dir() else folder).glob("completions_*.parquet"))


def logged(files: Sequence[Path]) -> Iterator[Item]:
    """A JSON object for each prompt of each step, and where it stands.

    Completions of one prompt follow each other in the file and are one group. Raises `ConfigError` where
    pyarrow is missing; a file that cannot be read gives a line that says so.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigError("logged completions are Parquet: pip install 'catagent[batch]'") from None
    for file in files:
        try:
            rows = parquet.read_table(file).to_pylist()
        except (OSError, pyarrow.ArrowException) as error:
            yield file.name, f"cannot be read ({error})"
            continue
        groups = groupby(rows, key=lambda row: orjson.dumps(row.get("prompt"), default=str))
        for number, (_, group) in enumerate(groups, 1):
            yield f"{file.name}, prompt {number}", orjson.dumps(_line(number, list(group)), default=str)


def _line(number: int, group: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    first = group[0]
    step = first.get("step")
    parts = [
        {name: value for name, value in row.items() if name not in _NOT_REWARDS and _is_number(value)}
        for row in group
    ]
    return {
        "id": f"step {step}, prompt {number}",
        "group": f"step {step}",
        "prompt": first.get("prompt"),
        "completions": [row.get("completion") for row in group],
        "reference": first.get("reference"),
        "method": "the anchor of the run",
        "rewards": [next(iter(part.values())) if len(part) == 1 else None for part in parts],
        "breakdowns": [
            {**part, "advantage": row.get("advantage")} for part, row in zip(parts, group, strict=True)
        ],
    }


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
