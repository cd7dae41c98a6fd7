"""Models from GGUF files and from Unsloth's engine."""

from __future__ import annotations

import contextlib
import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from catagent.errors import ConfigError
from catagent.models.client import Completion, ModelRequest
from catagent.training.engine import EngineGenerator
from catagent.training.loading import load_model, resolved
from catagent.training.local import Sampling
from tests.training import tiny


def write_gguf(path: Path, weights: Any) -> None:
    """The tiny model as a GGUF file, as llama.cpp's converter would write it."""
    import gguf

    words = tiny.tokenizer()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(32)
    writer.add_block_count(2)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(2)
    writer.add_rope_dimension_count(16)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(320)
    inverse = {index: token for token, index in words.get_vocab().items()}
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([inverse.get(i, f"<unused{i}>") for i in range(320)])
    writer.add_token_types([3 if i < 3 else 1 for i in range(320)])
    merges = json.loads(words.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(pair) for pair in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_chat_template(tiny.TEMPLATE)
    names = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }
    parts = {
        "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }  # fmt: skip
    for layer in range(2):
        names |= {f"model.layers.{layer}.{a}.weight": f"blk.{layer}.{b}.weight" for a, b in parts.items()}
    for name, tensor in weights.items():
        array = tensor.float()
        if "q_proj" in name or "k_proj" in name:  # llama.cpp keeps the halves of a rotation side by side
            array = array.reshape(2, 2, 8, 32).swapaxes(1, 2).reshape(32, 32)
        writer.add_tensor(names[name], array.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_is_converted_once(tmp_path: Path, taught: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATAGENT_CACHE", str(tmp_path / "cache"))
    write_gguf(tmp_path / "tiny.gguf", taught)
    name = f"gguf:{tmp_path / 'tiny.gguf'}"
    model, words = load_model(name, dtype="float32")
    ids = torch.tensor([[1, 5, 9, 40, 41]])
    with torch.no_grad():
        found = model.eval()(input_ids=ids).logits
        wanted = tiny.model(weights=taught).eval()(input_ids=ids).logits
    assert torch.allclose(found, wanted, atol=1e-4)
    assert words.chat_template == tiny.TEMPLATE
    folder = Path(resolved(name))
    stamp = (folder / "config.json").stat().st_mtime_ns
    assert "quantization_config" not in (folder / "config.json").read_text()
    again, _ = load_model(name, dtype="float32")
    with torch.no_grad():
        assert torch.equal(again.eval()(input_ids=ids).logits, found)
    assert (folder / "config.json").stat().st_mtime_ns == stamp


def test_names_that_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATAGENT_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match="there is no GGUF file"):
        resolved("gguf:/nowhere.gguf")
    with pytest.raises(ConfigError, match="there is no embedded model 'x'"):
        resolved("embedded/x")
    (tmp_path / "bad.gguf").write_bytes(b"GGUF" + b"\0" * 64)
    with pytest.raises(ConfigError, match="cannot read the GGUF file"):
        resolved(f"gguf:{tmp_path / 'bad.gguf'}")


def test_the_shared_engine_is_asked_without_an_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for vLLM, which needs a GPU: what it is asked, and how its replies are read."""
    asked: list[dict[str, Any]] = []

    class Engine:
        def generate(self, prompts: Any, **options: Any) -> Any:
            asked.append({"prompts": prompts, **options})
            said = types.SimpleNamespace(text="four", finish_reason="stop", token_ids=[5, 6])
            return [types.SimpleNamespace(outputs=[said]) for _ in prompts]

    vllm = types.ModuleType("vllm")
    vllm.SamplingParams = lambda **given: given  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", vllm)

    @contextlib.contextmanager
    def weights() -> Iterator[Any]:
        yield types.SimpleNamespace(vllm_engine=Engine())

    made = EngineGenerator(
        weights, tiny.tokenizer(), Sampling(tokens=9, temperature=0.7), chat=True, template={}, context=512,
        at_once=8, seed=0,
    )  # fmt: skip
    (answer,) = made.serve([ModelRequest("a", [{"role": "user", "content": "1 + 3?"}], 2)])
    assert isinstance(answer, Completion)
    assert [choice.text for choice in answer.choices] == ["four", "four"]
    (call,) = asked
    assert "lora_request" not in call
    assert (call["sampling_params"]["max_tokens"], call["sampling_params"]["top_k"]) == (9, -1)
    assert made.tokens == 4
