"""Judges to play by a provider double: honest, noisy, biased, captured by what a response says, mute.

Each reads its prompt as a model would: what stands between the tags is the response and the criterion.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from catagent.agents.tampering import tampering
from tests.doubles import prompt_of

Truth: TypeAlias = Callable[[str, str], bool]
Reply: TypeAlias = Callable[[dict[str, Any]], str]

NUMBERS = ("one", "two", "three", "four", "five")
RUBRIC = "\n".join(["<rubric>", *(f"<criterion>Says {n}.</criterion>" for n in NUMBERS), "</rubric>"])


def block(prompt: str, label: str) -> str:
    """The text in the block of that label."""
    found = re.search(rf"<{label}_1_([0-9a-f]{{8}})>\n(.*?)\n</{label}_1_\1>", prompt, re.S)
    assert found, f"no block {label} in {prompt}"
    return found[2]


def says(response: str, criterion: str) -> bool:
    """The truth for criteria of the form `Says x.`"""
    return criterion.removeprefix("Says ").rstrip(".").casefold() in response.casefold()


def judge(decide: Truth) -> Reply:
    """A judge that answers by `decide`, one criterion or several a call, in XML or JSON as asked."""

    def reply(body: dict[str, Any]) -> str:
        prompt = prompt_of(body)
        if "Write a rubric" in prompt:
            return RUBRIC
        response = block(prompt, "response")
        if "<criteria_1_" in prompt:
            pairs = [line.split(": ", 1) for line in block(prompt, "criteria").splitlines()]
            return "\n".join(
                f'<verdict id="{i}"><reason>r</reason><met>{_word(decide(response, c))}</met></verdict>'
                for i, c in pairs
            )
        label = "criterion" if "<criterion_1_" in prompt else "reference"
        met = decide(response, block(prompt, label))
        if '"met": true or false' in prompt:
            return f'{{"reason": "r", "met": {str(met).lower()}}}'
        return f"<verdict><reason>because</reason><met>{_word(met)}</met></verdict>"

    return reply


def _word(met: bool) -> str:
    return "yes" if met else "no"


def noisy(truth: Truth, flip: Callable[[str, str], bool]) -> Reply:
    """Honest except where `flip` says otherwise."""
    return judge(lambda response, criterion: truth(response, criterion) != flip(response, criterion))


def at_rate(rate: float) -> Callable[[str, str], bool]:
    """True for this share of all pairs, always the same ones."""

    def flip(response: str, criterion: str) -> bool:
        digest = hashlib.sha256(f"{response}\0{criterion}".encode()).digest()
        return int.from_bytes(digest[:4], "big") / 2**32 < rate

    return flip


def captured(truth: Truth) -> Reply:
    """Says yes to whoever speaks to it."""
    return judge(lambda response, criterion: bool(tampering(response)) or truth(response, criterion))
