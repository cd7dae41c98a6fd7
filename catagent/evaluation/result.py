"""What an evaluation brought: records and solutions, and everything that is written from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

from catagent.errors import ConfigError
from catagent.evaluation.benchmarks import Benchmark
from catagent.evaluation.findings import comparisons, curve, departures, matched, placebo_shares
from catagent.evaluation.plots import plots_of
from catagent.evaluation.records import Record, write_records
from catagent.evaluation.report import report_page
from catagent.evaluation.running import Finished, Stop
from catagent.evaluation.scores import Scores
from catagent.evaluation.tables import Table, asking, pairs_of, tables_of
from catagent.messages import Reference, Usage
from catagent.viewing import MethodReference, Row, write_page

__all__ = ["Evaluation"]


@dataclass(frozen=True)
class Evaluation:
    """The questions that are finished, what was asked for, and what it consumed.

    `usage` is over all runs in the same folder, `usage_of_run` over this one; `total` is how many questions
    (times seeds) there are; `stopped` says why there are fewer records, if so.
    """

    benchmark: Benchmark
    asked: Mapping[str, Any]
    finished: Sequence[Finished]
    total: int
    usage: Usage
    usage_of_run: Usage
    stopped: Stop | None = None
    why: str | None = None
    folder: Path | None = None

    @property
    def complete(self) -> bool:
        """Whether every question is finished."""
        return len(self.finished) == self.total

    @cached_property
    def records(self) -> list[Record]:
        """One a question and seed."""
        return [f.record for f in self.finished]

    @cached_property
    def scores(self) -> Scores:
        """The records as columns."""
        return Scores(self.records)

    @cached_property
    def tables(self) -> list[Table]:
        """Every table that the records say something for."""
        return tables_of(self.scores) if self.scores.records else []

    @property
    def notes(self) -> list[str]:
        """What to know before reading a figure."""
        scores, said = self.scores, []
        if not self.complete:
            said.append(
                f"Incomplete: {len(self.finished)} of {self.total} questions, since {self.why}. "
                "The same command goes on."
            )
        if scores.lost:
            said.append(
                f"{scores.lost} questions have no rollout and are left out; the same command retries."
            )
        if lost := sum(o.lost for r in scores.records for o in r.outcomes.values()):
            said.append(
                f"{lost} requests of methods came to nothing (failed or refused). Where the method fell "
                "back, its outcome is undecided; the same command tries again."
            )
        said.append(f"Contamination: {self.benchmark.contamination}")
        if self.benchmark.left_out:
            said.append(f"{self.benchmark.left_out} rows of the source have nothing to grade them by.")
        if scores.open and self.asked.get("judge") in (self.asked.get("model"), self.asked.get("anchor")):
            said.append("The judge is a model under evaluation: it may favour its own ways.")
        width = [w for m in scores.arms if (w := scores.accuracy(m).over_questions)]
        if width:
            said.append(
                f"With {len(scores.ids)} questions the standard error of a score is up to "
                f"{100 * max(width):.1f} points; differences below about twice that are noise "
                "unless the paired tests say otherwise."
            )
        if "majority" not in self.asked.get("methods", ()):
            said.append("majority is not among the methods: the baseline that costs nothing is missing.")
        return said

    def as_dict(self) -> dict[str, Any]:
        """Everything that was found, as plain data for JSON."""
        scores = self.scores
        asks, bases = asking(scores), ["single", *(a for a in scores.arms if a == "majority")]
        return {
            "catagent": metadata.version("catagent"),
            "benchmark": {
                "name": self.benchmark.name,
                "source": self.benchmark.source,
                "digest": self.benchmark.digest,
                "questions": len(self.benchmark.questions),
                "contamination": self.benchmark.contamination,
            },
            "asked": dict(self.asked),
            "finished": len(self.finished),
            "total": self.total,
            "stopped": self.stopped,
            "methods": {m: self._method(m) for m in scores.methods},
            "comparisons": [_plain(c) for c in comparisons(scores, pairs_of(scores))],
            "departures": [_plain(d) for d in departures(scores, scores.arms)],
            "placebos": [_plain(s) for s in placebo_shares(scores, asks, bases)],
            "by_g": [_plain(p) for p in curve(scores)],
            "matched": [_plain(m) for m in matched(scores, asks)],
            "notes": self.notes,
            "usage": self.usage.model_dump(mode="json"),
            "usage_of_run": self.usage_of_run.model_dump(mode="json"),
        }

    def _method(self, method: str) -> dict[str, Any]:
        scores = self.scores
        found = _plain(scores.accuracy(method))
        if method != scores.oracle:
            found["cost"] = scores.cost(method)._asdict()
            found["own_cost"] = {role: c._asdict() for role, c in scores.own(method).items()}
        return found

    def markdown(self) -> str:
        """The tables and notes as Markdown."""
        parts = [f"## {self.title}", ""]
        parts += [f"- {name}: {value}" for name, value in self.facts]
        parts += ["", *(f"> {note}" for note in self.notes), ""]
        return "\n".join(parts) + "\n" + "\n".join(table.markdown() for table in self.tables)

    @property
    def title(self) -> str:
        """The benchmark and the model."""
        return f"{self.benchmark.name} with {self.asked.get('model')}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What was asked for and what it took, in words."""
        a, u = self.asked, self.usage
        params = ", ".join(f"{k} {v}" for k, v in a.get("params", {}).items())
        usd = "unknown" if u.usd is None else f"${u.usd:.4f}"
        return [
            ("model", str(a.get("model"))),
            ("anchor", str(a.get("anchor"))),
            *([("judge", str(a["judge"]))] if a.get("judge") else []),
            ("questions", f"{len(self.scores.ids)} of {len(self.benchmark.questions)} from {self._from}"),
            ("group", f"{a.get('n')} rollouts, pool {a.get('pool')}, seeds {a.get('seeds')}"),
            ("synthesis", "question-aware" if a.get("question_aware") else "question-blind"),
            ("prompts", ", ".join(f"{k} {v}" for k, v in a.get("prompts", {}).items()) or "–"),
            ("sampling", params or "the endpoint's own"),
            ("consumed", f"{u.calls:,} requests, {u.tokens:,} tokens, {usd}, grading included"),
            ("catagent", metadata.version("catagent")),
        ]

    @property
    def _from(self) -> str:
        return f"{self.benchmark.source.rpartition('/')[2]} ({self.benchmark.digest})"

    def rows(self) -> Iterator[Row]:
        """The questions for the viewer's page."""
        several = len(self.scores.seeds) > 1
        for one in self.finished:
            record, solution = one.record, one.solution
            if solution is not None:
                right = {m: _right(self.scores.value(record, m)) for m in one.references}
                yield Row(
                    id=f"{record.id} (seed {record.seed})" if several else record.id,
                    solution=solution,
                    gold="; ".join(record.gold) or None,
                    correct={} if record.open else right,
                    group=record.group or "",
                    references=[_made(record, *made) for made in one.references.items()],
                )

    def write(self, folder: Path, *, plots: bool = True) -> Path:
        """Write records, results and pages into a folder; gives the path of the report.

        Blocks. Raises `ConfigError` when a file cannot be written, or matplotlib is missing for `plots`.
        """
        drawn = plots_of(self.scores) if plots else []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_records(self.records, folder / "records.jsonl")
            plain = orjson.dumps(self.as_dict(), option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS)
            (folder / "results.json").write_bytes(plain)
            (folder / "results.md").write_text(self.markdown(), encoding="utf-8", errors="replace")
            if drawn:
                (folder / "plots").mkdir(exist_ok=True)
            for plot in drawn:
                (folder / "plots" / f"{plot.name}.svg").write_bytes(plot.file)
                (folder / "plots" / f"{plot.name}.png").write_bytes(plot.png)
            notes = self.notes if plots else [*self.notes, "Plots need: pip install 'catagent[eval]'"]
            page = report_page(
                self.title, self.facts, self.tables, drawn, notes, ("questions.html", "Every question →")
            )
            report = folder / "report.html"
            report.write_text(page, encoding="utf-8", errors="replace")
        except OSError as error:
            raise ConfigError(f"cannot write into {folder}: {error.strerror}") from None
        write_page(folder / "questions.html", self.rows(), title=self.title, notes=self.notes)
        return report


def _made(record: Record, method: str, reference: Reference | None) -> MethodReference:
    outcome = record.outcomes[method]
    score = outcome.value if record.open else None
    return MethodReference(method, reference, score=score, error=outcome.error)


def _right(value: float | None) -> bool | None:
    return None if value is None else value == 1


def _plain(found: Any) -> dict[str, Any]:
    """A finding as plain data; named tuples by their names."""
    raw = found._asdict() if hasattr(found, "_asdict") else asdict(found)
    return {k: v._asdict() if hasattr(v, "_asdict") else v for k, v in raw.items()}
