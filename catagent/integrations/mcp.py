"""An MCP server: assistants that speak the Model Context Protocol solve, score and compare.

`server_for(cat)` makes an `MCPServer` with three tools that return typed results. It is served by
`catagent mcp`, over stdio or streamable HTTP. Which models are asked and what a call may cost is the
operator's choice, made in `cat`; a client chooses only what belongs to its question.
"""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from catagent.answers import aequivalent, extract
from catagent.cat import CaT
from catagent.errors import CatError
from catagent.events import (
    Event,
    Judged,
    ReferenceReady,
    RolloutFinished,
    RubricReady,
    Started,
    SynthesisStarted,
    SynthesisToken,
    Waiting,
)
from catagent.integrations.extras import absent
from catagent.integrations.narration import narrated
from catagent.messages import Solution

try:
    from mcp.server.mcpserver import Context, MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
    from mcp_types import ToolAnnotations
except ImportError as error:
    raise absent("mcp", error) from error

__all__ = ["Comparison", "Scored", "Scores", "Solved", "Spent", "server_for"]

LONGEST = 200_000
"""Characters of a prompt or a completion that a call may bring."""
WIDEST = 64
"""Rollouts or completions in one call."""

Text = Annotated[str, Field(min_length=1, max_length=LONGEST)]


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True)


class Spent(_Result):
    """What the call consumed, over all roles. `usd` is null when a price is not known."""

    calls: int
    prompt_tokens: int
    completion_tokens: int
    usd: float | None
    seconds: float


class Scored(_Result):
    """One rollout or completion. A `reward` of null means unknown, and `reason` says why; it is never 0."""

    index: int
    answer: str | None = Field(description="Its final answer, where it has one.")
    reward: float | None
    reason: str | None = None


class Scores(_Result):
    """One reward a completion, in the order given, and what they were measured by."""

    rewards: list[Scored]
    reference: str | None = Field(description="The reference the completions were compared with.")
    answer: str | None = Field(description="The reference's final answer.")
    rubric: list[str] = Field(description="The criteria, where the task is open-ended.")
    notes: list[str]
    usage: Spent


class Solved(_Result):
    """The reference: several independent attempts reconciled into one answer."""

    text: str
    answer: str | None = Field(description="The final answer, where the task has one.")
    method: str = Field(description="How the reference was made.")
    agreement: float | None = Field(description="Share of the attempts with the same final answer.")
    differs_from_majority: bool | None
    partial: bool = Field(description="Whether attempts were lost.")
    rollouts: list[Scored]
    rubric: list[str]
    notes: list[str]
    usage: Spent


class Comparison(_Result):
    """Whether two final answers are the same; null when it could not be decided in time."""

    equivalent: bool | None
    a: str | None = Field(description="The final answer found in `a`.")
    b: str | None = Field(description="The final answer found in `b`.")


Kind = Annotated[
    Literal["auto", "verifiable", "open"],
    Field(description="verifiable: there is one final answer; open: judged by a rubric."),
]


