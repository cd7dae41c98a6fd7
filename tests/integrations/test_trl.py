"""TRL's own trainers on a tiny model, with CaT's rewards from the provider double."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from catagent.errors import AccountError, ConfigError
from catagent.integrations.trl import CatReward
from tests.cast import SYNTHESIS, cast, cat_on
from tests.doubles import Fault, ProviderDouble, prompt_of, when
from tests.training import tiny

SIX = "# UNIFIED RESPONSE\nSo it is \\boxed{6}."
PROMPTS = [[{"role": "user", "content": f"What is {i} + {i}?"}] for i in range(4)]
# TRL and transformers speak of names of each other's that will change.
pytestmark = [
    pytest.mark.filterwarnings("ignore::FutureWarning:transformers[.].*"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]
TRAINERS = [(GRPOTrainer, GRPOConfig), (RLOOTrainer, RLOOConfig)]


def trainer_of(kinds: tuple[Any, Any], reward: Any, folder: Path, **columns: list[Any]) -> Any:
    trainer, config = kinds
    arguments = config(
        output_dir=str(folder),
        per_device_train_batch_size=4,
        num_generations=4,
        max_completion_length=8,
        max_steps=2,
        logging_steps=1,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        bf16=False,
        seed=1,
    )
    tiny.model().save_pretrained(folder / "model")
    tiny.tokenizer().save_pretrained(folder / "model")
    data = datasets.Dataset.from_dict({"prompt": PROMPTS, **columns})
    return trainer(
        model=str(folder / "model"),
        reward_funcs=[reward],
        args=arguments,
        train_dataset=data,
    )


@pytest.mark.parametrize("kinds", TRAINERS, ids=["grpo", "rloo"])
def test_a_trainer_takes_the_rewards_of_whole_groups(kinds: tuple[Any, Any], tmp_path: Path) -> None:
    with ProviderDouble(reply=cast([], SIX)) as double:
        reward = CatReward(cat_on(double), num_generations=4, kind="open", name="cat")
        reward.cat.rewarding = reward.cat.rewarding.model_copy(update={"open": {"judge_equivalence": 1.0}})
        trainer = trainer_of(kinds, reward, tmp_path)
        trainer.train()
        syntheses = [r for r in double.requests if SYNTHESIS in r.prompt]
    logs = [entry for entry in trainer.state.log_history if "reward" in entry]
    assert len(logs) == 2
    assert len(syntheses) == 2, "one group a step, one reference a group"
    assert all(prompt_of(r.body).count("<response") >= 4 for r in syntheses)
    assert logs[0]["rewards/cat/mean"] == logs[0]["reward"]
    assert logs[0]["cat/unknown"] == 0.0
    assert logs[0]["cat/calls"] >= 2


def test_failures_leave_rows_out_of_the_step_and_are_never_zero(tmp_path: Path) -> None:
    no_rubric = when(lambda body: "<criterion>" in prompt_of(body), Fault.status_code(400, "no"))
    with ProviderDouble(reply=cast([], SIX), faults=no_rubric) as double:
        reward = CatReward(cat_on(double), num_generations=4, kind="open")
        trainer = trainer_of(TRAINERS[0], reward, tmp_path)
        trainer.train()
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logs) == 2
    assert all(entry["cat/unknown"] == 1.0 for entry in logs)
    assert all(entry["loss"] == 0.0 for entry in logs), "no signal from unknown rewards"
    assert all(entry["reward"] is None for entry in logs)


async def test_batches_as_trl_passes_them() -> None:
    seen: dict[str, Any] = {}
    completions = [
        [{"role": "assistant", "content": "\\boxed{6}"}],
        [
            {"role": "assistant", "content": "hm"},
            {"role": "tool", "content": "7"},
            {"role": "assistant", "content": "\\boxed{7}"},
        ],
        [{"role": "assistant", "content": ""}],
        [{"role": "assistant", "content": "\\boxed{6.0}"}],
    ]
    with ProviderDouble(reply=cast([], SIX)) as double:
        reward = CatReward(cat_on(double), num_generations=4)
        values = await reward(
            prompts=[PROMPTS[3]] * 4,
            completions=completions,
            completion_ids=[[1]] * 4,
            solution=["gold"] * 4,
            trainer_state=object(),
            log_extra=seen.__setitem__,
            log_metric=seen.__setitem__,
        )
        await reward.cat.aclose()
        assert not any("gold" in r.prompt for r in double.requests), "gold labels reach no agent"
    assert values == [1.0, 0.0, None, 1.0]
    assert seen["cat_reference"] == ["So it is \\boxed{6}."] * 4
    assert seen["cat/unknown"] == 0.25
    assert seen["cat/agreement"] == pytest.approx(2 / 3)
    assert "cat/usd" not in seen, "an unknown cost is not zero"


async def test_texts_and_columns() -> None:
    with ProviderDouble(reply=cast([])) as double:
        async with cat_on(double) as cat:
            reward = CatReward(cat, rubric="criteria")
            values = await reward(
                prompts=["Sleep?"] * 2, completions=["Early.", "Late."], criteria=[["Names an hour."]] * 2
            )
            assert values == [1.0, 1.0]
            own = CatReward(cat, reference="teacher")
            assert await own(
                prompts=["2+2?"] * 2, completions=["\\boxed{4}", "\\boxed{5}"], teacher=["\\boxed{5}"] * 2
            ) == [0.0, 1.0]
            with pytest.raises(ConfigError, match="no column 'teacher'; it has answer"):
                await own(prompts=["2+2?"], completions=["4"], answer=["4"])


async def test_a_cut_group_is_refused_and_a_dead_key_ends_the_training() -> None:
    with ProviderDouble(faults=lambda body: Fault.status_code(401, "Incorrect API key")) as double:
        async with cat_on(double) as cat:
            reward = CatReward(cat, num_generations=4)
            with pytest.raises(ConfigError, match="multiple of the group size 4"):
                await reward(prompts=["2+2?"] * 3, completions=["4"] * 3)
            with pytest.raises(AccountError):
                await reward(prompts=["2+2?"] * 4, completions=["\\boxed{4}"] * 4)
    with pytest.raises(ConfigError, match="takes no anchor"):
        CatReward(cat, anchor="openai/m")


async def test_one_lost_group_costs_no_other() -> None:
    lost = when(lambda body: "three" in prompt_of(body), Fault.status_code(400, "no"))
    with ProviderDouble(reply=cast([], SIX), faults=lost) as double:
        async with cat_on(double, estimator="synthesis") as cat:
            values = await CatReward(cat)(
                prompts=["a", "b", "a", "b"],
                completions=["\\boxed{6}", "three", "\\boxed{5}", "three"],
            )
    assert values[::2] == [1.0, 0.0]
    assert values[1::2] == [None, None]
