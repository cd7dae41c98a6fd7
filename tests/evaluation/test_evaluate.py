from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from catagent.errors import AccountError, ConfigError
from catagent.estimators import EstimatorContext, estimator
from catagent.evaluation import evaluate
from catagent.evaluation.methods import arms_of, method_names
from catagent.evaluation.records import read_records
from catagent.messages import Reference, RolloutGroup
from tests.cast import SYNTHESIS, cat_on
from tests.doubles import Fault, ProviderDouble, prompt_of, when
from tests.evaluation.playing import adder, noise, sums
from tests.judges import judge, says

ROOT = Path(__file__).parents[2]
PRICE = {"price": {"prompt": 1, "completion": 2}}


def mixed(question: int, rollout: int) -> bool:
    """Right on every rollout of even questions, on the first of odd ones."""
    return question % 2 == 0 or rollout == 0


async def test_every_method_sees_the_same_rollouts_and_they_are_bought_once() -> None:
    async with ProviderDouble(reply=adder(mixed)) as double, cat_on(double, n=4) as cat:
        found = await evaluate(sums(6), cat=cat, methods="majority,synthesis,placebo_other,placebo_none")
    assert found.complete
    assert len([r for r in double.requests if "UNIFIED" not in prompt_of(r.body)]) == 6
    scores = found.scores
    assert scores.accuracy("single").interval.value == pytest.approx((3 * 1 + 3 * 0.25) / 6)
    assert scores.accuracy("pass@4").interval.value == 1.0
    # 1 right, 1001, 1000, 1001 on odd questions: the wrong answer has the majority.
    assert scores.accuracy("majority").interval.value == 0.5
    assert scores.accuracy("placebo_other").interval.value == 0.0
    assert scores.accuracy("placebo_none").interval.value == 0.0
    assert 0.5 <= (scores.accuracy("synthesis").interval.value or 0) <= 1.0
    assert found.usage.roles["sampler"].calls == 6
    assert [r.donor for r in found.records] == ["q2", "q3", "q4", "q5", "q6", "q1"]


async def test_methods_that_ask_the_same_share_the_reply(tmp_path: Path) -> None:
    """The anchor never says the same twice; the methods ask it side by side."""
    said = iter(range(10**6))
    anchor = adder(synthesis=lambda prompt: f"# UNIFIED RESPONSE\n\\boxed{{{next(said)}}}")
    methods = "synthesis,synthesis_vote:samples=1,auto:samples=1,agree=1,synthesis:support=0"
    async with ProviderDouble(reply=anchor, latency=0.02) as double, cat_on(double, n=2) as cat:
        first = await evaluate(sums(6), cat=cat, methods=methods, out=tmp_path)
        asked = len([r for r in double.requests if "UNIFIED" in prompt_of(r.body)])
        again = await evaluate(sums(6), cat=cat, methods=methods, out=tmp_path)
        assert len([r for r in double.requests if "UNIFIED" in prompt_of(r.body)]) == asked == 6
    for record in first.records:
        answers = {name: outcome.answer for name, outcome in record.outcomes.items()}
        auto = answers.pop("auto:samples=1,agree=1")
        assert len(set(answers.values())) == 1, answers
        assert auto == record.rollouts[0].answer, "they agree, so the vote decides"
    assert [r.outcomes for r in again.records] == [r.outcomes for r in first.records]


async def test_gold_answers_are_never_sent() -> None:
    rows = [{"id": "a", "question": "What is 1 + 1?", "answer": "GOLD-2"}, *sums(2)]
    async with ProviderDouble(reply=adder()) as double, cat_on(double, n=2) as cat:
        await evaluate(rows, cat=cat, methods="synthesis,usc,genselect,placebo_other,self_bon")
    assert double.requests
    assert not any("GOLD" in json.dumps(r.body) for r in double.requests)


async def test_an_estimator_of_ones_own_is_a_method_and_one_that_breaks_is_data() -> None:
    @estimator("eval_last")
    def last(context: EstimatorContext, *, suffix: str = "") -> Any:
        async def estimate(group: RolloutGroup) -> Reference:
            if context.task.messages[0]["content"].startswith("What is 2 "):
                raise ZeroDivisionError("of its own")
            chosen = group.survivors[-1]
            return Reference(text=f"{chosen.text}{suffix}", answer=chosen.answer, method="eval_last")

        return estimate

    async with ProviderDouble(reply=adder()) as double, cat_on(double, n=2) as cat:
        found = await evaluate(sums(3), cat=cat, methods=["majority", "eval_last:suffix=!"])
    accuracy = found.scores.accuracy("eval_last:suffix=!")
    assert (accuracy.decided, accuracy.undecided, accuracy.failed) == (2, 1, 1)
    assert accuracy.interval.value == 1.0
    broken = found.records[1].outcomes["eval_last:suffix=!"]
    assert (broken.value, broken.error) == (None, "ZeroDivisionError: of its own")


