"""What the double says to the documentation's questions, so that the pages can show what is printed."""

from __future__ import annotations

from typing import Any

from tests.cast import RUBRIC, SYNTHESIS
from tests.doubles import prompt_of

__all__ = ["ANSWERS", "reply"]

# words of the question -> final answers of the rollouts in turn, and of the synthesis
ANSWERS: dict[str, tuple[list[str], str]] = {
    "first 100 odd numbers": (
        ["10000", "10000", "9900", "10000", "10000", "10100", "10000", "10000"],
        "10000",
    ),
    "two dice": (["1/6", "1/6", "7/36", "1/6", "6/36", "1/12", "1/6", "0.1667"], "1/6"),
    # the majority is wrong, and the reconciliation is right
    "bat and a ball": (["10", "5", "10", "10", "5", "10", "10", "5"], "5"),
}
OPEN = [
    "Keep a regular hour for bed, and sleep in a dark, cool room.",
    "Drink less coffee after noon and keep a regular hour.",
    "Exercise daily, keep the room dark, and see a doctor if it lasts for weeks.",
    "Watch films until you drop.",
]
MERGED = (
    "# UNIFIED RESPONSE\nKeep a regular hour, a dark room, less coffee, daily exercise; "
    "see a doctor if it lasts."
)
SIGNS = {
    "hour": "regular hour",
    "room": "dark",
    "coffee": "coffee",
    "exercise": "xercise",
    "doctor": "doctor",
}


def boxed(answer: str) -> str:
    return f"Step by step. So it is \\boxed{{{answer}}}."


def verdict(prompt: str) -> str:
    """Met when the response (which stands before the criterion) has the criterion's word."""
    response, _, criterion = prompt.partition("The criterion:")
    word = next((sign for name, sign in SIGNS.items() if name in criterion), None)
    met = "yes" if word is None or word in response else "no"
    return f"<verdict><reason>Read.</reason><met>{met}</met></verdict>"


def reply(body: dict[str, Any], index: int) -> str:
    prompt = prompt_of(body)
    if SYNTHESIS in prompt:
        if "boxed" not in prompt:
            return MERGED
        seen = [synthesis for rollouts, synthesis in ANSWERS.values() if all(a in prompt for a in rollouts)]
        answer = seen[0] if seen else "4"
        return f"# SUMMARY\nThey differ; checked again.\n{SYNTHESIS}\n{boxed(answer)}"
    if "<criterion>" in prompt:
        return f"<rubric>{RUBRIC}</rubric>"
    if "<met>" in prompt:
        return verdict(prompt)
    for words, (rollouts, _) in ANSWERS.items():
        if words in prompt:
            return boxed(rollouts[index % len(rollouts)])
    if "boxed" in prompt:
        return boxed("4")
    return OPEN[index % len(OPEN)]
