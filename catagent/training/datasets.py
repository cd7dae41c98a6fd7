"""Prompts to train on, apart from their labels.

The data set that goes to TRL has prompts and row numbers. Labels stay here: no column of a batch, no
request and no table of completions holds one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from catagent.agents.prompts import Prompts as Templates
from catagent.errors import ConfigError
from catagent.messages import ChatMessage, Kind
from catagent.training.backend import needed

__all__ = ["PromptData", "Prompts", "read_prompts"]

PromptData: TypeAlias = "str | Path | Prompts | Iterable[str | Mapping[str, Any]]"
"""A file, rows, a `datasets.Dataset`, or prompts that were read before."""

_log = logging.getLogger("catagent.training")
_LABELS = ("label", "answer", "gold")
_PROMPTS = ("messages", "prompt")


@dataclass(frozen=True)
class Prompts:
    """Questions, and beside them what is known of the right answers.

    `messages` are conversations as they are scored, `labels` gold answers or `None`, `columns` what else the
    rows hold, for reward functions of one's own.
    """

    messages: tuple[tuple[ChatMessage, ...], ...]
    labels: tuple[str | None, ...]
    columns: tuple[Mapping[str, Any], ...] = field(default=())

    def __len__(self) -> int:
        return len(self.messages)

    @property
    def labelled(self) -> bool:
        """Whether there is any label."""
        return any(label is not None for label in self.labels)

    def kept(self, rows: Sequence[int]) -> Prompts:
        """Only these rows."""
        columns = tuple(self.columns[i] for i in rows) if self.columns else ()
        return Prompts(tuple(self.messages[i] for i in rows), tuple(self.labels[i] for i in rows), columns)

    def fitting(self, tokenizer: Any, most: int, *, chat: bool) -> Prompts:
        """Without the prompts of more than `most` tokens. Raises `ConfigError` when none is left."""
        rows = [i for i, m in enumerate(self.messages) if len(_tokens(tokenizer, m, chat=chat)) <= most]
        if not rows:
            raise ConfigError(f"every prompt has more than {most} tokens: raise max_prompt_tokens")
        if left := len(self) - len(rows):
            _log.warning("%d of %d prompts have more than %d tokens and are left out", left, len(self), most)
        return self.kept(rows)

    def dataset(self, *, chat: bool, instruction: str | None = None, columns: bool = False) -> Any:
        """The `datasets.Dataset` for TRL: `prompt` and `row`, and further columns when asked for."""
        rows = []
        for row, messages in enumerate(self.messages):
            prompt: Any = _plain_text(messages)
            if chat:
                prompt = [{"role": str(m["role"]), "content": _text(m)} for m in messages]
                if instruction:
                    prompt = instructed(prompt, instruction)
            more = self.columns[row] if columns and self.columns else {}
            rows.append({**more, "prompt": prompt, "row": row})
        return needed("datasets").Dataset.from_list(rows)


def read_prompts(data: Any, *, label_field: str | None = None, limit: int | None = None) -> Prompts:
    """Prompts from a JSONL or parquet file, from rows, or from a `datasets.Dataset`.

    A row is a text, or a mapping with `prompt` (a text or messages) or `messages`, and perhaps a label.
    Raises `ConfigError` with the place of the first row that cannot be used.
    """
    if isinstance(data, Prompts):
        return data
    named = str(data) if isinstance(data, str | Path) else "the data"
    rows = _rows(data)[:limit]
    if not rows:
        raise ConfigError(f"{named} has no rows")
    found = label_field or next(
        (f for f in _LABELS if any(isinstance(r, Mapping) and f in r for r in rows)), None
    )
    messages, labels, columns = [], [], []
    for number, given in enumerate(rows, 1):
        row = {"prompt": given} if isinstance(given, str) else given
        if not isinstance(row, Mapping):
            raise ConfigError(
                f"{named}, row {number}: a row is a text or an object, not {type(row).__name__}"
            )
        messages.append(_messages(row, f"{named}, row {number}"))
        label = row.get(found) if found else None
        labels.append(None if label is None else str(label))
        columns.append({k: v for k, v in row.items() if k not in (*_PROMPTS, found)})
    if label_field and not any(label is not None for label in labels):
        raise ConfigError(f"{named}: no row has the label field {label_field!r}")
    return Prompts(tuple(messages), tuple(labels), tuple(columns))


def _rows(data: Any) -> list[Any]:
    if not isinstance(data, str | Path):
        return list(data)
    path = Path(data).expanduser()
    if not path.is_file():
        raise ConfigError(f"there is no file {path}: name a JSONL or parquet file with prompts")
    if path.suffix == ".parquet":
        return list(needed("datasets").Dataset.from_parquet(str(path)))
    rows = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                try:
                    rows.append(orjson.loads(line))
                except orjson.JSONDecodeError as error:
                    raise ConfigError(f"{path}, line {number} is not JSON: {error}") from None
    return rows


def _messages(row: Mapping[str, Any], where: str) -> tuple[ChatMessage, ...]:
    given = next((row[name] for name in _PROMPTS if row.get(name)), None)
    if isinstance(given, str) and given.strip():
        return ({"role": "user", "content": given},)
    if isinstance(given, Sequence) and given and all(isinstance(m, Mapping) and m.get("role") for m in given):
        return tuple(dict(m) for m in given)
    raise ConfigError(f"{where} has no prompt: `prompt` is a text or messages, `messages` are messages")


def _tokens(tokenizer: Any, messages: Sequence[ChatMessage], *, chat: bool) -> list[int]:
    text = _plain_text(messages)
    if chat:
        plain = [{"role": str(m["role"]), "content": _text(m)} for m in messages]
        text = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=True)
    return list(tokenizer(text, add_special_tokens=not chat)["input_ids"])


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "\n".join(str(part.get("text", "")) for part in content)
    return str(content or "")


def _plain_text(messages: Sequence[ChatMessage]) -> str:
    """A conversation for a model without a chat template: its texts, one below the other."""
    return "\n".join(_text(m) for m in messages)


def instructed(prompt: Sequence[ChatMessage], instruction: str) -> list[ChatMessage]:
    """The instruction at the end of the last message of the user, as the Sampler puts it."""
    for i in range(len(prompt) - 1, -1, -1):
        if prompt[i]["role"] == "user":
            changed = {**prompt[i], "content": f"{prompt[i]['content']}\n\n{instruction}"}
            return [*prompt[:i], changed, *prompt[i + 1 :]]
    return [*prompt, {"role": "user", "content": instruction}]


def instruction_for(kind: Kind, templates: Templates) -> str | None:
    """How the policy is told to state its answer; `None` for open-ended tasks."""
    if kind == "open":
        return None
    return templates["rollout_verifiable" if kind == "verifiable" else "rollout_auto"].render()
