"""Inputs for programs, from the types in a signature and from examples.

Types are read from the syntax tree and mapped by a table; no annotation is ever evaluated.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from catagent.errors import ConfigError

__all__ = ["Signature", "encode", "generated", "signature_of"]

Hint = tuple[Any, ...]
_SCALARS = {"int": "int", "float": "float", "str": "str", "bool": "bool", "complex": "float", "None": "none"}
_CONTAINERS = {"list": "list", "List": "list", "Sequence": "list", "Iterable": "list", "set": "set",
    "Set": "set",
               "dict": "dict", "Dict": "dict", "Mapping": "dict", "tuple": "tuple",
               "Tuple": "tuple"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Signature:
    """Name of a function and what is known of its parameters' types; no name for a whole script."""

    name: str | None
    hints: tuple[Hint | None, ...]

    def merged(self, other: Signature) -> Signature:
        """Hints of both, this one's first."""
        if len(self.hints) != len(other.hints):
            return self
        return Signature(self.name, tuple(x or y for x, y in zip(self.hints, other.hints, strict=True)))


def signature_of(code: str) -> list[Signature] | None:
    """The top-level functions of a program, in order; `None` when it is no Python. Nothing is executed."""
    source = code.strip()
    if source.startswith("def ") and "\n" not in source and not source.endswith(("pass", "...")):
        source = source.rstrip(":") + ": pass"
    try:
        tree = ast.parse(source if source != code.strip() else code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            parameters = [*node.args.posonlyargs, *node.args.args]
            required = parameters[: len(parameters) - len(node.args.defaults)]
            found.append(Signature(node.name, tuple(_hint(p.annotation) for p in required)))
    return found


def _hint(node: ast.expr | None) -> Hint | None:
    if isinstance(node, ast.Constant) and node.value is None:
        return ("none",)
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 200:
        try:
            return _hint(ast.parse(node.value, mode="eval").body)
        except (SyntaxError, ValueError):
            return None
    if isinstance(node, ast.Attribute):
        return _named(node.attr)
    if isinstance(node, ast.Name):
        return _named(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union(_hint(node.left), _hint(node.right))
    if isinstance(node, ast.Subscript):
        outer = _hint(node.value) if not isinstance(node.value, ast.Name) else None
        name = node.value.id if isinstance(node.value, ast.Name) else ""
        inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        if name == "Optional":
            return _union(_hint(inner[0]), ("none",))
        kind = _CONTAINERS.get(name) or (outer[0] if outer else None)
        if (
            kind == "tuple"
            and len(inner) == 2
            and isinstance(inner[1], ast.Constant)
            and inner[1].value is ...
        ):
            return ("list", _hint(inner[0]))
        if kind is not None:
            return (kind, *map(_hint, inner))
    return None


def _union(left: Hint | None, right: Hint | None) -> Hint | None:
    return ("union", left, right) if left and right else None


def _named(name: str) -> Hint | None:
    if name in _SCALARS:
        return (_SCALARS[name],)
    return (_CONTAINERS[name], None) if name in _CONTAINERS else None


def _of_value(value: Any) -> Hint | None:
    """The type that an example shows."""
    if isinstance(value, bool):
        return ("bool",)
    for kind, name in ((int, "int"), (float, "float"), (str, "str")):
        if isinstance(value, kind):
            return (name, value) if name == "str" else (name,)
    if isinstance(value, (list, set)):
        inner = [_of_value(item) for item in value]
        return ("list" if isinstance(value, list) else "set", inner[0] if inner else None)
    if isinstance(value, tuple):
        return ("tuple", *map(_of_value, value))
    if isinstance(value, dict) and value:
        key, item = next(iter(value.items()))
        return ("dict", _of_value(key), _of_value(item))
    return None


def encode(value: Any) -> Any:
    """A Python value as JSON that the sandbox turns back: tuples, sets and dicts are marked."""
    if isinstance(value, (list, tuple)):
        items = [encode(item) for item in value]
        return items if isinstance(value, list) else {"kind": "tuple", "items": items}
    if isinstance(value, (set, frozenset)):
        return {"kind": "set", "items": [encode(item) for item in value]}
    if isinstance(value, dict):
        return {"kind": "dict", "items": [[encode(k), encode(v)] for k, v in value.items()]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise ConfigError(
        f"An input of type {type(value).__name__} cannot be sent to the sandbox; use JSON-like values."
    )


def generated(signature: Signature, examples: Sequence[Any], count: int) -> list[Any]:
    """Up to `count` encoded argument lists that fit the signature and look like the examples.

    The same every time. Empty when the type of some parameter is neither annotated nor shown by an example.
    """
    hints = list(signature.hints)
    for example in examples:
        arguments = example if isinstance(example, (tuple, list)) else (example,)
        if len(arguments) == len(hints):
            hints = [hint or _of_value(value) for hint, value in zip(hints, arguments, strict=True)]
    if any(hint is None for hint in hints) or count < 1:
        return []
    if not hints:
        return [[]]
    try:
        import hypothesis
        from hypothesis import strategies
    except ImportError:
        raise ConfigError(
            "Inputs for programs are generated with hypothesis, which is not installed: "
            "pip install 'catagent[code]'. Or pass inputs=... yourself."
        ) from None
    drawn: list[Any] = []
    settings = hypothesis.settings(
        max_examples=count,
        database=None,
        derandomize=True,
        deadline=None,
        phases=(hypothesis.Phase.generate,),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    shape = strategies.tuples(*(_strategy(strategies, hint) for hint in hints))

    @settings
    @hypothesis.given(shape)
    def collect(arguments: tuple[Any, ...]) -> None:
        drawn.append(arguments)

    collect()
    unique = {repr(arguments): [encode(item) for item in arguments] for arguments in drawn}
    return list(unique.values())


def _strategy(st: Any, hint: Hint | None) -> Any:
    if hint is None:
        return st.integers(-20, 20)
    kind = hint[0]
    if kind == "int":
        return st.one_of(st.integers(0, 12), st.integers(-30, 100), st.integers(-10_000, 10_000))
    if kind == "float":
        return st.one_of(st.integers(-20, 20).map(float), st.floats(-1000, 1000, allow_nan=False, width=32))
    if kind == "str":
        alphabet = "abcdeABC 012" + (hint[1] if len(hint) > 1 else "")
        return st.text(sorted(set(alphabet)), max_size=12)
    if kind == "bool":
        return st.booleans()
    if kind == "none":
        return st.none()
    if kind == "union":
        return st.one_of(_strategy(st, hint[1]), _strategy(st, hint[2]))
    inner = [_strategy(st, part) for part in hint[1:]]
    if kind == "list":
        return st.lists(inner[0], max_size=8)
    if kind == "set":
        return st.sets(inner[0], max_size=8)
    if kind == "dict":
        return st.dictionaries(inner[0], inner[1] if len(inner) > 1 else st.integers(-20, 20), max_size=6)
    return st.tuples(*inner)
