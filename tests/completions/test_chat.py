"""CaT as a chat model, over a provider on loopback."""

from __future__ import annotations

import gc
from contextlib import aclosing
from typing import Any

import pytest

from catagent.cat import CaT
from catagent.completions import (
    ApiError,
    Chunks,
    ContentDelta,
    Final,
    Head,
    Progress,
    complete,
    model_names,
    stream,
)
from catagent.messages import Reference
from catagent.models.config import Profile
from catagent.models.ledger import Budget
from tests.cast import SYNTHESIS, cast, cat_on, config_for
from tests.doubles import Fault, ProviderDouble, Reply, prompt_of

MESSAGES = [{"role": "user", "content": "What is 2 + 2?"}]
FOURS = ("It is \\boxed{4}.", "\\boxed{4}", "\\boxed{5}", "So \\boxed{4}")


def body(**more: Any) -> dict[str, Any]:
    return {"model": "cat", "messages": MESSAGES, **more}


async def items_of(request: dict[str, Any], cat: CaT, **options: Any) -> list[Any]:
    async with aclosing(stream(request, cat, **options)) as items:
        return [item async for item in items]


def said(items: list[Any], index: int = 0) -> str:
    return "".join(i.text for i in items if isinstance(i, ContentDelta) and i.index == index)


async def test_a_completion_is_the_reference_with_its_details_and_the_true_total() -> None:
    async with ProviderDouble(reply=cast(FOURS)) as double, cat_on(double) as cat:
        made = await complete(body(catagent={"rollouts": True}), cat)
        sent = double.requests
    assert made["object"] == "chat.completion"
    assert made["choices"][0]["message"]["content"] == "So it is \\boxed{4}."
    about = made["catagent"]
    assert (about["method"], about["answer"], about["agreement"]) == ("synthesis", "4", 0.75)
    assert [r["text"] for r in about["rollouts"]] == list(FOURS)
    assert [r["value"] for r in about["rewards"]] == [1, 1, 0, 1]
    assert about["usage"]["calls"] == len(sent) == 2
    roles = about["usage"]["roles"]
    assert (
        made["usage"]["prompt_tokens"] == roles["sampler"]["prompt_tokens"] + roles["anchor"]["prompt_tokens"]
    )
    assert made["usage"]["total_tokens"] > made["usage"]["prompt_tokens"] > 0


async def test_usage_that_nobody_told_is_unknown_and_not_zero() -> None:
    def untold(whole: dict[str, Any]) -> dict[str, Any]:
        return {**whole, "usage": None}

    fault = Fault("untold", spoil=untold)
    async with ProviderDouble(reply=cast(FOURS), faults=lambda _: fault) as double, cat_on(double) as cat:
        assert (await complete(body(), cat))["usage"] is None


async def test_unknown_parameters_reach_the_rollouts_and_ours_do_not() -> None:
    async with ProviderDouble(reply=cast(FOURS)) as double, cat_on(double) as cat:
        await complete(body(temperature=0.3, top_k=7, user="u", new_thing={"a": [1]}, n=2), cat)
        rollouts, anchor = (r.body for r in double.requests)
    assert {k: rollouts[k] for k in ("temperature", "top_k", "user", "new_thing")} == {
        "temperature": 0.3,
        "top_k": 7,
        "user": "u",
        "new_thing": {"a": [1]},
    }
    assert rollouts["n"] == 4
    assert "catagent" not in rollouts
    assert "temperature" not in anchor


@pytest.mark.parametrize("name", ["emit", "prompt", "rewards", "kind", "estimator", "donor", "self"])
async def test_no_parameter_is_taken_for_an_argument(name: str) -> None:
    async with ProviderDouble(reply=cast(FOURS)) as double, cat_on(double) as cat:
        await complete(body(**{name: "x"}), cat)
        assert double.requests[0].body[name] == "x"


