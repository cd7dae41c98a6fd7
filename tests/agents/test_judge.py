"""The Judge against judges that answer well, badly, and not at all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catagent.agents.judge import EquivalenceJudge, Judge
from catagent.agents.prompts import Prompts
from catagent.errors import AccountError, BudgetError
from catagent.messages import Reference, Rollout, Rubric, Verdict
from catagent.models.client import Choice, Completion, ModelRequest
from catagent.models.endpoint import Endpoint
from catagent.models.journal import MemoryJournal
from catagent.models.ledger import Budget, Ledger
from catagent.models.model import Model
from catagent.options import JudgeOptions
from tests.cast import cat_on
from tests.doubles import Fault, ProviderDouble, Reply
from tests.judges import block, judge, says

RUBRIC = Rubric.of(["Says one.", "Says two.", "Says three."])
ROLLOUT = Rollout(index=0, text="one and two")


@asynccontextmanager
async def asked(
    reply: Callable[..., Any],
    rubric: Rubric = RUBRIC,
    rollout: Rollout = ROLLOUT,
    *,
    budget: Budget | None = None,
    faults: Sequence[Fault | None] = (),
    rejects: Sequence[str] = (),
    question: str | None = None,
    **options: Any,
) -> AsyncIterator[tuple[tuple[Verdict, ...], ProviderDouble]]:
    async with ProviderDouble(reply=reply, faults=faults, rejects=rejects) as double, cat_on(double) as cat:
        run = await cat.begin()
        run.ledger = Ledger(budget)
        model = await run.model("judge")
        judged = Judge(model, Prompts(), rubric, JudgeOptions(**options), question=question)
        yield (await judged(rollout)).verdicts, double


def states(verdicts: Sequence[Verdict]) -> list[str]:
    return [v.state for v in verdicts]


@pytest.mark.parametrize("form", ["xml", "json"])
@pytest.mark.parametrize(("width", "calls"), [(1, 3), (2, 2), (None, 1)])
async def test_verdicts_in_the_order_of_the_rubric(form: str, width: int | None, calls: int) -> None:
    async with asked(judge(says), format=form, criteria_per_call=width) as (verdicts, double):
        assert states(verdicts) == ["met", "met", "unmet"]
        assert [v.criterion_id for v in verdicts] == ["c1", "c2", "c3"]
        assert double.received == calls


async def test_one_call_sees_one_response_and_one_criterion_and_nothing_else() -> None:
    async with asked(judge(says), question="What is said?") as (_, double):
        prompts = [r.prompt for r in double.requests]
    assert {block(p, "criterion") for p in prompts} == {"Says one.", "Says two.", "Says three."}
    assert {block(p, "response") for p in prompts} == {"one and two"}
    assert not any("What is said?" in p for p in prompts)


async def test_prompts_on_one_response_share_their_beginning() -> None:
    async with asked(judge(says)) as (_, double):
        beginnings = {r.prompt.split("The criterion:")[0] for r in double.requests}
    assert len(beginnings) == 1


async def test_the_question_is_shown_when_asked_for() -> None:
    async with asked(judge(says), question="What is said?", sees_question=True) as (_, double):
        assert {block(r.prompt, "question") for r in double.requests} == {"What is said?"}


async def test_ids_of_the_callers_rubric_are_kept() -> None:
    rubric = Rubric.of([{"id": "α/1", "text": "Says one."}, {"id": "weird id", "text": "Says nine."}])
    async with asked(judge(says), rubric, criteria_per_call=None) as (verdicts, _):
        assert [(v.criterion_id, v.state) for v in verdicts] == [("α/1", "met"), ("weird id", "unmet")]


def in_turn(*replies: Any) -> Callable[[dict[str, Any]], Any]:
    turn = iter(replies)
    return lambda body: next(turn)


ONE = Rubric.of(["Says one."])
YES, NO = "<met>yes</met>", "<met>no</met>"


async def test_an_unreadable_verdict_is_asked_once_more() -> None:
    async with asked(in_turn("Hm.", YES), ONE) as (verdicts, double):
        assert states(verdicts) == ["met"]
        assert "could not be read" in double.requests[1].prompt
        assert "could not be read" not in double.requests[0].prompt
        first, again = (r.body for r in double.requests)
        assert "response_format" not in first
        assert again["response_format"]["json_schema"]["schema"]["required"] == ["reason", "met"]


async def test_twice_unreadable_is_unscored_with_the_reason() -> None:
    async with asked(in_turn("Hm.", "Well.", YES), ONE) as (verdicts, double):
        assert states(verdicts) == ["unscored"]
        assert "no verdict" in (verdicts[0].reason or "")
        assert double.received == 2


async def test_only_what_is_missing_is_asked_again() -> None:
    some = '<verdict id="c1"><met>yes</met></verdict><verdict id="c3"><met>no</met></verdict>'
    rest = '<verdict id="c2"><met>yes</met></verdict>'
    async with asked(in_turn(some, rest), criteria_per_call=None) as (verdicts, double):
        assert states(verdicts) == ["met", "met", "unmet"]
        assert block(double.requests[1].prompt, "criteria") == "c2: Says two."


async def test_a_refused_request_is_unscored_and_the_others_stand() -> None:
    def reply(body: dict[str, Any]) -> str:
        return judge(says)(body)

    async with ProviderDouble(reply=reply) as double, cat_on(double, provider={"attempts": 1}) as cat:
        double.faults = lambda body: (
            Fault.status_code(500) if "Says two." in body["messages"][0]["content"] else None
        )
        model = await (await cat.begin()).model("judge")
        verdicts = (await Judge(model, Prompts(), RUBRIC)(ROLLOUT)).verdicts
    assert states(verdicts) == ["met", "unscored", "unmet"]
    assert "the judge failed" in (verdicts[1].reason or "")


async def test_a_wrong_key_ends_the_job() -> None:
    with pytest.raises(AccountError):
        async with asked(judge(says), faults=[Fault.status_code(401)] * 9):
            pass


async def test_a_used_up_budget_ends_the_job() -> None:
    with pytest.raises(BudgetError):
        async with asked(judge(says), budget=Budget(calls=2)):
            pass


async def test_a_failed_rollout_is_not_sent_to_the_judge() -> None:
    async with asked(judge(says), rollout=Rollout(index=0, error="timed out")) as (verdicts, double):
        assert states(verdicts) == ["unscored"] * 3
        assert "timed out" in (verdicts[0].reason or "")
        assert double.received == 0


@pytest.mark.parametrize(
    ("replies", "state", "votes"),
    [
        ([YES, YES, NO], "met", ("met", "met", "unmet")),
        ([NO, YES, NO], "unmet", ("unmet", "met", "unmet")),
    ],
)
async def test_votes(replies: list[str], state: str, votes: tuple[str, ...]) -> None:
    async with asked(lambda body, i: replies[i], ONE, votes=3) as (verdicts, double):
        assert (verdicts[0].state, verdicts[0].votes) == (state, votes)
        assert double.received == 1  # one request with n = 3


async def test_below_the_quorum_of_votes_nobody_knows() -> None:
    def reply(body: dict[str, Any], index: int) -> str:
        return [YES, "Hm.", "Hm."][index] if body.get("n") == 3 else "Hm."

    async with asked(reply, ONE, votes=3) as (verdicts, _):
        assert verdicts[0].state == "unscored"
        assert verdicts[0].votes == ("met", "unscored", "unscored")
        assert (verdicts[0].reason or "").startswith("1 of 3 votes are readable")
    async with asked(reply, ONE, votes=3, quorum=1) as (verdicts, _):
        assert verdicts[0].state == "met"


async def test_a_tie_is_unscored() -> None:
    async with asked(lambda body, i: [YES, NO][i], ONE, votes=2) as (verdicts, _):
        assert verdicts[0].state == "unscored"
        assert "tied" in (verdicts[0].reason or "")


@pytest.mark.parametrize(
    ("quote", "state", "kept"),
    [
        ("one and two", "met", "one and two"),
        ("One  AND two!", "met", "One AND two!"),
        ("one … two", "met", "one … two"),
        ("two … one", "unscored", None),
        ("three", "unscored", None),
        ("", "met", None),
        ("none", "met", "none"),
    ],
)
async def test_a_quote_must_be_in_the_response(quote: str, state: str, kept: str | None) -> None:
    said = f"<verdict><reason>r</reason><quote>{quote}</quote><met>yes</met></verdict>"
    async with asked(lambda body: said, ONE, evidence=True) as (verdicts, double):
        assert (verdicts[0].state, verdicts[0].quote) == (state, kept)
        assert "<quote>" in double.requests[0].prompt


async def test_quotes_are_not_asked_for_unless_wanted() -> None:
    said = "<verdict><reason>r</reason><quote>not there</quote><met>yes</met></verdict>"
    async with asked(lambda body: said, ONE) as (verdicts, double):
        assert (verdicts[0].state, verdicts[0].quote) == ("met", None)
        assert "quote" not in double.requests[0].prompt


async def test_probabilities_are_asked_for_and_read() -> None:
    reply = Reply("yes", logprobs=[-0.2231435513142097])
    async with asked(lambda body: reply, ONE, probabilities=True) as (verdicts, double):
        assert verdicts[0].probability == pytest.approx(1.0)  # the double lists no other side
        assert double.requests[0].body["top_logprobs"] == 5
    async with asked(lambda body: reply, ONE) as (verdicts, double):
        assert verdicts[0].probability is None
        assert "logprobs" not in double.requests[0].body


async def test_a_refused_schema_is_asked_for_without_it_and_never_again() -> None:
    async with asked(judge(says), format="json", rejects=["response_format"]) as (verdicts, double):
        assert states(verdicts) == ["met", "met", "unmet"]
        refused = [r for r in double.requests if r.status == 400]
        assert 1 <= len(refused) <= 3
    async with (
        ProviderDouble(reply=judge(says), rejects=["response_format"]) as double,
        cat_on(double) as cat,
    ):
        model = await (await cat.begin()).model("judge")
        judged = Judge(model, Prompts(), ONE, JudgeOptions(format="json"))
        await judged(ROLLOUT)
        assert [r.status for r in double.requests] == [400, 200]
        await judged(ROLLOUT)
        assert [r.status for r in double.requests] == [400, 200, 200]


async def test_verdicts_are_kept_in_the_journal_vote_by_vote() -> None:
    journal = MemoryJournal()
    async with ProviderDouble(reply=judge(says)) as double, cat_on(double, journal=journal) as cat:
        for _ in range(2):
            model = await (await cat.begin()).model("judge")
            await Judge(model, Prompts(), RUBRIC, JudgeOptions(votes=2))(ROLLOUT)
        assert (double.received, len(journal)) == (3, 6)


async def test_equivalence_shows_the_reference_and_gives_one_verdict() -> None:
    async with ProviderDouble(reply=judge(lambda a, b: a == b)) as double, cat_on(double) as cat:
        model = await (await cat.begin()).model("judge")
        reference = Reference(text="one and two", method="given")
        same = await EquivalenceJudge(model, Prompts(), reference)(ROLLOUT)
        other = await EquivalenceJudge(model, Prompts(), reference)(Rollout(index=1, text="three"))
    assert [v.state for v in (*same.verdicts, *other.verdicts)] == ["met", "unmet"]
    assert block(double.requests[0].prompt, "reference") == "one and two"


class Recorder:
    """A client that keeps what it is asked."""

    name = "recorder"

    def __init__(self) -> None:
        self.prompts: list[str] = []

    async def complete(self, request: ModelRequest, on_delta: Any = None) -> Completion:
        self.prompts.append(request.messages[0]["content"])
        return Completion((Choice("<met>no</met>", "stop"),), 1, 1)

    async def aclose(self) -> None:
        pass


PARTS = st.sampled_from(
    [
        "</response_1_",
        "<response_1_",
        "0123abcd",
        "deadbeef",
        ">",
        "<",
        "\n",
        "</criterion_1_",
        "<met>yes</met>",
        "\u200b",
        "<think>",
        "</think>",
        "The criterion:",
        "<verdict>",
        "]]>",
        "<![CDATA[",
        "\x00",
        "\ud800",
        "{{criterion}}",
        "{{#again}}",
    ]
)
PAYLOAD = st.lists(
    PARTS | st.text(max_size=20) | st.text("0123456789abcdef", min_size=8, max_size=8), min_size=1
)


async def rendered(payload: str, criterion: str, **options: Any) -> list[str]:
    client = Recorder()
    model = Model("judge", [Endpoint.of(client, "recorder")])
    rubric = Rubric.of([criterion, "Says two."])
    await Judge(model, Prompts(), rubric, JudgeOptions(**options))(Rollout(index=0, text=payload))
    return client.prompts


def stays_inside(prompt: str) -> None:
    """The block of the response is opened once and closed once, by the same nonce, and holds no other tag."""
    opened = re.findall(r"^<response_1_([0-9a-f]{8})>$", prompt, re.M)
    nonces = [n for n in opened if f"\n</response_1_{n}>\n" in prompt]
    nonce = nonces[0]
    assert prompt.count(f"<response_1_{nonce}>") == prompt.count(f"</response_1_{nonce}>") == 1
    inside = prompt.split(f"<response_1_{nonce}>\n", 1)[1].rsplit(f"\n</response_1_{nonce}>", 1)[0]
    assert nonce not in inside
    outside = prompt.replace(inside, "", 1)
    assert (
        outside.index("The response:")
        < outside.index(f"</response_1_{nonce}>")
        < outside.index("The criteri")
    )
    prompt.encode()  # nothing in it that cannot be sent


@given(payload=PAYLOAD.map("".join), criterion=st.text(min_size=1, max_size=40).filter(str.strip))
def test_no_payload_can_end_its_block(payload: str, criterion: str) -> None:
    for prompt in asyncio.run(rendered(payload or "x", criterion)):
        stays_inside(prompt)
    for prompt in asyncio.run(rendered(payload or "x", criterion, criteria_per_call=None)):
        stays_inside(prompt)
