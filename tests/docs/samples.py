"""Files that the pages speak of without showing them."""

from __future__ import annotations

import json

__all__ = ["SAMPLES"]

_PROMPTS = "".join(json.dumps({"id": i, "prompt": f"What is {i} + {i}?"}) + "\n" for i in range(6))
_LABELLED = "".join(
    json.dumps({"response": text, "criterion": "Recommends a regular hour.", "label": label}) + "\n"
    for text, label in (
        ("Keep a regular hour.", True),
        ("Drink coffee.", False),
        ("A regular hour helps.", True),
    )
)

SAMPLES = {"in.jsonl": _PROMPTS, "prompts.jsonl": _PROMPTS, "labelled.jsonl": _LABELLED}