async def test_options_of_one_request_are_not_those_of_the_next() -> None:
    async with ProviderDouble(reply=cast(FOURS)) as double, cat_on(double) as cat:
        first = await complete(body(catagent={"n": 2, "estimator": "majority", "kind": "verifiable"}), cat)
        second = await complete(body(), cat)
        assert (cat.n, cat.estimator, cat.kind) == (4, "synthesis", "auto")
    assert (first["catagent"]["method"], len(first["catagent"]["rollouts"])) == ("majority", 2)
    assert (second["catagent"]["method"], len(second["catagent"]["rollouts"])) == ("synthesis", 4)


async def test_more_choices_are_rollouts_in_their_order() -> None:
    async with ProviderDouble(reply=cast(FOURS)) as double, cat_on(double) as cat:
        made = await complete(body(n=3), cat)
        items = await items_of(body(n=3), cat)
    assert [c["message"]["content"] for c in made["choices"]] == ["So it is \\boxed{4}.", *FOURS[:2]]
    assert [c.get("catagent") for c in made["choices"]] == [None, {"rollout": 0}, {"rollout": 1}]
    assert [said(items, i) for i in range(3)] == ["So it is \\boxed{4}.", *FOURS[:2]]


async def test_a_failed_rollout_is_no_choice() -> None:
    def reply(asked: dict[str, Any], index: int) -> Reply | str:
        if SYNTHESIS in prompt_of(asked):
            return "# UNIFIED RESPONSE\n\\boxed{4}"
        return Reply(None) if index == 1 else "\\boxed{4}"

    async with ProviderDouble(reply=reply) as double, cat_on(double, n=3) as cat:
        made = await complete(body(n=4), cat)
    assert made["catagent"]["partial"]
    assert [c.get("catagent") for c in made["choices"]] == [None, {"rollout": 0}, {"rollout": 2}]


@pytest.mark.parametrize("kind", ["open", "verifiable"])
async def test_a_reference_that_was_cut_off_says_so(kind: str) -> None:
    def reply(asked: dict[str, Any], index: int) -> Reply | str:
        if SYNTHESIS in prompt_of(asked):
            return Reply("# UNIFIED RESPONSE\nIt is \\boxed{4} and", finish_reason="length")
        return "\\boxed{4}"

    async with ProviderDouble(reply=reply) as double, cat_on(double, kind=kind) as cat:
        made = await complete(body(), cat)
        items = await items_of(body(), cat)
    content = "It is \\boxed{4} and" if kind == "open" else "\\boxed{4}"
    assert made["choices"][0]["message"]["content"] == content
    for whole in (made, items[-1].completion):
        assert whole["choices"][0]["finish_reason"] == ("length" if kind == "open" else "stop")


async def test_model_names() -> None:
    async with ProviderDouble(reply=cast(FOURS)) as double:
        profiles = {
            "careful": Profile(model="double/big", n=3, params={"temperature": 0.9}, kind="verifiable")
        }
        config = config_for(double).model_copy(update={"profiles": profiles})
        async with CaT("double/m", config=config, n=4) as cat:
            for name in ("cat", "cat/double/other", "careful", "cat/careful"):
                await complete(body(model=name), cat)
            sent = [r.body for r in double.requests]
            assert model_names(cat) == ["cat", "cat/careful"]
            with pytest.raises(ApiError, match="did you mean 'careful'") as refused:
                await complete(body(model="carefull"), cat)
    assert [r["model"] for r in sent] == ["m", "m", "other", "other", "big", "big", "big", "big"]
    assert [(r.get("n"), r.get("temperature")) for r in sent[::2]] == [(4, None)] * 2 + [(3, 0.9)] * 2
    assert (refused.value.status, refused.value.code) == (404, "model_not_found")


