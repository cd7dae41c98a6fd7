"""What is said when the framework of an integration is not installed."""

from __future__ import annotations

__all__ = ["absent"]


def absent(extra: str, error: ImportError) -> ImportError:
    """The error to raise in place of `error`: it names the package that is missing and the command."""
    return ImportError(
        f"this integration needs {error.name or extra}: pip install 'catagent[{extra}]'",
        name=error.name,
        path=error.path,
    )
