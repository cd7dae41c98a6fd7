"""Command lines of the documentation: taken apart, and held against the command itself."""

from __future__ import annotations

import re
import shlex
import tomllib
from dataclasses import dataclass
from functools import cache
from typing import Any

import typer
import typer.main

from catagent.cli.main import app
from tests.docs.pages import ROOT

__all__ = ["LASTING", "OTHERS", "Line", "Refused", "every_option", "lines", "parsed", "wrong"]

Refused: type[Exception] = typer.BadParameter.__mro__[1]
"""Click's `UsageError`, of the click that typer uses."""

LASTING = {"mcp", "serve"}
"""Commands that run until they are stopped: parsed, and run by the tests of their own."""
OTHERS = {"cd", "cp", "curl", "docker", "echo", "export", "git", "head", "jq", "make", "ollama", "pip",
          "python", "ray", "tail", "vllm"}  # fmt: skip
_NAME = re.compile(r"[A-Z_][A-Z0-9_]*=")


@dataclass(frozen=True)
class Line:
    """One simple command: its words, and what is piped into it."""

    words: tuple[str, ...]
    piped: tuple[str, ...] | None = None
    output: str | None = None


def lines(code: str) -> list[Line]:
    """The simple commands of a block, in order."""
    found: list[Line] = []
    for text in code.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(text, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        words: list[str] = []
        piped: tuple[str, ...] | None = None
        output: str | None = None
        tokens = iter([*lexer, ";"])
        for token in tokens:
            if token in ("|", "&&", ";", "&"):
                while words and _NAME.match(words[0]):
                    words.pop(0)
                if words:
                    found.append(Line(tuple(words), piped, output))
                piped = tuple(words) if token == "|" else None
                words, output = [], None
            elif token in (">", ">>"):
                output = next(tokens)
            elif token == "<":
                piped = ("cat", next(tokens))
            else:
                words.append(token)
    return found


@cache
def command() -> Any:
    return typer.main.get_command(app)


def parsed(words: tuple[str, ...]) -> str:
    """Parse `catagent …` as the program does, without running it; the path of the command.

    Raises `Refused` for what the program would refuse.
    """
    at, rest, context, path = command(), list(words[1:]), None, []
    while True:
        path.append(at.name if context else "catagent")
        context = at.make_context(path[-1], rest, parent=context)
        rest = [*context._protected_args, *context.args]
        if not hasattr(at, "commands") or not rest:
            return " ".join(path)
        name, at, rest = at.resolve_command(context, rest)
        at.name = name


@cache
def every_option() -> frozenset[str]:
    """All long and short options of all commands."""

    def of(at: Any) -> set[str]:
        own = {text for p in at.params for text in (*p.opts, *p.secondary_opts) if text.startswith("-")}
        return own.union(*(of(below) for below in getattr(at, "commands", {}).values())) | {"--help", "-h"}

    return frozenset(of(command()))


def wrong(line: Line) -> str | None:
    """What is wrong with a line that is not `catagent`: no such tool, extra, module or target."""
    first, *rest = line.words
    if first == "python" and rest[:2] == ["-m", "pip"]:
        first, *rest = "pip", *rest[2:]
    if "/" in first:
        return None if (ROOT / first).is_file() else f"there is no file {first}"
    if first not in OTHERS:
        return f"{first} is no tool that the documentation uses"
    if first == "pip":
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        for word in rest:
            if match := re.fullmatch(r"(?:catagent|\.)\[([\w,-]+)\]", word):
                for extra in match[1].split(","):
                    if extra not in extras:
                        return f"there is no extra {extra!r}"
    if first == "python" and rest[:1] == ["-m"] and rest[1].split(".")[0] in ("benchmarks", "tests"):
        path = ROOT / (rest[1].replace(".", "/") + ".py")
        if not path.is_file():
            return f"there is no module {rest[1]}"
        text = path.read_text()
        for word in rest[2:]:
            if word.startswith("--") and f'"{word.split("=")[0]}"' not in text:
                return f"{rest[1]} has no option {word}"
    if first == "make":
        makefile = (ROOT / "Makefile").read_text()
        for word in rest:
            if "=" not in word and not re.search(rf"^{re.escape(word)}:", makefile, re.M):
                return f"there is no target {word!r}"
    return None
