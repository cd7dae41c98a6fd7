"""Right or wrong, by gold answer or by rubric, and `None` where nobody can tell.

A text that states no answer is wrong: it answers nothing. An answer that could not be compared in time, a
rollout that was lost, a response without verdicts are undecided, which is never counted as wrong.
"""

from __future__ import annotations

from dataclasses import dataclass

from catagent.agents.judge import Judge
from catagent.answers import aequivalent
from catagent.answers.equivalence import spelling
from catagent.evaluation.healthbench import healthbench_score
from catagent.evaluation.questions import Question
from catagent.messages import Answer, Judgement, Rollout

__all__ = ["Grader"]


@dataclass
class Grader:
    """Grades what is said to one question; the same answer or text is graded once.

    `judge` is needed for a question with a rubric. `judgements` are its verdicts, for who wants to look.
    """

    question: Question
    judge: Judge | None = None

    def __post_init__(self) -> None:
        self._answers: dict[object, bool | None] = {}
        self._texts: dict[str, Judgement] = {}

    async def value(self, text: str | None, answer: Answer | None) -> float | None:
        """1 or 0 by gold answer, else the rubric's score, which may be negative; `None`: undecided."""
        if self.question.open:
            return None if text is None else await self._by_rubric(text)
        right = await self._is_right(answer)
        return None if right is None else float(right)

    async def _is_right(self, answer: Answer | None) -> bool | None:
        if answer is None:
            return False
        key = spelling(answer)
        if key in self._answers:
            return self._answers[key]
        verdicts = [await aequivalent(answer, gold) for gold in self.question.gold]
        right = True if True in verdicts else (None if None in verdicts else False)
        if key is not None:
            self._answers[key] = right
        return right

    async def _by_rubric(self, text: str) -> float | None:
        judgement = await self.judgement(text)
        rubric = self.question.rubric
        assert rubric is not None
        return healthbench_score(rubric.criteria, {v.criterion_id: v.state for v in judgement.verdicts})

    async def judgement(self, text: str) -> Judgement:
        """The judge's verdicts on a text."""
        assert self.judge is not None
        if text not in self._texts:
            rollout = Rollout(index=0, text=text, error=None if text.strip() else "the response is empty")
            self._texts[text] = await self.judge(rollout)
        return self._texts[text]
