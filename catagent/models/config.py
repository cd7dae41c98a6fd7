"""The configuration: which models play which roles, and how they are reached.

Read from the file named by `CATAGENT_CONFIG`, else `providers.yaml` in the working directory, laid over
the packaged default. Unknown keys are refused with a suggestion; keys of providers come from the
environment and are never shown.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from catagent.errors import ConfigError
from catagent.messages import Kind
from catagent.models.ledger import Price
from catagent.models.limiter import Limits
from catagent.models.retry import RetryPolicy
from catagent.options import JudgeOptions, RewardOptions, RubricOptions
from catagent.settings import read_settings

__all__ = [
    "ROLES",
    "Config",
    "Defaults",
    "KnownModel",
    "Preference",
    "Profile",
    "ProviderConfig",
    "RoleConfig",
    "data_path",
    "load_config",
]

ROLES = {"sampler": None, "anchor": "sampler", "rubric_proposer": "anchor", "judge": "anchor"}
"""The roles, and whose model each takes when it has none of its own."""

_KINDS = re.compile(r"valid (?:dictionary(?: or instance of \w+)?|tuple)")
_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def data_path(name: str) -> Path:
    """Where a packaged file is: in the wheel beside the code, in a checkout at the top level."""
    here = Path(__file__).resolve().parent.parent
    packaged = here / "_data" / name
    return packaged if packaged.exists() else here.parent / name


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitsConfig(_Strict):
    """`Limits`, as written in a file."""

    start: int = Field(default=16, ge=1)
    max_concurrency: int = Field(default=512, ge=1)
    rpm: int | None = Field(default=None, ge=1)
    tpm: int | None = Field(default=None, ge=1)
    queues: bool | None = None


class PriceConfig(_Strict):
    """US dollars a million tokens."""

    prompt: float = Field(ge=0)
    completion: float = Field(ge=0)


class KnownModel(_Strict):
    """What is known of one model of a provider."""

    context: int | None = Field(default=None, ge=1)
    price: PriceConfig | None = None
    params: dict[str, Any] = {}
    limits: LimitsConfig | None = None


class ProviderConfig(_Strict):
    """How one provider is reached."""

    api: Literal["openai", "litellm", "embedded"] = "litellm"
    base_url: str | None = None
    api_key: SecretStr | None = None
    headers: dict[str, SecretStr] = {}
    local: bool = False
    limits: LimitsConfig = LimitsConfig()
    timeout: float = Field(default=300.0, gt=0)
    attempts: int = Field(default=4, ge=1)
    patience: float = Field(default=900.0, ge=0)
    params: dict[str, Any] = {}
    price: PriceConfig | None = None
    models: dict[str, KnownModel] = {}

    def limits_for(self, model: str) -> Limits:
        """The limits of one model."""
        known = self.models.get(model)
        given = (known.limits if known else None) or self.limits
        queues = given.queues if given.queues is not None else self.local or self.api == "embedded"
        return Limits(given.start, given.max_concurrency, given.rpm, given.tpm, queues)

    @property
    def policy(self) -> RetryPolicy:
        """The retry policy."""
        return RetryPolicy(attempts=self.attempts, patience=self.patience)

    def price_of(self, model: str) -> Price | None:
        """What a model costs, if the configuration says so; models on this machine cost nothing."""
        known = self.models.get(model)
        price = (known.price if known else None) or self.price
        if price:
            return Price(price.prompt / 1e6, price.completion / 1e6)
        return Price(0.0, 0.0) if self.local or self.api == "embedded" else None


class RoleConfig(BaseModel):
    """A role: its model, fall-backs, and sampling parameters (every further key)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    model: str | None = None
    fallbacks: tuple[str, ...] = ()

    @property
    def params(self) -> dict[str, Any]:
        """The sampling parameters, sent as they are."""
        return dict(self.model_extra or {})


class Preference(_Strict):
    """One line of `auto`: a model, when an environment variable is set."""

    env: str
    model: str


class Defaults(_Strict):
    """What `solve` does when it is not told otherwise."""

    n: int = Field(default=8, ge=1, le=1024)
    kind: Kind = "auto"
    estimator: str = "synthesis"
    question_aware: bool = False


class Profile(_Strict):
    """A way to solve under a name of its own, for callers who can only say a model's name.

    What is not set is as it is without the profile; `params` are sampling parameters of the rollouts.
    """

    description: str = ""
    model: str | None = None
    anchor: str | None = None
    rubric_proposer: str | None = None
    judge: str | None = None
    n: int | None = Field(default=None, ge=1, le=1024)
    kind: Kind | None = None
    estimator: str | None = None
    question_aware: bool | None = None
    rewards: bool = False
    params: dict[str, Any] = {}


