"""The pages of the documentation, cut into blocks of code and links.

A block runs unless a comment before it says what it would take: `<!-- needs: gpu -->`, one word of `NEEDS`,
with a reason after a comma where that helps. A block with `title="name"` is a file that the page's other
blocks find beside them.
"""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["NEEDS", "PAGES", "ROOT", "Block", "anchors", "blocks", "links", "marks", "name_of", "spans"]

ROOT = Path(__file__).parent.parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NEEDS = {
    "cluster": "a Ray cluster",
    "data": "a data set that is not shipped",
    "gpu": "a GPU, or hours",
    "key": "an account at the provider",
    "package": "a package that is not a dependency of the project",
    "server": "a server that keeps running",
    "yours": "code or files of the reader's own",
}

_FENCE = re.compile(r"^( *)(```+)(\w*)([^\n`]*)\n(.*?)\n\1\2 *$", re.M | re.S)
_MARK = re.compile(r"<!-- needs: (\w+)[^\n]*-->\s*\Z")
_TITLE = re.compile(r'title="([^"]+)"')
_LINK = re.compile(r"(?<!!)\[(?:[^\]\[]|\[[^\]]*\])*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_HEADING = re.compile(r"^#{1,6} +(.*?)(?: *\{ *#([\w-]+) *\})? *#*$", re.M)


@dataclass(frozen=True)
class Block:
    """A fenced block. `line` is where its code begins."""

    page: Path
    line: int
    language: str
    code: str
    title: str | None = None
    needs: str | None = None

    @property
    def where(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@cache
def blocks(page: Path) -> tuple[Block, ...]:
    found = []
    text = text_of(page)
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        mark = _MARK.search(before)
        title = _TITLE.search(match[4])
        found.append(
            Block(
                page=page,
                line=before.count("\n") + 2,
                language=match[3],
                code=textwrap.dedent(match[5]) + "\n",
                title=title[1] if title else None,
                needs=mark[1] if mark else None,
            )
        )
    return tuple(found)


def prose(page: Path) -> str:
    """The text without fenced blocks; lines keep their numbers."""
    return _FENCE.sub(lambda match: "\n" * match[0].count("\n"), text_of(page))


def spans(page: Path) -> list[tuple[int, str]]:
    """Inline code with its line."""
    text = prose(page)
    return [(text[: m.start()].count("\n") + 1, m[1]) for m in _SPAN.finditer(text)]


def marks(page: Path) -> list[str]:
    """What the page's marks name, whether or not a block follows."""
    return re.findall(r"<!-- *needs:? *(\w*)", _SPAN.sub("", prose(page)))


def links(page: Path) -> list[tuple[int, str]]:
    """Targets of links and pictures with their line."""
    text = _SPAN.sub(lambda match: " " * len(match[0]), prose(page))
    return [(text[: m.start()].count("\n") + 1, m[1] or m[2]) for m in _LINK.finditer(text)]


@cache
def anchors(page: Path) -> frozenset[str]:
    """What a link into the page may name: its headings, as GitHub and the site spell them."""
    found: set[str] = set()
    for title, given in _HEADING.findall(prose(page)):
        bare = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower())
        found.add(given or bare.strip().replace(" ", "-"))
    return frozenset(found)
