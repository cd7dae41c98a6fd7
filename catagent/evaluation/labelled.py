"""Data with human labels for judging a judge: read into items, whatever format the rows have.

The formats are told from the keys of a row; rows that have no clear label are left out and counted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catagent.errors import ConfigError
from catagent.evaluation.healthbench import conversation

__all__ = ["Item", "Labelled", "load_labelled"]


@dataclass(frozen=True, slots=True)
class Item:
    """A response and a criterion, with what people say of it (`None`: nobody was asked).

    Items of one `cluster` vary together. `pair` names two responses of which people prefer one.
    """

    id: str
    cluster: str
    response: str
    criterion: str
    label: bool | None
    question: str | None = None
    attack: bool = False
    pair: str | None = None
    points: float = 1.0
    category: str | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """The items of one file, and how many rows were left out, by reason."""

    name: str
    items: tuple[Item, ...]
    left_out: Mapping[str, int]


def load_labelled(path: Path) -> Labelled:
    """The items of a JSONL file. Raises `ConfigError` for a file or row that cannot be read.

    Understood are rows of K-QA (`criterion`, `criterion_met`), LLMBar (`output_1`, `output_2`, `label`),
    attacks on judges (`payload`, `expected_pass`, or `response_a`, `response_b`, `expected_winner`),
    HealthBench's meta-evaluation (`completion`, `rubric`, `binary_labels`), HealthBench itself (its own
    ideal completions, which have no labels), and of one's own: `response`, `criterion`, `label`.
    """
    items: list[Item] = []
    left_out: dict[str, int] = {}
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # not at U+2028, which JSON may hold
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            found = list(_items(row, f"{path.stem}-{number}"))
        except _LeftOutError as reason:
            left_out[str(reason)] = left_out.get(str(reason), 0) + 1
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            said = f"{type(error).__name__}: {error}"
            raise ConfigError(f"{path}, line {number}: not a row that judge-eval knows ({said})") from None
        else:
            items += found
    if not items:
        raise ConfigError(f"{path} has no rows with labels")
    return Labelled(path.stem, tuple(items), left_out)


class _LeftOutError(Exception):
    """The row has no clear label."""


def _items(row: Mapping[str, Any], fallback: str) -> Iterator[Item]:
    name = str(row.get("id") or row.get("prompt_id") or fallback)
    if "binary_labels" in row:
        yield _meta_evaluated(row, fallback)
    elif "rubrics" in row:
        yield from _healthbench(row, name)
    elif "output_1" in row:
        yield from _preferred(row, name)
    elif row.get("task") == "pairwise":
        yield from _attacked_pair(row, name)
    elif "payload" in row:
        yield _attacked(row, name)
    else:
        label = next((row[k] for k in ("criterion_met", "label", "met") if k in row), None)
        if not isinstance(label, bool):
            raise TypeError(f"the label is {label!r}, not true or false")
        question = row.get("question")
        yield Item(name, str(question or name), str(row["response"]), str(row["criterion"]), label, question)


def _meta_evaluated(row: Mapping[str, Any], name: str) -> Item:
    votes = [bool(v) for v in row["binary_labels"]]
    if 2 * sum(votes) == len(votes):
        raise _LeftOutError("the physicians are tied")
    return Item(
        id=name,
        cluster=str(row.get("completion_id") or row.get("prompt_id") or name),
        response=str(row["completion"]),
        criterion=str(row["rubric"]),
        label=2 * sum(votes) > len(votes),
        question=conversation(row["prompt"]),
        category=row.get("category"),
    )


def _healthbench(row: Mapping[str, Any], name: str) -> Iterator[Item]:
    ideal = (row.get("ideal_completions_data") or {}).get("ideal_completion")
    if not ideal:
        raise _LeftOutError("no ideal completion")
    for place, rubric in enumerate(row["rubrics"], 1):
        yield Item(
            id=f"{name}-{place}",
            cluster=name,
            response=str(ideal),
            criterion=str(rubric["criterion"]),
            label=None,
            question=conversation(row["prompt"]),
            points=float(rubric["points"]),
        )


def _preferred(row: Mapping[str, Any], name: str) -> Iterator[Item]:
    """People say which of two outputs follows the instruction: that one meets it, the other does not."""
    for place in (1, 2):
        yield Item(
            id=f"{name}-{place}",
            cluster=name,
            response=str(row[f"output_{place}"]),
            criterion=f"The response does exactly what this instruction asks for: {row['instruction']}",
            label=int(row["label"]) == place,
            pair=name,
            category=row.get("subset"),
        )


def _attacked(row: Mapping[str, Any], name: str) -> Item:
    if row.get("gold_ambiguous") or not isinstance(row["expected_pass"], bool):
        raise _LeftOutError("the right verdict is open to doubt")
    return Item(
        id=name,
        cluster=name,
        response=str(row["payload"]),
        criterion=str(row["rubric"]),
        label=row["expected_pass"],
        question=row.get("question"),
        attack=bool(row["attack"]) and not row["expected_pass"],
        category=row.get("category"),
    )


def _attacked_pair(row: Mapping[str, Any], name: str) -> Iterator[Item]:
    for side in ("A", "B"):
        right = row["expected_winner"] == side
        yield Item(
            id=f"{name}-{side}",
            cluster=name,
            response=str(row[f"response_{side.lower()}"]),
            criterion=f"The response correctly answers the question: {row['question']}",
            label=right,
            question=row["question"],
            attack=bool(row["attack"]) and not right,
            pair=name,
            category=row.get("category"),
        )
