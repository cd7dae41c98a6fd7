"""A model made in the process: two layers, a byte-pair tokenizer of a few hundred tokens, no download."""

from __future__ import annotations

import functools
import random
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SETTINGS: dict[str, Any] = {
    "num_generations": 4,
    "prompts_per_step": 2,
    "per_device_train_batch_size": 4,
    "max_steps": 2,
    "max_completion_length": 6,
    "anchor_tokens": 6,
    "learning_rate": 5e-3,
    "save_every": 100,
    "instruct": False,
    "use_cpu": True,
    "log_completions": False,
    "trl": {"disable_tqdm": True},
}


def question(a: int) -> str:
    return f"{a} + 3?"


def rows(count: int = 8) -> list[dict[str, Any]]:
    """Questions with labels."""
    return [{"prompt": question(a), "label": str(a + 3)} for a in range(count)]


@functools.cache
def tokenizer(*, chat: bool = True) -> Any:
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    texts = [f"{question(a)} \\boxed{{{a}}}\n<|im_start|>user\nassistant\n" for a in range(20)]
    raw.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=320,
            special_tokens=["<pad>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw, pad_token="<pad>", eos_token="<|im_end|>", bos_token="<|im_start|>"
    )
    if chat:
        made.chat_template = TEMPLATE
    return made


def model(seed: int = 0, window: int = 4096, weights: Any = None) -> Any:
    torch.manual_seed(seed)
    made = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=320,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=window,
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
            tie_word_embeddings=False,
        )
    )
    if weights is not None:
        made.load_state_dict(weights)
    return made


def taught(steps: int = 50) -> Any:
    """Weights of a model that answers any prompt with some boxed number."""
    words = tokenizer()
    draw = random.Random(0)
    made = model().train()
    optimizer = torch.optim.AdamW(made.parameters(), lr=1e-2)
    heads = ["", " and judge", " Below are 4 attempts"]
    for _ in range(steps):
        batch = []
        for _ in range(24):
            a = draw.randrange(8)
            said = a + 3 if draw.random() < 0.4 else draw.randrange(3, 11)
            prompt = words.apply_chat_template(
                [{"role": "user", "content": question(a) + draw.choice(heads)}],
                tokenize=False,
                add_generation_prompt=True,
            )
            batch.append((words(prompt)["input_ids"], words(f"\\boxed{{{said}}}<|im_end|>")["input_ids"]))
        width = max(len(p) + len(c) for p, c in batch)
        ids = torch.tensor([p + c + [0] * (width - len(p) - len(c)) for p, c in batch])
        labels = torch.tensor([[-100] * len(p) + c + [-100] * (width - len(p) - len(c)) for p, c in batch])
        loss = made(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return made.eval().state_dict()
