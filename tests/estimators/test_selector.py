"""Which response a reply names: tidy replies, ugly ones, hostile ones."""

from __future__ import annotations

import pytest

from catagent.agents.selector import chosen


@pytest.mark.parametrize(
    ("reply", "index"),
    [
        ("<choice>3</choice>", 2),
        ("Both 1 and 2 fail.\n<choice> Response 4 </choice> I hope this helps!", 3),
        ("<CHOICE>\n2\n</CHOICE>", 1),
        ("<choice>1</choice> no, wait: <choice>2</choice>", 1),
        ("<choice>number</choice> … <choice>2", 1),
        ("It says <choice>1</choice> in the form, so <choice>number</choice>", 0),
        ("<think><choice>1</choice></think><choice>4</choice>", 3),
        ("The most consistent response is Response 2", 1),
        ("The **best** response is **3**.", 2),
        ("I choose response #1.", 0),
        ("Final answer: 4", 3),
        ("Judgment: 2", 1),
        ("So it is \\boxed{3}", 2),
        ("3", 2),
        ("**Response 2**", 1),
        ("All are good, but here is mine:\n2.", 1),
    ],
)
def test_what_a_reply_names(reply: str, index: int) -> None:
    assert chosen(reply, 4) == index


@pytest.mark.parametrize(
    "reply",
    [
        None,
        "",
        "I cannot decide.",
        "<choice>0</choice>",
        "<choice>5</choice>",
        "<choice>-7 or 9999</choice>",
        "<choice>1 and 2</choice>",
        "<choice>٣٤٥</choice>",
        "<choice></choice>",
        "2 of the 4 responses agree, 3 do not, and 1 is cut off",
        "<choice>" * 50_000,
        "best " * 20_000,
        "is " * 20_000 + "\x00\u202e",
    ],
)
def test_a_reply_that_names_none_of_them(reply: str | None) -> None:
    assert chosen(reply, 4) is None
