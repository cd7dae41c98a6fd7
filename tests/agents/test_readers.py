"""What is read from replies as models write them: rubrics, verdicts, verdicts by id."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catagent.agents.markup import elements, json_values, readable
from catagent.agents.probability import probability_met
from catagent.agents.rubric_text import read_drafts
from catagent.agents.verdicts import read_verdict, read_verdicts
from catagent.models.client import TokenLogprob

UGLY = [json.loads(line) for line in Path(__file__).with_name("ugly.jsonl").read_text("utf-8").splitlines()]


def ugly(kind: str) -> pytest.MarkDecorator:
    """The replies of a kind, each with what is to be read from it."""
    rows = [row for row in UGLY if row["kind"] == kind]
    return pytest.mark.parametrize(
        ("reply", "read"), [(r["reply"], r["read"]) for r in rows], ids=[r["about"] for r in rows]
    )


def test_there_are_enough_of_them() -> None:
    assert len(UGLY) >= 60
    assert len({row["reply"] for row in UGLY}) >= 60


@ugly("rubric")
def test_rubrics(reply: str, read: list[str]) -> None:
    assert [d.text for d in read_drafts(reply)] == read


@ugly("verdict")
def test_verdicts(reply: str, read: bool | None) -> None:
    reading = read_verdict(reply)
    assert reading.met is read
    assert (reading.problem is None) is (read is not None)


@ugly("verdicts")
def test_verdicts_by_id(reply: str, read: dict[str, bool | None]) -> None:
    assert {i: r.met for i, r in read_verdicts(reply, ["c1", "c2"]).items()} == read


@pytest.mark.parametrize(
    ("reply", "weights"),
    [
        ('<criterion weight="3">Mentions aspirin.</criterion>', [3.0]),
        ("<criterion weight=-2>Mentions aspirin.</criterion>", [-2.0]),
        ("<criterion><text>Mentions aspirin.</text><weight>4 of 5</weight></criterion>", [4.0]),
        ('<criterion importance="essential">Mentions aspirin.</criterion>', [5.0]),
        ('{"criteria": [{"criterion": "Mentions aspirin.", "points": 7}]}', [7.0]),
        ('{"criteria": [{"criterion": "Mentions aspirin.", "weight": "Pitfall"}]}', [-4.0]),
        ('{"criteria": [{"criterion": "Mentions aspirin.", "weight": 1e300}]}', [None]),
        ('{"criteria": [{"criterion": "Mentions aspirin.", "weight": NaN}]}', [None]),
        ('{"criteria": [{"criterion": "Mentions aspirin.", "weight": true}]}', [None]),
        ('<criterion weight="9999">Mentions aspirin.</criterion>', [10.0]),
        ("<criterion>Mentions aspirin.</criterion>", [None]),
    ],
)
def test_weights(reply: str, weights: list[float | None]) -> None:
    assert [d.weight for d in read_drafts(reply)] == weights


def test_reason_and_quote_are_kept() -> None:
    reading = read_verdict(
        "<verdict><reason>It says &lt;b&gt;.</reason><quote>take 5 mg</quote><met>yes</met></verdict>"
    )
    assert (reading.met, reading.reason, reading.quote) == (True, "It says <b>.", "take 5 mg")


def tokens(*pieces: str, **top: tuple[tuple[str, float], ...]) -> list[TokenLogprob]:
    return [TokenLogprob(p, -0.1, top.get(f"t{i}", ())) for i, p in enumerate(pieces)]


def test_probability_from_the_verdicts_token() -> None:
    said = tokens(
        "<reason>", "yes it", "</reason>", "<met>", "yes", "</met>",
        t4=(("yes", -0.2231435513142097), ("no", -1.6094379124341003)),
    )  # fmt: skip
    assert probability_met(said) == pytest.approx(0.8)  # 0.8 against 0.2


def test_probability_of_a_no_and_of_other_spellings() -> None:
    said = tokens(
        '"met"', ": ", " False", t2=((" False", -0.10536051565782628), (" true", -2.995732273553991))
    )
    assert probability_met(said) == pytest.approx(0.05 / 0.95)


def test_probability_without_alternatives() -> None:
    assert probability_met([TokenLogprob("No", -0.2231435513142097)]) == pytest.approx(0.2)


def test_a_side_that_is_not_listed_has_what_the_others_leave() -> None:
    said = [
        TokenLogprob(
            "yes", -0.5108256237659907, (("yes", -0.5108256237659907), ("Well", -1.2039728043259361))
        )
    ]
    assert probability_met(said) == pytest.approx(0.6 / 0.7)


@pytest.mark.parametrize("said", [None, [], tokens("I", " think", " so")])
def test_no_probability(said: list[TokenLogprob] | None) -> None:
    assert probability_met(said) is None


def test_elements_do_not_expand_anything() -> None:
    bomb = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><criterion>&b;&b;</criterion>'
    assert [d.text for d in read_drafts(bomb)] == ["&b;&b;"]
    assert elements("<a><b>x</b></a>", ("b",))[0].body == "x"


HOSTILE = [
    "<criterion>" * 6000, "<!--" * 20000, "[" * 60000, '{"a":' * 12000, "<reason>" * 9000, "</reason>" * 7000,
    "<criterion " + "a=" * 30000, "\n1. " * 20000, "yes no " * 9000, "&#1;" * 15000, ", " * 30000,
    "<verdict><reason>" * 4000, '["' * 30000, "c1: " * 15000, "-" * 60000, " " * 60000,
]  # fmt: skip


@pytest.mark.parametrize("reply", HOSTILE, ids=[h[:12] for h in HOSTILE])
def test_hostile_replies_are_read_within_the_suites_timeout(reply: str) -> None:
    assert len(read_drafts(reply)) <= 200
    assert read_verdict(reply).met is None
    assert set(read_verdicts(reply, ["c1", "c2"])) == {"c1", "c2"}


def test_what_exceeds_the_bound_is_not_read() -> None:
    assert len(readable("x" * 10**6)) <= 60_000


PIECES = [
    "<",
    ">",
    "/",
    "{",
    "}",
    "[",
    "]",
    '"',
    "'",
    ":",
    ",",
    "=",
    "&",
    " ",
    "\n",
    "c1",
    "1",
    "yes",
    "no",
    "met",
]
TAGS = [
    "<met>",
    "</met>",
    "<criterion>",
    "</criterion>",
    "<verdict>",
    '<verdict id="c1">',
    "<reason>",
    "</reason>",
]


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES + TAGS) | st.characters(), max_size=60).map("".join))
def test_any_text_is_read(reply: str) -> None:
    read_drafts(reply)
    json_values(reply)
    reading = read_verdict(reply)
    assert (reading.met is None) == (reading.problem is not None)
    assert set(read_verdicts(reply, ["c1"])) == {"c1"}
