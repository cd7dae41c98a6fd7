"""`catagent estimators`, and that the help of `--estimator` knows every method."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from catagent.cli.main import app
from catagent.estimators import estimator_names

BUILT_IN = ["auto", "genselect", "majority", "min_ppl", "moa", "mutual_predictability", "placebo_none",
            "placebo_other", "rsa", "self_bon", "single", "synthesis", "synthesis_vote", "usc"]  # fmt: skip


def said(*words: str) -> str:
    result = CliRunner().invoke(app, list(words), env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert result.exit_code == 0, result.output
    return re.sub(r"\s+", " ", result.output)


def test_the_list_has_each_with_options_cost_and_what_it_does() -> None:
    output = said("estimators", "--n", "4")
    assert set(BUILT_IN) <= set(estimator_names())
    assert all(re.search(rf"(^| ){name}[: ]", output) for name in BUILT_IN)
    assert "rsa:population=8, subset=4" in output
    assert re.search(r"mutual_predictability 4 The rollout of least perplexity", output)


@pytest.mark.parametrize("command", ["solve", "batch"])
def test_the_help_names_each(command: str) -> None:
    output = said(command, "--help")
    assert all(name in output for name in BUILT_IN), output
