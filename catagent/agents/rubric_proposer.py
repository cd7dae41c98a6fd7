"""The RubricProposer: a reference in, a rubric out (paper, section 1.4).

By default it sees the reference alone: neither the question nor the rollouts. When a reply holds too few
usable criteria, one more is asked for, by a shorter prompt that small models follow better and with the
JSON schema where the endpoint takes one; what both replies hold counts together.
"""

from __future__ import annotations

from typing import Any

from catagent.agents.criteria import Sifted, numbered, sift
from catagent.agents.fencing import cleaned, fence_nonce, fenced
from catagent.agents.prompts import Prompts
from catagent.agents.rubric_text import read_drafts
from catagent.errors import GarbledError, RubricError
from catagent.events import Emit, RubricReady
from catagent.messages import ChatMessage, Reference, RolloutGroup, Rubric
from catagent.models.model import Model
from catagent.models.structured import structured_samples
from catagent.options import Format, RubricOptions

__all__ = ["RubricProposer"]


class RubricProposer:
    """Proposes a rubric from a reference.

    `question` is needed where `options.sees` names it, `group` where it is `contrast`. Raises
    `RubricError` when two replies together hold too few usable criteria, and the model's `ModelError`.
    """

    def __init__(
        self,
        model: Model,
        prompts: Prompts,
        options: RubricOptions | None = None,
        *,
        question: str | None = None,
        group: RolloutGroup | None = None,
        emit: Emit | None = None,
    ) -> None:
        self._model = model
        self._prompts = prompts
        self._options = options or RubricOptions()
        self._question = question
        self._group = group
        self._emit = emit

    async def __call__(self, reference: Reference) -> Rubric:
        """At least `options.at_least` criteria, each atomic, checkable and there once."""
        options = self._options
        found = await self._attempt(reference, options.format, None)
        if len(found.drafts) < options.at_least:
            again = await self._attempt(reference, "json", self._complaint(found))
            both = sift([*found.drafts, *again.drafts], negative=options.negative)
            found = Sifted(both.drafts, (*found.notes, *again.notes))
        if len(found.drafts) < options.at_least:
            raise RubricError(
                f"{self._model.name} wrote {len(found.drafts)} usable criteria in two attempts, "
                f"{options.at_least} are needed; name another model for rubric_proposer"
            )
        kept, notes = found.drafts[: options.at_most], list(found.notes)
        if left := len(found.drafts) - len(kept):
            notes.append(f"left out {left} criteria beyond {options.at_most}")
        rubric = Rubric(
            parents=self._parents(reference),
            criteria=numbered(kept, weights=options.weights),
            source=options.sees,
            notes=tuple(notes[:50]),
        )
        if self._emit:
            self._emit(RubricReady(rubric=rubric))
        return rubric

    def _parents(self, reference: Reference) -> tuple[str, ...]:
        seen = () if self._options.sees == "question" else (reference.id,)
        if self._options.sees != "contrast" or self._group is None:
            return seen
        return (*seen, *(r.id for r in self._group.survivors))

    async def _attempt(self, reference: Reference, form: Format, again: str | None) -> Sifted:
        messages: list[ChatMessage] = [{"role": "user", "content": self._rendered(reference, form, again)}]
        schema = self._schema() if form == "json" else None
        sample = (await structured_samples(self._model, messages, 1, schema, name="rubric"))[0]
        if sample.choice is None:
            raise sample.error or GarbledError("the model gave nothing")
        drafts = read_drafts(sample.choice.text)
        if sample.choice.finish_reason == "length" and "{" not in (sample.choice.text or ""):
            drafts = drafts[:-1]  # it is cut off; in JSON it was not read in the first place
        return sift(drafts, negative=self._options.negative)

    def _complaint(self, found: Sifted) -> str:
        refused = [note for note in found.notes if note.startswith("refused")]
        said = f"it held {len(found.drafts)} usable criteria."
        return f"{said} Of the others: {'; '.join(refused[:5])}." if refused else said

    def _rendered(self, reference: Reference, form: Format, again: str | None) -> str:
        options = self._options
        shown: dict[str, list[str]] = {}
        if options.sees != "question":
            shown["reference"] = [cleaned(reference.text)]
        if options.sees in ("question", "question_and_reference"):
            if not self._question:
                raise RubricError(f"a rubric from {options.sees} needs the question")
            shown["question"] = [cleaned(self._question)]
        if options.sees == "contrast" and self._group is not None:
            shown["responses"] = [cleaned(r.text) for r in self._group.survivors if r.text]
        nonce = fence_nonce([text for texts in shown.values() for text in texts])
        if again is not None and "reference" in shown:
            return self._repaired(shown["reference"][0], again)
        blocks = {k: fenced(texts, k.rstrip("s"), nonce) for k, texts in shown.items() if texts}
        return self._prompts["rubric_proposal"].render(
            **blocks,
            **{form: self._form(form)},
            at_least=str(options.at_least),
            at_most=str(options.at_most),
            weights="" if options.weights else None,
            negative="" if options.negative else None,
            again=again,
        )

    def _repaired(self, reference: str, again: str) -> str:
        return self._prompts["rubric_repair"].render(
            reference=fenced([reference], "reference"),
            at_least=str(self._options.at_least),
            json=self._form("json"),
            weights="" if self._options.weights else None,
            negative="" if self._options.negative else None,
            again=again,
        )

    def _form(self, form: Format) -> str:
        weighed = self._options.weights or self._options.negative
        if form == "json":
            weight = ', "weight": 1' if weighed else ""
            return f'{{"criteria": [{{"criterion": "…"{weight}}}, …]}}'
        weight = ' weight="1"' if weighed else ""
        line = f"<criterion{weight}>…</criterion>"
        return f"<rubric>\n{line}\n{line}\n…\n</rubric>"

    def _schema(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"criterion": {"type": "string"}}
        if self._options.weights or self._options.negative:
            fields["weight"] = {"type": "number"}
        one = {
            "type": "object",
            "properties": fields,
            "required": list(fields),
            "additionalProperties": False,
        }
        listed = {
            "type": "array",
            "items": one,
            "minItems": self._options.at_least,
            "maxItems": self._options.at_most,
        }
        return {
            "type": "object",
            "properties": {"criteria": listed},
            "required": ["criteria"],
            "additionalProperties": False,
        }
