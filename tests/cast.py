"""A provider double that plays the roles: who is asked is told from the prompt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from catagent.cat import CaT
from catagent.models.config import Config, ProviderConfig, load_config
from tests.doubles import ProviderDouble, prompt_of

SYNTHESIS = "# UNIFIED RESPONSE"
RUBRIC = "".join(
    f"<criterion>Names {what}.</criterion>"
    for what in ("a regular hour", "a dark room", "less coffee", "daily exercise", "a doctor")
)
VERDICT = "<verdict><reason>It does.</reason><met>yes</met></verdict>"


def cast(
    rollouts: Sequence[str] | Callable[[int], str],
    synthesis: str | Callable[[str], str] = "# SUMMARY\nagreed\n# UNIFIED RESPONSE\nSo it is \\boxed{4}.",
) -> Callable[[dict[str, Any], int], str]:
    """A reply function: rollout `i` of the group in turn, the synthesis when the anchor is asked, a rubric
    and verdicts that praise everything.
    """
    turn = iter(range(1_000_000))

    def reply(body: dict[str, Any], index: int) -> str:
        prompt = prompt_of(body)
        if SYNTHESIS in prompt:
            return synthesis if isinstance(synthesis, str) else synthesis(prompt)
        if "<criterion>" in prompt:
            return f"<rubric>{RUBRIC}</rubric>"
        if "<met>" in prompt:
            return VERDICT
        i = next(turn)
        return rollouts(i) if callable(rollouts) else rollouts[i % len(rollouts)]

    return reply


def config_for(double: ProviderDouble, **provider: Any) -> Config:
    """A configuration whose provider `double` is the double."""
    base = load_config()
    own = ProviderConfig.model_validate({"api": "openai", "base_url": double.base_url, **provider})
    return base.model_copy(update={"providers": {**base.providers, "double": own}})


def cat_on(double: ProviderDouble, **options: Any) -> CaT:
    """A `CaT` whose roles are all played by the double."""
    provider = options.pop("provider", {})
    return CaT(**{"model": "double/m", "n": 4, "config": config_for(double, **provider), **options})