def server_for(cat: CaT) -> MCPServer[Any]:
    """An MCP server whose tools run on `cat`. The caller closes `cat`."""
    server: MCPServer[Any] = MCPServer(
        "catagent",
        version=version("catagent"),
        instructions=(
            "Compute as Teacher: solve a hard task by several independent attempts that are reconciled "
            "into one answer, score completions without a gold answer, compare final answers."
        ),
        log_level="WARNING",
    )
    reads = ToolAnnotations(read_only_hint=True, open_world_hint=True)

    @server.tool(annotations=reads)
    async def solve(
        prompt: Annotated[Text, Field(description="The task, as it would be put to a model.")],
        context: Context[Any, Any],
        n: Annotated[int | None, Field(ge=1, le=WIDEST, description="Independent attempts.")] = None,
        kind: Kind = "auto",
        rewards: Annotated[
            bool, Field(description="Also rewards that cost calls: rubric and judge of an open task.")
        ] = False,
    ) -> Solved:
        """Answer a task by several attempts reconciled into one: more reliable than asking once."""
        solution = await _told(
            context,
            lambda emit: cat.solve(prompt, n=n, kind=kind, rewards=rewards, emit=emit),
            steps=(n or cat.n) + 1,
        )
        reference = solution.reference
        assert reference is not None
        return Solved(
            text=reference.text,
            answer=solution.answer,
            method=reference.method,
            agreement=reference.agreement,
            differs_from_majority=reference.differs_from_majority,
            partial=solution.partial,
            rollouts=_scored(solution),
            rubric=_criteria(solution),
            notes=list(solution.notes),
            usage=_spent(solution),
        )

    @server.tool(annotations=reads)
    async def score(
        prompt: Annotated[Text, Field(description="The task that the completions answer.")],
        completions: Annotated[
            list[Annotated[str, Field(max_length=LONGEST)] | None],
            Field(min_length=1, max_length=WIDEST, description="null stands for one that failed."),
        ],
        context: Context[Any, Any],
        reference: Annotated[
            Text | None, Field(description="A trusted answer; by default one is made from the completions.")
        ] = None,
        rubric: Annotated[
            list[Annotated[str, Field(min_length=1, max_length=2_000)]] | None,
            Field(max_length=100, description="Criteria to judge by; the task is open-ended then."),
        ] = None,
        kind: Kind = "auto",
    ) -> Scores:
        """Reward each completion without a gold answer, by a reference made of them all or a rubric."""
        solution = await _told(
            context,
            lambda emit: cat.score(
                prompt, completions, reference=reference, rubric=rubric, kind=kind, emit=emit
            ),
            steps=1,
        )
        return Scores(
            rewards=_scored(solution),
            reference=solution.reference.text if solution.reference else None,
            answer=solution.answer,
            rubric=_criteria(solution),
            notes=list(solution.notes),
            usage=_spent(solution),
        )

    @server.tool(
        annotations=ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
    )
    async def compare_answers(
        a: Annotated[Text, Field(description="A final answer, or a response that holds one.")],
        b: Annotated[Text, Field(description="The other.")],
    ) -> Comparison:
        """Say whether two final answers are the same as mathematics, whatever their form; asks no model."""
        found = [extract(text) for text in (a, b)]
        same = await aequivalent(found[0] or a, found[1] or b)
        return Comparison(
            equivalent=same,
            a=found[0].text if found[0] else None,
            b=found[1].text if found[1] else None,
        )

    return server


async def _told(context: Context[Any, Any], work: Any, *, steps: int) -> Solution:
    """The solution of `work`, its progress told to the client and its errors as the protocol has them."""
    progress = _Progress(context, steps)
    try:
        return await narrated(work, progress.hear)
    except CatError as error:
        raise ToolError(str(error)) from error


class _Progress:
    """Events as progress notifications: one unit a rollout, one for the reference, one a response judged.

    A part of the last unit is told while the synthesis is written, at most once a second, so that a client
    that counts silence as failure does not give up. The protocol wants a number that grows.
    """

    def __init__(self, context: Context[Any, Any], total: int) -> None:
        self._context = context
        self._total = total
        self._done = 0
        self._part = 0.0
        self._told = 0.0

    async def hear(self, event: Event) -> None:
        """Tell the client, if the event is worth it."""
        match event:
            case Started(n=n, model=model):
                await self._tell(f"{n} attempts by {model}")
            case RolloutFinished(rollout=rollout):
                self._done += 1
                await self._tell(
                    f"attempt {rollout.index + 1} " + ("failed" if rollout.error else "finished")
                )
            case SynthesisStarted(model=model):
                await self._tell(f"{model} reconciles them")
            case SynthesisToken():
                await self._creep("the reference is being written")
            case ReferenceReady():
                self._done += 1
                await self._tell("the reference is ready")
            case RubricReady(rubric=rubric):
                await self._tell(f"{len(rubric.criteria)} criteria")
            case Judged():
                self._done += 1
                await self._tell("one response is judged")
            case Waiting(reason=reason, seconds=seconds):
                await self._tell(f"waiting {seconds:.0f} s: {reason[:200]}")

    async def _tell(self, message: str) -> None:
        self._part += (1 - self._part) / 8  # between two units: always more, never the next one
        self._told = time.monotonic()
        self._total = max(self._total, self._done)
        await self._context.report_progress(self._done + self._part * 0.999, self._total + 1, message)

    async def _creep(self, message: str) -> None:
        if time.monotonic() - self._told >= 1:
            await self._tell(message)


def _scored(solution: Solution) -> list[Scored]:
    rewards = {reward.rollout_id: reward for reward in solution.rewards}
    scored = []
    for rollout in solution.rollouts:
        reward = rewards.get(rollout.id)
        scored.append(
            Scored(
                index=rollout.index,
                answer=rollout.answer.text if rollout.answer else None,
                reward=reward.value if reward else None,
                reason=rollout.error or (reward.reason if reward else None),
            )
        )
    return scored


def _criteria(solution: Solution) -> list[str]:
    return [criterion.text for criterion in solution.rubric.criteria] if solution.rubric else []


def _spent(solution: Solution) -> Spent:
    usage = solution.usage
    return Spent(
        calls=usage.calls,
        prompt_tokens=usage.total.prompt_tokens,
        completion_tokens=usage.total.completion_tokens,
        usd=usage.usd,
        seconds=usage.seconds,
    )
