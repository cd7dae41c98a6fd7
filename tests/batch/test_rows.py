"""Lines become rows, or say why not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from catagent.batch.rows import BadLineError, Fields, Row, row_of


def row(line: Any, fields: Fields | None = None, *, scored: bool = False) -> Row:
    raw = line if isinstance(line, bytes) else json.dumps(line).encode()
    return row_of(0, raw, fields or Fields(), scored=scored)


def test_a_prompt_and_messages_are_the_same_row() -> None:
    spoken = row({"prompt": "2+2?"})
    assert spoken.messages == ({"role": "user", "content": "2+2?"},)
    assert row({"messages": [{"role": "user", "content": "2+2?"}]}).content == spoken.content
    assert row({"prompt": [{"role": "user", "content": "2+2?"}]}).content == spoken.content
    assert row("2+2?").content == spoken.content


def test_ids_are_kept_or_made_from_content() -> None:
    assert row({"id": 7, "prompt": "a"}).id == 7
    assert row({"custom_id": "x", "id": 7, "prompt": "a"}).id == "x"
    assert row({"key": {"no": 3}, "prompt": "a"}, Fields(id="key.no")).id == 3
    made = row({"prompt": "a"})
    assert made.id == made.content.hex()
    assert made.id == row({"prompt": "a", "gold": "never looked at"}).id
    assert made.id != row({"prompt": "b"}).id


def test_lines_of_openai_batch_files() -> None:
    line = {
        "custom_id": "r-1",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "gpt-x",
            "n": 3,
            "temperature": 0.2,
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        },
    }
    found = row(line)
    assert found.id == "r-1"
    assert [m["role"] for m in found.messages] == ["system", "user"]
    assert found.params == {"temperature": 0.2}
    assert found.content != row({"messages": list(found.messages)}).content


def test_any_field_may_hold_the_prompt() -> None:
    assert row({"question": "Why?"}, Fields(prompt="question")).messages[0]["content"] == "Why?"
    assert row({"a": {"b": "Why?"}}, Fields(prompt="a.b")).messages[0]["content"] == "Why?"
    assert row({"a.b": "Why?"}, Fields(prompt="a.b")).messages[0]["content"] == "Why?"


@pytest.mark.parametrize(
    ("line", "fields", "said"),
    [
        (b"{oh", Fields(), "not JSON"),
        (b"\xff\xfe", Fields(), "not JSON"),
        ([1, 2], Fields(), "no object"),
        (3, Fields(), "no object"),
        ({"text": "x"}, Fields(), "neither `prompt` nor `messages`; name the field of the prompt: text"),
        ({"prompt": "  "}, Fields(), "prompt is empty"),
        ({"prompt": 3}, Fields(), "neither text nor a list of messages"),
        ({"messages": []}, Fields(), "neither text nor a list of messages"),
        ({"messages": ["x"]}, Fields(), "neither text nor a list of messages"),
        ({"q": "x"}, Fields(prompt="question"), "no field 'question'; there are: q"),
        ({"prompt": "x", "id": [1]}, Fields(), "the id is neither text nor a whole number"),
        ({"prompt": "x"}, Fields(id="key"), "no field 'key' for the id"),
    ],
)
def test_a_bad_line_says_why(line: Any, fields: Fields, said: str) -> None:
    with pytest.raises(BadLineError, match=said.replace("(", r"\(").replace("`", ".")):
        row(line, fields)


def test_rows_to_score_bring_completions() -> None:
    texts = row({"prompt": "q", "completions": ["a", None, "b"]}, scored=True)
    assert texts.completions == ("a", None, "b")
    trl = {"prompt": "q", "completions": [[{"role": "assistant", "content": "a"}]]}
    assert row(trl, scored=True).completions == ({"role": "assistant", "content": "a"},)
    assert row({"prompt": "q", "completion": "a"}, scored=True).completions == ("a",)
    given = Fields(completions="out", reference="key", rubric="r")
    brought = row({"prompt": "q", "out": ["a"], "key": "42", "r": ["is polite"]}, given, scored=True)
    assert (brought.completions, brought.reference, brought.rubric) == (("a",), "42", ("is polite",))
    assert row({"prompt": "q", "reference": "gold"} | {"completions": ["a"]}, scored=True).reference is None
    for bad in ({"prompt": "q"}, {"prompt": "q", "completions": []}, {"prompt": "q", "completions": [3]}):
        with pytest.raises(BadLineError):
            row(bad, scored=True)
    with pytest.raises(BadLineError, match="no text in the field 'key'"):
        row({"prompt": "q", "out": ["a"], "r": ["x"]}, given, scored=True)
