"""What models cost and how much they can read, from the table that LiteLLM ships.

The table is read as a file: importing the library for it would cost seconds.
"""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path
from typing import Any

import orjson

from catagent.models.ledger import Price

__all__ = ["known_context", "known_price"]

_FILE = "model_prices_and_context_window_backup.json"


@functools.cache
def _table() -> dict[str, dict[str, Any]]:
    spec = importlib.util.find_spec("litellm")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / _FILE
        if path.is_file():
            table: dict[str, dict[str, Any]] = orjson.loads(path.read_bytes())
            return table
    return {}


def _entry(model: str) -> dict[str, Any]:
    table = _table()
    provider, _, name = model.partition("/")
    bare = table.get(name, {})  # the table has some providers' models without the provider
    return table.get(model) or (bare if bare.get("litellm_provider") == provider else {})


def known_price(model: str) -> Price | None:
    """US dollars a token for a LiteLLM model string, `None` when the table does not have it."""
    entry = _entry(model)
    prompt, completion = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if prompt is None or completion is None:
        return None
    return Price(float(prompt), float(completion))


def known_context(model: str) -> int | None:
    """The context window in tokens for a LiteLLM model string, `None` when the table does not have it."""
    window = _entry(model).get("max_input_tokens")
    return int(window) if isinstance(window, int | float) else None
