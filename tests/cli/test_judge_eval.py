from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from catagent.cli.main import app
from catagent.viewing.document import shown
from tests.doubles import ProviderDouble
from tests.judges import judge, says
from tests.test_rewarding import play
from tests.viewing.unpacking import rows_of

HOSTILE = '</pre><script>alert(1)</script>"><img src=x onerror=alert(1)> \u202e\x1b[31m & <b>'


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


def written(folder: Path, double: ProviderDouble) -> None:
    (folder / "providers.yaml").write_text(
        f"providers:\n  double: {{api: openai, base_url: '{double.base_url}', "
        "price: {prompt: 1, completion: 2}}\n"
        "roles:\n  sampler: {model: double/m}\n"
    )


def data(folder: Path) -> str:
    rows: list[dict[str, Any]] = [
        {"response": f"{w} {n}", "criterion": "Says one.", "label": w == "one"}
        for n in range(10)
        for w in ("one", "two")
    ]
    rows += [
        {
            "task": "rubric",
            "rubric": "Says nine.",
            "payload": f"{HOSTILE} {n}",
            "expected_pass": False,
            "attack": True,
        }
        for n in range(4)
    ]
    path = folder / "set.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return str(path)


async def called(*arguments: str) -> Any:
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))


async def test_the_command_prints_figures_and_writes_a_page(setting: Path) -> None:
    biased = judge(lambda r, c: True)
    async with ProviderDouble(reply=biased) as double:
        written(setting, double)
        result = await called("judge-eval", data(setting), "--judge", "double/m", "--verdicts", "v.jsonl")
    assert result.exit_code == 0, result.output
    assert "set: 24 of 24 judged" in result.stderr
    said = {line.split("  ")[0].strip(): line for line in result.stdout.splitlines()}
    assert "41.7%" in said["accuracy"]
    assert "0.00" in said["Cohen's kappa"]
    assert "100.0%" in said["attacks that succeed"]
    assert "0.0%" in said["unscored"]
    assert re.search(r"\$0\.\d{4}", said["cost"])
    page = (setting / "judge-eval.html").read_text()
    assert "<script" not in page
    assert "[U+202E]" in page
    assert "14 verdicts differ" in page
    verdicts = [json.loads(line) for line in (setting / "v.jsonl").read_text().splitlines()]
    assert len(verdicts) == 24
    assert {v["state"] for v in verdicts} == {"met"}
    assert "hidden characters" in verdicts[-1]["findings"]


async def test_json_and_options(setting: Path) -> None:
    async with ProviderDouble(reply=judge(says)) as double:
        written(setting, double)
        result = await called(
            *("judge-eval", data(setting), "--json", "--together", "--votes", "3"),
            *("--json-verdicts", "--limit", "8", "--report", "r.json", "-q"),
        )
        bodies = [r.body for r in double.requests]
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said == json.loads((setting / "r.json").read_text())
    assert said["options"]["votes"] == 3
    assert said["sets"][0]["items"] == 8
    assert said["sets"][0]["accuracy"]["value"] == 1.0
    assert all(b["n"] == 3 and "response_format" in b for b in bodies)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["absent.jsonl"], "cannot read"),
        (["set.jsonl", "--report", "/nowhere/r.html"], "cannot write the report"),
        (["set.jsonl", "--judge", "nobody"], "does not name a provider"),
    ],
)
async def test_failures_are_one_sentence(setting: Path, arguments: list[str], said: str) -> None:
    data(setting)
    result = await called("judge-eval", *arguments)
    assert result.exit_code == 1
    assert said in result.stderr


async def test_a_solve_shows_criteria_by_rollout_and_writes_a_page(setting: Path) -> None:
    async with ProviderDouble(reply=play()) as double:
        written(setting, double)
        result = await called("solve", "Say.", "-n", "4", "--kind", "open", "--rewards", "--report", "r.html")
    assert result.exit_code == 0, result.output
    assert result.stdout == "one two three four five\n"
    row = next(line for line in result.stderr.splitlines() if line.startswith("Says three."))
    assert row.split()[-4:] == ["✓", "✗", "✗", "✗"]
    footer = next(line for line in result.stderr.splitlines() if line.startswith("reward"))
    assert footer.split()[1:] == ["1.00", "0.40", "0.00", "0.20"]
    [row] = rows_of(setting / "r.html")
    assert [len(rollout["verdicts"]) for rollout in row["rollouts"]] == [5] * 4
    assert row["rollouts"][0]["verdicts"]["c1"]["state"] == "met"


def test_joiners_stay_and_hidden_characters_show() -> None:
    assert shown("👩‍👧 a\u200bb<") == "👩‍👧 a[U+200B]b&lt;"
