"""Benchmarks by name, from a file or from the hub. The project ships loaders and no data.

Each says what is known about contamination, since a model that has read the answers is not being tested.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from catagent.errors import ConfigError
from catagent.evaluation.hub import PREFIX, fetch_dataset_file, parts_of
from catagent.evaluation.questions import Fields, Question, digest_of, questions_from

__all__ = ["BENCHMARKS", "Benchmark", "Known", "benchmark_from", "load_benchmark"]

_OWN = (
    "Whether the model was trained on these questions is not known. Accuracy in itself may be too high; "
    "differences between methods on the same rollouts suffer less."
)


@dataclass(frozen=True, slots=True)
class Known:
    """A benchmark that is known by name: where the hub has it and what to know before reading a figure."""

    title: str
    repo: str
    file: str
    contamination: str


BENCHMARKS: Mapping[str, Known] = MappingProxyType(
    {
        "math500": Known(
            "MATH-500",
            "HuggingFaceH4/MATH-500",
            "test.jsonl",
            "Problems and solutions of MATH have been public since 2021 and are in the training data of most "
            "models. Read differences between methods on the same rollouts, not the accuracy itself.",
        ),
        "gsm8k": Known(
            "GSM8K (test)",
            "openai/gsm8k",
            "main/test-00000-of-00001.parquet",
            "Public since 2021, with paraphrases and synthetic relatives all over training corpora. Read "
            "differences between methods on the same rollouts, not the accuracy itself.",
        ),
        "aime24": Known(
            "AIME 2024",
            "HuggingFaceH4/aime_2024",
            "data/train-00000-of-00001.parquet",
            "Held in February 2024: models with training data from after that may have read the solutions. "
            "Thirty questions: one more right is 3.3 points.",
        ),
        "aime25": Known(
            "AIME 2025",
            "math-ai/aime25",
            "test.jsonl",
            "Held in February 2025: models with training data from after that may have read the solutions. "
            "Thirty questions: one more right is 3.3 points.",
        ),
        "healthbench": Known(
            "HealthBench",
            "openai/healthbench",
            "2025-05-07-06-14-12_oss_eval.jsonl",
            "Published in May 2025 with a canary and the request never to train on it. Scores depend on the "
            "judge: compare only scores by the same one.",
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Questions with what grades them. `source` says where they are from, `digest` what they are."""

    name: str
    questions: tuple[Question, ...]
    source: str
    digest: str
    contamination: str = _OWN
    left_out: int = 0
    """Rows that nothing grades."""

    def selected(self, limit: int | None = None, shuffle: int | None = None) -> Benchmark:
        """The first `limit` questions; with `shuffle`, of an order drawn with that seed."""
        chosen = list(self.questions)
        if shuffle is not None:
            random.Random(shuffle).shuffle(chosen)
        return replace(self, questions=tuple(chosen[:limit]))


def benchmark_from(
    rows: Iterable[Mapping[str, Any]], *, name: str = "own", source: str = "a program", **known: Any
) -> Benchmark:
    """A benchmark from rows. `known` may have `fields` and `contamination`. Raises `ConfigError`."""
    questions, left_out = questions_from(rows, known.pop("fields", None), source=source)
    return Benchmark(name, questions, source, digest_of(questions), left_out=left_out, **known)


async def load_benchmark(
    spec: str | Path, *, data: str | Path | None = None, fields: Fields | None = None
) -> Benchmark:
    """A benchmark by name, file, or `hf:owner/name[/file]`; `data` is a file that has a named one's rows.

    Raises `ConfigError` for what cannot be read and `FetchError` for what cannot be fetched.
    """
    name = str(spec)
    known = BENCHMARKS.get(name.lower())
    path = Path(data) if data is not None else None
    path_of = Path(name)
    source = ""
    if path is None and known is not None and not await asyncio.to_thread(path_of.is_file):
        source = f"{PREFIX}{known.repo}/{known.file}"
        path = await asyncio.to_thread(fetch_dataset_file, known.repo, known.file)
    elif path is None and name.startswith(PREFIX):
        source, (repo, file, revision) = name, parts_of(name)
        path = await asyncio.to_thread(fetch_dataset_file, repo, file, revision)
    elif path is None:
        path = path_of
        if not await asyncio.to_thread(path.is_file):
            raise ConfigError(
                f"there is no benchmark and no file {name!r}; there are {', '.join(BENCHMARKS)}, "
                "JSONL files with gold answers or rubrics, and hf:owner/name/file"
            )
    rows = await asyncio.to_thread(lambda: list(_rows(path)))
    about: dict[str, Any] = {"name": known.title if known else path.name.partition(".")[0]}
    if known:
        about["contamination"] = known.contamination
    return benchmark_from(rows, source=source or str(path), fields=fields, **about)


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    """The rows of a JSONL (also gzipped), JSON or Parquet file."""
    try:
        if path.suffix == ".parquet":
            yield from _parquet(path)
            return
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        text = raw.decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
    if path.name.endswith(".json"):
        try:
            listed = json.loads(text)
        except ValueError as error:
            raise ConfigError(f"{path} is not JSON: {error}") from None
        if not isinstance(listed, list):
            raise ConfigError(f"{path} holds no list of rows")
        yield from listed
        return
    for number, line in enumerate(text.split("\n"), 1):  # not at U+2028, which JSON may hold
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"{path}, line {number}: not JSON ({error})") from None


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ConfigError(
            f"{path.name} is Parquet, which needs pyarrow: pip install 'catagent[eval]'"
        ) from None
    try:
        yield from parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from None
