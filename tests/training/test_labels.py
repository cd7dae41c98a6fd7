"""Gold labels are for figures: no request, file or column of a run holds one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catagent.errors import ConfigError
from catagent.training import read_prompts
from catagent.training.labels import is_right, right_ones
from tests.training import tiny
from tests.training.test_judging import Elsewhere

SECRET = "7777777123"


def data() -> list[dict[str, Any]]:
    return [{"prompt": tiny.question(a), "answer": SECRET, "colour": "red"} for a in range(8)]


@pytest.mark.parametrize("method", ["cat", "placebo", "gold", "synthesis:aware", "rubric"])
def test_labels_reach_no_agent_and_no_file(trainer: Callable[..., Any], method: str) -> None:
    sent: list[str] = []
    away = Elsewhere()
    made = trainer(
        data=data(), held_out=data(), method=method, kind="auto" if method != "rubric" else "open",
        max_steps=2, save_every=1, eval_every=1, log_completions=True,
        options={"judge": away, "rubric_proposer": away},
    )  # fmt: skip
    encode = made.cat_generator.encode
    made.cat_generator.encode = lambda messages: sent.append(str(messages)) or encode(messages)
    rows: list[Any] = []
    real = type(made)._calculate_rewards

    def seen(self: Any, inputs: Any, *rest: Any) -> Any:
        rows.extend(dict(row) for row in inputs)
        return real(self, inputs, *rest)

    type(made)._calculate_rewards = seen
    made.train()
    made.close()
    assert sent or method == "gold"
    assert rows
    for text in (*sent, *away.asked, *(str({**row, "cat_metrics": None}) for row in rows)):
        assert SECRET not in text
    assert not any({"answer", "label"} & set(row) for row in rows)
    for path in Path(made.cat_output).rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path
    assert {"prompt", "row"} == set(made.train_dataset.column_names)


def test_labels_are_found_and_can_be_named(tmp_path: Path) -> None:
    assert read_prompts([{"prompt": "a", "gold": 4}]).labels == ("4",)
    assert read_prompts([{"prompt": "a", "target": "x"}], label_field="target").labels == ("x",)
    with pytest.raises(ConfigError, match="no row has the label field 'target'"):
        read_prompts([{"prompt": "a"}], label_field="target")
    assert not read_prompts(["a", "b"]).labelled


def test_rows_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    for text, said in (
        ('{"prompt": "a"}\n{"x": 1}\n', "row 2 has no prompt"),
        ("[1]\n", "row 1: a row is a text or an object"),
        ("{\n", "line 1 is not JSON"),
        ("", "has no rows"),
        ('{"messages": [{"content": "no role"}]}\n', "row 1 has no prompt"),
    ):
        path.write_text(text)
        with pytest.raises(ConfigError, match=said):
            read_prompts(path)
    with pytest.raises(ConfigError, match="there is no file"):
        read_prompts(tmp_path / "nowhere.jsonl")


def test_conversations_and_parquet(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = tmp_path / "rows.parquet"
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    pyarrow.parquet.write_table(pyarrow.table({"messages": [messages], "label": [3]}), path)
    prompts = read_prompts(path)
    assert prompts.labels == ("3",)
    row = prompts.dataset(chat=True, instruction="Box it.")[0]
    assert [m["content"] for m in row["prompt"]] == ["Be brief.", "Why?\n\nBox it."]
    assert prompts.dataset(chat=False)[0]["prompt"] == "Be brief.\nWhy?"


def test_prompts_that_are_too_long_are_left_out() -> None:
    prompts = read_prompts([{"prompt": "1 + 3?", "label": "4"}, {"prompt": "1 + 3? " * 50, "label": "5"}])
    assert prompts.fitting(tiny.tokenizer(), 40, chat=True).labels == ("4",)
    with pytest.raises(ConfigError, match="every prompt has more than 2 tokens"):
        prompts.fitting(tiny.tokenizer(), 2, chat=True)


async def test_an_answer_is_compared_as_mathematics() -> None:
    assert await is_right("0.5", "\\frac{1}{2}")
    assert await is_right("1/2", "so it is \\boxed{0.5}")
    assert await is_right(None, "4") is False
    assert await right_ones(["\\boxed{4}", "\\boxed{5}", ""], "4") == [True, False, False]


def test_gold_needs_every_label(trainer: Callable[..., Any]) -> None:
    with pytest.raises(ConfigError, match="a prompt has none"):
        trainer(method="gold", data=[*tiny.rows(), {"prompt": "1 + 3?"}])
