"""`catagent estimators`: the methods, their options and what they cost."""

from __future__ import annotations

import sys

from catagent.cli.commands.options import GroupSize

__all__ = ["estimators"]


def estimators(n: GroupSize = None) -> None:
    """List the methods that make a reference: their options, what they cost and what they do."""
    from catagent.cli.estimators import show

    sys.exit(show(n or 8))
