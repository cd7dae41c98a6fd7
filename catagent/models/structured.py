"""Asking for JSON by a schema where the endpoint takes it, and without where it does not.

Whether an endpoint takes `response_format` is found out by asking: the first refusal (400) is followed
by the same request without it, and when that passes the endpoint is not asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from catagent.errors import AccountError, ContextOverflowError, ModelError, RequestError
from catagent.messages import ChatMessage
from catagent.models.model import Model, Sample

__all__ = ["structured_samples"]


async def structured_samples(
    model: Model,
    messages: Sequence[ChatMessage],
    n: int,
    schema: Mapping[str, Any] | None,
    *,
    name: str = "reply",
    params: Mapping[str, Any] | None = None,
    first: int = 0,
) -> list[Sample]:
    """`n` samples that follow `schema` where the endpoint can see to it; see `Model.samples`.

    `None` asks for plain text. Without the schema the prompt has to say what JSON is wanted, and the
    caller has to expect anything.
    """
    if schema is None or not model.endpoint.json_schema:
        return await model.samples(messages, n, params, first=first)
    wanted = {"type": "json_schema", "json_schema": {"name": name, "schema": dict(schema), "strict": True}}
    alone = _first_only(model)
    try:
        asked = await alone.samples(messages, n, {**(params or {}), "response_format": wanted}, first=first)
    except AccountError:
        if len(model.endpoints) == 1:
            raise
        return await model.samples(messages, n, params, first=first)
    if not all(_refused(s.error) for s in asked):
        return await _with_fallbacks(model, messages, params, first, asked)
    plain = await model.samples(messages, n, params, first=first)
    if any(s.choice is not None and s.model == model.name for s in plain):
        model.endpoint.json_schema = False
    return plain


def _refused(error: ModelError | None) -> bool:
    return isinstance(error, RequestError) and not isinstance(error, ContextOverflowError)


def _first_only(model: Model) -> Model:
    """The same role without fall-backs: a refused schema is no reason to change the model."""
    if len(model.endpoints) == 1:
        return model
    return Model(
        model.role,
        model.endpoints[:1],
        model.params,
        ledger=model.ledger,
        journal=model.journal,
        on_wait=model.on_wait,
    )


async def _with_fallbacks(
    model: Model,
    messages: Sequence[ChatMessage],
    params: Mapping[str, Any] | None,
    first: int,
    asked: list[Sample],
) -> list[Sample]:
    if len(model.endpoints) == 1:
        return asked
    for place, sample in enumerate(asked):
        if sample.choice is None:
            asked[place] = (await model.samples(messages, 1, params, first=first + place))[0]
    return asked
