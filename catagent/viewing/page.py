"""The page: one HTML file with the rows as packed data and a script that unpacks what is looked at.

Rows go to disk as they come, in blocks of deflated JSON in base64: an alphabet in which no text can end the
script element that holds it. The policy of the page allows the one script and the one style sheet that it
was written with, by their hashes, and no request to anywhere.
"""

from __future__ import annotations

import base64
import hashlib
import html
import os
import secrets
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib import metadata, resources
from pathlib import Path
from string import Template
from typing import IO

import orjson

from catagent.errors import ConfigError
from catagent.viewing.clusters import Clustering
from catagent.viewing.record import record_of
from catagent.viewing.rows import Row
from catagent.viewing.texts import visible

__all__ = ["is_page", "policy", "write_page"]

_BLOCK = 256_000
"""Bytes of JSON in one block: what is unpacked to look at one row."""
_GENERATOR = b'<meta name="generator" content="catagent">'
_SCRIPTS = (
    "inflate.js", "dom.js", "store.js", "passages.js", "filters.js", "list.js", "rollouts.js", "reference.js",
    "rubric.js", "costs.js", "main.js",
)  # fmt: skip


def write_page(
    path: str | Path, rows: Iterable[Row], *, title: str, notes: Sequence[str] = (), seconds: float = 60.0
) -> int:
    """Write `rows` to one self-contained HTML file and return how many there were.

    `rows` is read once and in order, and the file grows with it: memory is needed for some rows, not for
    all. `notes` stand above the list and are read after the last row, so a list may grow meanwhile.
    `seconds` is what may be spent on symbolic comparison of answers, in all; what goes beyond is compared by
    spelling and arithmetic, and the page says so. Blocks. An earlier file at `path` is replaced at the end.

    Raises `ConfigError` when the file cannot be written.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with beside.open("w", encoding="utf-8", newline="\n") as file:
            count = _write(file, rows, title, notes, Clustering(seconds))
        os.replace(beside, path)  # noqa: PTH105 - beside its namesakes
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigError(f"cannot write the page to {path}: {error.strerror}") from None
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    return count


def is_page(path: str | Path) -> bool:
    """Whether a file is a page of `write_page`, as far as its beginning tells."""
    try:
        with Path(path).open("rb") as file:
            return _GENERATOR in file.read(2000)
    except OSError:
        return False


def policy() -> str:
    """The Content-Security-Policy of a page."""
    return (
        f"default-src 'none'; script-src '{_hash(_script())}'; style-src '{_hash(_asset('page.css'))}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _write(
    file: IO[str], rows: Iterable[Row], title: str, notes: Sequence[str], clustering: Clustering
) -> int:
    shell = Template(_asset("page.html"))
    head, foot = shell.substitute(
        title=html.escape(visible(title[:300])),
        policy=html.escape(policy(), quote=True),
        style=_asset("page.css"),
        script=_script(),
        data="\0",
    ).split("\0")
    file.write(head)
    lines, details = _Blocks("lines"), _Blocks("details")
    count = 0
    for row in rows:
        record = record_of(row, clustering)
        file.writelines(details.add(record.details))
        file.writelines(lines.add(record.line))
        count += 1
    file.writelines(details.rest())
    file.writelines(lines.rest())
    said = [visible(note[:2000]) for note in notes]
    if clustering.cheaply:
        said.append(
            f"In {clustering.cheaply} of {count} rows answers were compared by spelling and arithmetic "
            "alone: equal ones may stand in different clusters."
        )
    about = {
        "title": visible(title[:300]),
        "notes": said,
        "rows": count,
        "sizes": details.sizes,
        "version": metadata.version("catagent"),
    }
    file.write(_packed("about", orjson.dumps(about)))
    file.write(foot)
    return count


class _Blocks:
    """JSON values gathered to blocks of some size; `sizes` says how many each holds."""

    def __init__(self, kind: str) -> None:
        self.sizes: list[int] = []
        self._kind = kind
        self._values: list[bytes] = []
        self._bytes = 0

    def add(self, value: bytes) -> Iterator[str]:
        """Take a value; gives the block that is full."""
        self._values.append(value)
        self._bytes += len(value)
        if self._bytes >= _BLOCK:
            yield from self.rest()

    def rest(self) -> Iterator[str]:
        """The last block, if there is one."""
        if self._values:
            yield _packed(self._kind, b"[" + b",".join(self._values) + b"]")
            self.sizes.append(len(self._values))
            self._values, self._bytes = [], 0


def _packed(kind: str, data: bytes) -> str:
    text = base64.b64encode(zlib.compress(data, 6)).decode()
    return f'<script type="application/x-packed" data-kind="{kind}">{text}</script>\n'


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


@cache
def _asset(name: str) -> str:
    return resources.files("catagent.viewing").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    return "(() => {\n'use strict';\n" + "\n".join(map(_asset, _SCRIPTS)) + "\n})();"
