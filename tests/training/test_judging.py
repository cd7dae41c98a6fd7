"""Open-ended training: rubrics, a judge that fails, a judge that is dead, a judge that comes back."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catagent.errors import AccountError, AttemptTimeout, ConnectError
from catagent.models.client import Choice, Completion, ModelRequest, OnDelta
from catagent.training import TrainingStopped
from tests.cast import RUBRIC

RUBRIC_REPLY = f"<rubric>{RUBRIC}</rubric>"


def verdict(met: bool) -> str:
    return f"<verdict><reason>So.</reason><met>{'yes' if met else 'no'}</met></verdict>"


class Elsewhere:
    """A model in another place: proposes a rubric, judges by the text, fails as told."""

    name = "elsewhere"

    def __init__(self, fail: Callable[[int, str], Exception | None] = lambda n, text: None) -> None:
        self.fail = fail
        self.asked: list[str] = []
        self.threads: set[str] = set()

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        text = str(request.messages[-1]["content"])
        self.asked.append(text)
        self.threads.add(threading.current_thread().name)
        if (error := self.fail(len(self.asked), text)) is not None:
            raise error
        reply = RUBRIC_REPLY if "<criterion>" in text else verdict(len(text) % 3 > 0)
        return Completion((Choice(reply),), prompt_tokens=10, completion_tokens=5, usd=0.001)

    async def aclose(self) -> None:
        pass


def lines(made: Any) -> list[dict[str, Any]]:
    text = (made.cat_output / "metrics.jsonl").read_text()
    return [line for line in map(json.loads, text.splitlines()) if "loss" in line]


OPEN = {"kind": "open", "max_steps": 1}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No real pauses: what would be waited is noted instead."""
    waited: list[float] = []
    monkeypatch.setattr("catagent.training.scoring.PAUSE", waited.append)
    monkeypatch.setattr("catagent.models.retry.random.uniform", lambda a, b: 0.0)
    monkeypatch.setattr("tenacity.wait.random.uniform", lambda a, b: 0.0)
    return waited


def test_a_rubric_and_an_independent_judge(trainer: Callable[..., Any]) -> None:
    judge = Elsewhere()
    made = trainer(**OPEN, options={"judge": judge, "rubric_proposer": judge})
    made.train()
    (line,) = lines(made)
    proposals = [text for text in judge.asked if "<criterion>" in text]
    assert len(proposals) == 2, "one rubric a question a step"
    assert line["cat/rubric_criteria"] == 5
    assert line["cat/judge_calls"] + line["cat/judge_cached"] == 2 * 4 * 5, (
        "one verdict a rollout a criterion"
    )
    assert len(judge.asked) == 2 + line["cat/judge_calls"], "equal responses are judged once"
    assert line["cat/judge_usd"] == pytest.approx(0.001 * line["cat/judge_calls"])
    assert 0 < line["cat/criterion_variance"] <= 0.25
    assert 0 <= line["reward"] <= 1
    assert judge.threads == {"catagent-rewards"}


def test_rubrics_reach_reward_functions_of_ones_own(trainer: Callable[..., Any]) -> None:
    seen: list[Any] = []

    def mine(completions: Any, rubric: Any, **_: Any) -> list[float]:
        seen.extend(rubric)
        return [0.0] * len(completions)

    judge = Elsewhere()
    trainer(**OPEN, options={"judge": judge, "rubric_proposer": judge, "reward_funcs": [mine]}).train()
    assert len(seen) == 8
    assert all(len(rubric) == 5 for rubric in seen)


@pytest.mark.parametrize("method", ["rubric", "judge_equivalence"])
def test_methods_for_open_ended_tasks(trainer: Callable[..., Any], method: str) -> None:
    judge = Elsewhere()
    made = trainer(method=method, **OPEN, options={"judge": judge, "rubric_proposer": judge})
    made.train()
    assert lines(made)[0]["reward"] is not None
    assert any("<criterion>" in text for text in judge.asked) == (method == "rubric")


def test_what_a_judge_does_not_say_is_unknown_and_not_zero(trainer: Callable[..., Any]) -> None:
    """The judge is lost for the rollouts of one question: these have no reward, the others do."""
    marked: list[str] = []

    def fail(_: int, text: str) -> Exception | None:
        if "<criterion>" in text:
            return None
        if not marked:
            marked.append(text)
        return ConnectError("gone") if len(judge.asked) % 2 else None

    judge = Elsewhere(fail)
    made = trainer(**OPEN, judging={"criteria_per_call": 1}, rewarding={"quorum": 1.0},
                   options={"judge": judge, "rubric_proposer": Elsewhere()})  # fmt: skip
    made.train()
    (line,) = lines(made)
    assert line["cat/judge_failed"] > 0


