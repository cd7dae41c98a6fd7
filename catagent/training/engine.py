"""Generation by the vLLM engine that Unsloth shares with the trainer.

The engine holds the base weights; Unsloth gives it the policy as a LoRA request for each call. Without one it
is the frozen anchor, at no memory of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from catagent.models.client import Choice
from catagent.training.backend import needed
from catagent.training.generation import Generator
from catagent.training.local import Sampling

__all__ = ["EngineGenerator"]


class EngineGenerator(Generator):
    """A `Generator` whose samples come from `model.vllm_engine`, asked without a LoRA request."""

    @contextlib.contextmanager
    def frozen(self) -> Iterator[Any]:
        """The trainer's own copy of the weights, with its adapter switched off."""
        with self._weights() as model, model.disable_adapter():
            yield model

    def _generated(self, chunk: Sequence[tuple[int, Sampling, list[int]]]) -> list[tuple[Choice, int]]:
        if not chunk:
            return []
        vllm = needed("vllm", "vllm")
        sampling = chunk[0][1]
        settings = vllm.SamplingParams(
            max_tokens=sampling.tokens,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k or -1,
            min_p=sampling.min_p or 0.0,
            repetition_penalty=sampling.repetition_penalty,
            stop=list(sampling.stop) or None,
            seed=self._drawn_from() % (1 << 31),
        )
        with self._weights() as model:
            prompts = [{"prompt_token_ids": ids} for _, _, ids in chunk]
            replies: Any = model.vllm_engine.generate(prompts, sampling_params=settings, use_tqdm=False)
        made = [reply.outputs[0] for reply in replies]
        self.tokens += sum(len(one.token_ids) for one in made)
        return [(Choice(one.text, one.finish_reason), len(one.token_ids)) for one in made]
