"""CaT-RL on the tiny model: groups, rewards, the anchor, evaluation, what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from catagent.errors import CatError, ConfigError
from catagent.training import METHODS, CaTConfig, CaTTrainer, make_cat_trainer
from catagent.training.anchors import anchor_weights
from catagent.training.batches import Rewarding
from catagent.training.groups import Sampled, donors_of, grouped
from tests.training import tiny


def lines(trainer: Any) -> list[dict[str, Any]]:
    path = trainer.cat_output / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def steps(trainer: Any) -> list[dict[str, Any]]:
    return [line for line in lines(trainer) if "loss" in line]


class Watch:
    """Sees each batch of rewards: what went in, what came out, and what the anchor said."""

    def __init__(self, trainer: Any) -> None:
        self.batches: list[tuple[str, Any, Any]] = []
        self.served: list[str] = []
        self._real: Rewarding = trainer._rewarding
        trainer._rewarding = self
        serve = trainer.cat_generator.serve

        def watched(requests: Any) -> Any:
            answers = serve(requests)
            self.served += [c.text for a in answers for c in a.choices]
            return answers

        trainer.cat_generator.serve = watched
        self._real._scorer._serve = watched

    def __call__(self, mode: str, step: int, size: int, samples: Any, kl: Any) -> Any:
        batch = self._real(mode, step, size, samples, kl)
        self.batches.append((f"{mode}:{step}", samples, batch))
        return batch


def test_a_step_rewards_whole_groups_by_the_synthesis(trainer: Callable[..., Any]) -> None:
    made = trainer(prompts_per_step=4, num_generations=4, per_device_train_batch_size=8, max_steps=2)
    watch = Watch(made)
    made.train()
    assert len(watch.batches) == 2
    for _, samples, batch in watch.batches:
        assert len(samples) == 16
        for i in range(0, 16, 4):
            assert len({s.row for s in samples[i : i + 4]}) == 1
            assert len({batch.references[i + k] for k in range(4)}) == 1
    assert len(watch.served) == 8, "one synthesis a group"
    said = steps(made)
    assert [line["step"] for line in said] == [1, 2]
    assert all(0 <= line["reward"] <= 1 for line in said)
    assert all(line["cat/agreement"] > 0 for line in said)
    assert {"cat/label_accuracy", "cat/reward_accuracy", "cat/pass_at_1", "cat/zero_variance"} <= set(said[0])


def test_rewards_follow_the_reference(trainer: Callable[..., Any]) -> None:
    made = trainer()
    watch = Watch(made)
    made.train()
    seen = 0
    for _, samples, batch in watch.batches:
        for sample, value, reference in zip(samples, batch.rewards, batch.references, strict=True):
            if value is not None and "boxed" in sample.text and "boxed" in reference:
                assert value == float(sample.text.strip() == reference.strip())
                seen += 1
    assert seen


@pytest.mark.parametrize("method", [name for name in METHODS if METHODS[name].kind != "open"])
def test_every_method_trains(trainer: Callable[..., Any], method: str) -> None:
    made = trainer(method=method, max_steps=1)
    watch = Watch(made)
    made.train()
    assert bool(watch.served) == (method in ("cat", "placebo"))
    values = [v for _, _, batch in watch.batches for v in batch.rewards if v is not None]
    assert values
    assert all(0 <= v <= 1 for v in values)


def test_gold_rewards_are_the_labels(trainer: Callable[..., Any]) -> None:
    made = trainer(method="gold", max_steps=2)
    watch = Watch(made)
    made.train()
    for _, samples, batch in watch.batches:
        for sample, value in zip(samples, batch.rewards, strict=True):
            assert value == float(sample.text.strip() == f"\\boxed{{{sample.row + 3}}}")
    assert all(line["cat/reward_accuracy"] == 1 for line in steps(made))


def test_any_estimator_is_a_method(trainer: Callable[..., Any]) -> None:
    made = trainer(method="synthesis:aware", max_steps=1)
    seen: list[str] = []
    encode = made.cat_generator.encode
    made.cat_generator.encode = lambda messages: seen.append(str(messages)) or encode(messages)
    made.train()
    assert any("+ 3?" in prompt for prompt in seen), "the anchor sees the question"


@pytest.mark.parametrize("method", ["placebo", "placebo_other"])
def test_a_placebo_reads_the_rollouts_of_another_question(trainer: Callable[..., Any], method: str) -> None:
    made = trainer(method=method, max_steps=1)
    watch = Watch(made)
    prompts: list[str] = []
    encode = made.cat_generator.encode
    made.cat_generator.encode = lambda messages: prompts.append(str(messages)) or encode(messages)
    made.train()
    _, samples, _ = watch.batches[0]
    halves = [[s.text for s in samples[:4]], [s.text for s in samples[4:]]]
    shown = [p for p in prompts if "attempt" in p]
    assert len(shown) == 2
    for prompt, other, own in zip(shown, reversed(halves), halves, strict=True):
        foreign = set(other) - set(own)
        mine = set(own) - set(other)
        assert all(repr(text)[1:-1] in prompt for text in foreign)
        assert not any(repr(text)[1:-1] in prompt for text in mine)


def test_a_placebo_may_read_no_rollouts_at_all(trainer: Callable[..., Any]) -> None:
    made = trainer(method="placebo_none:aware", max_steps=1)
    watch = Watch(made)
    prompts: list[str] = []
    encode = made.cat_generator.encode
    made.cat_generator.encode = lambda messages: prompts.append(str(messages)) or encode(messages)
    made.train()
    ((_, samples, batch),) = watch.batches
    assert len(prompts) == len(watch.served) == 2
    assert all("+ 3?" in prompt for prompt in prompts)
    assert not any(sample.text in prompt for prompt in prompts for sample in samples if sample.text.strip())
    assert any(value is not None for value in batch.rewards)


def test_the_anchor_stays_and_the_policy_goes(trainer: Callable[..., Any]) -> None:
    made = trainer(method="format", max_steps=1)
    ids = torch.tensor([[1, 5, 9, 40, 41, 42]])

    def logits(which: str) -> Any:
        with anchor_weights(which, made)() as model, torch.no_grad():
            return model(input_ids=ids).logits.clone()

    before = logits("adapter_off")
    assert torch.equal(before, logits("policy"))
    trainable = [name for name, p in made.model.named_parameters() if p.requires_grad]
    was_training = made.model.training
    made = trainer(method="random", max_steps=4, out="second")
    made.train()
    assert torch.equal(before, logits("adapter_off"))
    assert not torch.allclose(before, logits("policy"), atol=1e-3)
    assert made.cat_check.settled
    assert [name for name, p in made.model.named_parameters() if p.requires_grad] == trainable
    assert isinstance(was_training, bool)


def test_dropout_and_mode_are_restored(trainer: Callable[..., Any]) -> None:
    made = trainer()
    made.model.train()
    with made._weights() as model:
        assert not model.training
    assert made.model.training
    assert all(p.requires_grad == ("lora" in name) for name, p in made.model.named_parameters())


@pytest.mark.parametrize("anchor", ["ema", "policy"])
def test_an_anchor_that_moves(trainer: Callable[..., Any], anchor: str) -> None:
    made = trainer(method="random", anchor=anchor, max_steps=3, ema_decay=0.5)
    made.train()
    ids = torch.tensor([[1, 5, 9, 40]])
    found = []
    for which in (anchor, "policy", "adapter_off"):
        with anchor_weights(which, made)() as model, torch.no_grad():
            found.append(model(input_ids=ids).logits.clone())
    assert torch.equal(found[0], found[1]) == (anchor == "policy")
    assert not torch.equal(found[0], found[2])


def test_full_fine_tuning_keeps_a_copy_as_its_anchor(trainer: Callable[..., Any], taught: Any) -> None:
    made = trainer(method="cat", lora=None, max_steps=2, reward_kl=1e-3, learning_rate=1e-2)
    made.train()
    assert made.cat_anchor == "ref_model"
    for name, kept in made.ref_model.named_parameters():
        assert torch.equal(kept, taught[name])
        assert not kept.requires_grad
    assert steps(made)[0]["cat/reward_kl"] == pytest.approx(0, abs=1e-4)


def test_training_goes_on_from_an_adapter(trainer: Callable[..., Any], taught: Any) -> None:
    from peft import LoraConfig, get_peft_model

    adapted = get_peft_model(
        tiny.model(weights=taught), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    )
    made = trainer(model=adapted, method="random", max_steps=2)
    assert made.cat_anchor == "ref_adapter"
    ids = torch.tensor([[1, 5, 9, 40]])

    def logits(which: str) -> Any:
        with anchor_weights(which, made)() as model, torch.no_grad():
            return model(input_ids=ids).logits.clone()

    before = logits("policy")
    assert torch.equal(before, logits("ref_adapter"))
    assert not torch.equal(before, logits("adapter_off"))
    made.train()
    assert torch.equal(before, logits("ref_adapter"))
    assert not torch.equal(before, logits("policy"))
    assert not any(p.requires_grad for n, p in made.model.named_parameters() if ".anchor." in n)


def test_the_check_finds_an_adapter_that_is_not_in_force(trainer: Callable[..., Any]) -> None:
    made = trainer(method="random", max_steps=3)
    made.cat_check._policy = made._weights  # both sides see the model without its adapter
    made.cat_check._weights = made._weights
    with pytest.raises(CatError, match="adapter is not in force"):
        _run_check_with_training(made)


def _run_check_with_training(made: Any) -> None:
    check = made.cat_check
    check(0)
    for parameter in made.model.parameters():
        if parameter.requires_grad:
            parameter.data.add_(0.1)
    check._policy = lambda: made._weights()
    real = check._logits
    check._logits = lambda w: (real(made._weights)[0], real(anchor_weights("policy", made))[1])
    check(1)


def test_the_check_finds_an_anchor_that_was_not_the_policy(trainer: Callable[..., Any], taught: Any) -> None:
    made = trainer()
    for name, parameter in made.model.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.5)
    with pytest.raises(CatError, match="not the policy before the first step"):
        made.train()


@pytest.mark.parametrize(
    ("lora", "said"),
    [
        ({"init": "pissa"}, "rewrites the base weights"),
        ({"init": "pissa_niter_4"}, "rewrites the base weights"),
        ({"init": "olora"}, "rewrites the base weights"),
        ({"init": "corda"}, "rewrites the base weights"),
        ({"init": "loftq"}, "rewrites the base weights"),
        ({"bias": "all"}, "trains biases"),
    ],
)
def test_adapters_that_change_the_base_are_refused(
    trainer: Callable[..., Any], lora: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        trainer(lora=lora)


def test_such_adapters_brought_as_a_peft_config_are_refused(trainer: Callable[..., Any]) -> None:
    from peft import LoraConfig

    with pytest.raises(ConfigError, match="rewrites the base weights"):
        trainer(options={"peft_config": LoraConfig(init_lora_weights="olora", target_modules="all-linear")})


def test_evaluation_with_groups_of_another_size(trainer: Callable[..., Any]) -> None:
    made = trainer(held_out=tiny.rows(3), eval_every=1, eval_generations=2, max_steps=1)
    watch = Watch(made)
    made.train()
    evaluated = [samples for name, samples, _ in watch.batches if name.startswith("eval")]
    assert sum(map(len, evaluated)) == 6
    flat = [s.row for samples in evaluated for s in samples]
    assert all(flat[i] == flat[i + 1] for i in range(0, 6, 2))
    (line,) = [one for one in lines(made) if "eval_cat/pass_at_1" in one]
    assert 0 <= line["eval_cat/pass_at_1"] <= line["eval_cat/pass_at_g"] <= 1
    assert line["eval_reward"] is None, "no rewards are made where labels say it all"


def test_evaluation_without_labels_makes_rewards(trainer: Callable[..., Any]) -> None:
    made = trainer(
        held_out=[tiny.question(a) for a in range(3)], eval_every=1, max_steps=1, log_completions=True
    )
    made.train()
    (line,) = [one for one in lines(made) if "eval_reward" in one]
    assert line["eval_reward"] is not None


def test_a_batch_without_any_reward_changes_nothing(trainer: Callable[..., Any]) -> None:
    made = trainer(method="majority", stop=("\\",), max_steps=1)  # every response is empty
    before = {n: p.clone() for n, p in made.model.named_parameters() if p.requires_grad}
    made.train()
    assert all(torch.equal(before[n], p) for n, p in made.model.named_parameters() if p.requires_grad)
    (line,) = steps(made)
    assert line["reward"] is None
    assert line["cat/unknown_rewards"] == 1
    assert line["loss"] == 0


def test_long_responses_pay(trainer: Callable[..., Any]) -> None:
    made = trainer(method="format", length_limit=1, length_penalty=0.25, max_steps=1)
    watch = Watch(made)
    made.train()
    (_, samples, batch) = watch.batches[0]
    assert all(s.tokens > 1 for s in samples)
    assert set(batch.rewards) <= {0.75, -0.25}
    assert steps(made)[0]["cat/over_length_limit"] == 1


def test_the_divergence_in_the_reward_is_that_of_the_logits(trainer: Callable[..., Any]) -> None:
    from catagent.training.divergence import divergence

    made = trainer(method="random", max_steps=3)
    made.train()
    prompt, completion = [1, 5, 9, 40], [44, 45, 2]
    (found,) = divergence(made, made._weights, [prompt], [completion])
    total = 0.0
    for which, sign in (("policy", 1), ("adapter_off", -1)):
        with anchor_weights(which, made)() as model, torch.no_grad():
            logp = torch.log_softmax(model(input_ids=torch.tensor([prompt + completion])).logits[0], -1)
        total += sign * sum(float(logp[3 + i, token]) for i, token in enumerate(completion))
    assert found == pytest.approx(total, abs=1e-4)
    assert found != 0


def test_stop_on_collapse_saves_and_says_why(trainer: Callable[..., Any]) -> None:
    made = trainer(method="format", stop_entropy=100.0, stop_patience=2, max_steps=9)
    made.train()
    assert made.state.global_step == 2
    assert (made.cat_output / "checkpoint-2").is_dir()
    assert "entropy was under 100" in made.cat_stopped


def test_own_reward_functions_get_reference_and_rubric(trainer: Callable[..., Any]) -> None:
    seen: list[dict[str, Any]] = []

    def mine(completions: Any, reference: Any, rubric: Any, colour: Any, **known: Any) -> list[float]:
        seen.append({"reference": reference, "rubric": rubric, "colour": colour, "known": known})
        return [0.5] * len(completions)

    data = [{**row, "colour": "red"} for row in tiny.rows()]
    made = trainer(data=data, options={"reward_funcs": [mine]}, max_steps=1)
    made.train()
    assert seen[0]["colour"] == ["red"] * 8
    assert all(isinstance(text, str) for text in seen[0]["reference"])
    assert seen[0]["rubric"] == [None] * 8
    assert "label" not in seen[0]["known"]
    assert steps(made)[0]["rewards/mine/mean"] == 0.5


def test_the_table_of_completions_has_the_references(trainer: Callable[..., Any]) -> None:
    import pyarrow.parquet

    made = trainer(log_completions=True, held_out=tiny.rows(2), eval_every=1, max_steps=1)
    made.train()
    files = sorted((made.cat_output / "completions").glob("*.parquet"))
    assert files
    for file in files:
        table = pyarrow.parquet.read_table(file)
        assert {"prompt", "completion", "cat_reward", "reference", "advantage"} <= set(table.column_names)
        assert "label" not in table.column_names


def test_every_hyper_parameter_arrives(trainer: Callable[..., Any]) -> None:
    made = trainer(learning_rate=3e-4, beta=0.0, epsilon=0.3, top_k=7, weight_decay=0.01, seed=5)
    args = made.args
    assert (args.learning_rate, args.epsilon, args.top_k, args.weight_decay, args.seed) == (
        3e-4, 0.3, 7, 0.01, 5,
    )  # fmt: skip
    assert args.num_generations == 4
    assert args.gradient_accumulation_steps == 2
    assert args.loss_type == "grpo"


def test_fields_of_trl_are_passed_on_and_clashes_refused(trainer: Callable[..., Any]) -> None:
    assert trainer(trl={"disable_tqdm": True, "delta": 2.0}).args.delta == 2.0
    with pytest.raises(ConfigError, match="set by catagent"):
        trainer(trl={"learning_rate": 1.0})
    with pytest.raises(ConfigError, match="no field"):
        trainer(trl={"nonsense": 1})
    with pytest.raises(ConfigError, match="TRL refuses"):
        trainer(trl={"vllm_importance_sampling_clip_min": 5.0, "vllm_importance_sampling_clip_max": 1.0})


def test_the_class_stands_on_whatever_trainer_there_is() -> None:
    import trl

    class Generated(trl.GRPOTrainer):  # as Unsloth's is: another class under the same name
        pass

    made = make_cat_trainer(Generated)
    assert made.__mro__[1:3] == (CaTTrainer, Generated)
    assert made._calculate_rewards is CaTTrainer._calculate_rewards
    overridden = {name for name in vars(CaTTrainer) if hasattr(trl.GRPOTrainer, name) and name[:2] != "__"}
    assert overridden == {"_calculate_rewards"}
    with pytest.raises(ConfigError, match="no _calculate_rewards"):
        make_cat_trainer(object)


def test_a_trainer_of_ones_own_may_subclass(trainer: Callable[..., Any], taught: Any, tmp_path: Any) -> None:
    class Mine(CaTTrainer):
        pass

    made = Mine(
        model=tiny.model(weights=taught),
        processing_class=tiny.tokenizer(),
        train_dataset=tiny.rows(),
        args=CaTConfig(**tiny.SETTINGS),
        output_dir=tmp_path,
    )
    assert isinstance(made, Mine)
    assert isinstance(made, CaTTrainer)
    made.close()


def test_groups_are_cut_where_the_prompt_changes() -> None:
    samples = [Sampled(row, "x", 1, True) for row in (3, 3, 3, 3, 5, 5, 5)]
    groups = grouped(samples, 2, exact=False)
    assert [(g.row, len(g.samples), g.first) for g in groups] == [(3, 2, 0), (3, 2, 2), (5, 2, 4), (5, 1, 6)]
    with pytest.raises(RuntimeError, match="1 of 2 completions"):
        grouped(samples, 2, exact=True)


def test_a_donor_is_always_another_question() -> None:
    samples = [Sampled(row, "x", 1, True) for row in (3, 3, 3, 3, 5, 5)]
    groups = grouped(samples, 2, exact=True)
    assert [d.row if d else None for d in donors_of(groups, None)] == [5, 5, 3]
    alone = grouped(samples[:2], 2, exact=True)
    assert donors_of(alone, None) == [None]
    assert donors_of(alone, groups[2])[0] is groups[2]
    silent = grouped([Sampled(3, "x", 1, True), Sampled(4, " ", 1, True)], 1, exact=True)
    assert donors_of(silent, None) == [None, silent[0]]


def test_numbers_that_are_unknown_are_null_in_the_metrics(trainer: Callable[..., Any]) -> None:
    made = trainer(method="majority", stop=("\\",), max_steps=1)
    made.train()
    for line in lines(made):
        assert not any(isinstance(v, float) and not math.isfinite(v) for v in line.values())
