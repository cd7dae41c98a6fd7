"""verl: CaT as `custom_reward_function`, for one completion at a time or a batch.

    reward.custom_reward_function.path=pkg://catagent.integrations.verl
    reward.custom_reward_function.name=compute_score
    +reward.custom_reward_function.reward_kwargs.group_size=8
    reward.num_workers=1

verl's reward loop brings each completion alone, as soon as it is generated: the members of a group wait for
each other, which they can only in one process, hence one reward worker. The batch reward manager brings all
at once: take `compute_scores` for it.

verl does not pass the prompt: put it into the data set's `extra_info` (a text or a conversation) under
`question`, or name its field with `prompt_field`. verl knows no unknown reward: in its place stands the mean
of what is known in the group, which a group-relative advantage counts as nothing, and `cat_unknown` says so.
Ground truths and data sources are not looked at.
"""

from __future__ import annotations

import asyncio
import functools
import weakref
from collections.abc import Mapping, Sequence
from typing import Any

from catagent.assembly import Assembly, Row, RowReward, score_rows
from catagent.background import run_in_background
from catagent.cat import CaT
from catagent.errors import ConfigError

__all__ = ["compute_score", "compute_scores"]

_meetings: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[Any, ...], Assembly]] = (
    weakref.WeakKeyDictionary()
)


async def compute_score(
    data_source: Any = None,
    solution_str: str = "",
    ground_truth: Any = None,
    extra_info: Mapping[str, Any] | None = None,
    *,
    group_size: int,
    patience: float = 300.0,
    prompt_field: str = "question",
    model: str | None = None,
    anchor: str | None = None,
    judge: str | None = None,
    **_: Any,
) -> dict[str, float]:
    """The reward of one completion, once the `group_size` completions of its prompt have come.

    When none has come for `patience` seconds, those who are there are the group. Raises what ends a job.
    """
    loop = asyncio.get_running_loop()
    meetings = _meetings.setdefault(loop, {})
    key = (group_size, patience, model, anchor, judge)
    if key not in meetings:
        meetings[key] = Assembly(_cat(model, anchor, judge), size=group_size, patience=patience)
    return _figures(await meetings[key].reward(Row(_prompt(extra_info, prompt_field), solution_str)))


def compute_scores(
    data_sources: Sequence[Any],
    solution_strs: Sequence[str],
    ground_truths: Sequence[Any],
    extra_infos: Sequence[Mapping[str, Any]],
    *,
    group_size: int | None = None,
    prompt_field: str = "question",
    model: str | None = None,
    anchor: str | None = None,
    judge: str | None = None,
    **_: Any,
) -> list[dict[str, float]]:
    """The rewards of a batch, for the reward manager `batch`. Raises what ends a job."""
    rows = [
        Row(_prompt(extra, prompt_field), text)
        for extra, text in zip(extra_infos, solution_strs, strict=True)
    ]
    rewards = run_in_background(score_rows(_cat(model, anchor, judge), rows, size=group_size))
    return [_figures(reward) for reward in rewards]


@functools.cache
def _cat(model: str | None, anchor: str | None, judge: str | None) -> CaT:
    return CaT(model, anchor=anchor, judge=judge)


def _prompt(extra: Mapping[str, Any] | None, field: str) -> Any:
    prompt = (extra or {}).get(field)
    if prompt is None or not len(prompt):
        raise ConfigError(
            f"extra_info has no {field!r}: put the prompt there, or name its field with prompt_field "
            f"(there are {', '.join(map(str, extra or ())) or 'none'})"
        )
    return prompt if isinstance(prompt, str) else [dict(message) for message in prompt]


def _figures(reward: RowReward) -> dict[str, float]:
    reference = reward.solution.reference if reward.solution else None
    agreement = reference.agreement if reference else None
    return {
        "score": reward.neutral,
        "cat_unknown": float(reward.value is None),
        "cat_agreement": float("nan") if agreement is None else agreement,
    }
