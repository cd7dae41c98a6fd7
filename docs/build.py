"""Build the documentation site: `make docs`, or `python docs/build.py` where the extra `docs` is installed.

Pages are written to be read in the repository as well, so they link to files beside `docs/`. Here they are
gathered into one folder with those files, links are turned to where the files then are, and the page of the
command line is made from the command itself. Any warning ends the build.
"""

from __future__ import annotations

import argparse
import html
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STAGE = ROOT / "build" / "docs"
FENCE = re.compile(r"^( *)```.*?^\1```$|<!--.*?-->", re.M | re.S)
LINKED, BARE = re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)\s#]+)")


def stage() -> None:
    """Gather pages and what they link to under `build/docs`."""
    shutil.rmtree(STAGE, ignore_errors=True)
    shutil.copytree(ROOT / "docs", STAGE, ignore=shutil.ignore_patterns("build.py", "__pycache__"))
    pending = sorted(STAGE.rglob("*.md"))
    done: set[Path] = set()
    while pending:
        page = pending.pop()
        if page in done:
            continue
        done.add(page)
        origin = original(page)
        text = LINK.sub(lambda m, o=origin, p=page: m[1] + turned(m[2], o, p, pending), page.read_text())
        page.write_text(text)
    (STAGE / "reference" / "cli.md").write_text(commands())
    (STAGE / "llms.txt").write_text(overview())


def original(page: Path) -> Path:
    """Where a gathered page comes from."""
    inside = page.relative_to(STAGE)
    return (
        ROOT / inside.relative_to("repository") if inside.parts[0] == "repository" else ROOT / "docs" / inside
    )


def turned(link: str, origin: Path, page: Path, pending: list[Path]) -> str:
    """The link as it reads in the gathered folder; a file outside `docs/` is gathered too."""
    target = (origin.parent / link).resolve()
    if not target.is_file():
        return link  # the build says that it is broken
    if target.is_relative_to(ROOT / "docs"):
        there = STAGE / target.relative_to(ROOT / "docs")
    else:
        there = STAGE / "repository" / target.relative_to(ROOT)
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target, there)
            if there.suffix == ".md":
                pending.append(there)
    return Path(*[".."] * len(page.parent.relative_to(STAGE).parts), there.relative_to(STAGE)).as_posix()


def commands() -> str:
    """Every command with its options, as the program itself documents them."""
    line = [sys.executable, "-m", "typer", "catagent.cli.main", "utils", "docs", "--name", "catagent"]
    said = subprocess.run(line, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    said = said.replace("# `catagent`", "# The command line", 1)
    said = re.sub(r"`([^`\n]*)`", lambda m: f"`{html.unescape(m[1])}`", said)
    return said.replace("```console\n$ ", "```console\n")


def overview() -> str:
    """The pages by title and first sentence, for programs that read documentation (llmstxt.org)."""
    lines = ["# catagent", ""]
    for page in sorted(STAGE.rglob("*.md")):
        text = FENCE.sub("", page.read_text())
        title = re.search(r"^# (.+)$", text, re.M)
        first = re.search(r"^[A-Z`*].+?(?:\.(?=\s)|\Z)", text, re.M | re.S)
        if title and page.relative_to(STAGE).parts[0] != "repository":
            at = page.relative_to(STAGE).with_suffix("").as_posix().removesuffix("index")
            said = " ".join(first[0].split()) if first else ""
            lines.append(f"- [{title[1]}]({at.rstrip('/') or '.'}/): {LINKED.sub(BARE, said)}".rstrip(": "))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Gather, then build or serve."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--serve", action="store_true", help="serve on loopback instead; run again after edits"
    )
    parser.add_argument("--stage-only", action="store_true", help="gather the pages and stop")
    chosen = parser.parse_args()
    stage()
    if chosen.stage_only:
        return
    tool = Path(sys.executable).with_name("zensical")
    line = [tool, "serve"] if chosen.serve else [tool, "build", "--strict", "--clean"]
    sys.exit(subprocess.run(line, cwd=ROOT, check=False).returncode)


if __name__ == "__main__":
    main()
