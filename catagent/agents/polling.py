"""One question to a judge, put as often as it takes: votes, one repeat of what cannot be read, quorum.

The repeat asks for JSON, by schema where the endpoint takes one: what a model did not manage freely it may
manage under a grammar. What comes out is a verdict a criterion, whatever happens: a request that failed and
a reply that nobody can read are `unscored`, with the reason. Only what ends a whole job is raised
(`AccountError`, `BudgetError`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from catagent.agents.evidence import cited
from catagent.agents.probability import probability_met
from catagent.agents.verdicts import Reading, read_verdict, read_verdicts, verdict_schema
from catagent.gathering import gathered
from catagent.messages import ChatMessage, Verdict, VerdictState
from catagent.models.model import Model, Sample
from catagent.models.structured import structured_samples
from catagent.options import JudgeOptions

__all__ = ["Render", "answer_form", "poll"]

Render: TypeAlias = Callable[[Sequence[str], str | None], str]
"""The prompt that asks about these criteria; the second argument says why the question comes again."""
_Ballot: TypeAlias = dict[str, tuple[Reading, float | None]]


async def poll(
    model: Model, ids: Sequence[str], render: Render, response: str, options: JudgeOptions, *, single: bool
) -> list[Verdict]:
    """The verdicts on `ids`, in order. `single`: the reply has one verdict without an id."""

    async def ask(wanted: Sequence[str], again: str | None, votes: int, first: int) -> list[_Ballot]:
        messages: list[ChatMessage] = [{"role": "user", "content": render(wanted, again)}]
        by_schema = options.format == "json" or again is not None
        schema = verdict_schema(options.evidence, single=single) if by_schema else None
        params = {"logprobs": True, "top_logprobs": 5} if options.probabilities else None
        samples = await structured_samples(
            model, messages, votes, schema, name="verdict", params=params, first=first
        )
        return [_ballot(sample, wanted, single) for sample in samples]

    async def settled(place: int, ballot: _Ballot) -> _Ballot:
        """A ballot with what could not be read asked once more."""
        unread = [i for i in ids if ballot[i][0].met is None and not ballot[i][0].final]
        if not unread:
            return ballot
        problem = ballot[unread[0]][0].problem or "no verdict."
        again = (await ask(unread, _sentence(problem), 1, place))[0]
        return {**ballot, **again}

    ballots = await ask(ids, None, options.votes, 0)
    ballots = await gathered(settled(place, ballot) for place, ballot in enumerate(ballots))
    return [_verdict(i, [b[i] for b in ballots], response, options) for i in ids]


def answer_form(options: JudgeOptions, again: str | None, *, single: bool) -> dict[str, str | None]:
    """The prompt's inputs that say what form the answer has, and why it is asked for again."""
    asked: dict[str, str | None] = {"again": again}
    if options.evidence:
        asked["evidence"] = ""
    if options.format == "json" or again is not None:
        quote = '"quote": "…", ' if options.evidence else ""
        one = f'"reason": "…", {quote}"met": true or false'
        return {**asked, "json": f"{{{one}}}" if single else f'{{"verdicts": [{{"id": "c1", {one}}}, …]}}'}
    quote = "<quote>…</quote>\n" if options.evidence else ""
    one = f"<reason>…</reason>\n{quote}<met>yes or no</met>\n</verdict>"
    return {**asked, "xml": f"<verdict>\n{one}" if single else f'<verdict id="c1">\n{one}\n…'}


def _ballot(sample: Sample, ids: Sequence[str], single: bool) -> _Ballot:
    choice = sample.choice
    if choice is None:
        failed = Reading(None, problem=f"the judge failed: {sample.error}", final=True)
        return dict.fromkeys(ids, (failed, None))
    if single:
        return {ids[0]: (read_verdict(choice.text), probability_met(choice.logprobs))}
    return {i: (reading, None) for i, reading in read_verdicts(choice.text, ids).items()}


def _verdict(
    criterion: str, ballots: list[tuple[Reading, float | None]], response: str, options: JudgeOptions
) -> Verdict:
    readings = [_checked(reading, response, options.evidence) for reading, _ in ballots]
    states: list[VerdictState] = [
        "unscored" if r.met is None else "met" if r.met else "unmet" for r in readings
    ]
    met, unmet = states.count("met"), states.count("unmet")
    state: VerdictState
    if met + unmet < options.votes_needed:
        state = "unscored"
        why = next((r.problem for r in readings if r.met is None), None)
        reason = why if options.votes == 1 else f"{met + unmet} of {options.votes} votes are readable: {why}"
        spokesman = None
    elif met == unmet:
        state, reason, spokesman = "unscored", f"the votes are tied ({met} to {unmet})", None
    else:
        state = "met" if met > unmet else "unmet"
        spokesman = readings[states.index(state)]
        reason = spokesman.reason
    known = [p for (_, p), s in zip(ballots, states, strict=True) if p is not None and s != "unscored"]
    fields: dict[str, Any] = {"quote": spokesman.quote or None} if spokesman and options.evidence else {}
    return Verdict(
        criterion_id=criterion,
        state=state,
        reason=(reason or None) and str(reason)[:2000],
        probability=sum(known) / len(known) if known else None,
        votes=tuple(states) if options.votes > 1 else (),
        **fields,
    )


def _checked(reading: Reading, response: str, evidence: bool) -> Reading:
    if not evidence or reading.met is None or cited(reading.quote, response) is not False:
        return reading
    return Reading(None, problem=f"the quote is not in the response: {(reading.quote or '')[:80]!r}")


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else f"{text}."