async def test_an_estimator_of_ones_own_is_shown_another_questions_rollouts() -> None:
    @estimator("eval_envious", donor=True)
    def envious(context: EstimatorContext) -> Any:
        async def estimate(group: RolloutGroup) -> Reference:
            assert context.donor is not None
            seen = context.donor.survivors[0]
            return Reference(text=seen.text or "", answer=seen.answer, method="eval_envious")

        return estimate

    async with ProviderDouble(reply=adder()) as double, cat_on(double, n=2) as cat:
        found = await evaluate(sums(3), cat=cat, methods="eval_envious")
        with pytest.raises(ConfigError, match="eval_envious needs at least two questions"):
            await evaluate(sums(1), cat=cat, methods="eval_envious")
    assert [r.outcomes["eval_envious"].answer for r in found.records] == ["4", "6", "2"]


async def test_seeds_are_fresh_samples_and_their_error_is_kept_apart() -> None:
    draws = random.Random(5)
    reply = adder(lambda q, r: draws.random() < 0.5)
    async with ProviderDouble(reply=reply) as double, cat_on(double, n=4) as cat:
        found = await evaluate(sums(8), cat=cat, methods="majority", seeds=3)
    scores = found.scores
    assert (found.total, len(found.records), scores.seeds) == (24, 24, [0, 1, 2])
    assert found.usage.roles["sampler"].calls == 24
    answers = {(r.id, r.seed): [d.answer for d in r.rollouts] for r in found.records}
    assert any(answers[f"q{i}", 0] != answers[f"q{i}", 1] for i in range(1, 9))
    a = scores.accuracy("single")
    assert a.over_seeds is not None
    assert a.over_questions is not None
    assert a.over_seeds > 0


async def test_sizes_and_a_larger_pool(tmp_path: Path) -> None:
    async with ProviderDouble(reply=adder(mixed)) as double, cat_on(double, n=4) as cat:
        found = await evaluate(sums(4), cat=cat, methods="majority,synthesis", sizes=[1, 2], pool=6)
    scores = found.scores
    assert scores.arms == ["majority", "synthesis", "majority@2", "synthesis@2", "majority@1", "synthesis@1"]
    assert (scores.n, scores.pool) == (4, 6)
    assert all(len(r.rollouts) == 6 for r in found.records)
    # The first rollout is right everywhere, and on odd questions the second ties with it.
    assert scores.accuracy("majority@1").interval.value == 1.0
    assert scores.accuracy("majority@2").interval.value == 0.5
    assert scores.cost("majority@2").samples == 2
    assert scores.cost("synthesis").samples == 5


async def test_the_same_call_goes_on_and_buys_nothing_twice(tmp_path: Path) -> None:
    async with ProviderDouble(reply=adder(mixed)) as double, cat_on(double, n=4, provider=PRICE) as cat:
        first = await evaluate(sums(4), cat=cat, methods="majority,synthesis", out=tmp_path / "o")
        asked = len(double.requests)
        again = await evaluate(sums(4), cat=cat, methods="majority,synthesis", out=tmp_path / "o")
        assert len(double.requests) == asked
        more = await evaluate(sums(4), cat=cat, methods="majority,synthesis,usc", out=tmp_path / "o")
    assert [r.model_dump() for r in first.records] == [r.model_dump() for r in again.records]
    assert again.usage.total.calls == first.usage.total.calls == asked
    assert again.usage_of_run.total.calls == 0
    assert more.usage_of_run.roles["sampler"].calls == 0
    assert more.usage_of_run.roles["anchor"].calls == 4
    assert more.scores.cost("synthesis") == first.scores.cost("synthesis")


async def test_a_folder_is_of_one_evaluation(tmp_path: Path) -> None:
    async with ProviderDouble(reply=adder()) as double, cat_on(double, n=2) as cat:
        await evaluate(sums(2), cat=cat, methods="majority", out=tmp_path)
        with pytest.raises(ConfigError, match=r"another evaluation: benchmark was .* Name another --out"):
            await evaluate(sums(3), cat=cat, methods="majority", out=tmp_path)
        with pytest.raises(ConfigError, match="params was"):
            await evaluate(sums(2), cat=cat, methods="majority", out=tmp_path, params={"temperature": 2})
        await evaluate(sums(2), cat=cat, methods="synthesis", out=tmp_path, limit=1)
        begun = asyncio.Event()
        running = asyncio.create_task(
            evaluate(sums(2), cat=cat, out=tmp_path, seeds=2, on_start=lambda _: begun.set())
        )
        await begun.wait()
        with pytest.raises(ConfigError, match="another process works on"):
            await evaluate(sums(2), cat=cat, methods="majority", out=tmp_path)
        await running


