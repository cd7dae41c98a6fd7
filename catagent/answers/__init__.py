"""Final answers of untrusted text: found, compared, grouped.

`extract` finds the answer in a response, `equivalent` says whether two are the same, `cluster` groups them
for a vote, `programs_equivalent` compares code by what it does. The names load on first use; importing this
package loads neither SymPy nor anything that starts a process.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .clusters import Classes, acluster, cluster
    from .equivalence import aequivalent, equivalent
    from .extraction import extract
    from .programs import aprograms_equivalent, programs_equivalent
    from .rules import Rules
    from .sandbox import Sandbox

__all__ = [
    "Classes",
    "Rules",
    "Sandbox",
    "acluster",
    "aequivalent",
    "aprograms_equivalent",
    "cluster",
    "equivalent",
    "extract",
    "programs_equivalent",
]

_HOMES = {
    "Classes": "clusters",
    "Rules": "rules",
    "Sandbox": "sandbox",
    "acluster": "clusters",
    "aequivalent": "equivalence",
    "aprograms_equivalent": "programs",
    "cluster": "clusters",
    "equivalent": "equivalence",
    "extract": "extraction",
    "programs_equivalent": "programs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
