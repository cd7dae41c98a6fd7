"""The Selector: several responses in, the index of one of them out.

For baselines that select instead of synthesise. The model sees the question and all candidates, each between
tags of its own, in an order that is shuffled by a seed made from their texts, since models favour what
stands first or last.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Sequence

from catagent.agents.fencing import cleaned, fenced, shortened
from catagent.agents.markup import elements, plain, readable
from catagent.agents.prompts import Prompts
from catagent.messages import ChatMessage
from catagent.models.endpoint import estimate_tokens
from catagent.models.model import Model

__all__ = ["Selector", "chosen"]

_NUMBER = re.compile(r"\d{1,4}")
_SAID = re.compile(
    r"(?:best|consistent|choose|choice|select(?:ed)?|pick|answer|judg[e]?ment|winner|correct)\b[^\d\n]{0,60}?"
    r"(?:response|solution|candidate|attempt|number|no\.|#|is|:)[^\d\n]{0,12}?(\d{1,4})\b",
    re.I,
)
_BARE = re.compile(r"\A[^\w]{0,12}(?:response|solution|candidate)?[^\w]{0,6}(\d{1,4})[^\w]{0,12}\Z", re.I)
_BOXED = re.compile(r"\\boxed\{[^\d{}]{0,20}(\d{1,4})\}")
_END = 1500
_CHARACTERS_A_TOKEN = 2.6  # cautious: mathematics takes more tokens than prose


class Selector:
    """Asks which of several responses to take. `prompt` names the template, which says by what measure.

    Raises the model's `ModelError` when it fails.
    """

    def __init__(self, model: Model, prompts: Prompts, prompt: str, *, question: str) -> None:
        self._model = model
        self._prompts = prompts
        self._prompt = prompt
        self._question = question

    async def __call__(self, texts: Sequence[str], variant: int = 0) -> int | None:
        """The index of the response that the model names, `None` when it names none.

        A single response is taken unasked. Another `variant` is another sample, which sees another order.
        """
        if len(texts) == 1:
            return 0
        order = list(range(len(texts)))
        seed = hashlib.sha256("\0".join(texts).encode("utf-8", "replace")).digest()
        random.Random(seed + bytes(variant)).shuffle(order)
        seen = [cleaned(texts[i]) for i in order]
        choice = await self._model.sample(self._messages(self._fitting(seen)), index=variant)
        place = chosen(choice.text, len(texts))
        return None if place is None else order[place]

    def _messages(self, texts: Sequence[str]) -> list[ChatMessage]:
        content = self._prompts[self._prompt].render(
            responses=fenced(texts, "response"),
            count=str(len(texts)),
            question=fenced([self._question], "request"),
        )
        return [{"role": "user", "content": content}]

    def _fitting(self, texts: list[str]) -> list[str]:
        """The texts, cut in their middle to equal shares of the context window where it is known."""
        context = self._model.endpoint.context
        if context is None:
            return texts
        params = {**self._model.endpoint.params, **self._model.params}
        reply = params.get("max_tokens") or params.get("max_completion_tokens") or context // 4
        tokens = context - min(int(reply), context // 2) - estimate_tokens(self._messages([""])) - 64
        share = int(max(0, tokens) * _CHARACTERS_A_TOKEN / len(texts)) - 64
        return [shortened(text, max(80, share)) for text in texts]


def chosen(reply: str | None, count: int) -> int | None:
    """The index (from 0) that a reply names, `None` when it names none of the `count` responses.

    Read is the last `<choice>`; else what the end of the reply says in a box, in words ("the best response
    is 3") or as a bare number. A choice that is no number, or several, or one that is not there, is none.
    """
    text = readable(reply)
    for element in reversed(elements(text, ("choice",))):
        numbers = set(_NUMBER.findall(plain(element.body)[:200]))
        if numbers:
            return _index(numbers.pop(), count) if len(numbers) == 1 else None
    end = text[-_END:].replace("*", "").replace("_", " ")
    for pattern in (_BOXED, _SAID):
        if found := pattern.findall(end):
            return _index(found[-1], count)
    bare = _BARE.match(end.strip()) or _BARE.match(end.strip().rpartition("\n")[2])
    return _index(bare[1], count) if bare else None


def _index(number: str, count: int) -> int | None:
    return int(number) - 1 if 1 <= int(number) <= count else None