async def test_budgets_stop_early_and_the_same_call_goes_on(tmp_path: Path) -> None:
    async with ProviderDouble(reply=adder(), latency=0.002) as double, cat_on(double, n=2) as cat:
        found = await evaluate(sums(12), cat=cat, methods="synthesis", max_calls=9, out=tmp_path)
        assert (found.stopped, found.complete) == ("budget", False)
        assert "budget of 9 calls" in (found.why or "")
        assert len(double.requests) == 9
        assert 2 <= len(found.records) <= 4  # two calls each, and the others have their rollouts
        assert f"Incomplete: {len(found.records)} of 12" in found.notes[0]
        rest = await evaluate(sums(12), cat=cat, methods="synthesis", max_calls=100, out=tmp_path)
    assert rest.complete
    assert len(double.requests) == 24


async def test_stopping_keeps_what_came(tmp_path: Path) -> None:
    async with ProviderDouble(reply=adder(), latency=0.01) as double, cat_on(double, n=2) as cat:

        def begun(progress: Any) -> None:
            if progress.done == 3:
                progress.run.stop("interrupt", "it was interrupted")

        found = await evaluate(sums(20), cat=cat, methods="synthesis", on_progress=begun, out=tmp_path)
        assert found.stopped == "interrupt"
        assert 3 <= len(found.records) < 20
        before = len(double.requests)
        await evaluate(sums(20), cat=cat, methods="synthesis", out=tmp_path)
    in_flight = 20
    assert len(double.requests) <= 40 + in_flight
    assert len(double.requests) - before <= 40 - 2 * 3


async def test_lost_rollouts_and_lost_questions_are_not_wrong_answers() -> None:
    faults = [
        when(lambda body: "What is 2 +" in prompt_of(body), Fault.status_code(400)),
    ]
    async with ProviderDouble(reply=adder(), faults=faults) as double, cat_on(double, n=2) as cat:
        found = await evaluate(sums(3), cat=cat, methods="majority")
    assert found.complete
    assert found.scores.lost == 1
    assert found.records[1].error is not None
    assert found.scores.accuracy("majority").interval.value == 1.0
    assert found.scores.accuracy("majority").decided == 2
    assert any("1 questions have no rollout" in note for note in found.notes)


async def test_a_fall_back_since_a_request_was_lost_is_not_the_methods_doing(tmp_path: Path) -> None:
    double = ProviderDouble(
        reply=adder(), faults=[when(lambda b: SYNTHESIS in prompt_of(b), Fault.status_code(400))]
    )
    async with double, cat_on(double, n=2) as cat:
        found = await evaluate(sums(2), cat=cat, methods="majority,synthesis", out=tmp_path)
        assert found.scores.accuracy("majority").interval.value == 1.0
        accuracy = found.scores.accuracy("synthesis")
        assert (accuracy.decided, accuracy.undecided, accuracy.failed) == (0, 2, 2)
        assert "no synthesis" in (found.records[0].outcomes["synthesis"].error or "")
        assert any("2 requests of methods came to nothing" in note for note in found.notes)
        double.faults = []
        again = await evaluate(sums(2), cat=cat, methods="majority,synthesis", out=tmp_path)
    assert again.scores.accuracy("synthesis").decided == 2
    assert again.usage_of_run.roles["sampler"].calls == 0


async def test_the_donor_is_the_next_question_that_has_rollouts() -> None:
    fault = when(lambda body: "What is 2 +" in prompt_of(body), Fault.status_code(400))
    async with ProviderDouble(reply=adder(), faults=[fault]) as double, cat_on(double, n=2) as cat:
        found = await evaluate(sums(3), cat=cat, methods="placebo_other")
        shown = [prompt_of(r.body) for r in double.requests if "UNIFIED" in prompt_of(r.body)]
    assert [r.donor for r in found.records] == ["q3", None, "q1"]
    assert sorted("boxed{6}" in p for p in shown) == [False, True]
    assert not any("boxed{4}" in p for p in shown)


async def test_what_every_question_would_meet_ends_the_run(tmp_path: Path) -> None:
    async with ProviderDouble(reply=adder(), key="right") as double, cat_on(double, n=2) as cat:
        with pytest.raises(AccountError):
            await evaluate(sums(3), cat=cat, methods="majority", out=tmp_path)


