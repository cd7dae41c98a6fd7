"""The output as a Parquet file, for those who read it with data frames.

Columns that every mode's lines share have types of their own; anything else is JSON text, so that the file
has one schema however the rows differ.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from catagent.errors import ConfigError, JournalError

__all__ = ["needs_pyarrow", "to_parquet"]

_ROWS = 10_000


def needs_pyarrow() -> Any:
    """The library. Raises `ConfigError` when it is not there."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ConfigError("Parquet needs pyarrow: pip install 'catagent[batch]'") from None
    return pyarrow


def to_parquet(lines: Path, out: Path) -> None:
    """Write what a file of lines holds. The file appears when it is whole."""
    arrow = needs_pyarrow()
    usage = [("calls", arrow.int64()), ("cached", arrow.int64()), ("prompt_tokens", arrow.int64())]
    usage += [("completion_tokens", arrow.int64()), ("usd", arrow.float64()), ("seconds", arrow.float64())]
    kinds = {
        "id": arrow.string(),
        "answer": arrow.string(),
        "text": arrow.string(),
        "rewards": arrow.list_(arrow.float64()),
        "agreement": arrow.float64(),
        "method": arrow.string(),
        "fallback": arrow.string(),
        "partial": arrow.bool_(),
        "reference": arrow.string(),
        "usage": arrow.struct(usage),
        "error": arrow.string(),
    }
    names = _names(lines)
    schema = arrow.schema([(name, kinds.get(name, arrow.string())) for name in names])
    beside = out.with_name(f".{out.name}.new")
    try:
        with arrow.parquet.ParquetWriter(beside, schema) as writer:
            for rows in _pieces(lines):
                table = [{name: _cell(row.get(name), name, kinds) for name in names} for row in rows]
                writer.write_table(arrow.Table.from_pylist(table, schema=schema))
        beside.replace(out)
    except OSError as error:
        raise JournalError(f"cannot write {out}: {error}; the lines are in {lines}") from None


def _pieces(lines: Path) -> Iterator[list[dict[str, Any]]]:
    with lines.open("rb") as file:
        while piece := [orjson.loads(line) for line in islice(file, _ROWS)]:
            yield piece


def _names(lines: Path) -> list[str]:
    """Every name that a line has, in the order of first sight."""
    names: dict[str, None] = {"id": None}
    for piece in _pieces(lines):
        for row in piece:
            names.update(dict.fromkeys(row))
    return list(names)


def _cell(value: Any, name: str, kinds: dict[str, Any]) -> Any:
    if name == "id":
        return None if value is None else str(value)
    if name in kinds or value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
