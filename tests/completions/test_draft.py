"""What a reader of a synthesis on its way is sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catagent.agents.synthesizer import unified
from catagent.completions.draft import Draft

TEXTS = [
    "# SUMMARY\nthey agree\n# UNIFIED RESPONSE\nSo it is 4.\n\nIndeed.",
    "<think>\n# UNIFIED RESPONSE\nno\n</think>\n# UNIFIED RESPONSE\nyes, a < b and <b>bold</b>",
    "### **UNIFIED RESPONSE:**\n# A heading\nof its own\n## Another\n",
    "# UNIFIED RESPONSE\none<thinking>hidden</thinking> two\u200b three",
    "# UNIFIED RESPONSE\n  padded  \n\n",
    "UNIFIED RESPONSE\nUNIFIED it is, in a UNIFIED way.\nUNIFIED RESPONSE is not alone on its line",
    "They agree.\n\n**UNIFIED RESPONSE**\n\nYes.",
    "no heading at all",
    "",
]


def pieces(text: str, sizes: list[int]) -> list[str]:
    out, at = [], 0
    for size in sizes:
        out.append(text[at : at + size])
        at += size
    return [*out, text[at:]]


@pytest.mark.parametrize("text", TEXTS)
@given(sizes=st.lists(st.integers(1, 9), max_size=40))
def test_however_it_is_cut_what_was_sent_is_the_reference(text: str, sizes: list[int]) -> None:
    draft = Draft()
    sent = ""
    for piece in pieces(text, sizes):
        draft.add(piece)
        sent += draft.news()
    sent += draft.settle(unified(text), "never")
    assert sent == unified(text)
    assert not draft.superseded


def test_a_second_heading_begins_the_reference_anew() -> None:
    draft = Draft()
    draft.add("# UNIFIED RESPONSE\nA first version of it.\n")
    sent = draft.news()
    draft.add("# UNIFIED RESPONSE\nThe second.\n")
    sent += draft.news() + draft.settle("The second.", "x")
    assert sent[draft.offset :] == "The second."
    assert draft.superseded


def test_a_new_attempt_that_says_the_same_goes_on_where_the_first_broke_off() -> None:
    draft = Draft()
    draft.add("# UNIFIED RESPONSE\nIt is fo")
    sent = draft.news()
    for piece in ("# UNIFIED ", "RESPONSE\nIt i", "s four", "."):
        draft.add(piece, 2)
        sent += draft.news()
    assert sent + draft.settle("It is four.", "x") == "It is four."
    assert not draft.superseded
