from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from catagent.errors import ConfigError, FetchError
from catagent.evaluation.benchmarks import benchmark_from, load_benchmark
from catagent.evaluation.questions import Fields, UngradableError, question_from
from tests.evaluation.datasets_hub import DatasetHub

DATA = Path(__file__).parents[3] / "shared" / "data"
real = pytest.mark.skipif(not DATA.is_dir(), reason=f"no data of others at {DATA}")


@pytest.mark.parametrize(
    ("row", "gold"),
    [
        ({"problem": "p", "answer": "\\frac12", "solution": "long \\boxed{\\frac12}"}, ("\\frac12",)),
        ({"question": "p", "answer": "first 3\nthen 4\n#### 7"}, ("7",)),
        ({"prompt": "p", "target": 12}, ("12",)),
        ({"prompt": "p", "answer": 0.5}, ("0.5",)),
        ({"prompt": "p", "answer": 3.0}, ("3",)),
        ({"prompt": "p", "answers": ["a", "b", ""]}, ("a", "b")),
        ({"problem": "p", "solution": "so \\boxed{9}."}, ("9",)),
    ],
)
def test_gold_answers_as_benchmarks_have_them(row: dict[str, Any], gold: tuple[str, ...]) -> None:
    question = question_from(row)
    assert question.gold == gold
    assert not question.open
    assert question.task.kind == "verifiable"
    assert question.task.messages == ({"role": "user", "content": "p"},)


def test_rows_with_a_rubric_are_open() -> None:
    chat = [{"role": "user", "content": "My head hurts."}]
    row = {
        "prompt_id": "h1",
        "prompt": chat,
        "rubrics": [{"criterion": "Asks since when.", "points": 5}, {"criterion": "Panics.", "points": -3}],
        "example_tags": ["theme:hedging", "physician_agreed"],
    }
    question = question_from(row)
    assert (question.id, question.group, question.open, question.task.kind) == ("h1", "hedging", True, "open")
    assert question.rubric is not None
    assert [c.weight for c in question.rubric.criteria] == [5, -3]
    assert question.task.messages == tuple(chat)


def test_what_cannot_be_read_is_said() -> None:
    with pytest.raises(UngradableError):
        question_from({"question": "p"})
    with pytest.raises(ConfigError, match="row 2: no prompt in answer"):
        benchmark_from([{"question": "p", "answer": "1"}, {"answer": "2"}])
    with pytest.raises(ConfigError, match="row 1: a gold answer is a text or a number, not True"):
        benchmark_from([{"question": "p", "answer": True}])
    with pytest.raises(ConfigError, match=r"no question that can be graded.*--gold-field"):
        benchmark_from([{"question": "p"}])
    with pytest.raises(ConfigError, match="there is no field 'y'; there are x"):
        benchmark_from([{"x": "p"}], fields=Fields(prompt="y"))
    with pytest.raises(ConfigError, match="row 1: a row is an object"):
        benchmark_from([["p"]])  # type: ignore[list-item]


def test_own_fields_ids_that_come_twice_and_rows_left_out() -> None:
    rows = [{"q": "1?", "a": "1", "n": "same"}, {"q": "2?", "a": "2", "n": "same"}, {"q": "3?", "a": ""}]
    found = benchmark_from([*rows[:2], {**rows[2], "n": "x"}], fields=Fields(prompt="q", gold="a", id="n"))
    assert [q.id for q in found.questions] == ["same", "same#2"]
    assert found.left_out == 1


def test_limit_and_shuffle_choose_the_same_questions_each_time() -> None:
    whole = benchmark_from([{"question": f"{i}?", "answer": i, "id": f"q{i}"} for i in range(50)])
    ids = [q.id for q in whole.selected(10, shuffle=3).questions]
    assert ids == [q.id for q in whole.selected(10, shuffle=3).questions]
    assert ids == [q.id for q in whole.selected(20, shuffle=3).questions][:10]  # a larger limit adds to it
    assert ids != [q.id for q in whole.selected(10).questions] == [f"q{i}" for i in range(10)]
    assert whole.selected(10).digest == whole.digest


