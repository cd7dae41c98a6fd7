"""The estimator `lines`: synthesis in the few-shot form that a model of this size can follow.

catagent's own synthesis prompt is an instruction with tagged attempts, which a 135M model does not follow.
Here the anchor continues a line that follows worked lines. Its placebos see the guesses of another question
(`lines_other`) or none (`lines_none`).
"""

from __future__ import annotations

import hashlib
import random
from typing import Literal

from benchmarks.training_cpu.tasks import TASKS, anchor_prompt, said
from catagent.answers import extract
from catagent.errors import ConfigError
from catagent.estimators import Estimator, EstimatorContext, estimator
from catagent.messages import Reference, RolloutGroup

__all__ = ["ESTIMATORS"]

Form = Literal["above", "within", "blind"]


def _made(context: EstimatorContext, seen: str, task: str, form: Form, temperature: float) -> Estimator:
    shown = TASKS[task]
    content = str(context.task.messages[-1]["content"])
    question = content.rsplit("\n", 1)[-1].removesuffix(shown.equals)

    async def estimate(group: RolloutGroup) -> Reference:
        source = context.donor if seen == "other" else group
        if source is None:
            raise ConfigError("the placebo needs the rollouts of another question")
        guesses = [said(r.text or "") for r in source.survivors] if seen != "none" else []
        random.Random(hashlib.sha256("\0".join(guesses).encode()).digest()).shuffle(guesses)
        prompt = anchor_prompt(shown, form, question, guesses)
        choice = await context.anchor.sample(
            [{"role": "user", "content": prompt}],
            {"temperature": temperature, "max_tokens": shown.tokens},
        )
        text = said(choice.text or "")
        answer = extract(text) if choice.finish_reason == "stop" else None
        return Reference(text=text, answer=answer, method=f"lines_{seen}")

    return estimate


def _factory(seen: str) -> None:
    @estimator(f"lines_{seen}", donor=seen == "other")
    def lines(
        context: EstimatorContext, *, task: str, form: Form = "above", temperature: float = 1.0
    ) -> Estimator:
        """The anchor continues a worked line."""
        return _made(context, seen, task, form, temperature)


ESTIMATORS = ("lines_own", "lines_other", "lines_none")
for _seen in ("own", "other", "none"):
    _factory(_seen)
