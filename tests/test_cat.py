"""The pipeline from a prompt to rewards, over a real HTTP provider double."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from typing import Any

import pytest

import catagent
from catagent.cat import CaT
from catagent.errors import AccountError, BudgetError, ConfigError, QuorumError
from catagent.events import (
    Event,
    ReferenceReady,
    RewardsReady,
    RolloutFinished,
    RolloutToken,
    Solved,
    Started,
    SynthesisStarted,
    SynthesisToken,
    Waiting,
)
from catagent.messages import Reference, Solution
from catagent.models.client import Choice, Completion, ModelRequest, OnDelta
from catagent.models.journal import MemoryJournal
from catagent.models.ledger import Budget
from tests.cast import SYNTHESIS, cast, cat_on
from tests.doubles import Fault, ProviderDouble, Reply, ToolCall, in_order, prompt_of, when

BOXED = ["2+2 is \\boxed{4}", "it is \\boxed{5}", "\\boxed{4.0}", "I get \\boxed{6}"]


def values(solution: Solution) -> list[float | None]:
    return [r.value for r in solution.rewards]


async def test_solve_gives_reference_rewards_and_usage() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double) as cat:
            solution = await cat.solve("What is 2+2?")
    assert solution.text == "So it is \\boxed{4}."
    assert solution.answer == "4"
    assert solution.group.kind == "verifiable"
    assert values(solution) == [1.0, 0.0, 1.0, 0.0]
    assert solution.reference is not None
    assert solution.reference.method == "synthesis"
    assert solution.reference.agreement == 0.5
    assert solution.reference.differs_from_majority is False
    assert not solution.partial
    assert {role: u.calls for role, u in solution.usage.roles.items()} == {"sampler": 1, "anchor": 1}
    assert solution.usage.tokens > 0


async def test_reference_may_be_right_when_every_rollout_is_wrong() -> None:
    with ProviderDouble(reply=cast(["\\boxed{1}", "\\boxed{1}", "\\boxed{2}", "\\boxed{3}"])) as double:
        async with cat_on(double) as cat:
            solution = await cat.solve("What is 2+2?")
    assert solution.answer == "4"
    assert values(solution) == [0.0, 0.0, 0.0, 0.0]
    assert solution.reference is not None
    assert solution.reference.agreement == 0.0
    assert solution.reference.differs_from_majority is True
    assert str(solution.reference.majority) == "1"


async def test_anchor_is_question_blind_unless_told_otherwise() -> None:
    for aware in (False, True):
        with ProviderDouble(reply=cast(BOXED)) as double:
            async with cat_on(double, question_aware=aware) as cat:
                await cat.solve("How many legs has a walrus?")
            asked = [r.prompt for r in double.requests if SYNTHESIS in r.prompt]
        assert len(asked) == 1
        assert ("walrus" in asked[0]) is aware


async def test_open_task_has_no_verifiable_rewards_and_forwards_the_prompt_untouched() -> None:
    with ProviderDouble(reply=cast(["a poem", "an ode"], "# UNIFIED RESPONSE\nA better poem.")) as double:
        async with cat_on(double) as cat:
            solution = await cat.solve("Write a poem.", kind="open")
        first = double.requests[0].body["messages"]
    assert first == [{"role": "user", "content": "Write a poem."}]
    assert solution.text == "A better poem."
    assert solution.answer is None
    assert solution.rewards == ()


async def test_auto_is_open_when_no_quorum_of_rollouts_states_an_answer() -> None:
    texts = [
        "Roses are red.\nViolets are blue.",
        "An ode to joy.\nAnd more.",
        "\\boxed{4}",
        "A sonnet.\nLine.",
    ]
    with ProviderDouble(reply=cast(texts, "# UNIFIED RESPONSE\nmerged")) as double:
        async with cat_on(double) as cat:
            assert (await cat.solve("Write.")).group.kind == "open"


async def test_messages_images_tools_and_unknown_parameters_are_forwarded_untouched() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "name": "ann", "content": [{"type": "text", "text": "What is this?"}, image]},
    ]
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    call = ToolCall("look", {"at": "it"})
    with ProviderDouble(reply=lambda body, index: Reply(tool_calls=[call])) as double:
        async with cat_on(double, estimator="majority") as cat:
            solution = await cat.solve(messages, tools=tools, min_p=0.1, temperature=0.3)
        body = double.requests[0].body
    assert body["messages"] == messages
    assert body["tools"] == tools
    assert (body["min_p"], body["temperature"]) == (0.1, 0.3)
    assert all(r.tool_calls[0]["function"]["name"] == "look" for r in solution.rollouts)
    assert solution.reference is not None
    assert solution.reference.answer is not None
    assert solution.reference.answer.kind == "tool_call"
    assert values(solution) == [1.0] * 4


async def test_code_is_compared_by_what_it_does() -> None:
    def block(body: str) -> str:
        return f"Here:\n```python\ndef double(x: int) -> int:\n    return {body}\n```"

    codes = [block("x + x"), block("2 * x"), block("x * x"), block("x << 1")]
    with ProviderDouble(reply=cast(codes)) as double:
        async with cat_on(double, estimator="majority") as cat:
            solution = await cat.solve("Write a function that doubles a number.", kind="verifiable")
    assert values(solution) == [1.0, 1.0, 0.0, 1.0]
    assert solution.reference is not None
    assert solution.reference.agreement == 0.75


async def test_malformed_synthesis_falls_back_to_the_vote_and_says_so() -> None:
    with ProviderDouble(reply=cast(BOXED, "I would rather not.")) as double:
        async with cat_on(double) as cat:
            solution = await cat.solve("What is 2+2?")
    assert solution.reference is not None
    assert solution.reference.method == "majority"
    assert "states no final answer" in (solution.reference.fallback or "")
    assert any("majority" in note for note in solution.notes)
    assert values(solution) == [1.0, 0.0, 1.0, 0.0]


async def test_anchor_that_fails_falls_back_to_the_vote() -> None:
    broken = when(lambda body: SYNTHESIS in prompt_of(body), Fault.status_code(400))
    with ProviderDouble(reply=cast(BOXED), faults=[broken]) as double:
        async with cat_on(double) as cat:
            solution = await cat.solve("What is 2+2?")
    assert solution.reference is not None
    assert solution.reference.method == "majority"
    assert "400" in (solution.reference.fallback or "")
    assert solution.usage.roles["anchor"].failed == 1


async def test_tied_majority_abstains_and_rewards_nobody() -> None:
    with ProviderDouble(reply=cast(["\\boxed{1}", "\\boxed{2}", "\\boxed{1}", "\\boxed{2}"])) as double:
        async with cat_on(double, estimator="majority") as cat:
            solution = await cat.solve("What is 2+2?")
    assert solution.answer is None
    assert values(solution) == [None] * 4
    assert solution.usage.calls == 1


async def test_lost_rollouts_make_a_partial_solution_with_unknown_rewards() -> None:
    refused = in_order(None, Fault.status_code(400))
    with ProviderDouble(reply=cast(["\\boxed{4}"]), faults=[refused], max_n=1) as double:
        async with cat_on(double) as cat:
            endpoint = (await (await cat.begin()).model("sampler")).endpoint
            endpoint.widest = 1
            solution = await cat.solve("What is 2+2?")
    assert solution.partial
    assert sorted(map(str, values(solution))) == ["1.0", "1.0", "1.0", "None"]
    lost = [r for r in solution.rollouts if not r.ok]
    assert len(lost) == 1
    assert "400" in (lost[0].error or "")


async def test_no_rollout_at_all_is_an_error_with_the_reason() -> None:
    with ProviderDouble(faults=[lambda body: Fault.status_code(400)]) as double:
        async with cat_on(double) as cat:
            with pytest.raises(QuorumError, match=r"0 of 4 rollouts survived, 1 are needed: .*400"):
                await cat.solve("What is 2+2?")


async def test_refused_key_ends_the_job_with_the_providers_sentence_and_without_the_key() -> None:
    with ProviderDouble(key="right") as double:
        async with cat_on(double, provider={"api_key": "sk-wrong-1234567890"}) as cat:
            with pytest.raises(AccountError, match="401") as caught:
                await cat.solve("What is 2+2?")
    assert "sk-wrong-1234567890" not in str(caught.value)
    assert double.statuses == {401: 1}


async def test_budget_is_checked_before_a_request_is_sent() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double, budget=Budget(calls=1)) as cat:
            with pytest.raises(BudgetError, match="1 calls"):
                await cat.solve("What is 2+2?")
    assert double.received == 1


async def test_journal_buys_nothing_twice() -> None:
    journal = MemoryJournal()
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double, journal=journal) as cat:
            first = await cat.solve("What is 2+2?")
            bought = double.received
            again = await cat.solve("What is 2+2?")
    assert double.received == bought
    assert [r.text for r in again.rollouts] == [r.text for r in first.rollouts]
    assert again.text == first.text
    assert again.usage.total.cached == 5
    assert again.usage.calls == 0


async def test_score_rewards_completions_made_elsewhere() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double) as cat:
            solution = await cat.score(
                "What is 2+2?", ["\\boxed{4}", "\\boxed{7}", None, "", "no idea\nat all"]
            )
    assert values(solution) == [1.0, 0.0, None, None, 0.0]
    assert solution.partial
    assert set(solution.usage.roles) == {"anchor"}


async def test_score_with_a_reference_asks_no_model() -> None:
    with ProviderDouble() as double:
        async with cat_on(double) as cat:
            by_text = await cat.score("q", ["\\boxed{1/2}", "\\boxed{3}"], reference="It is \\boxed{0.5}.")
            given = Reference(text="x", answer=catagent.answers.extract("\\boxed{3}"), method="physician")
            by_message = await cat.score("q", ["\\boxed{1/2}", "\\boxed{3}"], reference=given)
    assert values(by_text) == [1.0, 0.0]
    assert values(by_message) == [0.0, 1.0]
    assert double.received == 0


async def test_score_without_completions_is_an_error() -> None:
    with ProviderDouble() as double:
        async with cat_on(double) as cat:
            with pytest.raises(QuorumError, match="no completion"):
                await cat.score("q", [None, ""])


async def test_stream_tells_the_whole_story_in_order() -> None:
    with ProviderDouble(reply=cast(BOXED), faults=[in_order(Fault.status_code(500))]) as double:
        async with cat_on(double) as cat:
            seen: list[Event] = [event async for event in cat.stream("What is 2+2?")]
    kinds = [type(e) for e in seen]
    assert kinds[0] is Started
    assert kinds[-1] is Solved
    assert Waiting in kinds
    order = [RolloutToken, RolloutFinished, SynthesisStarted, SynthesisToken, ReferenceReady, RewardsReady]
    firsts = [kinds.index(k) for k in order]
    assert firsts == sorted(firsts)
    assert kinds.count(RolloutFinished) == 4
    written = "".join(e.text for e in seen if isinstance(e, SynthesisToken))
    last = seen[-1]
    assert isinstance(last, Solved)
    assert written.endswith(last.solution.text)
    for rollout in last.solution.rollouts:
        told = "".join(e.text for e in seen if isinstance(e, RolloutToken) and e.index == rollout.index)
        assert told == rollout.text


async def test_stream_raises_what_solve_raises() -> None:
    with ProviderDouble(faults=[lambda body: Fault.status_code(401)]) as double:
        async with cat_on(double) as cat:
            with pytest.raises(AccountError):
                async for _ in cat.stream("What is 2+2?"):
                    pass


async def test_leaving_a_stream_cancels_the_work_upstream() -> None:
    with ProviderDouble(latency=30) as double:
        async with cat_on(double) as cat:
            stream = cat.stream("What is 2+2?")
            async for event in stream:
                if isinstance(event, Started):
                    await double.until(lambda: double.in_flight == 1)
                    break
            await stream.aclose()  # type: ignore[attr-defined]
            await double.until(lambda: double.disconnected == 1)


async def test_cancelling_solve_cancels_the_work_upstream() -> None:
    with ProviderDouble(latency=30) as double:
        async with cat_on(double) as cat:
            task = asyncio.create_task(cat.solve("What is 2+2?"))
            await double.until(lambda: double.in_flight == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await double.until(lambda: double.disconnected == 1)


def test_one_cat_works_in_several_event_loops_and_leaks_no_connection() -> None:
    with ProviderDouble(reply=cast(["\\boxed{4}"])) as double:
        cat = cat_on(double)
        for _ in range(3):
            assert asyncio.run(cat.solve("What is 2+2?")).answer == "4"
        assert cat.solve_sync("What is 2+2?").answer == "4"
        assert values(cat.score_sync("q", ["\\boxed{4}"], reference="\\boxed{4}")) == [1.0]
    gc.collect()  # an unclosed session would warn, and warnings are errors


async def test_sync_calls_work_inside_a_running_loop_on_one_background_thread() -> None:
    with ProviderDouble(reply=cast(["\\boxed{4}"])) as double:
        cat = cat_on(double)
        assert cat.solve_sync("What is 2+2?").answer == "4"
        threads = threading.active_count()
        for _ in range(3):
            cat.solve_sync("What is 2+2?")
    assert threading.active_count() <= threads


class Fixed:
    """A client of the user's own."""

    name = "mine"

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        text = f"# UNIFIED RESPONSE\n\\boxed{{{len(request.messages)}}}"
        return Completion(tuple(Choice(text, "stop") for _ in range(request.n)), 1, 1)

    async def aclose(self) -> None:
        pass


