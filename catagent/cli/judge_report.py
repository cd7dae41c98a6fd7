"""The figures of `judge-eval` as a page: the table, each set by category, and where judge and people part."""

from __future__ import annotations

from collections.abc import Sequence

from catagent.cli.figures import rows_of
from catagent.cli.page import page, table
from catagent.evaluation.calibration import Calibration, Judged
from catagent.options import JudgeOptions
from catagent.viewing.document import shown

__all__ = ["calibration_page"]

_SHOWN = 40


def calibration_page(
    judge: str,
    options: JudgeOptions,
    results: Sequence[tuple[Calibration, Sequence[Judged]]],
    left_out: dict[str, dict[str, int]],
) -> str:
    """The page, self-contained."""
    figures = [f for f, _ in results]
    headings = ["", *(shown(f.name) for f in figures)]
    rows = [[shown(label), *map(shown, cells)] for label, cells in rows_of(figures)]
    asked = ", ".join(f"{k} {'all' if v is None else v}" for k, v in options.model_dump().items())
    parts = [
        f"<p>Judge <b>{shown(judge)}</b></p>",
        f'<p class="dim">{shown(asked)}. Intervals: 95%, bootstrap over clusters.</p>',
        table(headings, rows),
    ]
    for one, judged in results:
        parts.append(f"<h2>{shown(one.name)}</h2>")
        c = one.counts
        if one.labelled:
            cells = [
                ["people: met", str(c.met_right), str(c.unmet_wrong)],
                ["people: unmet", str(c.met_wrong), str(c.unmet_right)],
            ]
            parts.append(table(["", "judge: met", "judge: unmet"], cells))
        parts += [
            f'<p class="dim">{count} rows left out: {shown(reason)}</p>'
            for reason, count in left_out.get(one.name, {}).items()
        ]
        parts.append(_categories(judged))
        parts.append(_disagreements(judged))
    return page("catagent: judge calibration", "\n".join(part for part in parts if part))


def _categories(judged: Sequence[Judged]) -> str:
    together: dict[str, list[Judged]] = {}
    for row in judged:
        if row.item.category and row.item.label is not None:
            together.setdefault(row.item.category, []).append(row)
    if len(together) < 2:
        return ""
    rows = []
    for name, some in sorted(together.items()):
        known = [row.agrees for row in some if row.agrees is not None]
        right = f"{sum(known)} of {len(known)}"
        rows.append([shown(name), right, str(len(some) - len(known))])
    return table(["category", "agrees", "unscored"], rows)


def _disagreements(judged: Sequence[Judged]) -> str:
    wrong = [row for row in judged if row.agrees is False]
    if not wrong:
        return ""
    parts = [f"<p>{len(wrong)} verdicts differ from people's; the first {min(len(wrong), _SHOWN)}:</p>"]
    for row in wrong[:_SHOWN]:
        people = "met" if row.item.label else "unmet"
        findings = "".join(f"<li>{shown(f.kind)}: {shown(f.excerpt)}</li>" for f in row.findings)
        parts.append(
            f"<details><summary>{shown(row.item.id)}: judge {row.verdict.state}, people {people}</summary>"
            f"<p>{shown(row.item.criterion[:2000])}</p><pre>{shown(row.item.response[:6000])}</pre>"
            f'<p class="dim">{shown(row.verdict.reason or "")}</p><ul>{findings}</ul></details>'
        )
    return "\n".join(parts)
