"""Files of settings: what they hold, and one sentence for each way in which they can be wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from catagent.errors import ConfigError
from catagent.settings import read_settings


def test_a_mapping_is_read_and_nothing_is_an_empty_one(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    for text, found in (("a: {b: [1]}\n7: x\n", {"a": {"b": [1]}, "7": "x"}), ("# nothing\n", {}), ("", {})):
        path.write_text(text)
        assert read_settings(path, "settings") == found


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"- a\n", "must hold settings"),
        (b"text", "must hold settings"),
        (b"\xff\xfe", "cannot read"),
        (b"day: 2026-02-31\n", "holds a value that is none: day is out of range for month"),
        (b"a: [1\nkey: sk-secret\n", "is not YAML at line 2, column 4"),
        (b"key: sk-secret: sk-secret\n", "is not YAML at line 1, column 15"),
        (b"a: !!python/object:os.system {}\n", "is not YAML at line 1"),
    ],
)
def test_what_is_wrong_is_said_without_quoting_the_file(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_settings(path, "settings")
    assert str(refused.value).startswith((f"{path} ", f"cannot read {path}: "))
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_folder_or_nothing_at_all_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*: Is a directory"):
        read_settings(tmp_path, "settings")
    with pytest.raises(ConfigError, match=r"cannot read .*none.yaml: No such file"):
        read_settings(tmp_path / "none.yaml", "settings")
