"""CaTTrainer: GRPO whose rewards come from the agents (paper, sections 1.2 to 1.5).

A class over whatever `trl.GRPOTrainer` is when the trainer is made, which Unsloth may have replaced by then.
Of TRL's methods one is overridden, `_calculate_rewards`, which was made to be: it sees every completion of a
batch, before rewards are normalised in their groups.
"""

from __future__ import annotations

import atexit
import copy
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from catagent.agents.prompts import Prompts as Templates
from catagent.errors import ConfigError
from catagent.messages import Usage
from catagent.models.client import Client
from catagent.training.backend import choose_backend, grpo_trainer, needed
from catagent.training.batches import Batch
from catagent.training.callbacks import callbacks_for
from catagent.training.config import CaTConfig
from catagent.training.datasets import instruction_for, read_prompts
from catagent.training.divergence import divergence
from catagent.training.failures import TrainingStopped
from catagent.training.groups import Sampled
from catagent.training.grpo import GrpoTrainer, weights_are_spread
from catagent.training.hyperparameters import grpo_config
from catagent.training.loading import Policy, load_policy
from catagent.training.methods import method_of
from catagent.training.pipeline import RewardPipeline
from catagent.training.reward_function import cat_reward, said

__all__ = ["CaTTrainer", "make_cat_trainer"]


def make_cat_trainer(base: type, cls: type[CaTTrainer] | None = None) -> type[CaTTrainer]:
    """The trainer class over a `GRPOTrainer`, TRL's own or a generated one."""
    cls = cls or CaTTrainer
    if not callable(getattr(base, "_calculate_rewards", None)):
        raise ConfigError(
            f"{base.__name__} has no _calculate_rewards to override: this TRL is not one that catagent "
            "knows; pip install 'catagent[train]'"
        )
    return type(f"{cls.__name__}On{base.__name__}", (cls, base), {"_tag_names": ["catagent", "cat-rl"]})


