from __future__ import annotations

import sys

import pytest

from catagent.models import prices
from catagent.models.ledger import Price
from catagent.models.prices import known_context, known_price


def test_common_models_have_a_price_and_a_window() -> None:
    for model in ("openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "gemini/gemini-2.5-flash"):
        price, window = known_price(model), known_context(model)
        assert price is not None
        assert 0 < price.prompt < price.completion < 0.001
        assert window is not None
        assert window >= 100_000


@pytest.mark.parametrize("model", ["", "/", "nobody/nothing", "gpt-4o-mini-nonsense", "sample_spec"])
def test_what_is_not_in_the_table_is_unknown(model: str) -> None:
    assert known_context(model) is None
    assert known_price(model) in (None, Price(0, 0))


def test_a_model_of_the_same_name_elsewhere_is_another_model() -> None:
    assert known_price("openai/gpt-4o-mini") is not None
    assert known_price("my-own-server/gpt-4o-mini") is None
    assert known_context("my-own-server/gpt-4o-mini") is None


def test_the_table_is_read_without_importing_the_library() -> None:
    loaded = set(sys.modules)
    prices._table.cache_clear()
    known_price("openai/gpt-4o-mini")
    assert not {name for name in set(sys.modules) - loaded if name.startswith("litellm")}


def test_without_the_table_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "_FILE", "no-such-file.json")
    prices._table.cache_clear()
    assert known_price("openai/gpt-4o-mini") is None
    prices._table.cache_clear()
