"""Every page: its blocks run, its commands exist, its configuration is accepted, its links lead somewhere."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from catagent.models.config import load_config
from tests.docs.names import strange
from tests.docs.pages import NEEDS, PAGES, ROOT, anchors, blocks, links, marks, name_of, spans
from tests.docs.provider import reply
from tests.docs.samples import SAMPLES
from tests.docs.shell import LASTING, Refused, every_option, lines, parsed, wrong
from tests.doubles import ProviderDouble

SITE = [page for page in PAGES if page.parent != ROOT]
every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)
every_site_page = pytest.mark.parametrize("page", SITE, ids=name_of)


def steps(page: Path) -> list[dict[str, Any]]:
    """What running the page takes."""
    found: list[dict[str, Any]] = []
    for block in blocks(page):
        step = {"where": block.where}
        if block.title:
            found.append({**step, "do": "file", "name": block.title, "text": block.code})
        if block.needs:
            continue
        if block.language == "python" and not (block.title and block.title.endswith(".py")):
            found.append({**step, "do": "python", "code": block.code})
        if block.language == "bash":
            for line in lines(block.code):
                if line.words[0] == "echo" and line.output:
                    text = " ".join(line.words[1:]) + "\n"
                    found.append({**step, "do": "file", "name": line.output, "text": text})
                if line.words[0] == "catagent" and not LASTING & set(line.words[1:2]):
                    run = {"do": "command", "words": line.words, "piped": line.piped, "output": line.output}
                    found.append({**step, **run})
    return found


RUNNING = [page for page in SITE if any(step["do"] != "file" for step in steps(page))]


@pytest.mark.parametrize("page", RUNNING, ids=name_of)
def test_the_page_runs(page: Path, tmp_path: Path) -> None:
    plan = steps(page)
    for name, text in SAMPLES.items():
        (tmp_path / name).write_text(text)
    clean = {key: value for key, value in os.environ.items() if not key.endswith("_API_KEY")}
    paths = os.pathsep.join((str(tmp_path), str(ROOT)))
    places = {"PYTHONPATH": paths, "CATAGENT_CACHE": str(tmp_path / ".cache")}
    with ProviderDouble(reply=reply) as double:
        (tmp_path / ".plan.json").write_text(json.dumps({"base": double.base_url, "steps": plan}))
        keys = {f"{name}_API_KEY": "sk-test-123456789" for name in ("OPENAI", "ANTHROPIC", "TOGETHER")}
        done = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", "-m", "tests.docs.runner", ".plan.json"],
            cwd=tmp_path, env={**clean, **keys, **places},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=110, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""


@every_page
def test_python_is_python_and_knows_the_package(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            tree = compile(
                block.code, block.where, "exec",
                flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST, dont_inherit=True,
            )  # fmt: skip
            assert not strange(tree), (block.where, strange(tree))


@every_page
def test_command_lines_are_accepted(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in blocks(page):
        if block.language not in ("bash", "sh", "console", "shell"):
            continue
        assert block.language == "bash", f"{block.where}: name the language bash"
        for line in lines(block.code):
            if line.words[0] == "catagent":
                try:
                    parsed(line.words)
                except typer.Exit:
                    continue  # --version, --help
                except Refused as error:
                    pytest.fail(f"{block.where}: {' '.join(line.words)}: {error}")
            else:
                assert (said := wrong(line)) is None, f"{block.where}: {said}"


@every_site_page
def test_options_and_commands_in_the_text_exist(page: Path) -> None:
    foreign = {word for block in blocks(page) for word in re.findall(r"(?<!\S)--?[a-z][\w-]*", block.code)}
    names = set(typer_names())
    for line, span in spans(page):
        if match := re.match(r"catagent ([a-z][\w-]*)", span):
            assert match[1] in names, f"{name_of(page)}:{line}: there is no command {match[1]!r}"
        ours = span.startswith(("catagent ", "--", "-"))
        for option in re.findall(r"(?<!\S)--?[a-z][\w-]*", span) if ours else ():
            known = option in every_option() or option in foreign or option in FOREIGN
            assert known, f"{name_of(page)}:{line}: there is no option {option}"


FOREIGN = {
    "-I",
    "-S",
    "--no-index",
    "--find-links",
    "--enable-lora",
    "--lora-modules",
    "--reward",
    "--max-connections",
}
"""Options of other programs that the text speaks of."""


def typer_names() -> list[str]:
    from tests.docs.shell import command

    return list(command().commands)


@every_page
def test_yaml_and_json_are_accepted(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOUSE_KEY", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "TOGETHER_API_KEY"):
        monkeypatch.setenv(name, "sk-test-123456789")
    for block in blocks(page):
        if block.language == "yaml" and not block.needs:
            path = tmp_path / "providers.yaml"
            path.write_text(block.code)
            load_config(path)
        elif block.language == "yaml":
            yaml.safe_load(block.code)
        elif block.language == "json":
            json.loads(block.code)
        elif block.language == "toml":
            tomllib.loads(block.code)
        elif block.language == "jsonl":
            assert all(json.loads(line) for line in block.code.splitlines())


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    for line, link in links(page):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        where = f"{name_of(page)}:{line}: {link}"
        assert target.is_file() or name_of(target) == "docs/reference/cli.md", f"{where}: no such file"
        if anchor and target.suffix == ".md" and target.is_file() and "reference" not in target.parts:
            assert anchor in anchors(target), f"{where}: no such heading"


@every_page
def test_marks_name_something_known(page: Path) -> None:
    marked = marks(page)
    assert len(marked) == sum(1 for block in blocks(page) if block.needs), "a mark without a block"
    assert set(marked) <= NEEDS.keys(), f"{name_of(page)}: {set(marked) - NEEDS.keys()}"


def test_every_page_is_in_the_navigation_once() -> None:
    class Loader(yaml.SafeLoader):
        """Tags of Python objects in the configuration are not needed here."""

    Loader.add_multi_constructor("tag:yaml.org,2002:python/", lambda *_: None)
    site = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)
    found: list[str] = []

    def walk(entry: Any) -> None:
        for value in entry if isinstance(entry, list) else entry.values() if isinstance(entry, dict) else ():
            walk(value)
        if isinstance(entry, str):
            found.append(entry)

    walk(site["nav"])
    there = {page.relative_to(ROOT / "docs").as_posix() for page in SITE} | {"reference/cli.md"}
    assert sorted(found) == sorted(there)
