"""What an estimator says that it costs, against what the server was asked; the page about estimators."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from catagent.errors import ConfigError
from catagent.estimators import estimator, estimator_names, plan_of
from catagent.estimators.costs import EstimatorCost, Lengths
from tests.cast import SYNTHESIS, cat_on
from tests.doubles import prompt_of
from tests.estimators.scoring import ScoringDouble

ROLLOUTS = [f"try {i} \\boxed{{{i}}}" for i in range(8)]
NAMES = [
    "auto",
    "genselect",
    "genselect:subset=3",
    "genselect:subset=2,votes=3",
    "majority",
    "min_ppl",
    "moa:models=double/a+double/b",
    "moa:models=double/a+double/b,each=2,layers=3",
    "mutual_predictability",
    "placebo_none",
    "placebo_other",
    "rsa",
    "rsa:population=3,subset=2,rounds=4",
    "self_bon",
    "single",
    "synthesis",
    "synthesis:of=2,aware",
    "synthesis_vote:samples=5",
    "usc",
]


def reply(body: dict[str, Any]) -> str:
    if SYNTHESIS in prompt_of(body):
        return "# UNIFIED RESPONSE\n\\boxed{4}"
    return "<choice>1</choice>" if "<choice>" in prompt_of(body) else "proposal \\boxed{4}"


def test_every_built_in_estimator_is_looked_at() -> None:
    built_in = {
        name for name in estimator_names() if plan_of(name if name != "moa" else "moa:models=a/b").cost(8)
    }
    assert built_in == {name.partition(":")[0] for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
async def test_the_calls_are_those_that_it_says(name: str) -> None:
    with ScoringDouble(reply=reply) as double:
        async with cat_on(double) as cat:
            if name == "min_ppl":
                solution = await cat.solve("q", n=8, estimator=name, kind="verifiable")
                made = 0
            else:
                solution = await cat.score("q", ROLLOUTS, estimator=name, kind="verifiable", donor=["other"])
                made = solution.usage.calls
    said = plan_of(name).cost(8)
    assert said is not None
    each = plan_of(name).options.get("each", 1)
    if name.startswith("moa"):  # several proposals of one model come with one request
        made += 2 * (each - 1)
    assert made == said.calls


def test_lengths_count() -> None:
    lengths = Lengths(question=10, rollout=100, synthesis=50, frame=5, choice=3)
    assert plan_of("synthesis").cost(8, lengths) == EstimatorCost(8, 1, 805, 50)
    assert plan_of("synthesis:aware,of=1").cost(8, lengths) == EstimatorCost(1, 1, 115, 50)
    assert plan_of("usc").cost(8, lengths) == EstimatorCost(8, 1, 815, 3)
    assert plan_of("rsa:population=4,subset=2,rounds=3").cost(8, lengths) == EstimatorCost(
        8, 12, 12 * 215, 600
    )
    assert plan_of("rsa:population=4,subset=6,rounds=2").cost(2, lengths) == EstimatorCost(
        2, 8, 4 * 215 + 4 * 415, 400
    )
    assert plan_of("mutual_predictability").cost(8, lengths) == EstimatorCost(8, 8, 6400, 0)
    assert plan_of("moa:models=a/b+c/d,layers=2").cost(8, lengths) == EstimatorCost(
        8, 5, 2 * 10 + 2 * 1015 + 215, 200 + 100 + 50
    )
    found = plan_of("synthesis").cost(8)
    assert found is not None
    assert found.generations == 9
    assert EstimatorCost(8, 1, 805, 50).tokens(lengths) == 8 * 110 + 855


def test_one_that_does_not_say_is_unknown_and_not_free() -> None:
    @estimator("unpriced")
    def unpriced(context: object, *, loud: bool = False) -> Any:
        """An estimator of one's own."""

    assert plan_of("unpriced").cost(8) is None
    assert plan_of("unpriced:loud").options == {"loud": True}
    with pytest.raises(ConfigError, match="no colon"):
        estimator("a:b")


def test_the_page_about_estimators_has_each_with_its_options() -> None:
    page = (Path(__file__).parents[2] / "docs" / "estimators.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z_]+)`(.*)\|$", page, re.M)
    described = dict(rows)
    built_in = {name.partition(":")[0] for name in NAMES}
    assert set(described) == built_in
    for line in estimator_names(options=True):
        if line.partition(":")[0] in built_in and ":" in line:
            assert f"\n{line}\n" in page, line
    for name in built_in - {"moa"}:
        said = plan_of(name).cost(8)
        assert said is not None
        assert f"| {said.calls} |" in described[name] + "|", f"{name} costs {said.calls} calls for 8 rollouts"