async def test_mistakes_are_said_before_anything_is_sent(tmp_path: Path) -> None:
    async with ProviderDouble(reply=adder()) as double, cat_on(double, n=2) as cat:
        for options, said in (
            ({"methods": "majorty"}, "did you mean 'majority'"),
            ({"methods": "rsa:population=x"}, "population=x"),
            ({"sizes": [3]}, "a size is between 1 and n, which is 2"),
            ({"pool": 1}, "the pool has at least the 2 rollouts"),
            ({"seeds": 0}, "seeds and limit are at least 1"),
            ({"limit": 1, "methods": "placebo_other"}, "needs at least two questions"),
            ({"model": "x/y"}, "no use for model"),
        ):
            with pytest.raises(ConfigError, match=said):
                await evaluate(sums(3), cat=cat, **options)  # type: ignore[arg-type]
        assert len(double.requests) == 0


async def test_rubrics_are_scored_as_healthbench_does() -> None:
    rubric = [{"criterion": "Says one.", "points": 5}, {"criterion": "Says two.", "points": 5},
              {"criterion": "Says five.", "points": -4}]  # fmt: skip
    rows = [
        {"id": f"h{i}", "prompt": [{"role": "user", "content": f"Count {i}."}], "rubrics": rubric}
        for i in (1, 2)
    ]
    verdict = judge(says)

    def reply(body: dict[str, Any], index: int) -> str:
        prompt = prompt_of(body)
        if "<criterion_1_" in prompt or "<criteria_1_" in prompt:
            assert "Count " in prompt  # the judge of an evaluation sees the conversation
            return verdict(body)
        if "UNIFIED" in prompt:
            return "# UNIFIED RESPONSE\none and two"
        return "one and five"

    async with ProviderDouble(reply=reply) as double, cat_on(double, n=2) as cat:
        found = await evaluate(rows, cat=cat, methods="majority,synthesis", judged=2)
    scores = found.scores
    assert scores.open
    assert scores.accuracy("single").interval.value == pytest.approx((5 - 4) / 10)
    assert scores.accuracy("synthesis").interval.value == 1.0
    assert scores.accuracy("pass@2").interval.value == pytest.approx(0.1)
    assert scores.cost("synthesis").samples == 3  # the judge's calls are nobody's method
    for row in found.rows():
        assert [(m.method, m.score) for m in row.references] == [
            ("synthesis", 1.0),
            ("majority", pytest.approx(0.1)),
        ]
    assert any("favour its own ways" in note for note in found.notes)
    assert "Differences between methods" in [t.title for t in found.tables]
    assert "Departures from the majority" not in [t.title for t in found.tables]


def test_methods_written_in_one_word() -> None:
    assert method_names(["majority,rsa:population=8,subset=2,synthesis:aware"]) == [
        "majority", "rsa:population=8,subset=2", "synthesis:aware",
    ]  # fmt: skip
    assert method_names(["auto:agree=0.8,aware,usc", "usc"]) == ["auto:agree=0.8,aware", "usc"]
    assert method_names(["single, oracle,majorty"]) == ["single", "oracle", "majorty"]
    assert [a.name for a in arms_of(["single", "majority", "pass@8"], 8, [4])] == ["majority", "majority@4"]


def command(folder: Path) -> list[str]:
    return [
        sys.executable, "-m", "catagent", "eval", str(folder / "sums.jsonl"), "--model", "double/m",
        "--n", "4", "--methods", "majority,synthesis", "--out", str(folder / "out"), "--no-plots",
    ]  # fmt: skip


@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_killed_in_the_middle_the_same_command_goes_on(tmp_path: Path, how: signal.Signals) -> None:
    rows = sums(40)
    (tmp_path / "sums.jsonl").write_text("\n".join(map(json.dumps, rows)))
    double = ProviderDouble(reply=adder(lambda q, r: noise(q, r) < 0.7), latency=0.05)
    with double:
        (tmp_path / "providers.yaml").write_text(
            f"providers:\n  double: {{api: openai, base_url: '{double.base_url}', "
            "limits: {start: 1, max_concurrency: 2}}\n"
        )
        first = subprocess.Popen(command(tmp_path), cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        patience = time.monotonic() + 120
        while len(double.requests) < 10 and time.monotonic() < patience:
            time.sleep(0.02)
        first.send_signal(how)
        said = first.communicate(timeout=120)[1]
        assert first.returncode == (-9 if how == signal.SIGKILL else 3), said
        bought = len(double.requests)
        assert 10 <= bought < 80
        if how == signal.SIGINT:
            assert "it was interrupted; run the same command again" in said
            assert "Incomplete" in (tmp_path / "out" / "results.md").read_text()
        done = subprocess.run(command(tmp_path), cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert len(double.requests) <= 80 + 6  # what was in flight is bought again
    records = read_records(tmp_path / "out")
    assert [r.id for r in records] == [f"q{i}" for i in range(1, 41)]
    assert "Every question" in (tmp_path / "out" / "report.html").read_text()