class Config(_Strict):
    """A whole configuration. `source` is the file it came from."""

    defaults: Defaults = Defaults()
    proposing: RubricOptions = RubricOptions()
    judging: JudgeOptions = JudgeOptions()
    rewarding: RewardOptions = RewardOptions()
    roles: dict[Literal["sampler", "anchor", "rubric_proposer", "judge"], RoleConfig] = {}
    profiles: dict[str, Profile] = {}
    auto: tuple[Preference | Literal["local", "embedded"], ...] = ("embedded",)
    providers: dict[str, ProviderConfig] = {}
    source: str = ""

    def role(self, name: str) -> RoleConfig:
        """A role with its model filled in from the role it defaults to.

        Sampling parameters are inherited only along with the model: they belong to it.
        """
        config = self.roles.get(name, RoleConfig())  # type: ignore[call-overload]
        parent = ROLES[name]
        if config.model is not None or parent is None:
            return RoleConfig.model_validate(config.model_dump())
        inherited = self.role(parent)
        return RoleConfig.model_validate(
            {
                **inherited.model_dump(),
                **config.model_dump(exclude={"model", "fallbacks"}),
                "model": inherited.model,
                "fallbacks": config.fallbacks or inherited.fallbacks,
            }
        )


def load_config(path: str | Path | None = None) -> Config:
    """The configuration in force. Raises `ConfigError` with one sentence that names file and key."""
    wanted = f"a mapping with the keys {', '.join(_keys_of(Config))}"
    packaged = read_settings(data_path("providers.yaml"), wanted)
    found = _find(path)
    merged = _merge(packaged, read_settings(found, wanted)) if found else packaged
    source = str(found) if found else "packaged default"
    if "source" in merged:
        raise ConfigError(f"{source}: unknown key 'source'; known here: {', '.join(_keys_of(Config))}")
    try:
        return Config.model_validate({**_expand(merged, source, ""), "source": source})
    except ValidationError as error:
        raise ConfigError(_sentence(error, source)) from None


def _find(path: str | Path | None) -> Path | None:
    named = path or os.environ.get("CATAGENT_CONFIG")
    if named:
        found = Path(named).expanduser()
        if not found.is_file():
            said = "" if path else " (named by CATAGENT_CONFIG)"
            raise ConfigError(f"there is no configuration file {found}{said}")
        return found
    local = Path("providers.yaml")
    return local.resolve() if local.is_file() else None


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid on `base`, mapping by mapping; a mapping left empty changes nothing."""
    merged = dict(base)
    for key, value in over.items():
        mine = merged.get(key)
        if isinstance(mine, dict) and (value is None or isinstance(value, dict)):
            merged[key] = _merge(mine, value or {})
        else:
            merged[key] = value
    return merged


def _expand(value: Any, source: str, where: str) -> Any:
    if isinstance(value, dict):
        return {k: _expand(v, source, f"{where}.{k}" if where else str(k)) for k, v in value.items()}
    if isinstance(value, list):
        return [_expand(v, source, where) for v in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    whole = _VARIABLE.fullmatch(value)
    if whole:
        return os.environ.get(whole[1]) or whole[2] or None

    def one(match: re.Match[str]) -> str:
        found = os.environ.get(match[1]) or match[2]
        if found is None:
            raise ConfigError(f"{source}: {where} needs the environment variable {match[1]}")
        return found

    return _VARIABLE.sub(one, value)


def _sentence(error: ValidationError, source: str) -> str:
    """One thing that is wrong, without the value: it may be a key. A misspelt key explains a missing one."""
    wrong = error.errors(include_input=False, include_url=False)
    first = next((e for e in wrong if e["type"] == "extra_forbidden"), wrong[0])
    path = [str(p) for p in first["loc"] if p != "Preference"]
    where = ".".join(path)
    if first["type"] == "extra_forbidden":
        allowed = _allowed(path[:-1])
        near = difflib.get_close_matches(path[-1], allowed, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(allowed)}"
        return f"{source}: unknown key {where!r}; {hint}"
    if path[0] == "roles" and len(path) == 3 and path[2] == "[key]":
        near = difflib.get_close_matches(path[1], ROLES, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"roles are {', '.join(ROLES)}"
        return f"{source}: unknown role {path[1]!r}; {hint}"
    if path[0] == "auto" and len(path) > 1:
        return f"{source}: auto.{path[1]}: write local, embedded or {{env: NAME, model: provider/model}}"
    said = _KINDS.sub(lambda kind: "mapping" if "dict" in kind[0] else "list", first["msg"])
    return f"{source}: {where}: {said[0].lower()}{said[1:]}"


def _keys_of(model: type[BaseModel]) -> list[str]:
    return [k for k in model.model_fields if k != "source"]


def _allowed(path: list[str]) -> list[str]:
    here: type[BaseModel] = Config
    steps: dict[str, type[BaseModel]] = {
        "defaults": Defaults,
        "proposing": RubricOptions,
        "judging": JudgeOptions,
        "rewarding": RewardOptions,
        "providers": ProviderConfig,
        "limits": LimitsConfig,
        "price": PriceConfig,
        "models": KnownModel,
        "auto": Preference,
        "profiles": Profile,
    }
    for step in path:
        here = steps.get(step, here)
    return _keys_of(here)
