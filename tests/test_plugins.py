"""The registry of named things: built in, registered, and brought by an entry point."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest

from catagent.errors import ConfigError
from catagent.estimators import plan_of
from catagent.plugins import Plugins


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Have an entry point `name = value` in every group that is asked for."""

    def points(name: str, value: str) -> None:
        def found(**wanted: str) -> list[importlib.metadata.EntryPoint]:
            point = importlib.metadata.EntryPoint(name, value, wanted["group"])
            return [point] if wanted.get("name") in (None, name) else []

        monkeypatch.setattr(importlib.metadata, "entry_points", found)

    return points


def shapes(**built_in: str) -> Plugins[Any]:
    return Plugins("shape", group="catagent.shapes", built_in=built_in, adopt=lambda brought: brought)


def test_what_is_registered_last_counts() -> None:
    plugins = shapes()
    plugins.add("round", 1)
    plugins.add("round", 2)
    assert plugins.get("round") == 2
    assert plugins.names() == ["round"]


def test_another_package_brings_one(entry: Any) -> None:
    entry("flat", "math:floor")
    plugins = shapes()
    assert plugins.names() == ["flat"]
    assert plugins.get("flat")(1.5) == 1


@pytest.mark.parametrize("value", ["no_such_package:thing", "math:no_such_thing"])
def test_one_that_cannot_be_loaded_is_named(entry: Any, value: str) -> None:
    entry("flat", value)
    with pytest.raises(ConfigError, match=rf"the shape 'flat' cannot be loaded from {value}"):
        shapes().get("flat")


def test_one_that_is_no_factory_is_named(entry: Any) -> None:
    entry("flat", "math:pi")
    with pytest.raises(ConfigError, match="the shape 'flat' of math:pi is a float, not a factory"):
        shapes().get("flat")


def test_one_that_is_not_there_is_told_apart_from_its_neighbours() -> None:
    plugins = shapes()
    plugins.add("round", 1)
    with pytest.raises(ConfigError, match="there is no shape 'rund'; did you mean 'round'"):
        plugins.get("rund")
    with pytest.raises(ConfigError, match="there are round"):
        plugins.get("zzz")


def test_an_estimator_of_another_package_takes_options(entry: Any) -> None:
    entry("brought", "tests.brought:longest")
    assert plan_of("brought:at_most=7").options == {"at_most": 7}
    assert plan_of("brought").summary == "The longest of the rollouts that are short enough"
    assert plan_of("brought").cost(8) is None
    with pytest.raises(ConfigError, match="did you mean 'at_most'"):
        plan_of("brought:at_mst=7")
