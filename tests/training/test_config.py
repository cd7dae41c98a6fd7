"""Settings: what they mean, what is refused, and how they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from catagent import estimators
from catagent.errors import ConfigError
from catagent.training import (
    METHODS,
    PRESETS,
    CaTConfig,
    Method,
    method_names,
    method_of,
    methods,
    register_method,
)
from catagent.training.runs import last_checkpoint, read_run


def test_the_example_of_the_docs() -> None:
    config = CaTConfig(kind="verifiable", num_generations=8)
    assert config.method == "cat"
    assert config.accumulation(1) == 32
    assert config.accumulation(4) == 8


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kinds": "open"}, "did you mean 'kind'"),
        ({"method": "cats"}, "did you mean 'cat'"),
        ({"num_generations": 1}, "num_generations"),
        ({"method": "self_consistency_soft", "kind": "open"}, "for verifiable tasks"),
        ({"method": "rubric", "kind": "verifiable"}, "for open tasks"),
        ({"longest_wait": 1700, "judge_patience": 200}, "half of ddp_timeout"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CaTConfig(**settings)


def test_groups_have_to_fill_the_passes() -> None:
    with pytest.raises(ConfigError, match="do not divide"):
        CaTConfig(prompts_per_step=3, num_generations=4, per_device_train_batch_size=8).accumulation(1)


def test_methods_and_estimators_are_named_alike() -> None:
    assert method_of("placebo").donor
    assert method_of("placebo_other:aware").donor
    assert not method_of("placebo_none").donor
    assert method_of("synthesis:of=1").estimator == "synthesis:of=1"
    assert not method_of("majority").asks_anchor
    assert all(method.summary for method in METHODS.values())


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    for plugins in (methods._methods, estimators._estimators):
        monkeypatch.setattr(plugins, "_known", dict(plugins._known))


@pytest.mark.usefixtures("registered")
def test_a_method_of_ones_own_is_named_like_any_other() -> None:
    mine = Method("judged_vote", "majority", open={"judge_equivalence": 1.0}, kind="open")
    assert register_method(mine) is mine
    assert "judged_vote" in method_names()
    assert "judged_vote" not in METHODS
    assert CaTConfig(method="judged_vote", kind="auto").settled_kind == "open"
    with pytest.raises(ConfigError, match="did you mean 'judged_vote'"):
        method_of("judged_votes")
    with pytest.raises(ConfigError, match="no colon"):
        register_method(Method("a:b"))
    with pytest.raises(ConfigError, match="there is no estimator 'nothing'"):
        register_method(Method("c", "nothing"))


@pytest.mark.usefixtures("registered")
def test_a_package_brings_a_method_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    def found(**asked: str) -> list[metadata.EntryPoint]:
        brought = [
            metadata.EntryPoint(name, f"tests.training.test_config:{name}", "catagent.methods")
            for name in ("brought_method", "no_method")
        ]
        return [e for e in brought if e.matches(**asked)]

    monkeypatch.setattr(metadata, "entry_points", found)
    assert {"brought_method", "no_method"} < set(method_names())
    assert method_of("brought_method") == Method("brought_method", "rsa:population=4")
    with pytest.raises(ConfigError, match=r"brought a str, no Method"):
        method_of("no_method")


def brought_method() -> Method:
    return Method("brought_method", "rsa:population=4")


def no_method() -> str:
    return "nothing"


@pytest.mark.usefixtures("registered")
def test_an_estimator_says_itself_that_it_takes_another_questions_rollouts() -> None:
    @estimators.estimator("foreign", donor=True)
    def foreign(context: Any, *, of: int = 1) -> Any: ...

    assert method_of("foreign:of=3").donor
    assert register_method(Method("mine", "foreign:of=2")).donor
    with pytest.raises(ConfigError, match="of"):
        CaTConfig(method="foreign:off=3")


def test_presets_are_the_papers(tmp_path: Path) -> None:
    math, health = CaTConfig(**PRESETS["paper-math"]), CaTConfig(**PRESETS["paper-healthbench"])
    for config in (math, health):
        assert config.num_generations * config.prompts_per_step == 256
        assert (config.learning_rate, config.lr_scheduler_type, config.reward_kl) == (5e-7, "constant", 1e-3)
        assert config.loss_type == "grpo"
        assert config.max_steps == 1000
    assert (math.max_completion_length, health.max_completion_length) == (1536, 1024)
    assert (health.length_limit, health.length_penalty, health.judge) == (750, 1.0, "openai/gpt-4o")


def test_changes_over_a_file_over_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("preset: smoke\nmodel: m\ndata: d.jsonl\noutput: o\nlora: {r: 4}\nlearning_rate: 5e-7\n")
    run = read_run(path, ["lora.alpha=3", "trl.delta=2", "max_steps=9", "judge=openai/x:y=z", 'stop=["\\n"]'])
    config = run.config
    assert config.lora is not None
    assert (config.lora.r, config.lora.alpha, config.max_steps) == (4, 3, 9)
    assert (config.learning_rate, config.judge, config.stop) == (5e-7, "openai/x:y=z", ("\n",))
    assert config.trl == {"delta": 2}
    with pytest.raises(ConfigError, match="is no setting"):
        read_run(path, ["=3"])
    with pytest.raises(ConfigError, match="limit is a number"):
        read_run(path, ["limit=many"])


def test_what_is_kept_is_read_again_as_it_was(tmp_path: Path) -> None:
    run = read_run(None, ["preset=paper-math", "model=m", "data=d.jsonl", f"output={tmp_path}", "keep=both"])
    run.begin(resume=False)
    again = read_run(run.settings_path)
    assert again == run
    assert again.begin(resume=True) is None
    assert "api_key" not in run.settings_path.read_text()
    assert yaml.safe_load(run.settings_path.read_text())["learning_rate"] == 5e-7


def test_a_torn_checkpoint_is_not_gone_on_with(tmp_path: Path) -> None:
    for name in ("checkpoint-2", "checkpoint-10", "checkpoint-9", "checkpoint-x"):
        (tmp_path / name).mkdir()
    assert last_checkpoint(tmp_path) is None
    for name in ("checkpoint-2", "checkpoint-9"):
        (tmp_path / name / "trainer_state.json").write_text("{}")
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-9"