async def test_all_names_of_a_model_share_its_limiter() -> None:
    async with ProviderDouble(reply=cast(FOURS)) as double, cat_on(double) as cat:
        await complete(body(model="cat/double/x"), cat)
        await complete(body(model="cat/double/x"), cat)
        gc.collect()  # a twin that is gone must not take the connections along
        await complete(body(model="cat"), cat)
        run = await cat.begin()
        assert await run.registry.endpoint("double/x") is await run.registry.endpoint("double/x")
        assert len(double.requests) == 6


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
        ({"n": 0}, "n"),
        ({"n": "2"}, "n"),
        ({"n": 6}, "n"),
        ({"stream": "yes"}, "stream"),
        ({"catagent": {"n": 0}}, "catagent.n"),
        ({"catagent": {"nn": 3}}, "catagent.nn"),
        ({"catagent": []}, "catagent"),
        ({"response_format": {"type": "xml"}}, "response_format"),
    ],
)
async def test_what_is_wrong_with_a_request_is_named(wrong: dict[str, Any], param: str) -> None:
    async with ProviderDouble(reply=cast(FOURS)) as double, cat_on(double) as cat:
        with pytest.raises(ApiError) as refused:
            await complete(body(**wrong), cat)
        with pytest.raises(ApiError) as streamed:
            await items_of(body(**wrong), cat)
        assert not double.requests
    assert (refused.value.status, refused.value.param) == (400, param)
    assert streamed.value.body == refused.value.body


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault.status_code(400), 400, "refused_upstream"),
        (Fault.status_code(401), 502, "upstream_account"),
        (Fault.status_code(404), 404, "model_not_found"),
        (Fault.status_code(500), 502, "upstream_failed"),
        (Fault.context_overflow(), 400, "context_length_exceeded"),
        (Fault.rate_limited(3), 429, "rate_limit_exceeded"),
        (Fault.garbage(), 502, "upstream_failed"),
    ],
)
async def test_what_goes_wrong_upstream_keeps_its_kind(fault: Fault, status: int, code: str) -> None:
    impatient = {"attempts": 1, "patience": 0}
    async with (
        ProviderDouble(reply=cast(FOURS), faults=lambda _: fault) as double,
        cat_on(double, provider=impatient) as cat,
    ):
        for asked in (body(), body(tools=[{"type": "function", "function": {"name": "f"}}])):
            with pytest.raises(ApiError) as refused:
                await complete(asked, cat)
            assert (refused.value.status, refused.value.code) == (status, code)
        if status == 429:
            assert refused.value.retry_after == 3


async def test_a_budget_and_an_insides_failure() -> None:
    async with ProviderDouble(reply=cast(FOURS)) as double, cat_on(double, budget=Budget(calls=1)) as cat:
        with pytest.raises(ApiError) as refused:
            await complete(body(), cat)
        assert (refused.value.status, refused.value.code, refused.value.again) == (
            402,
            "budget_exceeded",
            False,
        )
    async with ProviderDouble(reply=cast(FOURS)) as double, cat_on(double) as cat:
        cat.sampler = lambda *_, **__: 1 / 0  # type: ignore[assignment,return-value]
        with pytest.raises(ApiError) as failed:
            await complete(body(), cat)
        assert failed.value.status == 500
        assert "division" not in failed.value.message


async def test_a_stream_is_the_synthesis_as_it_is_written_and_ends_as_a_completion() -> None:
    synthesis = "# SUMMARY\nthey agree\n# UNIFIED RESPONSE\nSo it is clearly and surely \\boxed{4}."
    async with ProviderDouble(reply=cast(FOURS, synthesis), pace=0.002) as double, cat_on(double) as cat:
        items = await items_of(body(), cat)
    pieces = [i for i in items if isinstance(i, ContentDelta)]
    assert pieces
    assert said(items) == "So it is clearly and surely \\boxed{4}."
    assert isinstance(items[-1], Final)
    assert items[-1].completion["choices"][0]["message"]["content"] == said(items)
    assert items[-1].completion["catagent"]["streamed"] == {"superseded": False, "offset": 0}


async def test_signs_of_life_come_while_nothing_happens() -> None:
    async with ProviderDouble(reply=cast(FOURS), latency=0.2) as double, cat_on(double) as cat:
        items = await items_of(body(), cat, every=0.02)
    assert sum(isinstance(i, Progress) for i in items) >= 4
    assert str(items[0]) == "rollouts 0/4, 0 pieces"


