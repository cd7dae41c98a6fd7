"""A benchmark's question: the task that agents see, and beside it what only the grader sees.

Rows come in the formats that benchmarks are published in. Gold answers and rubrics never enter the `Task`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catagent.answers import extract
from catagent.errors import ConfigError
from catagent.messages import Rubric, Task
from catagent.models.journal import canonical

__all__ = ["Fields", "Question", "UngradableError", "digest_of", "question_from", "questions_from"]

_PROMPTS = ("messages", "prompt", "problem", "question", "input", "query")
_GOLD = ("answer", "gold", "target", "expected_answer", "final_answer", "expected", "answers")
_RUBRICS = ("rubrics", "rubric", "criteria")
_IDS = ("id", "custom_id", "unique_id", "prompt_id", "task_id", "problem_id")
_GROUPS = ("group", "subject", "category", "theme", "type")
_GSM8K = "####"


@dataclass(frozen=True, slots=True)
class Fields:
    """Where a row has its parts; `None` tries the names that are usual."""

    prompt: str | None = None
    gold: str | None = None
    rubric: str | None = None
    id: str | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A task, and how an answer to it is graded: by any of the `gold` answers, else by the `rubric`."""

    id: str
    task: Task
    gold: tuple[str, ...] = ()
    rubric: Rubric | None = None
    group: str | None = None

    @property
    def open(self) -> bool:
        """Whether it is graded by a rubric."""
        return not self.gold


class UngradableError(ValueError):
    """The row has neither a gold answer nor a rubric."""


def questions_from(
    rows: Iterable[Mapping[str, Any]], fields: Fields | None = None, *, source: str = "the benchmark"
) -> tuple[tuple[Question, ...], int]:
    """The questions of some rows, and how many rows were left out since nothing grades them.

    Ids that come twice get a number. Raises `ConfigError` for a row that cannot be read, and when there is
    no question at all.
    """
    found: list[Question] = []
    seen: dict[str, int] = {}
    left_out = 0
    for number, row in enumerate(rows, 1):
        try:
            question = question_from(row, number, fields)
        except UngradableError:
            left_out += 1
            continue
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(f"{source}, row {number}: {error}") from None
        seen[question.id] = seen.get(question.id, 0) + 1
        if (times := seen[question.id]) > 1:
            name = f"{question.id}#{times}"
            question = Question(name, question.task, question.gold, question.rubric, question.group)
        found.append(question)
    if not found:
        raise ConfigError(
            f"{source} has no question that can be graded: a row needs a prompt ({', '.join(_PROMPTS)}) and "
            f"a gold answer ({', '.join(_GOLD[:4])}) or a rubric ({', '.join(_RUBRICS[:2])}); "
            "name other fields with --prompt-field, --gold-field, --rubric-field"
        )
    return tuple(found), left_out


def question_from(row: Mapping[str, Any], number: int = 1, fields: Fields | None = None) -> Question:
    """The question of one row. Raises `UngradableError`, and `ValueError` for a row that cannot be read."""
    if not isinstance(row, Mapping):
        raise TypeError(f"a row is an object with named fields, not {type(row).__name__}")
    fields = fields or Fields()
    prompt = _found(row, fields.prompt, _PROMPTS)
    if prompt is None:
        raise ValueError(f"no prompt in {', '.join(map(str, row))[:200]}")
    gold = _gold(row, fields)
    rubric = _found(row, fields.rubric, _RUBRICS)
    if not gold and not rubric:
        raise UngradableError
    return Question(
        id=str(_found(row, fields.id, _IDS) or number),
        task=Task.of(prompt, kind="verifiable" if gold else "open"),
        gold=gold,
        rubric=None if gold else Rubric.of(rubric),
        group=_group(row, fields.group),
    )


def _found(row: Mapping[str, Any], name: str | None, names: Sequence[str]) -> Any:
    if name is not None:
        if name not in row:
            raise ValueError(f"there is no field {name!r}; there are {', '.join(map(str, row))[:200]}")
        return row[name]
    return next((row[n] for n in names if row.get(n) is not None), None)


def _gold(row: Mapping[str, Any], fields: Fields) -> tuple[str, ...]:
    """Gold answers as texts: any of them counts. Where there is only a solution, the box in it."""
    given = _found(row, fields.gold, _GOLD)
    if given is None:
        solution = row.get("solution")
        boxed = extract(solution) if isinstance(solution, str) and "\\boxed" in solution else None
        return (boxed.text,) if boxed is not None else ()
    many = given if isinstance(given, list | tuple) else [given]
    return tuple(text for text in map(_text, many) if text)


def _text(gold: Any) -> str:
    if isinstance(gold, str):
        text = gold.rpartition(_GSM8K)[2] if _GSM8K in gold else gold
        return text.strip()
    if isinstance(gold, bool) or not isinstance(gold, int | float):
        raise TypeError(f"a gold answer is a text or a number, not {gold!r:.80}")
    return str(int(gold)) if float(gold).is_integer() else str(gold)


def _group(row: Mapping[str, Any], name: str | None) -> str | None:
    group = _found(row, name, _GROUPS)
    if group is None and isinstance(tags := row.get("example_tags"), list):
        group = next((str(t).removeprefix("theme:") for t in tags if str(t).startswith("theme:")), None)
    return None if group is None else str(group)


def digest_of(questions: Iterable[Question]) -> str:
    """A short fingerprint of ids, prompts and what grades them: two runs over the same data share it."""
    seen = hashlib.sha256()
    for q in questions:
        criteria = [(c.text, c.weight) for c in q.rubric.criteria] if q.rubric else None
        seen.update(canonical([q.id, list(q.task.messages), list(q.gold), criteria]))
    return seen.hexdigest()[:16]
