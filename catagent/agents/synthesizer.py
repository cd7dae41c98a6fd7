"""The Anchor-Synthesizer: rollouts in, one reference out (paper, section 1.2).

The anchor sees the rollouts and not the question, so that it reconciles them instead of acting as one
more rollout; `question` makes it question-aware. Rollouts are shuffled, since order sways a model, by
a seed made from their texts, so that the same group asks the same thing. A group that does not fit the
context window is reconciled in subsets, whose syntheses are reconciled in turn.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Sequence

from catagent.agents.fencing import cleaned, fenced, shortened
from catagent.agents.prompts import Prompts
from catagent.answers import extract
from catagent.errors import ContextOverflowError, EstimationError
from catagent.events import Emit, SynthesisStarted, SynthesisToken
from catagent.gathering import gathered
from catagent.messages import ChatMessage, Kind, Reference, RolloutGroup
from catagent.models.client import Choice, Delta
from catagent.models.endpoint import estimate_tokens
from catagent.models.model import Model

__all__ = ["HEADING", "Synthesizer", "unified"]

HEADING = re.compile(
    r"^[ \t>*]*(?:#{1,6}[ \t*]*(?i:UNIFIED RESPONSE)|UNIFIED RESPONSE)\b[ \t*:]*$", re.MULTILINE
)
"""The line under which the reference stands. Weak anchors leave its hash out, or make it bold instead."""
_CHARACTERS_A_TOKEN = 2.6  # cautious: mathematics takes more tokens than prose
_LEAST = 400  # characters of rollouts; a window with less room than that is of no use


class Synthesizer:
    """Reconciles a group into one reference.

    Raises `EstimationError` when no rollout has text, and the anchor's `ModelError` when it fails.
    """

    def __init__(
        self, model: Model, prompts: Prompts, *, question: str | None = None, emit: Emit | None = None
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._question = question
        self._emit = emit

    async def __call__(self, group: RolloutGroup, variant: int = 0) -> Reference:
        """The reference; its `answer` is `None` when the synthesis of a verifiable group states none.

        Another `variant` is another sample of the anchor, which sees the rollouts in another order.
        """
        sources = [r for r in group.survivors if r.text]
        texts = [cleaned(r.text or "") for r in sources]
        if not texts:
            raise EstimationError("no rollout has text to synthesise")
        order = list(range(len(texts)))
        seed = hashlib.sha256("\0".join(texts).encode("utf-8", "replace")).digest()
        random.Random(seed + bytes(variant)).shuffle(order)
        reasoning = group.kind != "open"
        choice, rounds = await self._reconciled([texts[i] for i in order], reasoning, variant)
        return _reference(choice, reasoning, tuple(sources[i].id for i in order), rounds)

    async def of_nothing(self, kind: Kind) -> Reference:
        """What the anchor answers to the same prompt with no rollouts in it: a placebo."""
        reasoning = kind != "open"
        choice = await self._ask([], reasoning, tell=self._emit is not None)
        return _reference(choice, reasoning, (), 1)

    async def _reconciled(self, texts: list[str], reasoning: bool, variant: int) -> tuple[Choice, int]:
        """Reconcile, in a smaller space each time the anchor says that the prompt was too long."""
        space = self._space(reasoning)
        while True:
            try:
                return await self._in_rounds(texts, reasoning, space, variant)
            except ContextOverflowError as error:
                if space == _LEAST:
                    raise
                if error.limit and self._model.endpoint.context is None:
                    self._model.endpoint.context = error.limit
                known = self._space(reasoning)
                tried = sum(map(len, texts)) if space is None else space
                space = max(_LEAST, min(int(tried * 0.6), known or tried))

    async def _in_rounds(
        self, texts: list[str], reasoning: bool, space: int | None, variant: int
    ) -> tuple[Choice, int]:
        rounds = 0
        while True:
            subsets = _packed(texts, space)
            rounds += 1
            last = len(subsets) == 1
            if self._emit:
                self._emit(
                    SynthesisStarted(
                        round=rounds,
                        rounds=rounds + (0 if last else math.ceil(math.log2(len(subsets)))),
                        groups=len(subsets),
                        model=self._model.name,
                    )
                )
            if last:
                return await self._ask(subsets[0], reasoning, variant, tell=self._emit is not None), rounds
            texts = await gathered(self._merged(subset, reasoning, variant) for subset in subsets)

    async def _merged(self, subset: list[str], reasoning: bool, variant: int) -> str:
        if len(subset) == 1:
            return subset[0]
        choice = await self._ask(subset, reasoning, variant)
        return cleaned(unified(choice.text or "")) or subset[0]

    async def _ask(
        self, texts: list[str], reasoning: bool, variant: int = 0, *, tell: bool = False
    ) -> Choice:
        def told(delta: Delta) -> None:
            assert self._emit is not None
            self._emit(SynthesisToken(text=delta.text, attempt=delta.attempt))

        return await self._model.sample(
            self._messages(texts, reasoning), index=variant, on_delta=told if tell else None
        )

    def _messages(self, texts: Sequence[str], reasoning: bool) -> list[ChatMessage]:
        prompt = self._prompts["synthesis_reasoning" if reasoning else "synthesis_freeform"]
        content = prompt.render(
            responses=fenced(texts, "attempt" if reasoning else "response") or "(There are none.)",
            count=str(len(texts)),
            question=fenced([self._question], "question") if self._question else None,
        )
        return [{"role": "user", "content": content}]

    def _space(self, reasoning: bool) -> int | None:
        """Characters of rollouts that fit beside the prompt and the reply; `None` when nobody knows."""
        endpoint = self._model.endpoint
        if endpoint.context is None:
            return None
        params = {**endpoint.params, **self._model.params}
        reply = params.get("max_tokens") or params.get("max_completion_tokens") or endpoint.context // 4
        frame = estimate_tokens(self._messages(["", ""], reasoning))
        tokens = endpoint.context - min(int(reply), endpoint.context // 2) - frame - 64
        return max(_LEAST, int(tokens * _CHARACTERS_A_TOKEN))


def _reference(choice: Choice, reasoning: bool, parents: tuple[str, ...], rounds: int) -> Reference:
    text = unified(choice.text or "")
    unsaid = cleaned(choice.text or "").strip() if not text else ""  # all stands before the heading
    cut_off = choice.finish_reason == "length"
    answer = extract(text) if reasoning and not cut_off else None
    return Reference(
        parents=parents,
        text=text,
        answer=answer,
        method="synthesis",
        rejected=unsaid or None,
        rounds=rounds,
        cut_off=cut_off,
    )


def _packed(texts: list[str], space: int | None) -> list[list[str]]:
    """The texts in as few subsets of about equal size as fit; at least two fit into each, if need be cut."""
    if space is None or len(texts) == 1:
        return [texts if space is None else [shortened(texts[0], space)]]
    tags = 64
    fitting = [shortened(t, max(100, space // 2 - tags)) for t in texts]
    most = max(1, len(fitting) // 2)  # so that each round leaves at most half
    count = min(most, math.ceil(sum(len(t) + tags for t in fitting) / space))
    while True:
        subsets: list[list[str]] = [[] for _ in range(count)]
        sizes = [0] * count
        for text in sorted(fitting, key=len, reverse=True):
            smallest = sizes.index(min(sizes))
            subsets[smallest].append(text)
            sizes[smallest] += len(text) + tags
        if max(sizes) <= space or count >= most:
            break
        count += 1
    order = {id(t): i for i, t in enumerate(fitting)}
    return [sorted(s, key=lambda t: order[id(t)]) for s in subsets if s]


def unified(text: str) -> str:
    """What follows the last `# UNIFIED RESPONSE`; the whole text when there is no such heading."""
    visible = cleaned(text)
    marks = list(HEADING.finditer(visible))
    return (visible[marks[-1].end() :] if marks else visible).strip()