async def test_a_synthesis_that_is_not_the_reference_is_taken_back_in_words() -> None:
    rollouts = ("It is \\boxed{7}.", "\\boxed{7}")
    async with (
        ProviderDouble(reply=cast(rollouts, "# UNIFIED RESPONSE\nNobody can know this.")) as double,
        cat_on(double) as cat,
    ):
        items = await items_of(body(), cat)
        settled = await items_of(body(catagent={"stream": "settled"}), cat)
    final = items[-1].completion
    reference = final["choices"][0]["message"]["content"]
    about = final["catagent"]
    assert (about["method"], about["streamed"]["superseded"]) == ("majority", True)
    assert said(items).startswith("Nobody can know this.\n\n[The text above is not the reference:")
    assert said(items)[about["streamed"]["offset"] :] == reference == "It is \\boxed{7}."
    assert said(settled) == "It is \\boxed{7}."
    assert settled[-1].completion["catagent"]["streamed"]["superseded"] is False


async def test_a_synthesis_that_broke_off_is_written_anew() -> None:
    turn = iter(("First it was, as far as I can say, \\boxed{4} I think.", "Again \\boxed{4}."))

    def reply(asked: dict[str, Any], index: int) -> str:
        return f"{SYNTHESIS}\n{next(turn)}" if SYNTHESIS in prompt_of(asked) else "\\boxed{4}"

    broken = iter([Fault.cut_in_body()])

    def faults(asked: dict[str, Any]) -> Fault | None:
        return next(broken, None) if SYNTHESIS in prompt_of(asked) else None

    async with ProviderDouble(reply=reply, faults=faults, pace=0.01) as double, cat_on(double) as cat:
        items = await items_of(body(), cat)
    assert said(items).startswith("First it")
    assert said(items).endswith("[The text above broke off. It is written anew.]\n\nAgain \\boxed{4}.")
    assert said(items)[items[-1].completion["catagent"]["streamed"]["offset"] :] == "Again \\boxed{4}."


async def test_leaving_a_stream_cancels_the_work_upstream() -> None:
    async with ProviderDouble(reply=cast(FOURS), latency=60) as double, cat_on(double) as cat:
        async with aclosing(stream(body(), cat, every=0.01)) as items:
            async for _ in items:
                if double.in_flight:
                    break
        await double.until(lambda: double.disconnected == 1, timeout=60)


async def test_chunks_are_what_a_client_puts_together() -> None:
    async with ProviderDouble(reply=cast(FOURS)) as double, cat_on(double) as cat:
        items = await items_of(body(n=2), cat)
    made = Chunks(Head("cat", id="x", created=1), usage=True)
    chunks = [chunk for item in items for chunk in made.of(item)]
    assert {(c["id"], c["object"], c["created"]) for c in chunks} == {("x", "chat.completion.chunk", 1)}
    for index, text in enumerate(("So it is \\boxed{4}.", FOURS[0])):
        own = [c["choices"][0] for c in chunks if c["choices"] and c["choices"][0]["index"] == index]
        assert own[0]["delta"] == {"role": "assistant", "content": ""}
        assert "".join(c["delta"].get("content", "") for c in own) == text
        assert [c["finish_reason"] for c in own][-2:] == [None, "stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == items[-1].completion["usage"]
    assert [c["catagent"]["method"] for c in chunks if c.get("catagent", {}).get("method")] == ["synthesis"]


async def test_a_reference_without_text_is_an_empty_message() -> None:
    async def abstaining(_: object) -> Reference:
        return Reference(text="", method="nothing")

    from catagent.estimators import estimator

    estimator("nothing_at_all")(lambda _: abstaining)
    async with ProviderDouble(reply=cast(FOURS)) as double, cat_on(double) as cat:
        asked = body(catagent={"estimator": "nothing_at_all"})
        assert (await complete(asked, cat))["choices"][0]["message"]["content"] == ""
        assert isinstance((await items_of(asked, cat))[-1], Final)
