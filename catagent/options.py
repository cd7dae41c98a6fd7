"""How rubrics are proposed, responses judged and rewards made: the switches, with the paper's choices as
defaults.

Frozen data, so that a configuration file, a caller and a report name the same things.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catagent.errors import ConfigError

__all__ = ["Format", "JudgeOptions", "RewardOptions", "RubricOptions", "Sight", "options_of"]

Format: TypeAlias = Literal["xml", "json"]
Sight: TypeAlias = Literal["reference", "question", "question_and_reference", "contrast"]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RubricOptions(_Options):
    """What a RubricProposer sees and asks for (paper, section 1.4: the reference alone, equal weights)."""

    sees: Sight = "reference"
    """`contrast` shows the rollouts beside the reference, `question` is the paper's baseline without it."""
    at_least: int = Field(default=5, ge=1, le=50)
    at_most: int = Field(default=12, ge=1, le=100)
    weights: bool = False
    """Ask for a weight from 1 to 5 a criterion; otherwise all count alike."""
    negative: bool = False
    """Ask also for criteria that a good response does not meet; they count against it."""
    format: Format = "xml"


class JudgeOptions(_Options):
    """How a Judge is asked (paper, section 1.4: one response and one criterion a call, nothing else)."""

    criteria_per_call: int | None = Field(default=1, ge=1)
    """`None` asks for all verdicts on a response in one call: five to ten times cheaper."""
    votes: int = Field(default=1, ge=1, le=64)
    quorum: int | None = Field(default=None, ge=1)
    """Readable votes that a verdict needs; by default more than half of `votes`."""
    evidence: bool = False
    """Ask for a quote from the response; a quote that is not there makes the verdict unscored."""
    sees_question: bool = False
    probabilities: bool = False
    """Ask for log-probabilities. Where the endpoint gives them unasked they are used as well."""
    format: Format = "xml"

    @property
    def votes_needed(self) -> int:
        """The quorum of votes in force."""
        return min(self.votes, self.quorum or self.votes // 2 + 1)


class RewardOptions(_Options):
    """Which rewards count, by name and weight, for either kind of task."""

    verifiable: dict[str, float] = Field(default={"answer_match": 1.0}, min_length=1)
    open: dict[str, float] = Field(default={"rubric": 1.0}, min_length=1)
    quorum: float = Field(default=0.5, gt=0, le=1)
    """Share of the criteria that must be scored for a rollout to have a rubric reward."""
    discriminative: bool = False
    """Reward only by criteria that separate the rollouts: met by one, unmet by another."""
    longest: int = Field(default=750, ge=1)
    """Tokens of a response above which `length_penalty` is −1 (paper, section 1.4)."""


O = TypeVar("O", bound=_Options)  # noqa: E741


def options_of(kind: type[O], given: O | Mapping[str, Any] | None, default: O) -> O:
    """`given` laid on `default`. Raises `ConfigError` for an unknown or impossible option."""
    if given is None:
        return default
    if isinstance(given, kind):
        return given
    try:
        return kind.model_validate({**default.model_dump(), **given})  # type: ignore[dict-item]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{kind.__name__}: {where}: {first['msg']}") from None
