from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from catagent.errors import ConfigError
from catagent.models.config import ROLES, Config, KnownModel, Preference, ProviderConfig, load_config
from catagent.models.ledger import Price
from catagent.models.limiter import Limits

SECRET = "sk-verysecretverysecret"

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a configuration; the working directory and the environment are empty otherwise."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CATAGENT_CONFIG", raising=False)

    def written(text: str) -> Path:
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return written


def refused(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    return str(caught.value)


# Which file.


def test_the_packaged_default_works_as_it_stands(write: Write) -> None:
    config = load_config()
    assert config.source == "packaged default"
    assert config.role("sampler").model == "auto"
    assert "embedded" in config.auto
    assert config.providers["openai"].api == "openai"


def test_the_working_directory_then_the_environment_then_the_argument(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate(("providers.yaml", "env.yaml", "given.yaml"), 1):
        (tmp_path / name).write_text(f"defaults: {{n: {number}}}")
    assert load_config().defaults.n == 1
    monkeypatch.setenv("CATAGENT_CONFIG", str(tmp_path / "env.yaml"))
    assert load_config().defaults.n == 2
    config = load_config(tmp_path / "given.yaml")
    assert config.defaults.n == 3
    assert config.source == str(tmp_path / "given.yaml")


def test_a_file_that_is_not_there_is_named(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = tmp_path / "none.yaml"
    assert refused(missing) == f"there is no configuration file {missing}"
    monkeypatch.setenv("CATAGENT_CONFIG", str(missing))
    with pytest.raises(ConfigError, match=r"none\.yaml \(named by CATAGENT_CONFIG\)"):
        load_config()


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_changes_nothing(write: Write, text: str) -> None:
    path = write(text)
    assert load_config(path).model_copy(update={"source": ""}) == load_config().model_copy(
        update={"source": ""}
    )


# What is laid over what.


def test_only_what_differs_need_be_written(write: Write) -> None:
    config = load_config(
        write(
            "providers:\n  openai: {timeout: 5}\n  mine: {api: openai, base_url: http://h/v1}\n"
            "roles: {judge: {model: mine/j, temperature: 0}}"
        )
    )
    assert config.providers["openai"].timeout == 5
    assert config.providers["openai"].base_url == "https://api.openai.com/v1"
    assert config.role("judge").model == "mine/j"
    assert config.role("sampler").model == "auto"


def test_lists_are_replaced_and_not_joined(write: Write) -> None:
    assert load_config(write("auto: [local]")).auto == ("local",)


def test_a_mapping_left_empty_changes_nothing(write: Write) -> None:
    config = load_config(write("roles:\n  judge:\nproviders:\n  openai:\ndefaults:\n"))
    assert config.providers["openai"].api == "openai"
    assert config.role("judge").model == "auto"


# The environment.


@pytest.mark.parametrize(
    ("written_as", "value", "read"),
    [
        ("${X_HOST}", "http://a/v1", "http://a/v1"),
        ("${X_HOST}", None, None),
        ("${X_HOST}", "", None),
        ("${X_HOST:-http://b/v1}", None, "http://b/v1"),
        ("${X_HOST:-http://b/v1}", "", "http://b/v1"),
        ("${X_HOST:-http://b/v1}", "http://a/v1", "http://a/v1"),
        ("${X_HOST:-http://b}/v1", None, "http://b/v1"),
        ("http://${X_HOST}/v1", "a", "http://a/v1"),
        ("${X_HOST:-}", None, None),
        ("http://h/${X_HOST:-}", None, "http://h/"),
        ("http://$X_HOST/v1", "a", "http://$X_HOST/v1"),
    ],
)
def test_values_are_taken_from_the_environment(
    write: Write, monkeypatch: pytest.MonkeyPatch, written_as: str, value: str | None, read: str | None
) -> None:
    monkeypatch.delenv("X_HOST", raising=False)
    if value is not None:
        monkeypatch.setenv("X_HOST", value)
    config = load_config(write(f'providers: {{mine: {{api: openai, base_url: "{written_as}"}}}}'))
    assert config.providers["mine"].base_url == read


def test_a_missing_variable_inside_a_text_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("X_HOST", raising=False)
    said = refused(write("providers: {mine: {base_url: 'http://${X_HOST}/v1'}}"))
    assert "providers.mine.base_url needs the environment variable X_HOST" in said


def test_numbers_may_come_from_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_RPM", "60")
    config = load_config(write("providers: {mine: {limits: {rpm: '${X_RPM}'}}}"))
    assert config.providers["mine"].limits.rpm == 60


# What is refused, and what is said.


@pytest.mark.parametrize(
    ("text", "key", "hint"),
    [
        ("provider: {}", "provider", "did you mean 'providers'?"),
        ("zzzzz: {}", "zzzzz", "known here: defaults, "),
        ("source: here", "source", "known here: "),
        ("defaults: {estimater: majority}", "defaults.estimater", "did you mean 'estimator'?"),
        ("auto: [{envv: X, model: y}]", "auto.0.envv", "did you mean 'env'?"),
        ("judging: {vote: 3}", "judging.vote", "did you mean 'votes'?"),
        ("providers: {mine: {base_urll: x}}", "providers.mine.base_urll", "did you mean 'base_url'?"),
        ("providers: {mine: {limits: {strat: 1}}}", "providers.mine.limits.strat", "did you mean 'start'?"),
        (
            "providers: {mine: {price: {promt: 1, completion: 1}}}",
            "providers.mine.price.promt",
            "did you mean 'prompt'?",
        ),
        (
            "providers: {mine: {models: {m: {contxt: 1}}}}",
            "providers.mine.models.m.contxt",
            "did you mean 'context'?",
        ),
        (
            "providers: {mine: {models: {m: {limits: {rmp: 1}}}}}",
            "providers.mine.models.m.limits.rmp",
            "did you mean 'rpm'?",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_a_suggestion(write: Write, text: str, key: str, hint: str) -> None:
    path = write(text)
    said = refused(path)
    assert said.startswith(f"{path}: unknown key {key!r}; ")
    assert hint in said


def test_an_unknown_role_is_refused_with_a_suggestion(write: Write) -> None:
    assert "unknown role 'samplr'; did you mean 'sampler'?" in refused(write("roles: {samplr: {}}"))
    assert "unknown role 'zzz'; roles are sampler, anchor" in refused(write("roles: {zzz: {}}"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("defaults: {n: 0}", "defaults.n: input should be greater than or equal to 1"),
        ("defaults: {n: many}", "defaults.n: input should be a valid integer"),
        ("providers: {mine: {api: soap}}", "providers.mine.api: input should be 'openai', 'litellm' or"),
        ("providers: {mine: {timeout: -1}}", "providers.mine.timeout: input should be greater than 0"),
        ("providers: {mine: 5}", "providers.mine: input should be a mapping"),
        ("providers: []", "providers: input should be a mapping"),
        ("providers: {mine: {price: {prompt: 1}}}", "providers.mine.price.completion: field required"),
        ("roles: {judge: {fallbacks: openai/x}}", "roles.judge.fallbacks: input should be a list"),
        ("auto: [nowhere]", "auto.0: write local, embedded or {env: NAME, model: provider/model}"),
        ("auto: [{env: X}]", "auto.0: write local, embedded or {env: NAME, model: provider/model}"),
        ("1: x", "unknown key '1'"),
    ],
)
def test_a_wrong_value_is_refused_by_its_place(write: Write, text: str, said: str) -> None:
    path = write(text)
    assert refused(path).startswith(f"{path}: {said}")


@pytest.mark.parametrize("text", ["[1, 2]", "just text", "5"])
def test_what_is_no_mapping_is_refused(write: Write, text: str) -> None:
    assert "must hold a mapping with the keys defaults, " in refused(write(text))


@pytest.mark.parametrize(
    "text",
    [
        f'providers:\n  mine:\n    api_key: "{SECRET}\n    base_url: x',
        f"providers: {{mine: {{api_key: {SECRET}, ]}}",
        f"api_key: {SECRET}: x: y",
        f"\tapi_key: {SECRET}",
        f"a: *{SECRET}",
    ],
)
def test_what_is_not_yaml_is_refused_by_line_and_without_its_content(write: Write, text: str) -> None:
    said = refused(write(text))
    assert "is not YAML at line " in said
    assert SECRET not in said


def test_bytes_that_are_no_text_are_refused(write: Write) -> None:
    path = write("")
    path.write_bytes(b"\xff\xfe\x00defaults")
    assert refused(path).startswith(f"cannot read {path}")


# Secrets.


def test_keys_are_never_shown(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("X_KEY", SECRET)
    config = load_config(
        write("providers: {mine: {api: openai, api_key: '${X_KEY}', headers: {x-token: '${X_KEY}'}}}")
    )
    mine = config.providers["mine"]
    assert mine.api_key is not None
    assert mine.api_key.get_secret_value() == SECRET
    for shown in (repr(config), str(config), config.model_dump_json(), str(config.model_dump())):
        assert SECRET not in shown


@pytest.mark.parametrize(
    "text",
    [
        f"providers: {{mine: {{api_key: [{SECRET}]}}}}",
        f"providers: {{mine: {{api_key: {{x: {SECRET}}}}}}}",
        f"providers: {{mine: {{headers: {SECRET}}}}}",
        f"providers: {{mine: {{timeout: {SECRET}}}}}",
        f"providers: {{mine: {{api: {SECRET}}}}}",
    ],
)
def test_no_error_shows_a_value(write: Write, text: str) -> None:
    assert SECRET not in refused(write(text))


# Roles.


def roles(**given: dict[str, Any]) -> Config:
    return Config.model_validate({"roles": given})


def test_a_role_without_a_model_takes_that_of_the_role_before_it() -> None:
    config = roles(sampler={"model": "a/b", "temperature": 0.7, "fallbacks": ["c/d"]}, judge={"top_p": 0.1})
    for name in ROLES:
        role = config.role(name)
        assert (role.model, role.fallbacks) == ("a/b", ("c/d",))
    assert config.role("anchor").params == {"temperature": 0.7}
    assert config.role("judge").params == {"temperature": 0.7, "top_p": 0.1}


def test_parameters_are_not_inherited_without_their_model() -> None:
    config = roles(sampler={"model": "a/b", "temperature": 0.7}, anchor={"model": "c/d", "top_p": 0.5})
    assert config.role("anchor").params == {"top_p": 0.5}
    assert config.role("judge").model == "c/d"
    assert config.role("judge").params == {"top_p": 0.5}


def test_without_any_model_there_is_none() -> None:
    assert Config().role("judge").model is None


# What a provider says of its models.


def test_a_models_own_limits_and_price_go_before_the_providers() -> None:
    provider = ProviderConfig.model_validate(
        {
            "limits": {"start": 2, "rpm": 10},
            "price": {"prompt": 1, "completion": 2},
            "models": {"m": {"limits": {"tpm": 9}, "price": {"prompt": 3, "completion": 4}}},
        }
    )
    assert provider.limits_for("other") == Limits(2, 512, 10, None, False)
    assert provider.limits_for("m") == Limits(16, 512, None, 9, False)
    assert provider.price_of("other") == Price(1e-6, 2e-6)
    assert provider.price_of("m") == Price(3e-6, 4e-6)


def test_local_servers_queue_and_cost_nothing() -> None:
    for provider in (ProviderConfig(local=True), ProviderConfig(api="embedded")):
        assert provider.limits_for("m").queues
        assert provider.price_of("m") == Price(0, 0)
    assert ProviderConfig().price_of("m") is None
    assert not ProviderConfig().limits_for("m").queues


def test_the_policy_is_what_was_written() -> None:
    policy = ProviderConfig(attempts=7, patience=3, api_key=SecretStr("x"), models={"m": KnownModel()}).policy
    assert (policy.attempts, policy.patience) == (7, 3)
    assert Preference(env="X", model="a/b").model == "a/b"
