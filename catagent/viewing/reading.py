"""Rows from what is on disk: traces, solutions, lines and folders of batch jobs, folders of training runs.

What a file holds is told from its content. A line that cannot be read is counted and said, and the rest is
shown: traces of what was killed end in torn lines.
"""

from __future__ import annotations

import gzip
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

import orjson
from pydantic import ValidationError

from catagent.errors import ConfigError
from catagent.messages import (
    ChatMessage,
    Judgement,
    Kind,
    Message,
    Reference,
    Reward,
    Rollout,
    RolloutGroup,
    Rubric,
    Solution,
    Task,
    Usage,
)
from catagent.viewing.completions import Item, logged, logs_of
from catagent.viewing.lines import NoSolutionError, solution_of
from catagent.viewing.rows import Row

__all__ = ["Prompts", "Reading", "read"]

Prompts = Callable[[str | int], Sequence[ChatMessage] | None]
"""The conversation of the row with an id, for files that do not hold it."""
_KINDS: dict[str, type[Message] | type[Usage]] = {
    kind.__name__: kind for kind in (Task, Rollout, Reference, Rubric, Judgement, Reward, Usage)
}
_SAID = 5
_WHOLE = 1 << 28
"""Bytes of a file that is one JSON value over several lines."""
_MARK = b"\xef\xbb\xbf"
_UNREADABLE = (OSError, EOFError, zlib.error)
_ACCEPTED = (
    "a trace of `catagent solve --trace`, a solution of `catagent solve --json`, the output of "
    "`catagent batch` or its .job folder, the folder of a training run"
)


class Reading:
    """The rows of a file or folder, read as they are asked for, once; `notes` says what was left out."""

    def __init__(self, path: Path, objects: Iterable[Item], prompts: Prompts | None = None) -> None:
        self.path = path
        self.notes: list[str] = []
        self._objects = objects
        self._prompts = prompts
        self._bad: list[str] = []
        self._bad_count = 0
        self._count = 0

    def __iter__(self) -> Iterator[Row]:
        """The rows. Raises `ConfigError` when there is none."""
        trace: list[tuple[str, Mapping[str, Any]]] = []
        for where, raw in self._objects:
            if isinstance(raw, str):
                self._leave(where, raw)
                continue
            try:
                found = orjson.loads(raw)
            except orjson.JSONDecodeError as error:
                self._leave(where, f"not JSON ({error})")
                continue
            if not isinstance(found, dict):
                self._leave(where, "JSON but no object")
            elif "message" in found and isinstance(found["message"], str) and found["message"] in _KINDS:
                if found["message"] == "Task" and trace:
                    yield from self._traced(trace)
                    trace = []
                trace.append((where, found))
            else:
                yield from self._row(where, found)
        if trace:
            yield from self._traced(trace)
        self._end()

    def _end(self) -> None:
        if not self._count:
            why = f": {self._bad[0]}" if self._bad else ""
            raise ConfigError(f"{self.path} holds nothing that can be shown{why}. It can be {_ACCEPTED}")
        if self._bad_count:
            some = "; ".join(self._bad)
            more = " …" if self._bad_count > len(self._bad) else ""
            lines = "1 line was" if self._bad_count == 1 else f"{self._bad_count} lines were"
            self.notes.append(f"{lines} left out: {some}{more}")

    def _leave(self, where: str, why: str) -> None:
        self._bad_count += 1
        if len(self._bad) < _SAID:
            self._bad.append(f"{where}: {why}"[:300])

    def _row(self, where: str, found: dict[str, Any]) -> Iterator[Row]:
        try:
            if "task" in found and "group" in found:
                solution = Solution.model_validate(found)
                row = Row(solution.task.id, solution)
            else:
                ident = found.get("id")
                known = self._prompts(ident) if self._prompts and isinstance(ident, str | int) else None
                solution = solution_of(found, known)
                group = found.get("group")
                name = str(ident if ident is not None else self._count + 1)
                row = Row(name, solution, group=group if isinstance(group, str) else "")
        except NoSolutionError as error:
            self._leave(where, str(error))
        except (ValidationError, ValueError, TypeError, AttributeError) as error:
            self._leave(where, _first(error))
        else:
            self._count += 1
            yield row

    def _traced(self, lines: list[tuple[str, Mapping[str, Any]]]) -> Iterator[Row]:
        """The solution of one trace; what a torn trace lacks is unknown."""
        said: dict[str, list[Any]] = {name: [] for name in _KINDS}
        for where, line in lines:
            name = str(line["message"])
            fields = {key: value for key, value in line.items() if key != "message"}
            try:
                said[name].append(_KINDS[name].model_validate(fields))
            except ValidationError as error:
                self._leave(where, _first(error))
        where = lines[0][0]
        if not said["Task"]:
            if all(line["message"] != "Task" for _, line in lines):
                self._leave(where, "messages of a trace without its task")
            return
        task = said["Task"][0]
        rollouts = tuple(sorted(said["Rollout"], key=lambda r: r.index))
        kind: Kind = "verifiable" if said["Reference"] and said["Reference"][0].answer else task.kind
        last: Callable[[str], Any] = lambda name: said[name][-1] if said[name] else None  # noqa: E731
        notes = () if said["Usage"] else ("The trace is not whole: it ends before the usage.",)
        self._count += 1
        yield Row(
            task.id,
            Solution(
                task=task,
                group=RolloutGroup(task_id=task.id, kind=kind, rollouts=rollouts),
                reference=last("Reference"),
                rubric=last("Rubric"),
                judgements=tuple(said["Judgement"]),
                rewards=tuple(said["Reward"]),
                usage=last("Usage") or Usage(),
                notes=notes,
            ),
        )


