"""CaT: the pipeline that wires agents, estimators and rewards.

`solve` runs it from a prompt to the reference and its rewards; `score` enters with completions made
elsewhere. Both are one line: sampler, estimator, rewards.
"""

from __future__ import annotations

import asyncio
import copy
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from catagent.agents.conversation import question_of
from catagent.agents.prompts import Prompts
from catagent.agents.sampler import Sampler
from catagent.background import run_in_background
from catagent.brought import Completion, given_reference, group_of, sampling_params
from catagent.errors import ConfigError, QuorumError
from catagent.estimators import Estimator, EstimatorContext, EstimatorPlan, plan_of
from catagent.estimators.agreement import with_agreement
from catagent.events import Emit, Event, ReferenceReady, Solved, Started, Waiting
from catagent.messages import (
    ChatMessage,
    Criterion,
    Kind,
    Reference,
    RolloutGroup,
    Rubric,
    Solution,
    Task,
)
from catagent.models.client import Client
from catagent.models.config import Config, load_config
from catagent.models.embedded import EmbeddedClient
from catagent.models.journal import Journal
from catagent.models.ledger import Budget, Ledger
from catagent.models.model import Model
from catagent.models.registry import Registry
from catagent.options import JudgeOptions, RewardOptions, RubricOptions, options_of
from catagent.rewarding import Derived, brought_rubric, derive_rewards
from catagent.rewards import needs

__all__ = ["CaT", "Completion", "Prompt"]

Prompt: TypeAlias = str | list[ChatMessage] | tuple[ChatMessage, ...] | Task


@dataclass(slots=True)
class Run:
    """What belongs to one solve: its models share a ledger and are heard by the same listener."""

    cat: CaT
    registry: Registry
    ledger: Ledger
    emit: Emit | None

    async def model(self, role: str, *, start: bool = True) -> Model:
        """The model that plays `role` in this run.

        With `start` an embedded one is fetched and loaded now, so that no attempt's clock counts it.
        """
        model, config = self.cat.model_of(role)
        return await self._playing(role, (model, *config.fallbacks), config.params, start)

    async def proposer(self, model: str) -> Model:
        """Another model than the sampler's that answers the task, for estimators that ask several."""
        return await self._playing("proposer", (model,), {}, True)

    async def _playing(
        self, role: str, models: Sequence[str | Client], params: Mapping[str, Any], start: bool
    ) -> Model:
        endpoints = [await self.registry.endpoint(m) for m in models]
        if start and isinstance(endpoints[0].client, EmbeddedClient):
            await endpoints[0].client.start()

        def waiting(error: Exception, attempt: int, seconds: float) -> None:
            for hear in (self.emit, self.cat.on_wait):
                if hear:
                    hear(Waiting(role=role, reason=str(error), attempt=attempt, seconds=seconds))

        return Model(role, endpoints, params, ledger=self.ledger, journal=self.cat.journal, on_wait=waiting)


