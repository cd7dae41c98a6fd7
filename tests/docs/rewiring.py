"""The reader's configuration with every provider at one address: that of the double."""

from __future__ import annotations

from typing import Any

import yaml

__all__ = ["PROVIDERS", "rewired"]

PROVIDERS = ("openai", "anthropic", "gemini", "bedrock", "together_ai", "groq", "openrouter", "hosted_vllm",
             "ollama", "lm_studio", "llamacpp", "embedded")  # fmt: skip


def rewired(text: str, base: str) -> str:
    """`text`, a configuration, so that every provider it names or that exists is the server at `base`.

    Prices are given, so that no price list is loaded.
    """
    given: dict[str, Any] = yaml.safe_load(text) or {}
    own = given.get("providers") or {}
    there = {"api": "openai", "base_url": base, "api_key": "sk-test-123456789"}
    providers = {}
    for name in dict.fromkeys((*PROVIDERS, *own)):
        price = {} if (own.get(name) or {}).get("local") else {"price": {"prompt": 0.25, "completion": 2.0}}
        providers[name] = {**price, **(own.get(name) or {}), **there}
    return yaml.safe_dump({**given, "providers": providers})
