"""What a run that was stopped does when it goes on: the same."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from catagent.errors import CatError
from catagent.training.anchors import anchor_weights
from tests.training import tiny


def trained(made: Any) -> dict[str, Any]:
    return {name: p.detach().clone() for name, p in made.model.named_parameters() if p.requires_grad}


def figures(folder: Path) -> dict[int, dict[str, float]]:
    """By step, what a run says of its rollouts and rewards; the last word on a step counts."""
    kept = ("reward", "reward_std", "cat/agreement", "cat/pass_at_1", "completions/mean_length", "loss")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: {k: line[k] for k in kept if k in line} for line in lines if "loss" in line}


@pytest.mark.parametrize("method", ["cat", "random"])
def test_a_resumed_run_ends_where_an_unbroken_one_does(trainer: Callable[..., Any], method: str) -> None:
    whole = trainer(method=method, max_steps=4, save_every=2, out="whole")
    whole.train()
    first = trainer(method=method, max_steps=4, save_every=2, out="broken")
    first.train()
    first.close()
    # A second process that begins at the checkpoint in the middle.
    second = trainer(method=method, max_steps=4, save_every=2, out="broken")
    second.train(resume_from_checkpoint=str(first.cat_output / "checkpoint-2"))
    assert second.state.global_step == 4
    ends = trained(whole), trained(second)
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert figures(whole.cat_output) == figures(second.cat_output)


def test_the_anchor_is_the_same_after_a_resume(trainer: Callable[..., Any]) -> None:
    ids = torch.tensor([[1, 5, 9, 40, 41]])

    def logits(made: Any, which: str) -> Any:
        with anchor_weights(which, made)() as model, torch.no_grad():
            return model(input_ids=ids).logits.clone()

    first = trainer(method="random", max_steps=2, save_every=1)
    before = logits(first, "adapter_off")
    first.train()
    first.close()
    second = trainer(method="random", max_steps=3, save_every=1)
    second.train(resume_from_checkpoint=True)
    assert torch.equal(before, logits(second, "adapter_off"))
    assert not torch.equal(before, logits(second, "policy"))


def test_a_resume_on_another_base_model_is_refused(trainer: Callable[..., Any]) -> None:
    first = trainer(method="random", max_steps=1, save_every=1)
    first.train()
    first.close()
    other = trainer(model=tiny.model(seed=9), method="random", max_steps=2)
    with pytest.raises(CatError, match="has moved"):
        other.train(resume_from_checkpoint=True)


def test_rewards_bought_for_a_step_are_not_bought_again(trainer: Callable[..., Any]) -> None:
    first = trainer(max_steps=2, save_every=1)
    first.train()
    bought = first.cat_generator.tokens
    assert bought
    first.close()
    second = trainer(max_steps=2, save_every=1)
    second.train(resume_from_checkpoint=str(first.cat_output / "checkpoint-1"))
    assert second.cat_generator.tokens == 0, "the synthesis of step 2 is in the journal"
    lines = [json.loads(line) for line in (first.cat_output / "metrics.jsonl").read_text().splitlines()]
    hits = [line["cat/journal_hits"] for line in lines if "cat/journal_hits" in line]
    assert hits == [0, 0, 2]


def test_the_same_question_in_a_later_step_gets_a_sample_of_its_own(trainer: Callable[..., Any]) -> None:
    """Rollouts that come again are synthesised again: one sample a step, as in the paper."""
    made = trainer(data=tiny.rows(1), prompts_per_step=1, max_steps=3, learning_rate=1e-9)
    made.train()
    made.close()
    with sqlite3.connect(made.cat_output / "rewards-0.sqlite") as db:
        assert db.execute("SELECT count(*) FROM samples").fetchone() == (3,)


@pytest.mark.parametrize("anchor", ["ema", "ref_adapter"])
def test_adapters_beside_the_trained_one_survive(
    trainer: Callable[..., Any], taught: Any, anchor: str
) -> None:
    from peft import LoraConfig, get_peft_model

    def policy() -> Any:
        torch.manual_seed(3)
        return get_peft_model(
            tiny.model(weights=taught),
            LoraConfig(r=4, target_modules="all-linear", init_lora_weights=anchor == "ema"),
        )

    ids = torch.tensor([[1, 5, 9, 40, 41]])

    def logits(made: Any, which: str) -> Any:
        with anchor_weights(which, made)() as model, torch.no_grad():
            return model(input_ids=ids).logits.clone()

    settings = {"method": "random", "anchor": anchor, "max_steps": 3, "save_every": 1, "ema_decay": 0.5}
    first = trainer(model=policy(), **settings)
    first.train()
    kept = logits(first, anchor), logits(first, "policy")
    first.close()
    second = trainer(model=policy(), **settings)
    second.train(resume_from_checkpoint=str(first.cat_output / "checkpoint-2"))
    assert torch.equal(kept[0], logits(second, anchor))
    assert torch.equal(kept[1], logits(second, "policy"))
    assert not torch.equal(kept[0], kept[1])
