"""Settings in a YAML file: one reader, whose errors name the file and the place and never quote a line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from catagent.errors import ConfigError

__all__ = ["read_settings"]

_QUOTED = re.compile(r"'[^'<]{2,}'")


def read_settings(path: Path, wanted: str) -> dict[str, Any]:
    """The mapping that a YAML file holds, empty for an empty file.

    `wanted` says what the file is to hold, where it holds something else. Raises `ConfigError` when it cannot
    be read, is not YAML, or holds no mapping. A key of a provider may stand in a line, so that no error
    repeats one.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}") from None
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not YAML{_place(error)}") from None
    except ValueError as error:  # a date that does not exist
        raise ConfigError(f"{path} holds a value that is none: {error}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"{path} must hold {wanted}")
    return {str(key): value for key, value in found.items()}


def _place(error: yaml.YAMLError) -> str:
    """Where and what."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{where}: {_QUOTED.sub('…', problem)}" if problem else where
