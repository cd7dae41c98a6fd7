"""Options inside a name: `rsa:population=8,subset=4` names a method and how it is run, in one string.

One string is what a command line, a configuration file, a request to a server and a table of results can
all hold. The options are the keyword-only parameters of the factory that the name stands for, so that a
factory documents and checks them by its signature. A word without `=` switches a yes-or-no option on, or
is the value of the option that has it among its choices (`synthesis:aware`). Several values are joined
by `+`.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from catagent.errors import ConfigError

__all__ = ["Option", "keywords", "options_of_factory", "split_name"]

_LONGEST = 2000


class Option:
    """One keyword-only parameter of a factory: its name, type and default."""

    def __init__(self, name: str, annotation: Any, default: Any) -> None:
        self.name = name
        self.default = default
        self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)
        kinds = _members(annotation)
        self.flag = bool in kinds
        self.many = any(get_origin(kind) is tuple for kind in kinds)
        self.choices = tuple(str(c) for kind in kinds if get_origin(kind) is Literal for c in get_args(kind))

    @property
    def needed(self) -> bool:
        """Whether there is no default."""
        return self.default is inspect.Parameter.empty

    def __str__(self) -> str:
        shown = "|".join(self.choices) if self.choices else "…"
        if self.many:
            shown = "…+…"
        if self.needed or self.default is None or self.default == ():
            return f"{self.name}={shown}"
        default = str(self.default).lower() if self.flag else self.default
        return f"{self.name}={default}" if not self.choices else f"{self.name}={shown} [{default}]"

    def read(self, text: str) -> Any:
        """The value that `text` stands for. Raises pydantic's `ValidationError`."""
        value: object = tuple(part for part in text.split("+") if part) if self.many else text
        return self._adapter.validate_python(value)


def _members(annotation: Any) -> tuple[Any, ...]:
    """The types that an annotation allows, without `Annotated` and `None`."""
    if hasattr(annotation, "__metadata__"):
        return _members(annotation.__origin__)
    if get_origin(annotation) in (tuple, Literal):
        return (annotation,)
    args = get_args(annotation)
    if not args:
        return (annotation,)
    return tuple(member for arg in args if arg is not NoneType for member in _members(arg))


def split_name(given: str) -> tuple[str, tuple[str, ...]]:
    """The bare name and its options as they are written. Raises `ConfigError` for an empty name."""
    if len(given) > _LONGEST:
        raise ConfigError(f"a name with options has at most {_LONGEST} characters, not {len(given)}")
    name, _, rest = given.partition(":")
    if not name.strip():
        raise ConfigError(f"{given!r} has no name before its options; write name:option=value,…")
    return name.strip(), tuple(part.strip() for part in rest.split(",") if part.strip())


@functools.lru_cache(maxsize=256)
def options_of_factory(factory: Callable[..., Any]) -> tuple[Option, ...]:
    """The options that a factory takes: its keyword-only parameters, in their order."""
    try:
        parameters = inspect.signature(factory, eval_str=True).parameters.values()
    except (NameError, TypeError, ValueError):
        return ()
    return tuple(
        Option(p.name, Any if p.annotation is p.empty else p.annotation, p.default)
        for p in parameters
        if p.kind is p.KEYWORD_ONLY
    )


def keywords(given: str, factory: Callable[..., Any], parts: tuple[str, ...]) -> Mapping[str, Any]:
    """The keyword arguments for `factory` that the written options stand for.

    `given` is the whole name, for the error. Raises `ConfigError` for an option that the factory does not
    have, one that is given twice or missing, and a value that does not fit.
    """
    options = {option.name: option for option in options_of_factory(factory)}
    found: dict[str, Any] = {}
    for part in parts:
        name, equals, text = (piece.strip() for piece in part.partition("="))
        if not equals:
            name, text = _word(given, name, options)
        if name not in options:
            raise ConfigError(f"{given!r}: {_unknown(name, options)}")
        if name in found:
            raise ConfigError(f"{given!r}: the option {name!r} is given twice")
        try:
            found[name] = options[name].read(text)
        except ValidationError as error:
            said = error.errors(include_input=False, include_url=False)[0]["msg"]
            raise ConfigError(f"{given!r}: {name}={text[:80]}: {said[0].lower()}{said[1:]}") from None
    if missing := [o for o in options.values() if o.needed and o.name not in found]:
        bare = given.partition(":")[0]
        raise ConfigError(f"{given!r} needs the option {missing[0].name!r}, as in {bare}:{missing[0]}")
    return found


def _word(given: str, word: str, options: Mapping[str, Option]) -> tuple[str, str]:
    """What a word without `=` stands for: an option and its value."""
    if word in options and options[word].flag:
        return word, "true"
    having = [o.name for o in options.values() if word in o.choices]
    if len(having) == 1:
        return having[0], word
    if word in options:
        raise ConfigError(f"{given!r}: the option {word!r} needs a value, as in {options[word]}")
    choices = {*options, *(c for o in options.values() for c in o.choices)}
    raise ConfigError(f"{given!r}: {_unknown(word, options, sorted(choices))}")


def _unknown(name: str, options: Mapping[str, Option], words: list[str] | None = None) -> str:
    if not options:
        return f"there is no option {name!r}; this takes none"
    near = difflib.get_close_matches(name, words or list(options), 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(map(str, options.values()))}"
    return f"there is no option {name!r}; {hint}"
