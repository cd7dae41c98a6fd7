"""What a client asks to learn who answers: model lists and the local servers' own pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tests.doubles.protocol import Body

__all__ = ["Flavour", "page"]

Flavour = Literal["openai", "vllm", "llama.cpp", "ollama"]


def page(path: str, *, flavour: Flavour, models: Sequence[str], context: int | None) -> Body | None:
    """The JSON at `path`, or None where this flavour has no such page."""
    if path == "/v1/models":
        return {"object": "list", "data": [model(name, flavour, context) for name in models]}
    if path == "/health" and flavour in ("llama.cpp", "vllm"):
        return {"status": "ok"}
    if path == "/props" and flavour == "llama.cpp":
        return {
            "default_generation_settings": {"n_ctx": context or 4096},
            "total_slots": 4,
            "model_path": models[0],
            "chat_template": "{{ messages }}",
        }
    if path == "/api/version" and flavour == "ollama":
        return {"version": "0.12.6"}
    if path == "/api/tags" and flavour == "ollama":
        details = {"format": "gguf", "family": "double", "parameter_size": "1B"}
        common = {"size": 1_000_000, "digest": "0" * 64, "details": details}
        return {"models": [{"name": name, "model": name, **common} for name in models]}
    return None


def model(name: str, flavour: Flavour, context: int | None) -> Body:
    entry: Body = {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": flavour}
    if flavour == "vllm":
        entry |= {"root": name, "parent": None, "max_model_len": context or 4096}
    if flavour == "llama.cpp":
        entry["meta"] = {"n_vocab": 49152, "n_ctx_train": context or 4096, "n_params": 134_515_008}
    return entry
