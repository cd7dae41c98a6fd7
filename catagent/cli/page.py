"""A page of tables: self-contained, no script, readable on a phone, safe with hostile text."""

from __future__ import annotations

from pathlib import Path

from catagent.errors import ConfigError
from catagent.viewing.document import document

__all__ = ["page", "table", "write_page"]

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--met:#1a7f37;--unmet:#c0392b;--dim:#777}
@media(prefers-color-scheme:dark){:root{--met:#4cc46d;--unmet:#ff7b6b;--dim:#999}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;padding:1rem;max-width:60rem;overflow-wrap:anywhere}
h1{font-size:1.3rem}h2{font-size:1.1rem;margin-top:2rem}
pre{white-space:pre-wrap;font:inherit;margin:.3rem 0;padding:.6rem}
pre{border:1px solid var(--line);border-radius:.4rem}
.wide{overflow-x:auto}
table{border-collapse:collapse;min-width:100%}
th,td{padding:.35rem .5rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
td.n,th.n{text-align:center;white-space:nowrap}
td.text{min-width:14rem}
.met{color:var(--met);font-weight:600}.unmet{color:var(--unmet)}.dim{color:var(--dim)}
details{border:1px solid var(--line);border-radius:.4rem;padding:.4rem .6rem;margin:.4rem 0}
summary{cursor:pointer}
ul{padding-left:1.2rem}
"""


def page(title: str, body: str) -> str:
    """The whole page; `body` is HTML."""
    return document(title, _STYLE, body)


def table(headings: list[str], rows: list[list[str]], *, text_columns: int = 1) -> str:
    """A table that scrolls sideways by itself; cells are HTML, the first columns are text."""
    kinds = ['class="text"' if i < text_columns else 'class="n"' for i in range(len(headings))]
    head = "".join(f"<th {k}>{h}</th>" for k, h in zip(kinds, headings, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td {k}>{c}</td>" for k, c in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'
    )


def write_page(text: str, path: Path) -> None:
    """Write a page. Raises `ConfigError` when the file cannot be written."""
    try:
        path.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise ConfigError(f"cannot write the report to {path}: {error.strerror}") from None
