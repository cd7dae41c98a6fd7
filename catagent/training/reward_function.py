"""The rewards as TRL takes them: a function of the completions, beside which they stand already.

`CaTTrainer` makes the rewards of a whole batch at once and puts them into its rows; this hands them over.
"""

from __future__ import annotations

from typing import Any

__all__ = ["cat_reward", "said"]


def cat_reward(
    prompts: Any, completions: Any, *, cat_reward: Any, cat_metrics: Any, reference: Any, **known: Any
) -> list[float | None]:
    """What `_calculate_rewards` put into the rows, as a reward function of TRL."""
    log_extra, log_metric = known.get("log_extra"), known.get("log_metric")
    if log_extra is not None:
        log_extra("reference", [text or "" for text in reference])
    if log_metric is not None:
        for name, value in cat_metrics[0].items():
            log_metric(f"cat/{name}", value)
    return list(cat_reward)


def said(completion: Any) -> str:
    """The text of a completion, as TRL gives it: a text, or messages."""
    if isinstance(completion, str):
        return completion
    content = completion[-1].get("content") if completion else ""
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) for part in content)
    return str(content or "")
