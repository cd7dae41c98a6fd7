"""Where the policy comes from: the hub, a folder, a GGUF file, the embedded catalogue, the caller's hands."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catagent.errors import ConfigError
from catagent.models.catalogue import CATALOGUE, fetch, folder
from catagent.training.anchors import check_lora, is_local
from catagent.training.backend import Backend, needed
from catagent.training.config import CaTConfig

__all__ = ["Policy", "converted", "load_model", "load_policy", "resolved"]


@dataclass(slots=True)
class Policy:
    """A model ready for the trainer.

    `peft_config` is for TRL to make the adapter from; `fresh` says that the adapter starts at zero.
    """

    model: Any
    tokenizer: Any
    name: str
    peft_config: Any = None
    fresh: bool = True


def resolved(name: str) -> str:
    """What `transformers` can load: GGUF files and names of the catalogue are converted once and kept.

    Raises `ConfigError` for a file that is not there and `FetchError` for a model that cannot be fetched.
    """
    if name.startswith("gguf:"):
        path = Path(name.removeprefix("gguf:")).expanduser()
        if not path.is_file():
            raise ConfigError(f"there is no GGUF file {path}")
        return str(converted(path))
    if name.startswith("embedded/"):
        known = name.removeprefix("embedded/")
        if known not in CATALOGUE:
            raise ConfigError(f"there is no embedded model {known!r}; there are {', '.join(CATALOGUE)}")
        return str(converted(asyncio.run(fetch(known))))
    return name


def converted(path: Path) -> Path:
    """A folder with the weights of a GGUF file as float32, made on first use and kept in catagent's cache.

    Quantised weights are written out in full: training needs gradients through them.
    """
    needed("gguf")
    stamp = path.stat()
    key = hashlib.sha256(f"{path.resolve()}|{stamp.st_size}|{stamp.st_mtime_ns}".encode()).hexdigest()[:16]
    target = folder().parent / "converted" / f"{path.stem}-{key}"
    if (target / "config.json").is_file():
        return target
    from filelock import FileLock

    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if (target / "config.json").is_file():
            return target
        transformers = needed("transformers")
        making = target.with_name(f"{target.name}.part")
        shutil.rmtree(making, ignore_errors=True)
        try:
            model = transformers.AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name)
            tokenizer = transformers.AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        except (ValueError, OSError, NotImplementedError) as error:
            raise ConfigError(f"transformers cannot read the GGUF file {path}: {error}") from None
        # What the file was quantised with would be written down, and refused, for weights that no longer are.
        model.hf_quantizer = None
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.save_pretrained(making)
        tokenizer.save_pretrained(making)
        making.replace(target)
    return target


def load_model(name: str, *, dtype: str = "auto") -> tuple[Any, Any]:
    """Model and tokenizer for `name`: a hub name, a folder, `gguf:FILE` or `embedded/NAME`."""
    transformers = needed("transformers")
    torch = needed("torch")
    where = resolved(name)
    kind = dtype if dtype == "auto" else getattr(torch, dtype)
    with _said(name):
        model = transformers.AutoModelForCausalLM.from_pretrained(where, dtype=kind)
        tokenizer = transformers.AutoTokenizer.from_pretrained(where)
    return model, tokenizer


@contextlib.contextmanager
def _said(name: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[0]
        raise ConfigError(f"the model {name!r} cannot be loaded: {first}") from None


def load_policy(
    model: Any, tokenizer: Any, config: CaTConfig, backend: Backend, peft_config: Any = None
) -> Policy:
    """The model to train, by its name or as handed over, with the adapter that `config.lora` describes.

    Raises `ConfigError` for an adapter with which the anchor would not be the initial policy.
    """
    if config.lora is not None and is_local(config.anchor):
        check_lora(config.lora.init, config.lora.bias, config.anchor)
    if not isinstance(model, str | Path):
        name = str(getattr(model.config, "_name_or_path", "") or type(model).__name__)
        adapted = getattr(model, "peft_config", None) is not None
        if tokenizer is None:
            raise ConfigError("a model object needs its tokenizer: give processing_class as well")
        lora = None if adapted else peft_config or _lora(config)
        return Policy(model, tokenizer, name, lora, fresh=not adapted)
    if backend == "unsloth":
        return _unsloth(str(model), config)
    dtype = _dtype(config)
    if config.load_in_4bit:
        loaded, own = _in_4bit(str(model))
    else:
        loaded, own = load_model(str(model), dtype=dtype)
    return Policy(loaded, tokenizer or own, str(model), peft_config or _lora(config))


def _dtype(config: CaTConfig) -> str:
    """float32 on a CPU, where half precision is slow and coarse; else as asked or as the model came."""
    torch = needed("torch")
    if config.dtype != "auto":
        return config.dtype
    cpu = config.use_cpu if config.use_cpu is not None else not torch.cuda.is_available()
    return "float32" if cpu else "bfloat16"


def _lora(config: CaTConfig) -> Any:
    if config.lora is None:
        return None
    lora = config.lora
    targets = lora.target_modules if isinstance(lora.target_modules, str) else list(lora.target_modules)
    return needed("peft").LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha or 2 * lora.r,
        lora_dropout=lora.dropout,
        target_modules=targets,
        init_lora_weights=lora.init,
        bias=lora.bias,
        task_type="CAUSAL_LM",
    )


def _in_4bit(name: str) -> tuple[Any, Any]:
    """QLoRA: a base in 4 bits, which is then the frozen anchor too."""
    needed("bitsandbytes", "unsloth")
    transformers, torch = needed("transformers"), needed("torch")
    quantised = transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )
    with _said(name):
        model = transformers.AutoModelForCausalLM.from_pretrained(
            resolved(name), quantization_config=quantised, dtype=torch.bfloat16
        )
        return model, transformers.AutoTokenizer.from_pretrained(resolved(name))


def _unsloth(name: str, config: CaTConfig) -> Policy:
    """By Unsloth, which ignores `peft_config`: the adapter is made here. Every default is passed by name."""
    unsloth = needed("unsloth", "unsloth")
    window = (config.max_prompt_tokens or 2048) + config.max_completion_length
    model, tokenizer = unsloth.FastLanguageModel.from_pretrained(
        model_name=resolved(name),
        max_seq_length=window * (1 + config.num_generations // 2),  # the anchor's prompt holds all rollouts
        dtype=None if config.dtype == "auto" else getattr(needed("torch"), config.dtype),
        load_in_4bit=config.load_in_4bit,
        load_in_8bit=False,
        load_in_16bit=False,
        full_finetuning=config.lora is None,
        fast_inference=config.anchor == "unsloth_vllm" or config.use_vllm,
        max_lora_rank=config.lora.r if config.lora else 64,
        use_gradient_checkpointing="unsloth" if config.gradient_checkpointing else False,
        random_state=config.seed,
    )
    if config.lora is None:
        return Policy(model, tokenizer, name)
    targets = config.lora.target_modules
    model = unsloth.FastLanguageModel.get_peft_model(
        model,
        r=config.lora.r,
        lora_alpha=config.lora.alpha or 2 * config.lora.r,
        lora_dropout=config.lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        init_lora_weights=config.lora.init,
        bias=config.lora.bias,
        use_gradient_checkpointing="unsloth" if config.gradient_checkpointing else False,
        random_state=config.seed,
    )
    return Policy(model, tokenizer, name)