def test_a_dead_judge_pauses_training_and_then_stops_it(
    trainer: Callable[..., Any], quick: list[float]
) -> None:
    dead = Elsewhere(lambda n, text: ConnectError("connection refused"))
    made = trainer(
        **OPEN, save_every=1, judge_patience=0.5, options={"judge": dead, "rubric_proposer": Elsewhere()}
    )
    with pytest.raises(TrainingStopped, match=r"the judge \(elsewhere\) has answered nothing") as stopped:
        made.train()
    assert quick, "it waited before it gave up"
    assert sum(quick) >= 0
    checkpoint = Path(str(stopped.value.checkpoint))
    assert checkpoint.name == "checkpoint-0"
    assert (checkpoint / "trainer_state.json").is_file()
    made.close()

    alive = Elsewhere()
    again = trainer(**OPEN, options={"judge": alive, "rubric_proposer": Elsewhere()})
    again.train(resume_from_checkpoint=str(checkpoint))
    assert again.state.global_step == 1
    assert again.cat_generator.tokens == 0, "same rollouts, so the synthesis is in the journal"
    assert lines(again)[0]["reward"] is not None


@pytest.mark.parametrize("at", [1, 4, 5])
def test_it_stops_where_it_can_go_on_as_if_nothing_had_been(trainer: Callable[..., Any], at: int) -> None:
    """In the middle of an epoch, where one ends, and in the next: the same rollouts come again."""
    settings = {"kind": "open", "max_steps": 6, "save_every": 100}
    whole = trainer(**settings, out="whole", options={"judge": Elsewhere(), "rubric_proposer": Elsewhere()})
    whole.train()
    tired = Elsewhere(lambda n, text: ConnectError("gone") if stops.state.global_step == at else None)
    stops = trainer(**settings, judge_patience=0.2, options={"judge": tired, "rubric_proposer": Elsewhere()})
    with pytest.raises(TrainingStopped):
        stops.train()
    stops.close()
    again = trainer(**settings, options={"judge": Elsewhere(), "rubric_proposer": Elsewhere()})
    again.train(resume_from_checkpoint=True)
    assert again.state.global_step == 6
    rewards = [[line["reward"] for line in lines(one)] for one in (whole, again)]
    assert rewards[0] == rewards[1]
    assert again.state.num_input_tokens_seen >= whole.state.num_input_tokens_seen


def test_a_judge_that_comes_back_costs_no_reward(trainer: Callable[..., Any], quick: list[float]) -> None:
    back = threading.Event()
    judge = Elsewhere(lambda n, text: None if back.is_set() else ConnectError("connection refused"))
    made = trainer(**OPEN, options={"judge": judge, "rubric_proposer": Elsewhere()})
    made._rewarding._scorer._pause = lambda seconds: (quick.append(seconds), back.set())
    made.train()
    (line,) = lines(made)
    assert len(quick) == 1
    assert line["cat/unknown_rewards"] == 0


def test_a_wrong_key_ends_the_run_at_once(trainer: Callable[..., Any], quick: list[float]) -> None:
    made = trainer(**OPEN, options={
        "judge": Elsewhere(lambda n, text: AccountError("the key is not valid", status=401)),
        "rubric_proposer": Elsewhere(),
    })  # fmt: skip
    with pytest.raises(TrainingStopped, match="the key is not valid"):
        made.train()
    assert not quick


def test_a_judge_that_hangs_is_not_waited_for_for_ever(trainer: Callable[..., Any]) -> None:
    import asyncio

    class Hanging(Elsewhere):
        async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
            await asyncio.Event().wait()
            raise AttemptTimeout("never")

    made = trainer(**OPEN, longest_wait=1.0, judge_patience=1.0,
                   options={"judge": Hanging(), "rubric_proposer": Elsewhere()})  # fmt: skip
    with pytest.raises(TrainingStopped, match="it took too long"):
        made.train()


def test_an_anchor_elsewhere_that_is_dead_is_no_majority_vote(trainer: Callable[..., Any]) -> None:
    """A synthesis that fails falls back to the vote; a dead anchor must not do so silently."""
    dead = Elsewhere(lambda n, text: ConnectError("connection refused"))
    made = trainer(max_steps=1, judge_patience=0.5, options={"anchor": dead})
    with pytest.raises(TrainingStopped, match=r"the anchor \(elsewhere\)"):
        made.train()
