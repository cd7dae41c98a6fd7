"""The report as one HTML file: nothing is fetched, nothing runs, and it reads on a phone and on paper.

What comes from models and files goes through `shown`: escaped, hidden characters as their numbers.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from catagent.evaluation.plots import Plot
from catagent.evaluation.tables import Table
from catagent.viewing.document import document, shown

__all__ = ["report_page"]

_STYLE = """
:root{color-scheme:light dark;--line:#8885;--dim:#666;--soft:#8881}
@media(prefers-color-scheme:dark){:root{--dim:#aaa}}
*{box-sizing:border-box}
body{font:16px/1.5 system-ui,sans-serif;margin:0 auto;padding:1rem;max-width:80rem;overflow-wrap:anywhere}
h1{font-size:1.4rem;margin:.2rem 0 .6rem}h2{font-size:1.1rem;margin:2.2rem 0 .5rem}
p{max-width:46rem}.dim{color:var(--dim);font-size:.9rem}
ul.notes{max-width:46rem;padding-left:1.2rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.6rem 0}
dt{color:var(--dim)}dd{margin:0;min-width:0}
.wide{overflow-x:auto;border:1px solid var(--line);border-radius:.4rem}
table{border-collapse:collapse;min-width:100%;font-variant-numeric:tabular-nums;font-size:.9rem}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
tr:last-child td{border-bottom:0}thead th{background:var(--soft);font-weight:600}
th.t,td.t{text-align:left}td.t:first-child{font-weight:600}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem}
figure{margin:0;background:#fff;color:#000;border:1px solid var(--line);border-radius:.4rem;padding:.5rem}
figure svg{width:100%;height:auto;display:block}
figcaption{font-size:.85rem;color:#444;padding:.2rem .3rem}
figcaption b{color:#000}
a.go{display:inline-block;padding:.4rem .8rem;border:1px solid var(--line);border-radius:.4rem}
@media(max-width:30rem){body{padding:.7rem}dl{grid-template-columns:1fr;gap:0}dd{margin-bottom:.4rem}}
@media print{body{max-width:none}.wide{overflow:visible}}
"""


def report_page(
    title: str,
    facts: Sequence[tuple[str, str]],
    tables: Sequence[Table],
    plots: Sequence[Plot] = (),
    notes: Sequence[str] = (),
    link: tuple[str, str] | None = None,
) -> str:
    """The page: facts, notes, plots, tables. `link` is the address and the words of the drill-down."""
    parts = ["<dl>" + "".join(f"<dt>{shown(k)}</dt><dd>{shown(v)}</dd>" for k, v in facts) + "</dl>"]
    if notes:
        parts.append('<ul class="notes">' + "".join(f"<li>{shown(n)}</li>" for n in notes) + "</ul>")
    if link:
        address = html.escape(link[0], quote=True)
        parts.append(f'<p><a class="go" href="{address}">{shown(link[1])}</a></p>')
    first, rest = tables[:1], tables[1:]
    parts += [_table(t) for t in first]
    if plots:
        parts.append('<h2>Plots</h2>\n<div class="plots">' + "\n".join(map(_plot, plots)) + "</div>")
    parts += [_table(t) for t in rest]
    return document(title, _STYLE, "\n".join(parts), style_attributes=bool(plots))


def _table(table: Table) -> str:
    def row(cells: Sequence[str], tag: str) -> str:
        kinds = [' class="t"' if i < table.text_columns else "" for i in range(len(cells))]
        return "".join(f"<{tag}{k}>{shown(c)}</{tag}>" for k, c in zip(kinds, cells, strict=True))

    body = "\n".join(f"<tr>{row(cells, 'td')}</tr>" for cells in table.rows)
    note = f'<p class="dim">{shown(table.note)}</p>' if table.note else ""
    return (
        f'<section>\n<h2>{shown(table.title)}</h2>\n<div class="wide" tabindex="0"><table>\n'
        f"<thead><tr>{row(table.headings, 'th')}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n"
        f"{note}</section>"
    )


def _plot(plot: Plot) -> str:
    svg = plot.svg.replace("<svg ", f'<svg aria-label="{shown(plot.title)}" ', 1)
    return f"<figure>{svg}<figcaption><b>{shown(plot.title)}.</b> {shown(plot.caption)}</figcaption></figure>"
