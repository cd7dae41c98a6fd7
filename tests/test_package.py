"""The public surface, the layers, and what importing the package loads."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import catagent

ROOT = Path(__file__).parent.parent
MODULES = [m.name for m in pkgutil.walk_packages(catagent.__path__, "catagent.") if "__main__" not in m.name]


def test_every_exported_name_exists_and_the_list_is_sorted() -> None:
    assert catagent.__all__ == sorted(catagent.__all__)
    for name in catagent.__all__:
        assert getattr(catagent, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'solv'"):
        _ = catagent.solv


@pytest.mark.parametrize("module", [m for m in MODULES if "_worker" not in m])
def test_every_module_says_why_it_exists_and_exports_what_it_has(module: str) -> None:
    found, absent = None, ""
    try:
        found = importlib.import_module(module)
    except ImportError as error:  # tested in an environment of its own (make test-integrations)
        absent = str(error)
    if found is None:
        assert module.startswith("catagent.integrations.")
        assert "pip install 'catagent[" in absent
        source = ROOT.joinpath(*module.split(".")).with_suffix(".py").read_text(encoding="utf-8")
        assert ast.get_docstring(ast.parse(source)), f"{module} has no docstring"
        return
    assert found.__doc__, f"{module} has no docstring"
    for name in getattr(found, "__all__", ()):
        assert hasattr(found, name), f"{module}.__all__ names {name}, which is not there"


def test_importing_the_package_loads_no_provider_library() -> None:
    code = "import catagent, sys; print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    heavy = {"litellm", "openai", "together", "aiohttp", "pydantic", "sympy", "torch", "xllamacpp", "yaml"}
    assert not heavy & set(loaded)


def test_making_a_solver_loads_no_provider_library() -> None:
    code = "import catagent, sys; catagent.CaT(); print(*{m.split('.')[0] for m in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not {"litellm", "openai", "together", "sympy", "math_verify", "torch", "xllamacpp"} & set(loaded)


def test_lower_floors_never_import_higher_ones() -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_no_module_is_too_large() -> None:
    sizes = {p: len(p.read_text().splitlines()) for p in (ROOT / "catagent").rglob("*.py")}
    assert not {str(p): n for p, n in sizes.items() if n > 400}
