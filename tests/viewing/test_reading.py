"""What the project writes to disk, read back: written by the real pipeline over the provider double."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from catagent.batch import batch
from catagent.errors import ConfigError
from catagent.messages import Solution, Task
from catagent.viewing import Row, read, write_page
from tests.batch.jobs import spoken
from tests.cast import cast, cat_on, config_for
from tests.doubles import ProviderDouble
from tests.test_rewarding import play
from tests.viewing import samples

BOXED = ["So it is \\boxed{4}.", "\\boxed{5}", "\\boxed{4.0}"]


async def solved(**options: Any) -> Solution:
    async with ProviderDouble(reply=cast(BOXED)) as double, cat_on(double, n=3) as cat:
        return await cat.solve("What is 2 + 2?", **options)


def written(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def rows(path: Path, **options: Any) -> tuple[list[Row], list[str]]:
    reading = read(path, **options)
    return list(reading), reading.notes


async def test_a_trace_is_the_solution_again(tmp_path: Path) -> None:
    solution = await solved()
    [row], notes = rows(written(tmp_path / "t.jsonl", solution.trace()))
    again = row.solution
    assert notes == []
    assert again.task == solution.task
    assert again.rollouts == solution.rollouts
    assert again.reference == solution.reference
    assert again.rewards == solution.rewards
    assert again.usage == solution.usage
    assert [call.role for call in again.usage.timeline] == ["sampler", "anchor"]


async def test_what_the_vote_stands_in_for_is_read_back(tmp_path: Path) -> None:
    reply = cast(BOXED, "I cannot say.")
    async with ProviderDouble(reply=reply) as double, cat_on(double, n=3) as cat:
        solution = await cat.solve("What is 2 + 2?")
    out = tmp_path / "out.jsonl"
    lines = [{"id": "q", "prompt": "What is 2 + 2?"}]
    async with ProviderDouble(reply=reply) as double:
        await batch(lines, out, model="double/m", n=3, config=config_for(double), full=True)
    for path in (
        written(tmp_path / "t.jsonl", solution.trace()),
        written(tmp_path / "s.json", [solution.model_dump_json()]),
        out,
        tmp_path / "out.jsonl.job",
    ):
        [row], _ = rows(path)
        assert row.solution.reference is not None
        assert (row.solution.reference.method, row.solution.reference.rejected) == (
            "majority",
            "I cannot say.",
        )


async def test_a_trace_of_an_open_task_has_its_rubric_and_verdicts(tmp_path: Path) -> None:
    solution = await solved(kind="open", rewards=True)
    [row], _ = rows(written(tmp_path / "t.jsonl", solution.trace()))
    assert row.solution.rubric == solution.rubric
    assert row.solution.judgements == solution.judgements


async def test_traces_one_after_the_other_are_rows(tmp_path: Path) -> None:
    first, second = await solved(), await solved()
    found, _ = rows(written(tmp_path / "t.jsonl", [*first.trace(), "", *second.trace()]))
    assert [row.id for row in found] == [first.task.id, second.task.id]


async def test_a_torn_trace_shows_what_there_is_and_says_so(tmp_path: Path) -> None:
    lines = list((await solved()).trace())
    torn = written(tmp_path / "t.jsonl", [*lines[:3], lines[3][:40]])
    [row], notes = rows(torn)
    assert len(row.solution.rollouts) == 2
    assert row.solution.reference is None
    assert row.solution.notes == ("The trace is not whole: it ends before the usage.",)
    assert len(notes) == 1
    assert notes[0].startswith("1 line was left out: line 4: not JSON")


@pytest.mark.parametrize("indent", [None, 2])
async def test_a_solution_as_json(tmp_path: Path, indent: int | None) -> None:
    solution = await solved()
    path = written(tmp_path / "s.json", [solution.model_dump_json(indent=indent)])
    [row], _ = rows(path)
    assert row.solution == solution


async def test_solutions_one_a_line_and_packed(tmp_path: Path) -> None:
    solutions = [samples.verifiable(seed) for seed in range(3)]
    raw = "".join(s.model_dump_json() + "\n" for s in solutions)
    (tmp_path / "s.jsonl.gz").write_bytes(gzip.compress(raw.encode()))
    found, _ = rows(tmp_path / "s.jsonl.gz")
    assert [row.solution for row in found] == solutions


async def ran(tmp_path: Path, **options: Any) -> Path:
    out = tmp_path / "out.jsonl"
    lines = [{"id": f"q{i}", "prompt": f"What is 2 + {i}?"} for i in range(3)]
    reply = play() if options.get("kind") == "open" else spoken("4", "5", "4.0")
    async with ProviderDouble(reply=reply) as double:
        await batch(lines, out, model="double/m", n=3, config=config_for(double), in_order=True, **options)
    return out


async def test_full_lines_of_a_batch(tmp_path: Path) -> None:
    out = await ran(tmp_path, full=True)
    found, notes = rows(out)
    assert notes == []
    assert [row.id for row in found] == ["q0", "q1", "q2"]
    solution = found[1].solution
    assert solution.task == Task.of("What is 2 + 1?").model_copy(update={"id": solution.task.id})
    assert [str(r.answer) for r in solution.rollouts] == ["4", "5", "4.0"]
    assert [r.value for r in solution.rewards] == [1.0, 0.0, 1.0]
    assert solution.reference is not None
    assert (str(solution.reference.answer), str(solution.reference.majority)) == ("4", "4")
    assert solution.usage.calls == 2


async def test_full_lines_of_open_tasks_keep_verdicts_with_their_rollouts(tmp_path: Path) -> None:
    out = await ran(tmp_path, full=True, rewards=True, kind="open")
    found, _ = rows(out)
    solution = found[0].solution
    assert solution.group.kind == "open"
    assert solution.rubric is not None
    assert [j.rollout_id for j in solution.judgements] == [r.id for r in solution.rollouts]
    ids = {c.id for c in solution.rubric.criteria}
    assert all({v.criterion_id for v in j.verdicts} == ids for j in solution.judgements)


async def test_a_job_folder_has_the_same_rows_and_is_only_read(tmp_path: Path) -> None:
    out = await ran(tmp_path, full=True)
    folder = tmp_path / "out.jsonl.job"
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    by_folder, by_file = rows(folder)[0], rows(out)[0]
    assert [row.id for row in by_folder] == [row.id for row in by_file]
    assert [row.solution.text for row in by_folder] == [row.solution.text for row in by_file]
    assert {name: before[name] for name in ("journal.sqlite",)} == {
        "journal.sqlite": (folder / "journal.sqlite").read_bytes()
    }


async def test_short_lines_take_their_prompts_from_who_knows_them(tmp_path: Path) -> None:
    out = await ran(tmp_path)
    found, _ = rows(out)
    assert found[0].solution.task.messages[0]["content"] == "(the prompt is not in this file)"
    assert found[0].solution.rollouts == ()
    known = {"q0": [{"role": "user", "content": "What is 2 + 0?"}]}
    found, _ = rows(out, prompts=known.get)
    assert found[0].solution.task.messages[0]["content"] == "What is 2 + 0?"


@pytest.mark.parametrize("mode", ["rollouts", "sft", "rl"])
async def test_the_other_modes_of_a_batch(tmp_path: Path, mode: Any) -> None:
    found, _ = rows(await ran(tmp_path, mode=mode))
    solution = found[0].solution
    assert len(solution.rollouts) == (0 if mode == "sft" else 3)
    assert solution.text == ("" if mode == "rollouts" else "It is \\boxed{4}.")
    if mode == "rl":
        assert [r.value for r in solution.rewards] == [1.0, 0.0, 1.0]


def test_logged_completions_of_a_trainer(tmp_path: Path) -> None:
    line = {
        "prompt": [{"role": "user", "content": "Q"}],
        "completions": [[{"role": "assistant", "content": "a"}], "b", None],
        "rewards": [1.0, None, None],
        "reference": "a",
    }
    [row], _ = rows(written(tmp_path / "c.jsonl", [json.dumps(line)]))
    assert [r.text for r in row.solution.rollouts] == ["a", "b", None]
    assert [r.value for r in row.solution.rewards] == [1.0, None, None]
    assert row.solution.text == "a"


def test_completions_of_a_training_run_as_trl_logs_them(tmp_path: Path) -> None:
    (tmp_path / "completions").mkdir()
    for step in (10, 2):
        prompts = [[{"role": "user", "content": q}] for q in ("Q", "Q", "P", "P")]
        said = [[{"role": "assistant", "content": f"It is \\boxed{{{i}}}."}] for i in range(4)]
        columns = {
            "step": [step] * 4,
            "prompt": prompts,
            "completion": said,
            "advantage": [1.0, -1.0, 0.5, None],
        }
        table = pyarrow.table(
            {**columns, "cat_reward": [1.0, 0.0, None, 0.5], "reference": ["r", "r", *["So \\boxed{3}."] * 2]}
        )
        parquet.write_table(table, tmp_path / "completions" / f"completions_{step:05d}.parquet")
    (tmp_path / "completions" / "completions_00011.parquet").write_bytes(b"PAR1 torn")
    found, notes = rows(tmp_path)
    assert [(row.id, row.group) for row in found] == [
        ("step 2, prompt 1", "step 2"),
        ("step 2, prompt 2", "step 2"),
        ("step 10, prompt 1", "step 10"),
        ("step 10, prompt 2", "step 10"),
    ]
    solution = found[3].solution
    assert solution.task.messages[0]["content"] == "P"
    assert [str(r.answer) for r in solution.rollouts] == ["2", "3"]
    assert [r.value for r in solution.rewards] == [None, 0.5]
    assert solution.rewards[0].breakdown == {"cat_reward": None, "advantage": 0.5}
    assert (solution.text, solution.answer) == ("So \\boxed{3}.", "3")
    assert notes[0].startswith("1 line was left out: completions_00011.parquet: cannot be read (")


GARBAGE = [
    (b"", "holds nothing that can be shown. It can be a trace"),
    (b"\n\n  \n", "holds nothing"),
    (b"hello\n", "line 1: not JSON"),
    (b"\x00\x01\xff\xfe" * 99, "line 1: not JSON"),
    (b"[1, 2]\n", "line 1: JSON but no object"),
    (b'{"a": 1}\n', "line 1: neither an answer nor rollouts nor completions, but: a"),
    (b'{"message": "Rollout", "index": 0}\n', "line 1: messages of a trace without its task"),
    (b'{"message": "Task", "messages": []}\n', "messages: Tuple should have at least 1 item"),
    (b'{"task": {}, "group": {}}\n', "task.messages: Field required"),
    (b'{"rollouts": [3]}\n', "line 1: "),
    (b'{"rollouts": [{"text": {"a": 1}}]}\n', "line 1: "),
    (b'{"text": "a", "usage": {"calls": 1, "seconds": "x"}}\n', "line 1: "),
    (b'{"answer": "1", "prompt": 3, "rewards": "x", "rubric": 3}\n', "line 1: "),
    (b"SQLite format 3\x00", "is a database; name the .job folder"),
    (b"\x1f\x8bnot really", "line 1: "),
    (b"[" * 100_000, "line 1: not JSON"),
]


@pytest.mark.parametrize(("raw", "said"), GARBAGE, ids=[str(i) for i in range(len(GARBAGE))])
def test_garbage_is_one_sentence(tmp_path: Path, raw: bytes, said: str) -> None:
    (tmp_path / "x").write_bytes(raw)
    with pytest.raises(ConfigError) as caught:
        list(read(tmp_path / "x"))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_good_line_among_bad_ones_is_shown(tmp_path: Path) -> None:
    bad = [raw.split(b"\n")[0].decode("latin-1") for raw, _ in GARBAGE[2:13] if b"\xff" not in raw]
    path = written(tmp_path / "x.jsonl", [*bad, json.dumps({"id": 7, "answer": "1"}), '{"torn'])
    [row], notes = rows(path)
    assert row.id == "7"
    assert notes[0].startswith("11 lines were left out: line 1: not JSON")
    assert notes[0].endswith(" …")


@pytest.mark.parametrize("name", ["absent", "folder"])
def test_what_cannot_be_read_is_said_before_a_page_is_begun(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match=r"No such file|a folder with neither the journal"):
        read(tmp_path / name)


def test_a_folder_with_a_broken_journal(tmp_path: Path) -> None:
    (tmp_path / "a.job").mkdir()
    (tmp_path / "a.job" / "journal.sqlite").write_bytes(b"SQLite format 3\x00" + b"x" * 200)
    with pytest.raises(ConfigError, match="cannot be read"):
        list(read(tmp_path / "a.job"))


async def test_reading_and_writing_belong_together(tmp_path: Path) -> None:
    reading = read(written(tmp_path / "t.jsonl", [*(await solved()).trace(), "{torn"]))
    assert write_page(tmp_path / "t.html", reading, title="t", notes=reading.notes) == 1
    assert reading.notes[0].startswith("1 line was left out")
