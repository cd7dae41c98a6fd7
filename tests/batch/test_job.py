"""What a job reads, does and writes."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

import catagent
from catagent.errors import AccountError, ConfigError
from catagent.models.config import data_path
from tests.batch.jobs import lines_of, questions, run, spoken, written
from tests.cast import SYNTHESIS, cat_on
from tests.doubles import Fault, ProviderDouble, Reply, Storm, prompt_of, when


async def test_every_row_is_a_line_with_its_reference_and_rewards(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with ProviderDouble(reply=spoken("4", "5")) as double:
        report = await run(double, questions(20), out)
        assert double.received == 40
    lines = lines_of(out)
    assert {line["id"] for line in lines} == {f"q{i}" for i in range(20)}
    for line in lines:
        assert (line["answer"], line["agreement"], line["error"]) == ("4", 0.5, None)
        assert line["rewards"] == [1.0, 0.0, 1.0, 0.0]
        assert line["usage"]["calls"] == 2
        assert "rollouts" not in line
    assert (report.done, report.errors, report.complete) == (20, 0, True)
    assert report.usage.calls == report.usage_of_job.calls == 40
    assert not (tmp_path / "out.errors.jsonl").exists()


async def test_the_package_itself_has_it() -> None:
    with ProviderDouble(reply=spoken("4")) as double:
        async with cat_on(double, n=2) as cat:
            report = await catagent.batch(["a?", {"prompt": "b?", "id": 1}], cat=cat)
    assert [line["answer"] for line in report] == ["4", "4"]
    assert report.places is None


async def test_bad_lines_are_listed_and_the_job_goes_on(tmp_path: Path) -> None:
    rows = [*questions(2), "{oh\n", "\n", {"no": "prompt"}, *questions(2, start=2)]
    file = written(tmp_path / "in.jsonl", rows)
    out = tmp_path / "out.jsonl"
    with ProviderDouble(reply=spoken("4")) as double:
        report = await run(double, file, out)
        assert (report.done, report.bad, report.complete) == (4, 2, False)
        bad = lines_of(tmp_path / "out.errors.jsonl")
        assert [(line["file"], line["line"]) for line in bad] == [(str(file), 3), (str(file), 5)]
        assert "not JSON" in bad[0]["error"]
        # A line that was mended is solved, and only that one.
        mended = [*questions(2), *questions(1, start=9), "\n", {"no": "prompt"}, *questions(2, start=2)]
        report = await run(double, written(file, mended), out)
        assert double.received == 8 + 2
    assert (report.before, report.done, report.bad) == (4, 1, 1)
    assert [line["line"] for line in lines_of(tmp_path / "out.errors.jsonl")] == [5]


async def test_equal_rows_are_solved_once(tmp_path: Path) -> None:
    rows = [{"id": i, "prompt": f"What is {i % 3}?"} for i in range(300)]
    with ProviderDouble(reply=spoken("4"), latency=0.05) as double:
        report = await run(double, rows, tmp_path / "out.jsonl")
        assert double.received == 6
    assert (report.done, report.copies) == (3, 297)
    lines = lines_of(tmp_path / "out.jsonl")
    assert sorted(line["id"] for line in lines) == list(range(300))
    assert sum(line["usage"]["calls"] for line in lines) == 6


async def test_a_slow_row_holds_nobody_up(tmp_path: Path) -> None:
    gate = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def reply(body: Any) -> str:
        if "What is 0 + 0?" in prompt_of(body):
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(gate.wait(), loop))
        return "\\boxed{4}"

    out = tmp_path / "out.jsonl"
    with ProviderDouble(reply=reply) as double:
        job = asyncio.create_task(run(double, questions(300), out, estimator="majority", n=1))
        while not out.exists() or out.read_text().count("\n") < 299:  # the last line may be half written
            assert not job.done()
            await asyncio.sleep(0.01)
        gate.set()
        await job
    assert lines_of(out)[-1]["id"] == "q0"


@pytest.mark.parametrize("resumed", [False, True])
async def test_lines_may_come_in_the_order_of_the_input(tmp_path: Path, resumed: bool) -> None:
    def reply(body: Any) -> Reply:
        return Reply("\\boxed{4}", delay=0.1 if "What is 3 +" in prompt_of(body) else 0.0)

    rows = [*questions(30), "{bad", *questions(30, start=30)]
    file = written(tmp_path / "in.jsonl", [r if isinstance(r, dict) else f"{r}\n" for r in rows])
    out = tmp_path / "out.jsonl"
    plan = [when(lambda body: "What is 7 +" in prompt_of(body), Fault.status_code(400))] if resumed else []
    with ProviderDouble(reply=reply, faults=plan) as double:
        report = await run(double, file, out, n=1, estimator="majority", in_order=True)
        assert [line["id"] for line in lines_of(out)] == [f"q{i}" for i in range(60)]
        assert (report.errors, report.bad) == (resumed, 1)
        if not resumed:
            return
        assert lines_of(out)[7]["answer"] is None
        assert "400" in lines_of(out)[7]["error"]
        double.faults = []
        report = await run(double, file, out, n=1, estimator="majority", in_order=True)
        assert double.received == 61
        assert [line["id"] for line in lines_of(out)] == [f"q{i}" for i in range(60)]
        assert not any(line["error"] for line in lines_of(out))


async def test_full_lines_have_rollouts() -> None:
    with ProviderDouble(reply=spoken("4", "5")) as double:
        report = await run(double, questions(1), full=True, n=2)
    (line,) = report
    assert [r["answer"] for r in line["rollouts"]] == ["4", "5"]
    assert line["kind"] == "verifiable"
    assert line["rubric"] is None


async def test_full_lines_alone_have_the_synthesis_that_the_vote_stands_in_for() -> None:
    for full, rejected in ((True, "I cannot say."), (False, None)):
        with ProviderDouble(reply=spoken("4", "5", "4", synthesis="I cannot say.")) as double:
            report = await run(double, questions(1), full=full, n=3)
        (line,) = report
        assert (line["method"], line["answer"]) == ("majority", "4")
        assert line["fallback"] == "the synthesis states no final answer"
        assert line.get("rejected") == rejected
        assert ("rejected" in line) is full


async def test_rollouts_only() -> None:
    with ProviderDouble(reply=spoken("4", "5")) as double:
        report = await run(double, questions(2), mode="rollouts", n=2)
        assert not any(SYNTHESIS in r.prompt for r in double.requests)
    assert [r["answer"] for r in next(iter(report))["rollouts"]] == ["4", "5"]


async def test_scores_for_completions_in_the_file() -> None:
    rows = [
        {"id": 1, "prompt": "2+2?", "completions": ["\\boxed{4}", "\\boxed{5}", None]},
        {"id": 2, "prompt": "2+2?", "completions": ["\\boxed{9}"]},
        {"id": 3, "prompt": "2+2?"},
    ]
    with ProviderDouble(reply=spoken()) as double:
        report = await run(double, rows, mode="score")
        assert double.received == 2
    first, second = report
    assert (first["rewards"], first["answer"]) == ([1.0, 0.0, None], "4")
    assert second["rewards"] == [0.0]
    assert report.bad == 1
    brought = [{"id": 1, "prompt": "2+2?", "completions": ["\\boxed{4}", "\\boxed{5}"], "key": "\\boxed{5}"}]
    with ProviderDouble() as double:
        report = await run(double, brought, mode="score", fields={"reference": "key"})
        assert double.received == 0
    assert next(iter(report))["rewards"] == [0.0, 1.0]


async def test_pairs_for_fine_tuning_hold_only_what_can_be_trained_on(tmp_path: Path) -> None:
    def reply(body: Any, index: int) -> str:
        return f"\\boxed{{{index}}}" if "What is 1 +" in prompt_of(body) else "\\boxed{4}"

    out = tmp_path / "sft.jsonl"
    plan = [when(lambda body: "What is 2 +" in prompt_of(body), Fault.status_code(400))]
    with ProviderDouble(reply=reply, faults=plan) as double:
        report = await run(double, questions(4), out, mode="sft", estimator="majority")
        assert (report.done, report.left, report.errors) == (2, 1, 1)
        lines = lines_of(out)
        assert {line["id"] for line in lines} == {"q0", "q3"}
        assert lines[0]["completion"] == [{"role": "assistant", "content": "\\boxed{4}"}]
        assert lines[0]["prompt"][0]["role"] == "user"
        failures = {line["id"]: line["error"] for line in lines_of(tmp_path / "sft.errors.jsonl")}
        assert "answers are tied" in failures["q1"]
        assert "400" in failures["q2"]
        double.faults, before = [], double.received
        await run(double, questions(4), out, mode="sft", estimator="majority")
        assert double.received == before + 1  # what failed is owed; what is of no use is not
    assert {line["id"] for line in lines_of(out)} == {"q0", "q2", "q3"}
    assert [line["id"] for line in lines_of(tmp_path / "sft.errors.jsonl")] == ["q1"]


async def test_prompts_with_rewards_for_offline_use() -> None:
    with ProviderDouble(reply=spoken("4", "5")) as double:
        report = await run(double, questions(1), mode="rl", n=2)
    (line,) = report
    assert line["rewards"] == [1.0, 0.0]
    assert [c[0]["content"][-9:] for c in line["completions"]] == ["\\boxed{4}", "\\boxed{5}"]
    assert (line["answer"], line["rubric"]) == ("4", None)


async def test_a_row_that_fails_is_a_line_with_its_error(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    plan = [when(lambda body: "What is 1 +" in prompt_of(body), Fault.status_code(400))]
    with ProviderDouble(reply=spoken("4"), faults=plan) as double:
        report = await run(double, questions(3), out)
        assert (report.done, report.errors, report.complete) == (2, 1, False)
        failed = next(line for line in lines_of(out) if line["id"] == "q1")
        assert (failed["answer"], failed["rewards"], failed["usage"]) == (None, [], None)
        assert failed["error"].startswith("QuorumError: 0 of 4 rollouts survived")
        double.faults, before = [], double.received
        report = await run(double, questions(3), out)
        assert double.received == before + 2
    assert (report.before, report.done, report.errors) == (2, 1, 0)
    assert Counter(line["id"] for line in lines_of(out)) == {"q0": 1, "q1": 1, "q2": 1}


async def test_a_refused_key_ends_the_job_at_once(tmp_path: Path) -> None:
    with ProviderDouble(key="right", latency=0.02) as double:
        with pytest.raises(AccountError, match="401"):
            await run(double, questions(500), tmp_path / "out.jsonl")
        assert double.hits["/v1/chat/completions"] <= 64
    assert lines_of(tmp_path / "out.jsonl") == []


async def test_budgets_stop_cleanly_and_count_over_all_runs(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    price = {"price": {"prompt": 0, "completion": 1000}}  # of completion tokens: 1000 to the dollar
    options = {"n": 1, "estimator": "majority", "provider": price, "params": {"max_tokens": 3}}
    with ProviderDouble(reply=spoken("4")) as double:
        report = await run(double, questions(500), out, max_usd=0.2, **options)
        spent = report.usage.usd
        assert spent is not None
        assert spent <= 0.2
        assert (report.stopped, report.complete) == ("budget", False)
        assert report.why is not None
        assert "$0.2" in report.why
        assert report.done == len(lines_of(out)) > 20
        first = report.done
        report = await run(double, questions(500), out, max_usd=0.2, **options)
        assert (report.stopped, report.before) == ("budget", first)
        assert report.usage_of_job.usd is not None
        assert report.usage_of_job.usd <= 0.2
        report = await run(double, questions(500), out, **options)
        assert (report.stopped, report.complete) == (None, True)
        assert double.received == report.usage_of_job.calls == 500
    assert len(lines_of(out)) == 500


async def test_time_stops_a_run(tmp_path: Path) -> None:
    with ProviderDouble(reply=spoken("4"), latency=0.1) as double:
        report = await run(
            double, questions(100_000), tmp_path / "o.jsonl", max_minutes=0.005, n=1, estimator="majority"
        )
    assert report.stopped == "time"
    assert report.done == len(lines_of(tmp_path / "o.jsonl"))


async def test_changes_are_seen_and_said(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with ProviderDouble(reply=spoken("4")) as double:
        await run(double, questions(5), out)
        for options, said in (
            ({"n": 2}, "n was 4 and is 2"),
            ({"model": "double/other"}, "roles.sampler.model was double/m@"),
            ({"params": {"temperature": 0.5}}, "roles.sampler.params.temperature was not set and is 0.5"),
            ({"full": True}, "layout.full was False and is True"),
        ):
            with pytest.raises(ConfigError, match="another configuration") as caught:
                await run(double, questions(5), out, **options)
            assert said in str(caught.value)
        own = tmp_path / "prompts"
        own.mkdir()
        original = data_path("prompts") / "rollout_verifiable.md"
        (own / original.name).write_text(f"{original.read_text()}\nThink twice.\n")
        with pytest.raises(ConfigError, match=r"prompts\.rollout_verifiable was"):
            await run(double, questions(5), out, prompts=own)
        with pytest.raises(ConfigError, match="the input has changed: row 1 is not what it was"):
            await run(double, questions(5, start=50), out)
        assert double.received == 10
        turned = [*questions(4, start=1), *questions(1)]
        report = await run(double, turned, out, accept_changes=True, in_order=False)
        assert double.received == 10
        assert (report.done, report.before) == (5, 0)
        assert len(lines_of(out)) == 5
        # Accepted, with the same rollouts: the anchor alone is asked again.
        report = await run(double, turned, out, anchor="double/wise", accept_changes=True)
        assert [r.body["model"] for r in double.requests[10:]] == ["wise"] * 5
    assert report.usage.roles["sampler"].cached == 20
    assert report.usage.roles["anchor"] == report.usage.roles["anchor"].model_copy(update={"calls": 5})
    assert len(lines_of(out)) == 5
    assert len(lines_of(tmp_path / "out.jsonl.previous")) == 5


async def test_an_output_without_a_journal_is_not_touched(tmp_path: Path) -> None:
    out = written(tmp_path / "out.jsonl", [{"mine": 1}])
    with ProviderDouble() as double, pytest.raises(ConfigError, match="no journal is beside it"):
        await run(double, questions(1), out)
    assert lines_of(out) == [{"mine": 1}]


async def test_a_storm_of_refusals_costs_time_and_nothing_else(tmp_path: Path) -> None:
    with ProviderDouble(reply=spoken("4"), limits=[Storm(0.4, 0.6, seed=3)]) as double:
        report = await run(double, questions(150), tmp_path / "out.jsonl")
        assert double.limits[0].refused > 5  # type: ignore[attr-defined]
        assert double.served == 300
    assert (report.done, report.errors) == (150, 0)


async def test_a_provider_that_dies_for_a_while_is_waited_for(tmp_path: Path) -> None:
    down = asyncio.Event()

    def plan(body: Any) -> Fault | None:
        return Fault.cut_before_headers() if down.is_set() else None

    with ProviderDouble(reply=spoken("4"), faults=plan, latency=0.02) as double:
        job = asyncio.create_task(run(double, questions(200), tmp_path / "out.jsonl"))
        await double.until(lambda: double.served > 50)
        down.set()
        await asyncio.sleep(2.5)  # longer than most requests would last with four attempts
        down.clear()
        report = await job
        assert double.served == 400
    assert (report.done, report.errors) == (200, 0)
    assert report.usage.total.failed > 0
    assert not any(line["fallback"] or line["partial"] for line in report)


async def test_parquet_on_request(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with ProviderDouble(reply=spoken("4", "5")) as double:
        report = await run(double, [*questions(3), "again"], out, full=True, n=2)
        table = pyarrow.parquet.read_table(out)
        report = await run(double, [*questions(3), "again"], out, full=True, n=2)
        assert double.received == 8
    assert table.num_rows == report.before == 4
    assert table["rewards"].to_pylist()[0] == [1.0, 0.0]
    assert set(table["id"].to_pylist()) >= {"q0", "q1", "q2"}
    assert json.loads(table["rollouts"].to_pylist()[0])[0]["answer"] == "4"
    assert table["usage"].to_pylist()[0]["calls"] == 2


async def test_an_unknown_mode_is_refused(tmp_path: Path) -> None:
    with ProviderDouble() as double, pytest.raises(ConfigError, match="no mode 'magic'"):
        await run(double, questions(1), tmp_path / "o", mode="magic")


async def test_a_job_can_be_cancelled_and_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with ProviderDouble(reply=spoken("4"), latency=0.05) as double:
        job = asyncio.create_task(run(double, questions(200), out))
        await double.until(lambda: double.served > 60)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        done = len(lines_of(out))
        assert done < 200
        double.latency = 0
        report = await run(double, questions(200), out)
    assert (report.before, report.done) == (done, 200 - done)


async def test_what_a_generator_of_rows_raises_comes_out(tmp_path: Path) -> None:
    def rows() -> Any:
        yield from questions(3)
        raise LookupError("no more")

    with ProviderDouble(reply=spoken("4")) as double:
        with pytest.raises(LookupError, match="no more"):
            await run(double, rows(), tmp_path / "out.jsonl")
        report = await run(double, questions(3), tmp_path / "out.jsonl")
    assert report.complete


async def test_many_copies_of_a_row_under_way_take_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catagent.batch.job._FOLLOWERS", 10)
    with ProviderDouble(reply=spoken("4"), latency=0.1) as double:
        report = await run(double, ["What?"] * 100, tmp_path / "out.jsonl")
        assert double.received == 2
    assert (report.done, report.copies) == (1, 99)
    assert len(lines_of(tmp_path / "out.jsonl")) == 100
