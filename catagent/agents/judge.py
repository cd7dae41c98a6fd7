"""The Judge: one rollout in, a verdict on each criterion out (paper, section 1.4).

The judge sees one response and one criterion a call, neither the question nor the reference; asking for
all criteria of a response in one call is an option that is five to ten times cheaper. The response stands
first and the criterion last, so that providers which cache the beginning of a prompt read a response once.
"""

from __future__ import annotations

from collections.abc import Sequence

from catagent.agents.fencing import cleaned, fence_nonce, fenced
from catagent.agents.polling import answer_form, poll
from catagent.agents.prompts import Prompts
from catagent.agents.tampering import tampering
from catagent.events import Emit, Judged
from catagent.gathering import gathered
from catagent.messages import Judgement, Reference, Rollout, Rubric, Verdict
from catagent.models.journal import canonical
from catagent.models.model import Model
from catagent.options import JudgeOptions

__all__ = ["EQUIVALENT", "EquivalenceJudge", "Judge"]

EQUIVALENT = "equivalent"
"""The id of the one criterion of `EquivalenceJudge`."""


class Judge:
    """Judges rollouts by a rubric. A verdict that cannot be had is `unscored`, and says why.

    `question` is shown only where `options.sees_question` asks for it.
    """

    def __init__(
        self,
        model: Model,
        prompts: Prompts,
        rubric: Rubric,
        options: JudgeOptions | None = None,
        *,
        question: str | None = None,
        emit: Emit | None = None,
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._rubric = rubric
        self._options = options or JudgeOptions()
        self._question = question if self._options.sees_question else None
        self._emit = emit

    async def __call__(self, rollout: Rollout) -> Judgement:
        """The verdicts in the order of the rubric; all `unscored` when the rollout failed."""
        criteria = self._rubric.criteria
        if not rollout.ok:
            reason = f"the rollout failed: {rollout.error or 'it has no text'}"
            verdicts = [Verdict(criterion_id=c.id, state="unscored", reason=reason) for c in criteria]
            return _judgement(rollout, self._rubric.id, verdicts, self._model, self._emit)
        text = _text_of(rollout)
        width = self._options.criteria_per_call or len(criteria)
        parts = [range(i, min(i + width, len(criteria))) for i in range(0, len(criteria), width)]
        asked = await gathered(self._ask(text, part) for part in parts)
        verdicts = [verdict for some in asked for verdict in some]
        return _judgement(rollout, self._rubric.id, verdicts, self._model, self._emit)

    async def _ask(self, response: str, places: Sequence[int]) -> list[Verdict]:
        """The verdicts on some criteria in one call. In the prompt they are called `c1`, `c2`, …"""
        criteria = self._rubric.criteria
        named = {f"c{place + 1}": criteria[place] for place in places}
        single = self._options.criteria_per_call == 1

        def render(ids: Sequence[str], again: str | None) -> str:
            texts = [" ".join(cleaned(named[i].text).split()) for i in ids]
            own = answer_form(self._options, again, single=single)
            if single:
                return _rendered(
                    self._prompts, "judge_verdict", response, self._question, {"criterion": texts[0]}, own
                )
            listed = "\n".join(f"{i}: {text}" for i, text in zip(ids, texts, strict=True))
            own["count"] = str(len(ids))
            return _rendered(
                self._prompts, "judge_verdicts", response, self._question, {"criteria": listed}, own
            )

        verdicts = await poll(self._model, list(named), render, response, self._options, single=single)
        return [v.model_copy(update={"criterion_id": named[v.criterion_id].id}) for v in verdicts]


class EquivalenceJudge:
    """The paper's baseline: does a rollout say the same in substance as the reference?"""

    def __init__(
        self,
        model: Model,
        prompts: Prompts,
        reference: Reference,
        options: JudgeOptions | None = None,
        *,
        question: str | None = None,
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._reference = reference
        self._options = options or JudgeOptions()
        self._question = question if self._options.sees_question else None

    async def __call__(self, rollout: Rollout) -> Judgement:
        """One verdict, on the criterion `equivalent`."""
        if not rollout.ok:
            verdict = Verdict(criterion_id=EQUIVALENT, state="unscored", reason="the rollout failed")
            return _judgement(rollout, self._reference.id, [verdict], self._model, None)
        response, reference = _text_of(rollout), cleaned(self._reference.text)

        def render(_: Sequence[str], again: str | None) -> str:
            own = answer_form(self._options, again, single=True)
            return _rendered(
                self._prompts, "judge_equivalence", response, self._question, {"reference": reference}, own
            )

        verdicts = await poll(self._model, [EQUIVALENT], render, response, self._options, single=True)
        return _judgement(rollout, self._reference.id, verdicts, self._model, None)


def _rendered(
    prompts: Prompts,
    name: str,
    response: str,
    question: str | None,
    beside: dict[str, str],
    own: dict[str, str | None],
) -> str:
    """The prompt with every text between tags of one nonce, which the response cannot contain."""
    prompt = prompts[name]
    shown = {**beside, **({"question": cleaned(question)} if question else {})}
    nonce = fence_nonce([response], list(shown.values()))
    blocks: dict[str, str | None] = {key: fenced([text], key, nonce) for key, text in shown.items()}
    blocks["response"] = fenced([response], "response", nonce)
    return prompt.render(**blocks, **own)


def _text_of(rollout: Rollout) -> str:
    return cleaned(rollout.text) if rollout.text else canonical(list(rollout.tool_calls)).decode()


def _judgement(
    rollout: Rollout, parent: str, verdicts: Sequence[Verdict], model: Model, emit: Emit | None
) -> Judgement:
    judgement = Judgement(
        parents=(rollout.id, parent),
        rollout_id=rollout.id,
        verdicts=tuple(verdicts),
        judge=model.name,
        findings=tampering(rollout.text) if rollout.text else (),
    )
    if emit:
        emit(Judged(judgement=judgement))
    return judgement