class CaT:
    """Compute as Teacher over any models.

    `model` plays the sampler and, unless they are named, all other roles; a model is a string
    `provider/model` or a `Client` of one's own. What is not given comes from the configuration
    (`docs/configuration.md`). One instance may serve many solves at once, in several event loops.
    """

    def __init__(
        self,
        model: str | Client | None = None,
        *,
        anchor: str | Client | None = None,
        rubric_proposer: str | Client | None = None,
        judge: str | Client | None = None,
        n: int | None = None,
        kind: Kind | None = None,
        estimator: str | None = None,
        question_aware: bool | None = None,
        quorum: int = 1,
        proposing: RubricOptions | Mapping[str, Any] | None = None,
        judging: JudgeOptions | Mapping[str, Any] | None = None,
        rewarding: RewardOptions | Mapping[str, Any] | None = None,
        config: Config | str | Path | None = None,
        prompts: str | Path | None = None,
        budget: Budget | None = None,
        journal: Journal | None = None,
        note: Callable[[str], None] | None = None,
        progress: Callable[[int, int | None], None] | None = None,
    ) -> None:
        self.config = config if isinstance(config, Config) else load_config(config)
        defaults = self.config.defaults
        self.n = defaults.n if n is None else n
        self.kind: Kind = kind or defaults.kind
        self.estimator = estimator or defaults.estimator
        self.question_aware = defaults.question_aware if question_aware is None else question_aware
        self.quorum = quorum
        self.proposing = options_of(RubricOptions, proposing, self.config.proposing)
        self.judging = options_of(JudgeOptions, judging, self.config.judging)
        self.rewarding = options_of(RewardOptions, rewarding, self.config.rewarding)
        for name in (*self.rewarding.open, *self.rewarding.verifiable):
            needs(name)  # an unknown reward is said before anything is sent
        self.prompts = Prompts(prompts)
        self.budget = budget
        self.journal = journal
        self.totals: Ledger | None = None
        self.on_wait: Emit | None = None
        self.sampler: Callable[..., Sampler] = Sampler
        self.registry: Callable[..., Registry] = Registry
        self._own = {"sampler": model, "anchor": anchor, "rubric_proposer": rubric_proposer, "judge": judge}
        self._note = note
        self._progress = progress
        self._registries: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Registry] = (
            weakref.WeakKeyDictionary()
        )
        if self.n < 1:
            raise ConfigError(f"n must be at least 1, not {self.n}")
        if self.kind not in ("auto", "verifiable", "open"):
            raise ConfigError(f"kind must be auto, verifiable or open, not {self.kind!r}")

    def model_of(self, role: str) -> tuple[str | Client, Any]:
        """The model that plays a role, and the role's configuration."""
        config = self.config.role(role)
        lineage = {"sampler": ("sampler",), "anchor": ("anchor", "sampler")}.get(
            role, (role, "anchor", "sampler")
        )
        for name in lineage:
            own = self._own[name]
            if own is not None:
                return own, config
            if self.config.roles.get(name) and self.config.roles[name].model:  # type: ignore[index,call-overload]
                break
        return config.model or "auto", config

    async def begin(self, emit: Emit | None = None) -> Run:
        """A new run: its own ledger, the connections and limiters of this event loop."""
        loop = asyncio.get_running_loop()
        registry = self._registries.get(loop)
        if registry is None:
            registry = self.registry(self.config, note=self._note, progress=self._progress)
            self._registries[loop] = registry
            orphaned = weakref.finalize(self, _close_soon, weakref.ref(loop), registry)
            orphaned.atexit = False
            await registry.close_with_loop(orphaned.detach)
        return Run(self, registry, Ledger(self.budget, self.totals, timed=True), emit)

    async def joined(
        self,
        *,
        totals: Ledger,
        journal: Journal | None,
        on_wait: Emit | None = None,
        sampler: Callable[..., Sampler] | None = None,
    ) -> CaT:
        """A twin over the same connections whose runs all count into `totals` and keep what they buy in
        `journal`: for jobs of many solves. `on_wait` hears only of waits, so that nothing is streamed for it.
        """
        await self.begin()
        twin = copy.copy(self)
        twin.totals, twin.journal, twin.on_wait = totals, journal, on_wait
        twin.sampler = sampler or self.sampler
        return twin

    def reached_by(self, registry: Callable[..., Registry]) -> CaT:
        """A twin that reaches its models in another way, over connections of its own: `registry` makes what
        a `Registry` is. It has to be closed as well.
        """
        twin = copy.copy(self)
        twin._registries = weakref.WeakKeyDictionary()  # noqa: SLF001 - its own class
        twin.registry = registry
        return twin

    def recast(
        self, model: str | None = None, *, n: int | None = None, kind: Kind | None = None, **changed: Any
    ) -> CaT:
        """A twin over the same connections with what is given changed: `anchor`, `rubric_proposer`, `judge`,
        `estimator`, `question_aware`. What is `None` stays. `begin` the first one before its twins.
        """
        twin = copy.copy(self)
        roles = {"sampler": model, **{role: changed.get(role) for role in self._own if role != "sampler"}}
        twin._own = {**self._own, **{role: own for role, own in roles.items() if own is not None}}  # noqa: SLF001
        twin.n, twin.kind = n or self.n, kind or self.kind
        twin.estimator = changed.get("estimator") or self.estimator
        aware = changed.get("question_aware")
        twin.question_aware = self.question_aware if aware is None else aware
        return twin

    async def prepare(self) -> None:
        """Settle and load the sampler's model now: an embedded one is fetched and started."""
        await (await self.begin()).model("sampler")

    async def solve(
        self,
        prompt: Prompt,
        *,
        n: int | None = None,
        kind: Kind | None = None,
        estimator: str | None = None,
        rewards: bool = False,
        emit: Emit | None = None,
        donor: RolloutGroup | Sequence[Completion] | None = None,
        **params: Any,
    ) -> Solution:
        """The reference for a prompt, and a reward for each of the rollouts it was made from.

        `prompt` is a text, OpenAI-style messages or a `Task`; `params` (`temperature`, `tools`, …) go
        with the requests for rollouts. `emit` hears events as they happen. Rewards that cost calls, as
        those of open-ended tasks do, are made only when `rewards` asks for them. `donor` holds rollouts of
        another question, for an estimator that needs them, as `placebo_other` does.

        Raises `ConfigError` before anything is sent, `AccountError` when a provider refuses for good,
        `BudgetError`, and `QuorumError` when too few rollouts survive.
        """
        plan = plan_of(estimator or self.estimator)
        task = Task.of(prompt, kind=kind or self.kind, params=sampling_params(params))
        if plan.logprobs:
            task = task.model_copy(update={"params": {"logprobs": True, **task.params}})
        run = await self.begin(emit)
        sampler = await run.model("sampler")
        estimate = await self._estimator(run, task, plan, donor)
        if rewards and task.kind != "verifiable":
            for role in ("rubric_proposer", "judge"):
                await run.model(role)  # a model that nobody knows is said before rollouts are bought
        if emit:
            emit(Started(task=task, n=n or self.n, model=sampler.name))
        sample = self.sampler(sampler, self.prompts, n=n or self.n, quorum=self.quorum, emit=emit)
        return await self._finish(run, task, await sample(task), estimate, rewards=rewards)

    async def score(
        self,
        prompt: Prompt,
        completions: RolloutGroup | Sequence[Completion],
        *,
        reference: str | Reference | None = None,
        rubric: Rubric | Iterable[str | Criterion | Mapping[str, Any]] | None = None,
        kind: Kind | None = None,
        estimator: str | None = None,
        emit: Emit | None = None,
        donor: RolloutGroup | Sequence[Completion] | None = None,
    ) -> Solution:
        """Rewards for completions made elsewhere, in their order (`solution.rewards`).

        Without a `reference` one is estimated from the completions, which then are the group. With a
        `rubric` (texts, criteria, or mappings as in HealthBench) the task is open-ended and no reference
        is needed. A completion is a text, an assistant message, or `None` for one that failed; a group of
        rollouts drawn before is taken with all it knows. `donor` holds rollouts of another question, for
        an estimator that needs them, as `placebo_other` does.
        """
        given = None if rubric is None else brought_rubric(rubric)
        task = Task.of(prompt, kind="open" if given else kind or self.kind)
        group = group_of(task, completions)
        run = await self.begin(emit)
        estimate: Estimator | None = None
        if reference is not None:
            estimate = given_reference(reference)
        elif given is None or any("reference" in needs(name) for name in self.rewarding.open):
            if not group.survivors:
                raise QuorumError("there is no completion to score")
            plan = plan_of(estimator or self.estimator)
            estimate = await self._estimator(run, task, plan, donor)
        return await self._finish(run, task, group, estimate, rubric=given, rewards=True)

    async def _estimator(
        self, run: Run, task: Task, plan: EstimatorPlan, donor: RolloutGroup | Sequence[Completion] | None
    ) -> Estimator:
        if donor is not None and not isinstance(donor, RolloutGroup):
            donor = group_of(Task.of("another question", kind=task.kind), donor)
        context = EstimatorContext(
            task=task,
            anchor=await run.model("anchor"),
            prompts=self.prompts,
            question_aware=self.question_aware,
            emit=run.emit,
            donor=donor,
            models={name: await run.proposer(name) for name in plan.models},
        )
        return plan.make(context)

    async def _finish(
        self,
        run: Run,
        task: Task,
        group: RolloutGroup,
        estimate: Estimator | None,
        *,
        rubric: Rubric | None = None,
        rewards: bool = False,
    ) -> Solution:
        notes: list[str] = []
        reference: Reference | None = None
        if estimate is not None:
            reference = await with_agreement(await estimate(group), group)
            if run.emit:
                run.emit(ReferenceReady(reference=reference))
            if reference.fallback:
                notes.append(f"the reference is by {reference.method}: {reference.fallback}")
        weights = self.rewarding.verifiable if group.kind == "verifiable" else self.rewarding.open
        derived = Derived()
        if rewards or all(needs(name) <= {"reference"} for name in weights):
            derived = await derive_rewards(
                task,
                group,
                weights,
                model=run.model,
                prompts=self.prompts,
                question=question_of(task),
                reference=reference,
                rubric=rubric,
                proposing=self.proposing,
                judging=self.judging,
                rewarding=self.rewarding,
                emit=run.emit,
            )
        made = (reference, derived.rubric)
        solution = Solution(
            parents=(task.id, group.id, *(message.id for message in made if message is not None)),
            task=task,
            group=group,
            reference=reference,
            rubric=derived.rubric,
            judgements=derived.judgements,
            rewards=derived.rewards,
            usage=run.ledger.usage(),
            notes=(*run.registry.notes, *notes, *derived.notes),
        )
        if run.emit:
            run.emit(Solved(solution=solution))
        return solution

    async def stream(self, prompt: Prompt, **options: Any) -> AsyncIterator[Event]:
        """The same as `solve`, as events; the last one is `Solved`. Leaving the loop cancels the work."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        task = asyncio.ensure_future(self.solve(prompt, emit=queue.put_nowait, **options))
        task.add_done_callback(lambda _: queue.put_nowait(None))
        try:
            while (event := await queue.get()) is not None:
                yield event
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def solve_sync(self, prompt: Prompt, **options: Any) -> Solution:
        """`solve` for scripts and notebooks: runs on one background loop that lives with the process."""
        return run_in_background(self.solve(prompt, **options))

    def score_sync(self, prompt: Prompt, completions: Sequence[Completion], **options: Any) -> Solution:
        """`score` for scripts and notebooks."""
        return run_in_background(self.score(prompt, completions, **options))

    async def aclose(self) -> None:
        """Close the connections of the running event loop."""
        registry = self._registries.pop(asyncio.get_running_loop(), None)
        if registry is not None:
            await registry.aclose()

    async def __aenter__(self) -> CaT:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _close_soon(of: weakref.ref[asyncio.AbstractEventLoop], registry: Registry) -> None:
    """Close the connections of a `CaT` that is gone, in the loop that they belong to."""
    loop = of()
    if loop is not None and loop.is_running():
        asyncio.run_coroutine_threadsafe(registry.aclose(), loop)
