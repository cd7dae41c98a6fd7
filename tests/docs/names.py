"""Whether Python of the documentation names what the package has, without running it."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import inspect
from functools import cache
from pathlib import Path

import catagent

__all__ = ["strange"]


@cache
def defined(module: str) -> frozenset[str]:
    """What a module of the package defines at its top level, read from its source."""
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"there is no module {module}"
    assert spec.origin is not None, f"{module} has no source"
    names: set[str] = set()
    for node in ast.walk(ast.parse(Path(spec.origin).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return frozenset(names)


def exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def strange(tree: ast.AST) -> list[str]:
    """Imports, attributes of `cat` and arguments of `CaT` that do not exist."""
    found: list[str] = []
    aliases = {"catagent"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "catagent":
                    if not exists(alias.name):
                        found.append(alias.name)
                    elif alias.name == "catagent" and alias.asname:
                        aliases.add(alias.asname)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "catagent":
            module = str(node.module)
            if not exists(module):
                found.append(module)
                continue
            for alias in node.names:
                known = alias.name in defined(module) or exists(f"{module}.{alias.name}")
                if not known and not (module == "catagent" and hasattr(catagent, alias.name)):
                    found.append(f"{module}.{alias.name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            known = hasattr(catagent, node.attr) or exists(f"catagent.{node.attr}")
            found += [] if known else [f"{node.value.id}.{node.attr}"]
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {"CaT", *(f"{a}.CaT" for a in aliases)}:
            takes = inspect.signature(catagent.CaT).parameters
            found += [f"CaT({k.arg}=…)" for k in node.keywords if k.arg and k.arg not in takes]
    return found
