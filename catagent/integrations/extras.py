"""What is said when the framework of an integration is not installed, or does not fit."""

from __future__ import annotations

__all__ = ["absent"]


def absent(extra: str, error: ImportError) -> ImportError:
    """The error to raise in place of `error`: it says what is missing and the command that brings it."""
    missing = isinstance(error, ModuleNotFoundError)
    said = f"this integration needs {error.name}" if missing else f"this integration does not fit: {error}"
    return ImportError(f"{said}; pip install 'catagent[{extra}]'", name=error.name, path=error.path)
