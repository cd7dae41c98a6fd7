"""Things that are known by a name: built in, registered with a decorator, or brought by another package.

Built-in ones are imported when they are first asked for, and other packages' are loaded from their entry
points, so that listing names costs nothing.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from catagent.errors import ConfigError

__all__ = ["Plugins"]

T = TypeVar("T")


class Plugins(Generic[T]):
    """A registry of one sort of thing.

    `what` is what an error calls it, `group` the entry point group, `built_in` the module that registers
    each built-in name, `adopt` makes a `T` of what an entry point brings.
    """

    def __init__(
        self, what: str, *, group: str, built_in: Mapping[str, str], adopt: Callable[[Any], T]
    ) -> None:
        self._what = what
        self._group = group
        self._built_in = dict(built_in)
        self._adopt = adopt
        self._known: dict[str, T] = {}

    def add(self, name: str, plugin: T) -> None:
        """Register under `name`; the last one registered counts."""
        self._known[name] = plugin

    def names(self) -> list[str]:
        """Every name that `get` knows, sorted."""
        plugged = (e.name for e in importlib.metadata.entry_points(group=self._group))
        return sorted({*self._built_in, *self._known, *plugged})

    def get(self, name: str) -> T:
        """What is registered under `name`. Raises `ConfigError` when there is none or it cannot be loaded."""
        if name not in self._known and name in self._built_in:
            importlib.import_module(self._built_in[name])
        if name not in self._known:
            for entry in importlib.metadata.entry_points(group=self._group, name=name):
                self._plug(name, entry)
        if name not in self._known:
            names = self.names()
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
            raise ConfigError(f"there is no {self._what} {name!r}; {hint}")
        return self._known[name]

    def _plug(self, name: str, entry: importlib.metadata.EntryPoint) -> None:
        try:
            brought = entry.load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(
                f"the {self._what} {name!r} cannot be loaded from {entry.value}: {error}; "
                "repair or remove the package that brings it"
            ) from None
        if not callable(brought):
            raise ConfigError(
                f"the {self._what} {name!r} of {entry.value} is a {type(brought).__name__}, not a factory"
            )
        # Loading it may have registered it already, with more than the bare object says.
        self._known.setdefault(name, self._adopt(brought))
