"""Whatever is written: a name is read or refused in one sentence, a reply names a response or none."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catagent.agents.selector import chosen
from catagent.errors import ConfigError
from catagent.estimators import EstimatorPlan, plan_of
from catagent.naming import split_name

NAMES = ["rsa", "synthesis", "moa", "auto", "genselect", "majority"]
PIECES = [
    ":",
    ",",
    "=",
    "+",
    "aware",
    "view",
    "subset",
    "rounds",
    "models",
    "a/b:8b",
    "0",
    "-1",
    "1e9",
    "nan",
    "é",
    " ",
]
SAID = [
    "<choice>",
    "</choice>",
    "<choice",
    "1",
    "3",
    "99999",
    "response",
    "best",
    "is",
    "#",
    "\n",
    "**",
    "\\boxed{2}",
    "٣",
]


def read(name: str) -> tuple[EstimatorPlan | None, str]:
    try:
        return plan_of(name), ""
    except ConfigError as error:
        return None, str(error)


quick = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(st.sampled_from(NAMES), st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_a_name_is_read_or_refused(name: str, rest: str) -> None:
    plan, said = read(f"{name}:{rest}")
    if plan is None:
        assert said
        assert "\n" not in said
        assert len(said) < 1000
        return
    assert plan.name in NAMES
    cost = plan.cost(8)
    assert cost is not None
    assert cost.calls >= 0


@quick
@given(st.text(max_size=200))
def test_any_text_is_cut_into_a_name_and_options(text: str) -> None:
    name, options = split_name(f"name:{text}")
    assert name == "name"
    assert all(part == part.strip() and "," not in part and part for part in options)


@quick
@given(st.lists(st.one_of(st.sampled_from(SAID), st.text(max_size=5)), max_size=30).map(" ".join))
def test_a_reply_names_one_of_the_responses_or_none(reply: str) -> None:
    assert chosen(reply, 4) in (None, 0, 1, 2, 3)
