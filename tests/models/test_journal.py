from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from catagent.models.journal import Journal, MemoryJournal, canonical, sample_keys

ASK = [{"role": "user", "content": "What is 6 times 7?"}]

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def keys(**other: Any) -> list[str]:
    given: dict[str, Any] = {
        "role": "sampler",
        "model": "openai/m@https://x",
        "messages": ASK,
        "params": {"temperature": 1.0, "top_p": 0.9},
        "indices": range(4),
    }
    return sample_keys(**{**given, **other})


def test_each_sample_has_a_key_of_its_own() -> None:
    assert len(set(keys())) == 4
    assert keys(indices=range(2, 6))[:2] == keys()[2:]


def test_keys_say_their_stage() -> None:
    assert all(key.startswith("judge:") for key in keys(role="judge"))


def test_everything_that_makes_a_sample_is_in_its_key() -> None:
    others = [
        keys(role="anchor"),
        keys(model="openai/m@https://y"),
        keys(messages=[{"role": "user", "content": "What is 7 times 6?"}]),
        keys(messages=[{"role": "system", "content": ASK[0]["content"]}]),
        keys(params={"temperature": 1.0}),
        keys(params={}),
    ]
    assert len({key for batch in [keys(), *others] for key in batch}) == 28


def test_the_order_of_parameters_does_not_matter() -> None:
    assert keys(params={"top_p": 0.9, "temperature": 1.0}) == keys()


@given(st.dictionaries(st.text(), values))
def test_equal_content_gives_equal_bytes(content: dict[str, Any]) -> None:
    backwards = dict(reversed(content.items()))
    assert canonical(content) == canonical(backwards)
    assert canonical({**content, "extra": 1}) != canonical({**content, "extra": 2})


def test_content_that_json_cannot_hold_has_a_key_too() -> None:
    for odd in ("\ud800", 2**70, {1, 2}, {1: "x"}):
        assert keys(params={"odd": odd}) == keys(params={"odd": odd}) != keys()


def test_a_journal_in_memory_keeps_the_last_word() -> None:
    journal: Journal = MemoryJournal()
    assert journal.get("k") is None
    journal.put("k", b"1")
    journal.put("k", orjson.dumps({"text": "x"}))
    assert journal.get("k") == b'{"text":"x"}'
