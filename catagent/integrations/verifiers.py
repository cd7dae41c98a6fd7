"""verifiers (v1): an environment whose rewards are CaT's, made from the siblings of an episode.

Export `CatEnv` from the package of your taskset, or from a module `my_env.py` that holds these two lines:

    from catagent.integrations.verifiers import CatEnv
    __all__ = ["CatEnv"]

and run it with `--env.id my_env --env.n 8 --env.anchor openai/gpt-5-mini`. The `n` attempts at a task are one
group; when all have finished, their reference rewards each of them. It stands beside `best-of-n`, which
compares siblings by the rewards of the task itself.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Any

from catagent.assembly import Row, score_rows
from catagent.cat import CaT
from catagent.integrations.extras import absent
from catagent.messages import Kind

try:
    import verifiers.v1 as vf
    from verifiers.v1.types import Usage
except ImportError as error:
    raise absent("verifiers", error) from error

from pydantic import Field

__all__ = ["CatEnv", "CatEnvConfig"]


class CatEnvConfig(vf.EnvConfig):
    """How many attempts, and how they are rewarded; the rest is as catagent's configuration has it."""

    agent: vf.AgentConfig = vf.AgentConfig()
    n: int = Field(8, ge=2)
    """Attempts an episode: the group."""
    anchor: str | None = None
    """The model that reconciles, as `provider/name`."""
    judge: str | None = None
    kind: Kind | None = None
    estimator: str | None = None
    weight: float = 1.0
    """Of the reward `cat` among a trace's rewards."""


class CatEnv(vf.Env[CatEnvConfig]):
    """One agent attempts the task `n` times; the attempts are rewarded by their own reference.

    A reward that is not known stays `None`, which verifiers reads as not scored.
    """

    async def run(self, task: vf.Task, agents: vf.Agents) -> None:
        """The attempts, side by side; one that raises ends the others."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.config.n):
                group.create_task(agents.agent.run(task))

    async def finalize(self, task: vf.Task, episode: vf.Episode) -> None:
        """The rewards of the group, and what is known of its reference, on every trace."""
        config = self.config
        cat = _cat(config.anchor, config.judge)
        await reward_traces(
            cat, task, episode.traces, kind=config.kind, estimator=config.estimator, weight=config.weight
        )


async def reward_traces(
    cat: CaT,
    task: Any,
    traces: list[Any],
    *,
    kind: Kind | None = None,
    estimator: str | None = None,
    weight: float = 1.0,
) -> None:
    """Record the reward `cat` on each trace of one task, for environments of your own.

    A trace that failed is a missing completion. What was spent is in the first trace's `extra_usage`.
    """
    prompt = _prompt(task.data)
    rows = [Row(prompt, (trace.last_reply or None) if not trace.errors else None) for trace in traces]
    rewards = await score_rows(cat, rows, kind=kind, estimator=estimator)
    for trace, reward in zip(traces, rewards, strict=True):
        if reward.value is None:
            trace.rewards["cat"] = None
            trace.info["cat_unknown"] = reward.reason
        else:
            trace.record_reward("cat", reward.value, weight)
        reference = reward.solution.reference if reward.solution else None
        if reference is not None:
            trace.info["cat_reference"] = reference.text
            if reference.agreement is not None:
                trace.record_metric("cat_agreement", reference.agreement)
    solution = next((reward.solution for reward in rewards if reward.solution), None)
    if solution is not None:
        total = solution.usage.total
        traces[0].extra_usage.append(
            Usage(
                prompt_tokens=total.prompt_tokens,
                completion_tokens=total.completion_tokens,
                cost=solution.usage.usd,
            )
        )


def _prompt(data: Any) -> list[dict[str, Any]]:
    from verifiers.v1.dialects.chat import message_to_wire

    system = [{"role": "system", "content": data.system_prompt}] if data.system_prompt else []
    if isinstance(data.prompt, str) or data.prompt is None:
        return [*system, {"role": "user", "content": data.prompt or ""}]
    return [*system, *(message_to_wire(message) for message in data.prompt)]


@functools.cache
def _cat(anchor: str | None, judge: str | None) -> CaT:
    """One `CaT` for all episodes, so that they share connections and limits."""
    return CaT(anchor=anchor, judge=judge)
