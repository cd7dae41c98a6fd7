"""The files of an evaluation: safe with hostile text, self-contained, the same figures everywhere."""

from __future__ import annotations

import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from catagent.errors import ConfigError
from catagent.estimators import EstimatorContext, estimator
from catagent.evaluation import evaluate
from catagent.evaluation.methods import arms_of, foremost, method_names
from catagent.evaluation.plots import plots_of
from catagent.evaluation.records import read_records
from catagent.evaluation.result import Evaluation
from catagent.evaluation.scores import Scores
from catagent.messages import Reference, RolloutGroup
from tests.cast import cat_on
from tests.doubles import ProviderDouble
from tests.evaluation.playing import adder, noise, sums
from tests.viewing.unpacking import packed, rows_of

HOSTILE = '</style><script>alert(1)</script>"><img src=x onerror=alert(1)> \u202e$x_1$ | & <b>'


@estimator("hostile")
def hostile(context: EstimatorContext) -> Any:
    async def estimate(group: RolloutGroup) -> Reference:
        raise RuntimeError(HOSTILE)

    return estimate


async def evaluated() -> Evaluation:
    rows = [{**row, "subject": HOSTILE if i % 2 else "sums"} for i, row in enumerate(sums(8))]
    reply = adder(lambda q, r: noise(q, r) < 0.6)
    async with ProviderDouble(reply=reply) as double, cat_on(double, n=4) as cat:
        return await evaluate(
            rows,
            cat=cat,
            methods="majority,synthesis,placebo_other,placebo_none,hostile",
            sizes=[2],
            params={"note": HOSTILE},
        )


async def test_the_folder_has_everything_and_the_figures_agree(tmp_path: Path) -> None:
    found = await evaluated()
    report = found.write(tmp_path / "deep" / "out")
    folder = report.parent
    assert {p.name for p in folder.iterdir()} == {
        "records.jsonl", "results.json", "results.md", "report.html", "questions.html", "plots",
    }  # fmt: skip
    names = {"accuracy", "by-g", "pareto", "departures"}
    assert {p.name for p in (folder / "plots").iterdir()} == {
        f"{n}.{e}" for n in names for e in ("svg", "png")
    }
    for plot in (folder / "plots").glob("*.png"):
        assert plot.read_bytes().startswith(b"\x89PNG")
    plain = json.loads((folder / "results.json").read_bytes())
    value = found.scores.accuracy("synthesis").interval.value
    assert value is not None
    assert plain["methods"]["synthesis"]["interval"]["value"] == pytest.approx(value)
    assert plain["methods"]["hostile"]["failed"] == 8
    assert (plain["finished"], plain["total"]) == (8, 8)
    assert f"| synthesis | {100 * value:.1f}%" in (folder / "results.md").read_text()
    assert f"<td>{100 * value:.1f}%</td>" in report.read_text()
    assert Scores(read_records(folder)).accuracy("synthesis") == found.scores.accuracy("synthesis")
    assert "trained on these questions is not known" in report.read_text()


async def test_every_question_has_the_references_of_all_methods(tmp_path: Path) -> None:
    rows = sums(3)
    reply = adder(lambda q, r: r != 1, lambda prompt: f"I cannot say. {HOSTILE}")
    async with ProviderDouble(reply=reply) as double, cat_on(double, n=3) as cat:
        found = await evaluate(rows, cat=cat, methods="majority,hostile,synthesis,placebo_none", sizes=[2])
    found.write(tmp_path, plots=False)
    page = tmp_path / "questions.html"
    assert "onerror" not in page.read_text()
    [lines] = packed(page, "lines")
    assert [(line["by"], line["answer"], line["fallback"]) for line in lines] == [
        ("synthesis", str(2 * i), True) for i in (1, 2, 3)
    ]
    names = ["synthesis", "majority", "hostile", "placebo_none"]
    for row in rows_of(page):
        assert row["notes"] == []
        made = {one["name"]: one for one in row["references"]}
        assert list(made)[:4] == names
        assert set(made) == {*names, *(f"{name}@2" for name in names)}
        right = {name: one["right"] for name, one in made.items()}
        assert [right[name] for name in names] == [True, True, None, False]
        assert [right[f"{name}@2"] for name in names] == [False, False, None, False]
        assert [one.get("letter") for one in made.values()][:4] == ["A", "A", None, None]
        assert made["synthesis"]["fallback"] == "the synthesis states no final answer"
        assert made["synthesis"]["rejected"].startswith("I cannot say. </style><script>alert(1)")
        assert made["synthesis"]["words_of"] == made["majority"]["words_of"] == 0
        assert made["hostile"]["error"].startswith("RuntimeError: </style>")
        assert made["placebo_none"]["text"].startswith("I cannot say.")
        assert "; 2 answers are tied" in made["synthesis@2"]["fallback"]


@pytest.mark.parametrize(
    ("methods", "first"),
    [
        ("majority,min_ppl,synthesis_vote,synthesis:aware", "synthesis:aware"),
        ("majority,auto,usc", "auto"),
        ("majority,usc,self_bon", "usc"),
        ("majority", "majority"),
        ("", None),
    ],
)
def test_the_synthesis_is_looked_at_first(methods: str, first: str | None) -> None:
    arms = arms_of(method_names([methods]), 4, [2])
    assert foremost(arms) == first


async def test_no_text_gets_out_of_its_place(tmp_path: Path) -> None:
    report = (await evaluated()).write(tmp_path)
    page = report.read_text()
    assert "<script" not in page
    assert "<img" not in page
    assert "onerror=alert(1)&gt;" in page
    assert "[U+202E]" in page
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'' in page
    assert not re.search(r"(?:src|href)=\"(?!questions\.html|#)", page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(ids)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    for table in re.findall(r"^\|.*$", (tmp_path / "results.md").read_text(), re.M):
        assert re.match(r"^\|.*\|$", table)


async def test_plots_are_svg_without_colour(tmp_path: Path) -> None:
    for plot in plots_of((await evaluated()).scores):
        ET.fromstring(plot.file.decode())
        ET.fromstring(plot.svg)
        for colour in re.findall(r"#([0-9a-f]{6})\b", plot.svg):
            assert colour[:2] == colour[2:4] == colour[4:], f"{plot.name} has #{colour}"


async def test_without_matplotlib_everything_else_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await evaluated()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"pip install 'catagent\[eval\]'"):
        found.write(tmp_path)
    page = found.write(tmp_path, plots=False).read_text()
    assert "Plots need: pip install" in page
    assert "<svg" not in page


async def test_an_evaluation_without_a_finished_question_says_so(tmp_path: Path) -> None:
    async with ProviderDouble(reply=adder()) as double, cat_on(double, n=4) as cat:
        found = await evaluate(sums(3), cat=cat, methods="majority", max_calls=0)
    page = found.write(tmp_path).read_text()
    assert "Incomplete: 0 of 3 questions, since the budget of 0 calls is used up" in page
    assert found.tables == []
