"""Options inside a name: what is read, and what a wrong one is told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from catagent.errors import ConfigError
from catagent.naming import keywords, options_of_factory, split_name


def factory(
    context: object,
    *,
    rounds: Annotated[int, Field(ge=1)] = 2,
    view: Literal["blind", "aware"] | None = None,
    final: Literal["vote", "random"] = "vote",
    loud: bool = False,
    models: tuple[str, ...] = (),
) -> None:
    """A factory with every sort of option."""


def needing(context: object, *, models: tuple[str, ...]) -> None:
    """A factory with an option that has no default."""


def read(given: str) -> dict[str, Any]:
    return dict(keywords(given, factory, split_name(given)[1]))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("m", {}),
        ("m:", {}),
        ("m:rounds=3", {"rounds": 3}),
        (" m : rounds = 3 , aware ", {"rounds": 3, "view": "aware"}),
        ("m:view=blind", {"view": "blind"}),
        ("m:loud", {"loud": True}),
        ("m:loud=no,random", {"loud": False, "final": "random"}),
        ("m:models=openai/a+ollama/b:8b", {"models": ("openai/a", "ollama/b:8b")}),
    ],
)
def test_options_are_read_by_the_signature(given: str, found: dict[str, Any]) -> None:
    assert read(given) == found


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("m:round=3", "did you mean 'rounds'"),
        ("m:awar", "did you mean 'aware'"),
        ("m:zzz", "there are rounds=2, view=blind|aware"),
        ("m:rounds=0", "rounds=0: input should be greater than or equal to 1"),
        ("m:rounds=x", "rounds=x: input should be a valid integer"),
        ("m:rounds", "the option 'rounds' needs a value, as in rounds=2"),
        ("m:rounds=1,rounds=2", "given twice"),
        ("m:view=deaf", "input should be 'blind' or 'aware'"),
        (":rounds=1", "no name before its options"),
        ("", "no name before its options"),
        ("m:" + "x" * 3000, "at most 2000 characters"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(given: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_option_is_named() -> None:
    with pytest.raises(ConfigError, match=r"'moa' needs the option 'models', as in moa:models=…\+…"):
        keywords("moa", needing, ())


def test_a_factory_without_options_takes_none() -> None:
    with pytest.raises(ConfigError, match="this takes none"):
        keywords("x:y=1", lambda context: None, ("y=1",))
    assert options_of_factory(lambda context: None) == ()


def test_options_document_themselves() -> None:
    assert [str(o) for o in options_of_factory(factory)] == [
        "rounds=2",
        "view=blind|aware",
        "final=vote|random [vote]",
        "loud=false",
        "models=…+…",
    ]
