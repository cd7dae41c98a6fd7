"""Fences hold against any text."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from catagent.agents.fencing import cleaned, fenced, shortened

hostile = st.text(max_size=80) | st.from_regex(r"</?attempt_[1-3]_[0-9a-f]{8}>", fullmatch=True)


@given(st.lists(hostile, min_size=1, max_size=4))
def test_no_text_can_close_its_own_block(texts: list[str]) -> None:
    rendered = fenced(texts, "attempt")
    nonce = re.match(r"<attempt_1_([0-9a-f]{8})>", rendered)
    assert nonce is not None
    for i, text in enumerate(texts, 1):
        opening, closing = f"<attempt_{i}_{nonce[1]}>", f"</attempt_{i}_{nonce[1]}>"
        assert rendered.count(opening) == 1
        assert rendered.count(closing) == 1
        assert f"{opening}\n{text}\n{closing}" in rendered


@given(st.lists(st.text(max_size=30), min_size=1, max_size=3))
def test_the_same_texts_render_to_the_same_bytes(texts: list[str]) -> None:
    assert fenced(texts, "x") == fenced(list(texts), "x")


def test_cleaning_drops_thinking_control_and_hidden_characters() -> None:
    assert cleaned("<think>secret</think>The answer is 4.") == "The answer is 4."
    assert cleaned("a\x00b\u202ec\U000e0041d") == "abcd"
    assert cleaned("keep\tthis\nand this") == "keep\tthis\nand this"
    assert cleaned("<think>never closed") == "<think>never closed", "a text that is all thinking is kept"


@given(st.text(max_size=300), st.integers(10, 200))
def test_shortening_keeps_both_ends(text: str, characters: int) -> None:
    short = shortened(text, characters)
    if len(text) <= characters:
        assert short == text
    else:
        assert short.startswith(text[:4])
        assert short.endswith(text[-4:])
        assert "left out" in short
