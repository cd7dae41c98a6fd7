"""Asking by schema: what an endpoint takes is found out by asking, and never changes the model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from catagent.errors import AccountError, RequestError
from catagent.models.model import Model
from catagent.models.structured import structured_samples
from tests.cast import cat_on
from tests.doubles import Fault, ProviderDouble

SCHEMA = {"type": "object", "properties": {"met": {"type": "boolean"}}, "required": ["met"]}
ASKED = [{"role": "user", "content": "Is it?"}]


@asynccontextmanager
async def served(
    fault: Callable[[dict[str, Any]], Fault | None] = lambda body: None, *, fallback: bool = False
) -> AsyncIterator[tuple[Model, ProviderDouble]]:
    async with (
        ProviderDouble(reply=lambda body: body["model"], faults=fault) as double,
        cat_on(double, model="double/first", provider={"attempts": 1}) as cat,
    ):
        run = await cat.begin()
        model = await run.model("judge")
        if fallback:
            second = await run.registry.endpoint("double/second")
            model = Model("judge", [model.endpoint, second], ledger=run.ledger)
        yield model, double


def refuses_schema(body: dict[str, Any]) -> Fault | None:
    return Fault.status_code(400, "response_format is not supported") if "response_format" in body else None


async def test_the_schema_is_sent() -> None:
    async with served() as (model, double):
        samples = await structured_samples(model, ASKED, 2, SCHEMA, name="verdict")
    assert [s.choice.text for s in samples if s.choice] == ["first", "first"]
    sent = double.requests[0].body["response_format"]
    assert sent["json_schema"] == {"name": "verdict", "schema": SCHEMA, "strict": True}


async def test_without_a_schema_nothing_is_added() -> None:
    async with served() as (model, double):
        await structured_samples(model, ASKED, 1, None)
    assert "response_format" not in double.requests[0].body


@pytest.mark.parametrize("fallback", [False, True])
async def test_a_refused_schema_is_no_reason_to_change_the_model(fallback: bool) -> None:
    async with served(refuses_schema, fallback=fallback) as (model, double):
        for _ in range(2):
            (sample,) = await structured_samples(model, ASKED, 1, SCHEMA)
            assert sample.model == "double/first"
        assert [r.status for r in double.requests] == [400, 200, 200]
        assert model.endpoint.json_schema is False


async def test_a_request_that_is_refused_anyway_says_nothing_about_schemas() -> None:
    async with served(lambda body: Fault.status_code(400, "bad image")) as (model, _):
        (sample,) = await structured_samples(model, ASKED, 1, SCHEMA)
        assert isinstance(sample.error, RequestError)
        assert model.endpoint.json_schema is True


async def test_a_failure_goes_to_the_fall_back() -> None:
    async with served(
        lambda body: Fault.status_code(500) if body["model"] == "first" else None, fallback=True
    ) as (model, _):
        samples = await structured_samples(model, ASKED, 2, SCHEMA)
        assert [s.model for s in samples] == ["double/second"] * 2
        assert model.endpoint.json_schema is True


async def test_a_wrong_key_is_raised_where_there_is_no_fall_back() -> None:
    def wrong(body: dict[str, Any]) -> Fault | None:
        return Fault.status_code(401) if body["model"] == "first" else None

    async with served(wrong) as (model, _):
        with pytest.raises(AccountError):
            await structured_samples(model, ASKED, 1, SCHEMA)
    async with served(wrong, fallback=True) as (model, _):
        (sample,) = await structured_samples(model, ASKED, 1, SCHEMA)
        assert sample.model == "double/second"