def read(path: str | Path, *, prompts: Prompts | None = None) -> Reading:
    """The rows of a trace, of a solution, of the output of a batch job or its folder, of a training run.

    `prompts` gives the conversation of a row by its id, for files that do not hold it.

    Raises `ConfigError` for what cannot be opened or is none of these; a file in which nothing can be shown
    is found out when it is read.
    """
    path = Path(path)
    if path.is_dir():
        if (path / "journal.sqlite").is_file():
            return Reading(path, _finished(path), prompts)
        if files := logs_of(path):
            return Reading(path, logged(files), prompts)
        raise ConfigError(
            f"{path} is a folder with neither the journal of a batch job nor completions of a training run. "
            f"It can be {_ACCEPTED}"
        )
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    if start.startswith(b"SQLite") or start == b"SQLi":
        raise ConfigError(f"{path} is a database; name the .job folder that it is in")
    return Reading(path, _objects(path, packed=start.startswith(b"\x1f\x8b")), prompts)


def _objects(path: Path, *, packed: bool) -> Iterator[Item]:
    """The JSON values of a file: the whole file if it is one over several lines, else its lines."""
    number = 0
    try:
        with _opened(path, packed=packed) as file:
            first = file.readline()
            if first.strip() and not _json(first):
                whole = first + file.read(_WHOLE)
                if _json(whole):
                    yield "the file", whole.removeprefix(_MARK)
                    return
    except _UNREADABLE:
        pass  # it is met again, with the number of its line
    try:
        with _opened(path, packed=packed) as file:
            for number, line in enumerate(file, 1):
                if text := (line.removeprefix(_MARK) if number == 1 else line).strip():
                    yield f"line {number}", text
    except _UNREADABLE as error:
        yield f"line {number + 1}", f"cannot be read on ({error})"


def _json(raw: bytes) -> bool:
    try:
        orjson.loads(raw.removeprefix(_MARK))
    except orjson.JSONDecodeError:
        return False
    return True


def _opened(path: Path, *, packed: bool) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if packed else path.open("rb")


def _finished(folder: Path) -> Iterator[Item]:
    """The lines of a job's finished rows, in the order of its input. The journal is only read."""
    file = folder / "journal.sqlite"
    db = None
    try:
        db = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
        rows = db.execute("SELECT row, line FROM rows WHERE state IN ('done', 'error') ORDER BY row")
        for row, line in rows:
            yield f"row {row + 1}", bytes(line)
    except (sqlite3.Error, TypeError) as error:
        raise ConfigError(f"the journal in {folder} cannot be read: {error}") from None
    finally:
        if db is not None:
            db.close()


def _first(error: Exception) -> str:
    """What is wrong first, in one line."""
    if isinstance(error, ValidationError):
        one = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
    return str(error).splitlines()[0] if str(error) else type(error).__name__
