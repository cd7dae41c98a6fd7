"""Data by others that the tests read where it lies beside the repository."""

import json
from pathlib import Path
from typing import Any

import pytest

FOLDERS = [
    Path(__file__).resolve().parents[2] / "shared" / "data",
    Path(__file__).resolve().parents[3] / "shared" / "data",
]


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of a JSONL file; the test is skipped, with the reason, where the data is absent."""
    for folder in FOLDERS:
        path = folder / name
        if path.exists():
            with path.open(encoding="utf-8") as lines:
                return [json.loads(line) for line in lines]
    pytest.skip(f"{name} is not at {FOLDERS[-1]}: this test needs the data that lies beside the repository")
