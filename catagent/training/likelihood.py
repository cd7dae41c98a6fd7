"""How likely a model finds texts that it is given, token by token: one forward pass, nothing is generated.

The paper's selection baselines (section 1) need it: minimum perplexity of the rollouts themselves, mutual
predictability of one after the others. In training the anchor's weights are at hand, so that it can be a
`catagent.models.scoring.Scorer` like an endpoint. The divergence inside the reward is made of the same sums.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from catagent.errors import ContextOverflowError, RequestError
from catagent.models.client import Choice, Completion, TokenLogprob
from catagent.training.backend import needed
from catagent.training.local import ScoreRequest

__all__ = ["Likelihoods", "token_logprobs"]

_AT_ONCE = 4096
"""Padded tokens in one pass: each has a logit for every word of the vocabulary."""


def token_logprobs(
    model: Any, contexts: Sequence[Sequence[int]], texts: Sequence[Sequence[int]], temperature: float = 1.0
) -> list[list[float]]:
    """The log-probability of each token of a text after its context and the tokens before, in nats.

    One row a text, none of them without a context. At another temperature than 1 they are those of what is
    sampled at it.
    """
    torch = needed("torch")
    rows = [[*c, *t] for c, t in zip(contexts, texts, strict=True)]
    width = max(map(len, rows))
    # Padded on the right, where a causal model looks at nothing of it.
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device)
    # Logits are large, and those of what all contexts share are not needed.
    skipped = min(map(len, contexts)) - 1 if _takes_keep(model) else 0
    more = {"logits_to_keep": width - skipped} if skipped else {}
    found = []
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=mask, **more).logits
        for i, (context, text) in enumerate(zip(contexts, texts, strict=True)):
            first, last = len(context), len(context) + len(text)
            before = logits[i, first - 1 - skipped : last - 1 - skipped]
            said = torch.log_softmax(before.float() / temperature, -1)
            found.append(said.gather(-1, ids[i, first:last, None])[:, 0].tolist())
    return found


def _takes_keep(model: Any) -> bool:
    """Whether the model can be asked for the last logits alone."""
    own = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(own.forward).parameters


class Likelihoods:
    """Answers `ScoreRequest`s with a model.

    `weights()` gives the model with the anchor's weights in force. `agree` makes the number of passes the
    same in all processes, where the model is spread over them.
    """

    def __init__(
        self,
        weights: Callable[[], AbstractContextManager[Any]],
        tokenizer: Any,
        context: int | None,
        agree: Callable[[int], int] | None = None,
    ) -> None:
        self._weights = weights
        self._tokenizer = tokenizer
        self._context = context
        self._agree = agree

    def serve(self, requests: Sequence[ScoreRequest]) -> list[Completion | Exception]:
        """One completion a request, in their order, with the text's tokens; or the error in its place."""
        answers: list[Completion | Exception | None] = [None] * len(requests)
        rows: list[tuple[int, list[int], list[int]]] = []
        for number, request in enumerate(requests):
            try:
                rows.append((number, *self._encoded(request)))
            except Exception as error:  # noqa: BLE001 - belongs to whoever asked
                answers[number] = error
        for chunk in self._chunks(rows):
            contexts = [context for _, context, _ in chunk]
            texts = [text for _, _, text in chunk]
            with self._weights() as model:
                # A process with nothing to ask still takes part in a pass that all make together.
                found = token_logprobs(model, contexts or [[0]], texts or [[0]])
            for (number, context, text), values in zip(chunk, found, strict=False):
                tokens = [self._tokenizer.decode([one]) for one in text]
                logprobs = tuple(map(TokenLogprob, tokens, values))
                choice = Choice(requests[number].text, "stop", logprobs=logprobs)
                answers[number] = Completion((choice,), len(context) + len(text), 0)
        return [answer for answer in answers if answer is not None]

    def _encoded(self, request: ScoreRequest) -> tuple[list[int], list[int]]:
        tokenizer, begin = self._tokenizer, self._tokenizer.bos_token
        # A rendered conversation may hold the mark of the beginning already.
        marked = bool(begin) and request.context.startswith(begin)
        context = list(tokenizer(request.context, add_special_tokens=not marked)["input_ids"])
        text = list(tokenizer(request.text, add_special_tokens=False)["input_ids"])
        if not context:
            start = tokenizer.bos_token_id
            context = [tokenizer.eos_token_id if start is None else start]
        if not text:
            raise RequestError("there is no token to score: the text is empty")
        if self._context is not None and len(context) + len(text) > self._context:
            raise ContextOverflowError(
                f"context and text have {len(context) + len(text)} tokens and the window {self._context}",
                limit=self._context,
            )
        return context, text

    def _chunks(
        self, rows: Sequence[tuple[int, list[int], list[int]]]
    ) -> list[list[tuple[int, list[int], list[int]]]]:
        """Rows of like length, few enough for one pass."""
        chunks: list[list[tuple[int, list[int], list[int]]]] = []
        for row in sorted(rows, key=lambda row: len(row[1]) + len(row[2])):
            width = len(row[1]) + len(row[2])
            if chunks and width * (len(chunks[-1]) + 1) <= _AT_ONCE:
                chunks[-1].append(row)
            else:
                chunks.append([row])
        if self._agree is not None:
            chunks += [[]] * (self._agree(len(chunks)) - len(chunks))
        return chunks
