"""The settings of a training run, and how they become TRL's.

A plain object rather than a subclass of `GRPOConfig`: Unsloth replaces that class, with other defaults,
when it is imported. Every hyper-parameter is passed on by name and compared afterwards, so that what was
asked for is what runs.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from catagent.errors import ConfigError
from catagent.messages import Kind
from catagent.training.methods import method_of

__all__ = ["AnchorKind", "CaTConfig", "LoraOptions"]

AnchorKind: TypeAlias = Literal[
    "auto", "adapter_off", "ref_adapter", "ref_model", "unsloth_vllm", "ema", "policy"
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise ConfigError(_sentence(type(self), error)) from None


class LoraOptions(_Strict):
    """The adapter that is trained. Rank, scale and dropout as LoRA names them."""

    r: int = Field(default=16, ge=1)
    alpha: int | None = Field(default=None, ge=1)
    """`None` takes twice the rank."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    target_modules: str | tuple[str, ...] = "all-linear"
    init: bool | str = True
    """PEFT's `init_lora_weights`. Those that rewrite the base weights (PiSSA, OLoRA, CorDA, LoftQ) are
    refused where the anchor is the base model."""
    bias: str = "none"


class CaTConfig(_Strict):
    """One training run. Defaults are the paper's where it names them (`docs/training.md`), LoRA aside."""

    # What is rewarded, and by whom.
    method: str = "cat"
    """See `catagent.training.methods`."""
    kind: Kind = "verifiable"
    anchor: str = "auto"
    """One of `AnchorKind`, or a model string such as `openai/gpt-5-mini`. `auto`: the policy without its
    adapter, or the copy of the adapter that training starts from, or `ref_model` in full fine-tuning."""
    anchor_tokens: int | None = Field(default=None, ge=1)
    """New tokens of one anchor sample; `None` takes `max_completion_length`."""
    anchor_batch: int = Field(default=32, ge=1)
    """Prompts in one `generate` call of the anchor."""
    ema_decay: float = Field(default=0.99, ge=0, le=1)
    judge: str | None = None
    """A model string; `None` is the anchor itself, which the paper's judge is not."""
    rubric_proposer: str | None = None
    question_aware: bool = False
    proposing: dict[str, Any] = {}
    judging: dict[str, Any] = {}
    rewarding: dict[str, Any] = {}
    length_limit: int | None = Field(default=None, ge=1)
    """Tokens above which `length_penalty` is taken off (paper: 750 on HealthBench, −1)."""
    length_penalty: float = Field(default=1.0, ge=0)
    reward_kl: float = Field(default=0.0, ge=0)
    """KL against the anchor inside the reward, a nat (paper: 1e-3)."""
    providers: str | None = None
    """A providers.yaml for judge and external anchors."""
    prompts: str | None = None
    """A folder of prompt templates of one's own."""

    # Waiting for others.
    judge_patience: float = Field(default=600.0, gt=0)
    """Seconds in which a judge that answers nothing is tried again before training stops."""
    longest_wait: float = Field(default=600.0, gt=0)
    """Seconds that one batch of rewards may spend waiting for other machines; what is missing is `None`."""
    ddp_timeout: int = Field(default=3600, ge=60)
    """Seconds after which a collective operation gives up; patience and wait stay under half of it."""

    # Data.
    chat: bool | None = None
    """Prompts as conversations; `None` says so when the tokenizer has a chat template."""
    instruct: bool = True
    """Ask for the form of the final answer, as `catagent solve` does. Conversations only."""
    label_field: str | None = None
    """The column with gold labels; `None` looks for `label`, `answer`, `gold`. Never shown to an agent."""
    stop: tuple[str, ...] = ()
    """Texts that end a response: what follows the first of them is not scored."""
    max_prompt_tokens: int | None = Field(default=None, ge=1)
    """Longer prompts are left out and counted."""

    # Model.
    backend: Literal["auto", "plain", "unsloth"] = "auto"
    lora: LoraOptions | None = LoraOptions()
    """`None` trains all weights."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    load_in_4bit: bool = False
    gradient_checkpointing: bool = False
    use_cpu: bool | None = None

    # Optimisation, in TRL's words.
    num_generations: int = Field(default=8, ge=2)
    prompts_per_step: int = Field(default=32, ge=1)
    """Questions in one optimisation step, over all processes."""
    per_device_train_batch_size: int = Field(default=8, ge=1)
    """Samples in one forward and backward pass of one process."""
    max_steps: int = Field(default=1000, ge=1)
    learning_rate: float = Field(default=1e-5, gt=0)
    lr_scheduler_type: str = "constant"
    warmup_steps: int = Field(default=0, ge=0)
    optim: str = "adamw_torch"
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    adam_beta1: float = 0.9
    adam_beta2: float = 0.999
    adam_epsilon: float = 1e-8
    loss_type: str = "grpo"
    scale_rewards: str = "group"
    epsilon: float = 0.2
    epsilon_high: float | None = None
    beta: float = Field(default=0.0, ge=0)
    """KL in the loss; the paper has it in the reward (`reward_kl`)."""
    num_iterations: int = Field(default=1, ge=1)
    mask_truncated_completions: bool = False
    seed: int = 0

    # Rollouts.
    max_completion_length: int = Field(default=1024, ge=1)
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: int = Field(default=0, ge=0)
    chat_template_kwargs: dict[str, Any] = {}
    use_vllm: bool = False

    # Watching.
    eval_every: int | None = Field(default=None, ge=1)
    """Steps between evaluations on the held-out data; `None` never."""
    eval_generations: int | None = Field(default=None, ge=1)
    eval_rewards: bool | None = None
    """Make rewards in evaluation too; `None` only where the held-out data has no labels."""
    save_every: int = Field(default=50, ge=1)
    keep_checkpoints: int | None = Field(default=3, ge=1)
    log_every: int = Field(default=1, ge=1)
    log_completions: bool = True
    report_to: tuple[str, ...] = ()
    """`tensorboard`, `trackio`, `wandb`, as TRL takes them."""
    stop_entropy: float | None = Field(default=None, ge=0)
    """Stop when the mean entropy of a token (nats) stays under this for `stop_patience` steps."""
    stop_diversity: float | None = Field(default=None, ge=0, le=1)
    """Stop when the share of different answers in a group stays under this for `stop_patience` steps."""
    stop_patience: int = Field(default=10, ge=1)

    trl: dict[str, Any] = {}
    """Further fields of `GRPOConfig` (FSDP, DeepSpeed, vLLM, …), passed on as they are."""

    @model_validator(mode="after")
    def _consistent(self) -> CaTConfig:
        method = method_of(self.method)
        if method.kind and self.kind not in (method.kind, "auto"):
            other = "rubric" if method.kind == "verifiable" else "cat"
            raise ConfigError(
                f"the method {self.method!r} is for {method.kind} tasks and kind is {self.kind!r}; "
                f"set kind: {method.kind}, or take another method ({other}, for example)"
            )
        if self.judge_patience + self.longest_wait > self.ddp_timeout / 2:
            raise ConfigError(
                f"judge_patience ({self.judge_patience:g} s) and longest_wait ({self.longest_wait:g} s) "
                f"together must stay under half of ddp_timeout ({self.ddp_timeout} s), or another process "
                "gives up first: lower them or raise ddp_timeout"
            )
        return self

    @property
    def settled_kind(self) -> Kind:
        """The kind of all tasks of the run."""
        return method_of(self.method).kind or self.kind

    def accumulation(self, processes: int) -> int:
        """Forward passes of one process in one step. Raises `ConfigError` when groups do not fill them."""
        samples = self.prompts_per_step * self.num_generations
        at_once = self.per_device_train_batch_size * processes
        if samples % at_once:
            raise ConfigError(
                f"a step has {self.prompts_per_step} prompts x {self.num_generations} generations = "
                f"{samples} samples, which {processes} process(es) x per_device_train_batch_size "
                f"{self.per_device_train_batch_size} do not divide: choose a batch size that does"
            )
        return samples // at_once

    def changed(self, changes: Mapping[str, Any]) -> CaTConfig:
        """A copy with these fields set. Raises `ConfigError` as the constructor does."""
        return CaTConfig(**{**self.model_dump(), **changes})


def _sentence(kind: type[BaseModel], error: ValidationError) -> str:
    """One thing that is wrong, with the nearest name for a misspelt one."""
    wrong = error.errors(include_input=False, include_url=False)
    first = next((e for e in wrong if e["type"] == "extra_forbidden"), wrong[0])
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(where, kind.model_fields, 1)
        hint = f"did you mean {near[0]!r}?" if near else "docs/training.md lists them"
        return f"there is no training option {where!r}; {hint}"
    return f"training option {where}: {first['msg']}"