async def test_files_of_every_kind_hold_the_same_questions(tmp_path: Path) -> None:
    rows = [{"problem": f"What is {i} + {i}?", "answer": str(2 * i), "id": f"r{i}"} for i in range(5)]
    lines = "\n".join(map(json.dumps, rows))
    (tmp_path / "a.jsonl").write_text(f"\n{lines}\n\n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "c.json").write_text(json.dumps(rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "d.parquet")
    found = [await load_benchmark(tmp_path / n) for n in ("a.jsonl", "b.jsonl.gz", "c.json", "d.parquet")]
    assert len({b.digest for b in found}) == 1
    assert [b.name for b in found] == ["a", "b", "c", "d"]
    named = await load_benchmark("math500", data=tmp_path / "a.jsonl")
    assert (named.name, named.digest) == ("MATH-500", found[0].digest)
    assert "2021" in named.contamination


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", b'{"question": 1', "line 1: not JSON"),
        ("b.jsonl", b"\xff\xfe\x00", "cannot read"),
        ("c.json", b"{}", "holds no list"),
        ("d.json", b"{", "is not JSON"),
        ("e.jsonl.gz", b"no gzip", "cannot read"),
        ("f.parquet", b"no parquet", "cannot read"),
        ("g.jsonl", b"", "no question that can be graded"),
        ("h.jsonl", b"[" * 100_000, "line 1: not JSON"),
    ],
)
async def test_damaged_files_are_said(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError, match=said):
        await load_benchmark(tmp_path / name)


async def test_a_name_that_is_neither_benchmark_nor_file_is_said() -> None:
    with pytest.raises(ConfigError, match="no benchmark and no file 'gsm9k'; there are math500, gsm8k"):
        await load_benchmark("gsm9k")


@real
async def test_benchmarks_as_others_publish_them() -> None:
    math = await load_benchmark("math500", data=DATA / "math500.jsonl")
    assert (len(math.questions), math.left_out) == (500, 0)
    assert len({q.group for q in math.questions}) == 7
    grade_school = await load_benchmark("gsm8k", data=DATA / "gsm8k_test.jsonl")
    assert len(grade_school.questions) == 1319
    assert all(
        q.gold[0].lstrip("-").replace(",", "").replace(".", "").isdigit() for q in grade_school.questions
    )
    health = await load_benchmark("healthbench", data=DATA / "healthbench_part.jsonl")
    assert len(health.questions) == 204
    assert all(q.open and q.rubric for q in health.questions)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[DatasetHub]:
    """The hub's double, and a cache of its own."""
    row = b'{"problem": "What is 2 + 2?", "answer": "4"}\n'
    double = DatasetHub(
        {
            "HuggingFaceH4/MATH-500/test.jsonl": row,
            "HuggingFaceH4/MATH-500/README.md": b"about",
            "two/files/a.jsonl": row,
            "two/files/deep/b.jsonl": row,
            "no/data/README.md": b"about",
            "a/gated/a.jsonl": row,
        },
        gated=("a/gated",),
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    double.start()
    monkeypatch.setenv("HF_ENDPOINT", double.url)
    yield double
    double.stop()


async def test_a_named_benchmark_comes_from_the_hub_once(hub: DatasetHub) -> None:
    for _ in range(2):
        found = await load_benchmark("math500")
        assert (found.name, found.source) == ("MATH-500", "hf:HuggingFaceH4/MATH-500/test.jsonl")
        assert found.questions[0].gold == ("4",)
    assert hub.asked == ["/datasets/HuggingFaceH4/MATH-500/resolve/main/test.jsonl"]


async def test_any_file_of_the_hub(hub: DatasetHub) -> None:
    assert (await load_benchmark("hf:two/files/deep/b.jsonl")).questions[0].gold == ("4",)
    assert (await load_benchmark("hf:HuggingFaceH4/MATH-500")).source == "hf:HuggingFaceH4/MATH-500"
    assert (await load_benchmark("hf:two/files@v1/a.jsonl")).questions
    assert hub.seen[-1].path == "/datasets/two/files/resolve/v1/a.jsonl"


@pytest.mark.parametrize(
    ("spec", "error", "said"),
    [
        ("hf:two/files", ConfigError, "has 2 files; name one, as in hf:two/files/a.jsonl"),
        ("hf:no/data", ConfigError, "has no JSONL, JSON or Parquet file"),
        ("hf:alone", ConfigError, "names no data set"),
        ("hf:no/such/a.jsonl", FetchError, "is not on the hub, or you may not read it.*--data"),
        ("hf:a/gated/a.jsonl", FetchError, "is not on the hub, or you may not read it"),
        ("hf:two/files/none.jsonl", FetchError, "none.jsonl of the data set two/files could not be fetched"),
    ],
)
async def test_what_the_hub_does_not_have(
    hub: DatasetHub, spec: str, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        await load_benchmark(spec)
