"""Batched generation by the anchor, on the thread that owns the model.

Prompts are padded on the left here, whatever the tokenizer is set to (Unsloth sets it to the right). The
anchor draws from a random generator of its own: whether a sample is taken from the journal or made anew, the
policy's rollouts stay the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from catagent.errors import ContextOverflowError
from catagent.messages import ChatMessage
from catagent.models.client import Choice, Completion, ModelRequest
from catagent.training.backend import needed
from catagent.training.likelihood import Likelihoods
from catagent.training.local import Sampling, ScoreRequest

__all__ = ["Generator"]


class Generator:
    """Answers requests with a model: renders, pads, generates, decodes.

    `weights()` gives the model with the anchor's weights in force, for the time of the context. `agree` makes
    the number of `generate` calls the same in all processes, where the model is spread over them.
    """

    def __init__(
        self,
        weights: Callable[[], AbstractContextManager[Any]],
        tokenizer: Any,
        sampling: Sampling,
        *,
        chat: bool,
        template: dict[str, Any],
        context: int | None,
        at_once: int,
        seed: int,
        agree: Callable[[int], int] | None = None,
    ) -> None:
        self._weights = weights
        self._tokenizer = tokenizer
        self._sampling = sampling
        self._chat = chat
        self._template = template
        self._context = context
        self._at_once = at_once
        self._seed = seed
        self._agree = agree
        self.step = ""
        self._calls = 0
        self.tokens = 0
        """New tokens made so far."""
        self._likelihoods = Likelihoods(self.frozen, tokenizer, context, agree)

    def begin(self, step: str) -> None:
        """A new batch of rewards: what is drawn depends on its name, not on what was drawn before."""
        self.step, self._calls = step, 0

    def frozen(self) -> AbstractContextManager[Any]:
        """A context that gives the model with the anchor's weights, for forward passes."""
        return self._weights()

    def serve(self, requests: Sequence[ModelRequest]) -> list[Completion | Exception]:
        """One completion a request, in their order, or the error in its place."""
        texts = [request for request in requests if isinstance(request, ScoreRequest)]
        sampled = iter(self._sampled([r for r in requests if not isinstance(r, ScoreRequest)]))
        scored = iter(self._likelihoods.serve(texts))
        return [next(scored if isinstance(request, ScoreRequest) else sampled) for request in requests]

    def _sampled(self, requests: Sequence[ModelRequest]) -> list[Completion | Exception]:
        rows: list[tuple[int, Sampling, list[int]]] = []
        answers: list[Completion | Exception | None] = [None] * len(requests)
        lengths = [0] * len(requests)
        for number, request in enumerate(requests):
            try:
                sampling = self._sampling.with_params(request.params)
                ids = self._encoded(request.messages, sampling)
            except Exception as error:  # noqa: BLE001 - belongs to whoever asked
                answers[number] = error
                continue
            lengths[number] = len(ids)
            rows += [(number, sampling, ids)] * request.n
        choices: list[list[tuple[Choice, int]]] = [[] for _ in requests]
        for chunk in self._chunks(rows):
            for (number, _, _), made in zip(chunk, self._generated(chunk), strict=True):
                choices[number].append(made)
        for number, made_choices in enumerate(choices):
            if answers[number] is None:
                answers[number] = Completion(
                    tuple(choice for choice, _ in made_choices),
                    prompt_tokens=lengths[number],
                    completion_tokens=sum(count for _, count in made_choices),
                )
        return [answer for answer in answers if answer is not None]

    def encode(self, messages: Sequence[ChatMessage]) -> list[int]:
        """The token ids of a prompt, as the anchor gets it."""
        text = self.rendered(messages)
        return list(self._tokenizer(text, add_special_tokens=not self._chat)["input_ids"])

    def rendered(self, messages: Sequence[ChatMessage]) -> str:
        """The text of a prompt, as the anchor gets it."""
        if not self._chat:
            return "\n".join(str(m.get("content") or "") for m in messages)
        goes_on = messages[-1].get("role") == "assistant"
        text: str = self._tokenizer.apply_chat_template(
            [{**m, "content": _text(m)} for m in messages],
            tokenize=False,
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
            **self._template,
        )
        return text

    def _encoded(self, messages: Sequence[ChatMessage], sampling: Sampling) -> list[int]:
        ids = self.encode(messages)
        if self._context is not None and len(ids) + min(sampling.tokens, self._context // 4) > self._context:
            raise ContextOverflowError(
                f"the prompt has {len(ids)} tokens and the window {self._context}", limit=self._context
            )
        return ids

    def _chunks(
        self, rows: Sequence[tuple[int, Sampling, list[int]]]
    ) -> list[list[tuple[int, Sampling, list[int]]]]:
        """Rows that can go in one call: sampled alike, at most `at_once`."""
        alike: dict[Sampling, list[tuple[int, Sampling, list[int]]]] = {}
        for row in rows:
            alike.setdefault(row[1], []).append(row)
        chunks = [
            same[i : i + self._at_once] for same in alike.values() for i in range(0, len(same), self._at_once)
        ]
        if self._agree is not None:
            chunks += [[]] * (self._agree(len(chunks)) - len(chunks))
        return chunks

    def _generated(self, chunk: Sequence[tuple[int, Sampling, list[int]]]) -> list[tuple[Choice, int]]:
        torch = needed("torch")
        transformers = needed("transformers")
        # A process with nothing to ask still takes part in a call that all make together.
        sampling = chunk[0][1] if chunk else Sampling(tokens=1)
        prompts = [ids for _, _, ids in chunk] or [self.encode([{"role": "user", "content": "-"}])]
        tokenizer = self._tokenizer
        pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        width = max(map(len, prompts))
        with self._weights() as model:
            device = model.device
            ids = torch.tensor([[pad] * (width - len(p)) + p for p in prompts], device=device)
            mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
            ends = _ends(model, tokenizer)
            tokens = sampling.tokens
            if self._context is not None:
                tokens = max(1, min(tokens, self._context - width))
            settings = transformers.GenerationConfig(
                max_new_tokens=tokens,
                **_drawing(sampling),
                pad_token_id=pad,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=ends,
                use_cache=True,
                disable_compile=True,
            )
            more: dict[str, Any] = {}
            if sampling.stop:
                more = {"stop_strings": list(sampling.stop), "tokenizer": tokenizer}
            if self._agree is not None and torch.distributed.is_initialized():
                more["synced_gpus"] = True
            devices = [device] if device.type == "cuda" else []
            with torch.random.fork_rng(devices=devices), torch.no_grad():
                torch.manual_seed(self._drawn_from())
                made = model.generate(input_ids=ids, attention_mask=mask, generation_config=settings, **more)
        new = made[: len(chunk), width:].tolist()
        return [self._choice(row, ends, sampling) for row in new]

    def _drawn_from(self) -> int:
        self._calls += 1
        return int.from_bytes(
            hashlib.sha256(f"{self._seed}|{self.step}|{self._calls}".encode()).digest()[:6], "big"
        )

    def _choice(self, ids: list[int], ends: list[int], sampling: Sampling) -> tuple[Choice, int]:
        stopped = next((i for i, token in enumerate(ids) if token in ends), None)
        kept = ids if stopped is None else ids[:stopped]
        text = self._tokenizer.decode(kept, skip_special_tokens=True)
        cut = min((at for at in (text.find(s) for s in sampling.stop) if at >= 0), default=None)
        finished = stopped is not None or cut is not None
        count = len(kept) + (stopped is not None)
        self.tokens += count
        return Choice(text[:cut], "stop" if finished else "length"), count


def _drawing(sampling: Sampling) -> dict[str, Any]:
    """The settings of the draw. A greedy one names none, or transformers warns of them."""
    if sampling.temperature == 0:
        return {"do_sample": False, "repetition_penalty": sampling.repetition_penalty}
    return {
        "do_sample": True,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
    }


def _ends(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a sample: the model's and the tokenizer's."""
    known = getattr(model.generation_config, "eos_token_id", None)
    listed = list(known) if isinstance(known, list | tuple) else [known]
    return sorted({int(token) for token in (*listed, tokenizer.eos_token_id) if token is not None})


def _text(message: ChatMessage) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "\n".join(str(part.get("text", "")) for part in content)
    return str(content or "")
