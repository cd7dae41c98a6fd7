from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from catagent.cli.main import app
from tests.doubles import ProviderDouble, prompt_of
from tests.evaluation.playing import adder, noise, sums

ROOT = Path(__file__).parents[2]


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "250")
    return tmp_path


def prepared(folder: Path, double: ProviderDouble, count: int = 6) -> None:
    (folder / "providers.yaml").write_text(
        f"providers:\n  double: {{api: openai, base_url: '{double.base_url}', "
        "price: {prompt: 1, completion: 2}}\n"
    )
    (folder / "sums.jsonl").write_text("\n".join(map(json.dumps, sums(count))))


async def called(*arguments: str) -> Any:
    return await asyncio.to_thread(CliRunner().invoke, app, ["eval", *arguments])


async def test_a_benchmark_from_a_file_to_a_report(setting: Path) -> None:
    async with ProviderDouble(reply=adder(lambda q, r: noise(q, r) < 0.7)) as double:
        prepared(setting, double)
        result = await called("sums.jsonl", "-m", "double/m", "-n", "4", "--methods", "majority,synthesis")
        assert result.exit_code == 0, result.output
        asked = len(double.requests)
        folder = setting / "eval-sums-double-m"
        assert f"report: {folder.name}/report.html" in result.stderr
        assert "majority" in result.stdout
        assert "pass@4" in result.stdout
        assert "$0.0" in (folder / "results.md").read_text()
        again = await called(
            "run", "sums.jsonl", "-m", "double/m", "-n", "4", "--methods", "majority",
            "--methods", "synthesis", "--json", "--no-plots", "--quiet",
        )  # fmt: skip
    assert len(double.requests) == asked
    plain = json.loads(again.stdout)
    assert again.stderr == ""
    assert list(plain["methods"]) == ["single", "majority", "synthesis", "pass@4"]
    assert plain["asked"]["n"] == 4


async def test_a_dry_run_says_what_it_would_take_and_sends_nothing(setting: Path) -> None:
    async with ProviderDouble(reply=adder()) as double:
        prepared(setting, double, 10)
        result = await called(
            "sums.jsonl", "-m", "double/m", "-n", "4", "--seeds", "2", "--methods", "majority,synthesis",
            "--rollout-tokens", "100", "--dry-run",
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        assert not double.requests
    rows = {line.split()[0]: line.split()[1:] for line in result.stdout.splitlines() if line.strip()}
    assert rows["rollouts"][0] == "80"
    assert rows["rollouts"][2] == "8,000"
    assert rows["majority"] == ["0", "0", "0", "$0.0000"]
    assert rows["synthesis"][0] == "20"
    assert rows["all"][0] == "100"
    assert "replies of 100 tokens, the limit that is sent" in result.stderr
    assert not (setting / "eval-sums-double-m").exists()


async def test_two_runs_are_compared(setting: Path) -> None:
    for name, share in (("a", 0.4), ("b", 0.9)):
        async with ProviderDouble(reply=adder(lambda q, r, share=share: noise(q, r) < share)) as double:
            prepared(setting, double, 12)
            common = ("-m", "double/m", "-n", "3", "--methods", "majority", "--quiet", "--no-plots")
            assert (await called("sums.jsonl", *common, "-o", name)).exit_code == 0
    shown = await called("compare", "a", "b", "--out", "compared.html")
    assert shown.exit_code == 0, shown.output
    assert "B against A" in shown.stdout
    assert "Over 12 questions that both have" in shown.stderr
    page = (setting / "compared.html").read_text()
    assert "sums with double/m (a)" in page
    plain = json.loads((await called("compare", "a", "b", "--json")).stdout)
    majority = next(m for m in plain["methods"] if m["method"] == "majority")
    assert majority["difference"]["value"] > 0
    assert majority["win"] + majority["tie"] + majority["loss"] == 12
    assert (await called("compare", "a", "b", "-o", "c.md")).exit_code == 0
    assert (setting / "c.md").read_text().startswith("### B against A")
    nothing = await called("compare", "a", "nowhere")
    assert nothing.exit_code == 1
    assert "catagent eval … --out" in nothing.stderr


async def test_another_prompt_is_tried_on_the_same_rollouts(setting: Path) -> None:
    own = (ROOT / "prompts" / "synthesis_reasoning.md").read_text().replace("version: ", "version: house-")
    (setting / "house").mkdir()
    (setting / "house" / "synthesis_reasoning.md").write_text(own.replace("Below are", "HOUSE. Below are"))
    async with ProviderDouble(reply=adder()) as double:
        prepared(setting, double)
        command = ("sums.jsonl", "-m", "double/m", "-n", "3", "--methods", "synthesis", "--no-plots", "-q")
        assert (await called(*command, "-o", "first")).exit_code == 0
        asked = len(double.requests)
        shutil.copytree("first", "second")
        again = await called(*command, "-o", "second", "--prompts", "house")
        assert again.exit_code == 0, again.output
        later = double.requests[asked:]
    assert len(later) == 6
    assert all("HOUSE" in prompt_of(r.body) for r in later)
    assert "synthesis_reasoning house-" in (setting / "second" / "results.md").read_text()
    assert (await called("compare", "first", "second")).exit_code == 0


async def test_a_run_that_a_budget_stops_says_how_to_go_on(setting: Path) -> None:
    async with ProviderDouble(reply=adder()) as double:
        prepared(setting, double, 12)
        command = ("sums.jsonl", "-m", "double/m", "-n", "2", "--methods", "synthesis", "--no-plots")
        stopped = await called(*command, "--max-calls", "8")
        assert stopped.exit_code == 3
        assert "stopped early: the budget of 8 calls is used up; raise the budget" in stopped.stderr
        assert len(double.requests) == 8
        assert (await called(*command, "--max-usd", "5")).exit_code == 0
    assert len(double.requests) == 24


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("gsm9k",), "no benchmark and no file 'gsm9k'"),
        (("sums.jsonl", "--methods", "majorty"), "did you mean 'majority'"),
        (("sums.jsonl", "--sizes", "2;3"), "--sizes is a list of numbers"),
        (("sums.jsonl", "--gold-field", "label"), "there is no field 'label'"),
        (("sums.jsonl", "--data", "none.jsonl"), "cannot read none.jsonl"),
        (("sums.jsonl", "--out", "providers.yaml"), "cannot make the folder providers.yaml"),
    ],
)
async def test_mistakes_are_one_sentence(setting: Path, arguments: tuple[str, ...], said: str) -> None:
    async with ProviderDouble(reply=adder()) as double:
        prepared(setting, double)
        result = await called(*arguments, "--model", "double/m")
        assert result.exit_code == 1
        assert said in result.stderr
        assert "Traceback" not in result.output
        assert not double.requests


async def test_help_is_of_the_group_and_of_each_command() -> None:
    assert "compare" in (await called("--help")).stdout
    assert "--methods" in (await called("run", "--help")).stdout
    assert "--methods" in (await called("gsm8k", "--help")).stdout