class CaTTrainer(GrpoTrainer):
    """Trains `model` on references made from its own rollouts.

    `model` is a name (`docs/training.md`) or a model with its `processing_class`. `train_dataset` and
    `eval_dataset` are files, rows or `Prompts`; their labels, if any, are used for figures alone. `judge`,
    `anchor` and `rubric_proposer` may be a `Client` of one's own instead of what `args` names. Further
    `reward_funcs` are called as TRL does, with `reference` and `rubric` beside the columns of the data.

    Everything else is `trl.GRPOTrainer`'s. Raises `ConfigError` before a model is loaded where it can.
    """

    def __new__(cls, *_: Any, **options: Any) -> Any:
        """An instance of this class over the `GRPOTrainer` there is, Unsloth's if it is used."""
        made: type = cls
        if not hasattr(cls, "cat_backend"):
            backend = choose_backend((options.get("args") or CaTConfig()).backend)
            made = make_cat_trainer(grpo_trainer(), cls)
            made.cat_backend = backend  # type: ignore[attr-defined]
        return object.__new__(made)

    def __init__(
        self,
        model: Any,
        train_dataset: Any,
        args: CaTConfig | None = None,
        *,
        eval_dataset: Any = None,
        processing_class: Any = None,
        peft_config: Any = None,
        reward_funcs: Sequence[Any] = (),
        callbacks: Iterable[Any] = (),
        output_dir: str | Path = "cat-rl",
        judge: str | Client | None = None,
        anchor: Client | None = None,
        rubric_proposer: str | Client | None = None,
    ) -> None:
        config = args or CaTConfig()
        self.cat_config = config
        self.cat_output = Path(output_dir)
        method = method_of(config.method)
        templates = Templates(config.prompts)
        backend = choose_backend(config.backend)
        data = read_prompts(train_dataset, label_field=config.label_field)
        self.cat_held_out = held_out = (
            read_prompts(eval_dataset, label_field=config.label_field) if eval_dataset is not None else None
        )
        if method.control == "gold" and not all(label is not None for label in data.labels):
            raise ConfigError(
                "the method 'gold' rewards by labels, and a prompt has none: give every row a label "
                "(label_field), or take a label-free method"
            )
        policy = load_policy(model, processing_class, config, backend, peft_config)
        tokenizer = policy.tokenizer
        chat = bool(tokenizer.chat_template) if config.chat is None else config.chat
        if (most := config.max_prompt_tokens) is not None:
            data = data.fitting(tokenizer, most, chat=chat)
        instruction = instruction_for(config.settled_kind, templates) if config.instruct and chat else None
        columns = bool(reward_funcs)
        grpo = grpo_config(config, self.cat_output, evaluate=held_out is not None)
        kept = None
        if _keeps_copy(config, policy):
            kept = copy.deepcopy(policy.model).eval().requires_grad_(False)
        super().__init__(
            model=policy.model,
            args=grpo,
            reward_funcs=[cat_reward, *reward_funcs],
            train_dataset=data.dataset(chat=chat, instruction=instruction, columns=columns),
            eval_dataset=held_out.dataset(chat=chat, instruction=instruction, columns=columns)
            if held_out
            else None,
            processing_class=tokenizer,
            peft_config=policy.peft_config if backend == "plain" else None,
        )
        if self.ref_model is None and kept is not None:
            self.ref_model = self.accelerator.prepare_model(kept, evaluation_mode=True)
        if not any(p.requires_grad for p in self.model.parameters()):
            raise ConfigError(
                "no parameter of the model is trainable: is its adapter loaded with is_trainable?"
            )
        self.cat_rewards = rewards = RewardPipeline(
            self, policy, {"train": data, "eval": held_out}, templates, chat=chat, instruction=instruction,
            judge=judge, anchor=anchor, proposer=rubric_proposer,
        )  # fmt: skip
        self.cat_anchor, self.cat_generator, self.cat_check = rewards.anchor, rewards.generator, rewards.check
        self._weights, self._rewarding = rewards.weights, rewards.rewarding
        atexit.register(self.close)
        self.cat_callbacks = callbacks_for(self)
        for callback in (*self.cat_callbacks, *callbacks):
            self.add_callback(callback)

    def _calculate_rewards(
        self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any
    ) -> Any:
        mode = "train" if self.model.training else "eval"
        step = int(self.state.global_step)
        if mode == "train" and self.cat_rewards.checks and (not self.cat_check.settled or step % 50 == 0):
            self.cat_check(step)
        ends = set(self.eos_token_ids)
        samples = [
            Sampled(int(row["row"]), said(completion), len(ids), bool(ids) and ids[-1] in ends)
            for row, completion, ids in zip(inputs, completions, completion_ids_list, strict=True)
        ]
        kl = None
        if mode == "train" and self.cat_config.reward_kl > 0:
            prompt_ids = self._tokenize_prompts(prompts)[0]
            kl = divergence(self, self._weights, prompt_ids, completion_ids_list)
        size = self.num_generations if mode == "train" else self.num_generations_eval
        batch: Batch = self._rewarding(mode, step, size, samples, kl)
        for j, row in enumerate(inputs):
            row["cat_reward"] = batch.rewards[j]
            row["reference"] = batch.references[j]
            row["rubric"] = batch.rubrics[j]
            row["cat_metrics"] = batch.metrics
        return super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)

    def cat_most(self, count: int) -> int:
        """The largest of a number over all processes."""
        return int(max(needed("accelerate.utils").gather_object([count])))

    def cat_any(self, wanted: bool) -> bool:
        """Whether any process wants something; all must ask."""
        return bool(self.cat_most(int(wanted))) if self.accelerator.num_processes > 1 else wanted

    def cat_stop(self, reason: str) -> None:
        """Save what there is and stop: called by all processes with the same reason."""
        folder = self.cat_save()
        raise TrainingStopped(
            f"training stopped at step {self.state.global_step}: {reason}. Everything is kept in {folder}: "
            "see to the cause and go on with resume",
            checkpoint=folder,
        )

    def cat_save(self) -> str:
        """Write a checkpoint of the last whole step, with the random state from before the one begun."""
        for callback in self.cat_callbacks:
            if hasattr(callback, "before_checkpoint"):
                callback.before_checkpoint()
        self._save_checkpoint(self.model, trial=None)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        for callback in self.cat_callbacks:
            if hasattr(callback, "after_checkpoint") and self.accelerator.is_main_process:
                callback.after_checkpoint(folder)
        return str(folder)

    @property
    def cat_spread(self) -> bool:
        """Whether each process holds a part of the weights, so that all generate together or not at all."""
        return weights_are_spread(self)

    @property
    def cat_stopped(self) -> str | None:
        """Why training was stopped before its last step, if it was."""
        return next((c.reason for c in self.cat_callbacks if getattr(c, "reason", None)), None)

    @property
    def cat_interrupted(self) -> bool:
        """Whether training was stopped by Ctrl-C."""
        return any(getattr(c, "asked", False) for c in self.cat_callbacks)

    @property
    def cat_usage(self) -> Usage:
        """What the agents consumed, over all batches and processes."""
        return self._rewarding.usage

    def close(self) -> None:
        """Give back connections, the journal and the thread. A closed trainer makes no more rewards."""
        atexit.unregister(self.close)
        self.cat_rewards.close()


def _keeps_copy(config: CaTConfig, policy: Policy) -> bool:
    """Whether the initial policy has to be kept beside the one in training, to be the anchor.

    TRL keeps one itself where the loss has a KL term.
    """
    whole = policy.peft_config is None and getattr(policy.model, "peft_config", None) is None
    asks = method_of(config.method).asks_anchor or config.reward_kl > 0
    return whole and asks and config.beta == 0 and config.anchor in ("auto", "ref_model")
