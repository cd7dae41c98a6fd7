"""Runs the blocks of one page in order, in a folder of its own: `python -m tests.docs.runner PLAN`.

All Python of a page shares one namespace, as if it were pasted; `await` outside a function is allowed, as
in a notebook. Two kinds of comments are held against what happens: `expression  # value`, where the comment
is a literal, and `#> text` for each line that a block prints.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from tests.docs.rewiring import rewired

Namespace = dict[str, Any]


def literal_after(source: list[str], statement: ast.stmt) -> tuple[bool, Any]:
    """The literal in the comment behind an expression, if there is one."""
    end = statement.end_lineno or statement.lineno
    rest = source[end - 1].encode()[statement.end_col_offset :].decode().strip()
    if not isinstance(statement, ast.Expr) or not rest.startswith("# "):
        return False, None
    try:
        return True, ast.literal_eval(rest[2:])
    except (ValueError, SyntaxError):
        return False, None


def run_python(code: str, where: str, space: Namespace, loop: asyncio.Runner) -> None:
    source = code.splitlines()
    page, _, first = where.rpartition(":")
    tree = ast.parse(code, page)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        for statement in tree.body:
            there, wanted = literal_after(source, statement)
            made: ast.Module | ast.Expression = ast.Module([statement], [])
            if there and isinstance(statement, ast.Expr):
                made = ast.Expression(statement.value)
            mode = "eval" if there else "exec"
            ast.increment_lineno(statement, int(first) - 1)
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
            done = eval(compile(made, page, mode, flags=flags, dont_inherit=True), space)
            if inspect.iscoroutine(done):
                done = loop.run(done)
            if there:
                assert done == wanted, f"{page}:{statement.lineno}: {done!r}, and the page says {wanted!r}"
    expected = [line.strip()[3:] for line in source if line.strip().startswith("#> ")]
    told = printed.getvalue().splitlines()
    assert not expected or told == expected, f"{where}: printed {told}, and the page says {expected}"


def run_command(words: list[str], piped: list[str] | None, output: str | None) -> None:
    from catagent.cli.main import app

    fed = ""
    if piped and piped[0] == "echo":
        fed = " ".join(piped[1:]) + "\n"
    elif piped and piped[0] in ("cat", "head", "tail"):
        fed = Path(piped[-1]).read_text()
    elif piped:
        raise AssertionError(f"what {piped[0]!r} would print is not known")
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(fed.encode()))
    status: object = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                status = app(words[1:], prog_name="catagent", standalone_mode=True)
            except SystemExit as end:
                status = end.code
    finally:
        sys.stdin = before
    assert status in (0, None), f"exit code {status}\n{err.getvalue()}"
    if output:
        out.flush()
        Path(output).write_bytes(out.buffer.getvalue())  # type: ignore[attr-defined]


def main() -> int:
    plan = json.loads(Path(sys.argv[1]).read_text())
    space: Namespace = {"__name__": "__main__"}
    wrong = 0
    Path("providers.yaml").write_text(rewired("", plan["base"]))
    with asyncio.Runner() as loop:
        for step in plan["steps"]:
            try:
                if step["do"] == "file":
                    path = Path(step["name"])
                    path.parent.mkdir(parents=True, exist_ok=True)
                    yaml = path.suffix == ".yaml"
                    path.write_text(rewired(step["text"], plan["base"]) if yaml else step["text"])
                elif step["do"] == "python":
                    run_python(step["code"], step["where"], space, loop)
                else:
                    run_command(step["words"], step["piped"], step["output"])
            except BaseException:  # noqa: BLE001 - each block is reported
                wrong += 1
                print(f"=== {step['where']}\n{traceback.format_exc(limit=-4)}", file=sys.__stdout__)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