async def test_a_client_of_ones_own_plays_any_role() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double, anchor=Fixed()) as cat:
            solution = await cat.solve("What is 2+2?")
    assert solution.answer == "1"
    assert {r.model for r in solution.rollouts} == {"double/m"}
    async with CaT(Fixed(), n=2) as cat:
        assert (await cat.solve("hello")).answer == "1"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"kind": "closed"}, "kind must be auto, verifiable or open"),
    ],
)
def test_wrong_options_are_refused_at_once(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CaT("openai/x", **options)


async def test_unknown_estimator_is_refused_before_anything_is_sent() -> None:
    with ProviderDouble() as double:
        async with cat_on(double, estimator="synthesys") as cat:
            with pytest.raises(ConfigError, match="did you mean 'synthesis'"):
                await cat.solve("q")
    assert double.received == 0


async def test_trace_names_every_message_and_its_parents() -> None:
    with ProviderDouble(reply=cast(BOXED)) as double:
        async with cat_on(double) as cat:
            solution = await cat.solve("What is 2+2?")
    lines = [json.loads(line) for line in solution.trace()]
    kinds = [line["message"] for line in lines]
    assert kinds == ["Task", *["Rollout"] * 4, "Reference", *["Reward"] * 4, "Usage"]
    ids = {line["id"] for line in lines if "id" in line}
    assert all(set(line["parents"]) <= ids for line in lines if "parents" in line)
    assert Solution.model_validate_json(solution.model_dump_json()) == solution


async def test_a_setting_of_the_pipeline_is_refused_in_one_solve() -> None:
    with ProviderDouble(reply=cast(["\\boxed{4}"])) as double:
        async with cat_on(double) as cat:
            with pytest.raises(ConfigError, match=r"CaT\(model=…\)"):
                await cat.solve("What is 2 + 2?", model="openai/gpt-5-mini")
        assert double.received == 0
