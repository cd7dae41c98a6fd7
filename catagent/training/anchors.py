"""Whose weights the anchor has: the policy's without what was trained, a copy of it, or another model's.

Nothing is held in memory twice: with LoRA the frozen initial policy is the model with its adapter switched
off. That is true only while the base weights are those training began with, so initialisations that rewrite
them and trainable biases are refused.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, get_args

from catagent.errors import ConfigError
from catagent.training.backend import needed
from catagent.training.config import AnchorKind, CaTConfig

__all__ = ["anchor_weights", "check_lora", "is_local", "keep_copy", "move_average", "settle_anchor"]

_REWRITING = ("pissa", "olora", "corda", "loftq")
_KINDS = get_args(AnchorKind)


def is_local(anchor: str) -> bool:
    """Whether `anchor` names weights of the training process, not a model string."""
    return anchor in _KINDS


def settle_anchor(config: CaTConfig, model: Any, ref_model: Any, *, fresh: bool) -> str:
    """What `auto` stands for, and whether the anchor that was asked for can be had with this model.

    `fresh`: the adapter was made for this run, so that the model without it is the initial policy. Raises
    `ConfigError` with the remedy.
    """
    adapted = getattr(model, "peft_config", None) is not None
    anchor = config.anchor
    if not is_local(anchor):
        return anchor
    if anchor == "auto":
        if adapted:
            anchor = "adapter_off" if fresh else "ref_adapter"
        elif ref_model is not None:
            anchor = "ref_model"
        else:
            anchor = "policy"  # nobody asks it: the method needs no anchor
    if anchor in ("adapter_off", "ref_adapter", "ema") and not adapted:
        raise ConfigError(f"the anchor {anchor!r} needs an adapter: set lora, or another anchor")
    if anchor == "ref_model" and ref_model is None:
        raise ConfigError("the anchor 'ref_model' is for training without an adapter: set lora: null")
    if anchor == "adapter_off" and not fresh:
        raise ConfigError(
            "the model comes with an adapter, so that switching it off is not the initial policy: "
            "set anchor: ref_adapter"
        )
    if anchor == "unsloth_vllm" and getattr(model, "vllm_engine", None) is None:
        raise ConfigError(
            "the anchor 'unsloth_vllm' needs Unsloth with fast_inference, which this model has not; "
            "set anchor: auto"
        )
    if adapted:
        for lora in model.peft_config.values():
            check_lora(getattr(lora, "init_lora_weights", True), getattr(lora, "bias", "none"), anchor)
    return anchor


def check_lora(init: Any, bias: str, anchor: str) -> None:
    """Refuse adapters with which the model without its adapter is not the initial policy."""
    if anchor not in ("adapter_off", "auto"):
        return
    if isinstance(init, str) and init.lower().startswith(_REWRITING):
        raise ConfigError(
            f"init {init!r} rewrites the base weights, so that the model without its adapter is not the "
            "initial policy and cannot be the anchor: take init: true, or a model string as the anchor"
        )
    if bias != "none":
        raise ConfigError(
            f"bias {bias!r} trains biases of the base model, so that the model without its adapter is not "
            "the initial policy and cannot be the anchor: take bias: none"
        )


def keep_copy(model: Any, name: str) -> None:
    """Add a frozen adapter `name` with the weights of the trained one."""
    model.add_adapter(name, model.peft_config["default"])
    _copy(model, name, lambda _, new: new)
    model.set_adapter("default")
    for parameter_name, parameter in model.named_parameters():
        if f".{name}." in parameter_name:
            parameter.requires_grad_(False)


def move_average(model: Any, name: str, decay: float) -> None:
    """Move the adapter `name` towards the trained one: `decay` of the old and the rest of the new."""
    _copy(model, name, lambda old, new: old * decay + new * (1 - decay))


def _copy(model: Any, name: str, mixed: Callable[[Any, Any], Any]) -> None:
    torch = needed("torch")
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for parameter_name, parameter in parameters.items():
            if ".default." in parameter_name:
                target = parameters[parameter_name.replace(".default.", f".{name}.")]
                target.copy_(mixed(target, parameter))


def anchor_weights(anchor: str, trainer: Any) -> Callable[[], AbstractContextManager[Any]]:
    """Contexts in which the model of the trainer generates as the anchor.

    The mode (dropout) and the adapter in force are those from before when a context is left.
    """

    @contextlib.contextmanager
    def weights() -> Iterator[Any]:
        unwrapped = needed("trl.models.utils").unwrap_model_for_generation
        wrapped = trainer.ref_model if anchor == "ref_model" else trainer.model_wrapped
        with (
            unwrapped(wrapped, trainer.accelerator, **_known(unwrapped, trainer.args)) as model,
            _summoned(trainer, wrapped),
            _as_anchor(model, anchor),
        ):
            training = model.training
            model.eval()
            try:
                yield model
            finally:
                model.train(training)

    return weights


def _known(unwrapped: Any, args: Any) -> dict[str, Any]:
    """The options that this TRL's `unwrap_model_for_generation` takes: older ones take fewer."""
    options = {
        "gather_deepspeed3_params": args.ds3_gather_for_generation,
        "gradient_checkpointing_kwargs": args.gradient_checkpointing_kwargs,
    }
    takes = inspect.signature(unwrapped).parameters
    return {name: value for name, value in options.items() if name in takes}


def _as_anchor(model: Any, anchor: str) -> AbstractContextManager[Any]:
    if anchor == "adapter_off":
        disabled: AbstractContextManager[Any] = model.disable_adapter()
        return disabled
    if anchor == "ref_adapter":
        return _switched(model, "ref" if "ref" in model.peft_config else "anchor")
    if anchor == "ema":
        return _switched(model, "ema")
    return contextlib.nullcontext()


@contextlib.contextmanager
def _switched(model: Any, name: str) -> Iterator[None]:
    """Another adapter in force. What is trainable stays as it was: PEFT would make the other one so."""
    trainable = [(p, p.requires_grad) for p in model.parameters()]
    before = model.active_adapter
    model.set_adapter(name)
    try:
        yield
    finally:
        model.set_adapter(before)
        for parameter, wanted in trainable:
            parameter.requires_grad_(wanted)


def _summoned(trainer: Any, wrapped: Any) -> AbstractContextManager[Any]:
    """The whole parameters of a model that FSDP keeps in shards."""
    if not trainer.is_fsdp_enabled:
        return contextlib.nullcontext()
    fsdp = needed("torch.distributed.fsdp").FullyShardedDataParallel
    if not isinstance(wrapped, fsdp):
        return contextlib.nullcontext()
    summoned: AbstractContextManager[Any] = fsdp.summon_full_params(wrapped, recurse=False)
    return summoned
