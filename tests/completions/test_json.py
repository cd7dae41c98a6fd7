"""References that follow a JSON schema."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Any

import pytest

from catagent.completions import ApiError, ContentDelta, complete, stream
from catagent.completions.schema import Schema, schema_of
from catagent.messages import Solution
from tests.cast import cat_on
from tests.doubles import ProviderDouble, prompt_of

SHAPE = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer", "minimum": 1}},
    "required": ["city", "people"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "place", "schema": SHAPE, "strict": True}}
GOOD = '{"city": "Lima", "people": 10}'
OTHER = '{"people":11,"city":"Lima"}'


def asked(**more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Lima?"}], "response_format": FORMAT, **more}


def playing(rollouts: list[str], synthesis: str) -> Any:
    def reply(body: dict[str, Any], index: int) -> str:
        return synthesis if "Each was to be JSON" in prompt_of(body) else rollouts[index]

    return reply


async def test_the_synthesis_follows_the_schema_and_the_anchor_is_given_it() -> None:
    async with (
        ProviderDouble(reply=playing([GOOD, OTHER, OTHER, "?"], f"```json\n{OTHER}\n```")) as double,
        cat_on(double) as cat,
    ):
        made = await complete(asked(), cat)
        rollouts, anchor = (r.body for r in double.requests)
    assert made["choices"][0]["message"]["content"] == OTHER
    assert (made["catagent"]["method"], made["catagent"]["fallback"]) == ("synthesis", None)
    assert rollouts["response_format"] == anchor["response_format"] == FORMAT
    assert rollouts["messages"] == asked()["messages"]  # no box is asked for
    assert "?" not in anchor["messages"][0]["content"].split("<response_1")[1].split("It must be JSON")[0]


@pytest.mark.parametrize("synthesis", ["sorry", '{"city": "Lima"}', '{"city": "Lima", "people": 0}', ""])
async def test_a_synthesis_that_does_not_falls_back_to_what_most_rollouts_say(synthesis: str) -> None:
    async with (
        ProviderDouble(reply=playing([GOOD, OTHER, f"```\n{OTHER}\n```", "{}"], synthesis)) as double,
        cat_on(double) as cat,
    ):
        solutions: list[Solution] = []
        made = await complete(asked(), cat, on_solution=solutions.append)
    assert json.loads(made["choices"][0]["message"]["content"]) == json.loads(OTHER)
    assert made["catagent"]["method"] == "majority"
    assert made["catagent"]["fallback"]
    assert "rejected" not in made["catagent"]
    assert solutions[0].reference is not None
    assert solutions[0].reference.rejected == (synthesis or None)
    assert made["catagent"]["agreement"] == 0.5


async def test_an_estimator_of_ones_own_is_checked_too() -> None:
    async with ProviderDouble(reply=playing(["no", "no", GOOD, "no"], "")) as double, cat_on(double) as cat:
        made = await complete(asked(catagent={"estimator": "majority"}), cat)
    assert made["choices"][0]["message"]["content"] == GOOD
    assert "does not follow the schema" in made["catagent"]["fallback"]


async def test_when_nothing_follows_the_schema_that_is_the_error() -> None:
    async with ProviderDouble(reply=playing(["a", "b", "c", "d"], "e")) as double, cat_on(double) as cat:
        with pytest.raises(ApiError) as refused:
            await complete(asked(), cat)
    assert (refused.value.status, refused.value.code) == (502, "no_valid_json")


async def test_an_endpoint_that_takes_no_schema_is_asked_without() -> None:
    async with (
        ProviderDouble(reply=playing([GOOD] * 4, OTHER)) as double,
        cat_on(double, anchor="double/anchor") as cat,
    ):
        double.faults = lambda body: _refusing(body)
        made = await complete(asked(), cat)
    assert made["choices"][0]["message"]["content"] == OTHER


def _refusing(body: dict[str, Any]) -> Any:
    from tests.doubles import Fault

    refused = body["model"] == "anchor" and "response_format" in body
    return Fault.unknown_parameter("response_format") if refused else None


async def test_a_stream_of_json_is_sent_once_it_is_settled() -> None:
    async with (
        ProviderDouble(reply=playing([GOOD] * 4, "sorry"), pace=0.002) as double,
        cat_on(double) as cat,
        aclosing(stream(asked(), cat)) as items,
    ):
        deltas = [item.text async for item in items if isinstance(item, ContentDelta)]
    assert deltas == [GOOD]


async def test_any_object() -> None:
    async with (
        ProviderDouble(reply=playing(["[1]", '{"a": 1}', "x", "y"], "[2]")) as double,
        cat_on(double) as cat,
    ):
        made = await complete(asked(response_format={"type": "json_object"}), cat)
    assert made["choices"][0]["message"]["content"] == '{"a": 1}'


def test_schemas_that_nobody_should_send() -> None:
    def wanted(schema: Any) -> dict[str, Any]:
        return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    for wrong in (
        wanted({"type": "nonsense"}),
        wanted("object"),
        wanted({"patternProperties": {"(a+)+$": {}}}),
        wanted({"description": "x" * 70_000}),
        {"type": "json_schema"},
        {"type": "grammar"},
    ):
        with pytest.raises(ApiError) as refused:
            schema_of(wrong)
        assert refused.value.status == 400
    assert schema_of({"type": "text"}) is None
    assert schema_of(None) is None


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"pattern": "^(a+)+$"}, '"' + "a" * 40 + '!"'),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "{}"),
        ({"$ref": "#"}, "{}"),
        (
            {
                "$defs": {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)}
                | {"d40": False},
                "$ref": "#/$defs/d0",
            },
            "{}",
        ),
        ({}, "[" * 100_000),
        ({}, '"' + "x" * 2_000_000 + '"'),
        ({"uniqueItems": True}, json.dumps([{"a": 1}] * 2)),
        ({"pattern": "("}, '"x"'),
    ],
)
def test_hostile_schemas_and_texts_end_and_are_not_valid(schema: Any, text: str) -> None:
    try:
        assert Schema(schema).read(text).problem
    except ApiError as refused:
        assert refused.status == 400  # noqa: PT017 - either is right


def test_unique_items_and_patterns_that_are_kept() -> None:
    schema = Schema({"type": "array", "uniqueItems": True, "items": {"pattern": "^a"}})
    assert schema.read('["a", "ab"]').problem is None
    assert schema.read('["a", "b"]').problem
