"""The run of an evaluation: rollouts once, every method on them, as many questions as the limiters take.

Nothing here is kept but in the journal: a run that was stopped or killed is begun anew with the same command
and finds there what it bought. Questions are independent; a method that fails on one is an outcome with an
error, and only what every question would meet ends the run.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from catagent.agents.conversation import question_of
from catagent.agents.judge import Judge
from catagent.agents.sampler import Sampler
from catagent.answers import acluster
from catagent.cat import CaT
from catagent.errors import BudgetError, CatError, ConfigError, QuorumError
from catagent.evaluation.benchmarks import Benchmark
from catagent.evaluation.grading import Grader
from catagent.evaluation.metering import Cost, Meter, total_cost
from catagent.evaluation.methods import ENDS, Arm, estimated, foremost, outcome_of
from catagent.evaluation.purchases import Purchases
from catagent.evaluation.questions import Question
from catagent.evaluation.records import Drawn, Outcome, Record
from catagent.events import Emit
from catagent.gathering import gathered
from catagent.messages import Reference, RolloutGroup, Solution, Usage
from catagent.models.endpoint import Endpoint
from catagent.models.journal import Journal
from catagent.models.ledger import Ledger
from catagent.options import JudgeOptions

__all__ = ["Finished", "Run", "Stop"]

Stop: TypeAlias = Literal["budget", "time", "interrupt"]
_LEAST = 4


@dataclass(frozen=True, slots=True)
class Finished:
    """A question's record, and what there is to look at.

    `references` are those of every method, `None` where it failed. The method to open first is in front, the
    same one for all questions, and its reference is that of `solution`.
    """

    record: Record
    solution: Solution | None = None
    references: Mapping[str, Reference | None] = field(default_factory=dict)


@dataclass(slots=True)
class Run:
    """One run over a benchmark. `arms` are the methods, `pool` the rollouts drawn for each question.

    `on_finished` hears each question as it is done. `judged` is how many rollouts of an open question are
    judged; methods' references always are.
    """

    cat: CaT
    benchmark: Benchmark
    arms: Sequence[Arm]
    journal: Journal
    totals: Ledger
    n: int
    pool: int
    seeds: int = 1
    judged: int = 1
    judging: JudgeOptions | None = None
    outage: float = 900.0
    """Seconds to wait for a provider that fails for everyone, before requests count as failed."""
    params: Mapping[str, Any] = field(default_factory=dict)
    on_finished: Callable[[Finished], None] | None = None
    on_wait: Emit | None = None
    under_way: int = 0
    stopped: Stop | None = None
    why: str | None = None
    _groups: dict[tuple[int, int], asyncio.Task[tuple[RolloutGroup, Meter]]] = field(default_factory=dict)
    _finished: dict[tuple[int, int], Finished] = field(default_factory=dict)
    _tasks: dict[asyncio.Task[Finished], tuple[int, int]] = field(default_factory=dict)
    _endpoints: list[Endpoint] = field(default_factory=list)
    _purchases: Purchases = field(default_factory=Purchases)
    _most: int = 1 << 30

    async def prepare(self) -> None:
        """Reach for every model that will be asked, before anything is bought. Raises `ConfigError`."""
        questions = self.benchmark.questions
        shown_others = next((arm.base for arm in self.arms if arm.plan.donor), None)
        if len(questions) < 2 and shown_others is not None:
            raise ConfigError(
                f"{shown_others} needs at least two questions: it shows one the other's rollouts"
            )
        run = await self.cat.begin()
        roles = ["sampler", "anchor", *(["judge"] if any(q.open for q in questions) else [])]
        models = [await run.model(role) for role in roles]
        others = dict.fromkeys(m for arm in self.arms for m in arm.plan.models)
        models += [await run.proposer(name) for name in others]
        self._endpoints = list({id(e): e for m in models for e in m.endpoints}.values())

    async def __call__(self) -> list[Finished]:
        """Work until all questions are done or something stops the run; gives what is finished, in order.

        Raises what ends every question: `AccountError`, `JournalError` and their kin.
        """
        numbers = range(len(self.benchmark.questions))
        queue = deque((seed, i) for seed in range(self.seeds) for i in numbers)
        policies = [(endpoint, endpoint.policy) for endpoint in self._endpoints]
        for endpoint, policy in policies:
            endpoint.policy = replace(policy, outage=self.outage)
        try:
            while (queue and self.stopped is None) or self._tasks:
                while queue and self.stopped is None and self._admits():
                    place = queue.popleft()
                    self._tasks[asyncio.create_task(self._question(*place))] = place
                    self.under_way = len(self._tasks)
                if not self._tasks:
                    await asyncio.sleep(0.05)  # the limiters have others waiting
                    continue
                await asyncio.wait(self._tasks, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
                for task in [t for t in self._tasks if t.done()]:
                    self._collect(task, queue)
        finally:
            for endpoint, policy in policies:
                endpoint.policy = policy
            left: list[asyncio.Task[Any]] = [*self._tasks, *self._groups.values()]
            for one in left:
                one.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        return [self._finished[place] for place in sorted(self._finished)]

    def stop(self, why: Stop, sentence: str) -> None:
        """End the run now. What came so far is in the journal; what is under way is given up."""
        if self.stopped is None:
            self.stopped, self.why = why, sentence
        for task in (*self._tasks, *self._groups.values()):
            task.cancel()

    def _admits(self) -> bool:
        """Whether to begin another question. Few at first, so that a small budget finishes some."""
        allowed, waiting = 0, 0
        for endpoint in self._endpoints:
            state = endpoint.limiter.state
            allowed += int(state.concurrency)
            waiting += state.waiting
        rows = len(self._tasks)
        width = _LEAST + 2 * min(allowed, len(self._finished))
        return rows < min(self._most, width) and waiting <= allowed

    def _collect(self, task: asyncio.Task[Finished], queue: deque[tuple[int, int]]) -> None:
        others = len(self._tasks) - 1
        place = self._tasks.pop(task)
        self.under_way = len(self._tasks)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, BudgetError):
            # A budget counts what is in flight at the most that it may cost: go on with less in flight.
            if not others:
                self.stopped, self.why = self.stopped or "budget", self.why or str(error)
            self._most = max(1, min(self._most, others // 2))
            queue.appendleft(place)
            self._groups = {k: g for k, g in self._groups.items() if not (g.done() and _failed(g))}
            return
        if error is not None:
            raise error
        self._finished[place] = task.result()
        if self.on_finished:
            self.on_finished(task.result())

    def _meter(self, seed: int) -> Meter:
        return Meter(self.journal, self.totals, seed=seed, purchases=self._purchases)

    async def _twin(self, meter: Meter) -> CaT:
        return await self.cat.joined(totals=meter.ledger, journal=meter, on_wait=self.on_wait)

    async def _drawn(self, seed: int, number: int) -> tuple[RolloutGroup, Meter]:
        """The rollouts of a question, drawn once for all who ask."""
        place = (seed, number)
        if place not in self._groups:
            self._groups[place] = asyncio.create_task(self._draw(seed, number))
        return await asyncio.shield(self._groups[place])

    async def _draw(self, seed: int, number: int) -> tuple[RolloutGroup, Meter]:
        question, meter = self.benchmark.questions[number], self._meter(seed)
        params = {**self.params, **question.task.params}
        if any(arm.plan.logprobs for arm in self.arms):
            params = {"logprobs": True, **params}
        task = question.task.model_copy(update={"params": params})
        twin = await self._twin(meter)
        run = await twin.begin()
        sample: Sampler = twin.sampler(await run.model("sampler"), twin.prompts, n=self.pool, quorum=1)
        return await sample(task), meter

    async def _donor(self, seed: int, number: int) -> tuple[str, RolloutGroup] | None:
        """The rollouts of the next question that has some."""
        count = len(self.benchmark.questions)
        for step in range(1, count):
            other = (number + step) % count
            try:
                group, _ = await self._drawn(seed, other)
            except QuorumError:
                continue
            if any(r.text for r in group.survivors):
                return self.benchmark.questions[other].id, group
        return None

    async def _question(self, seed: int, number: int) -> Finished:
        question = self.benchmark.questions[number]
        known: dict[str, Any] = {
            "id": question.id,
            "seed": seed,
            "group": question.group,
            "gold": question.gold,
            "open": question.open,
            "n": self.n,
        }
        try:
            group, meter = await self._drawn(seed, number)
        except QuorumError as error:
            return Finished(Record(**known, error=str(error)))
        grader = Grader(question, await self._judge(question, seed) if question.open else None)
        donor = None
        if any(arm.plan.donor for arm in self.arms):
            donor = await self._donor(seed, number)
        rollouts = await self._graded(group, grader)
        made = await gathered(
            self._outcome(arm, seed, question, group, donor[1] if donor else None, grader)
            for arm in self.arms
        )
        outcomes = {arm.name: outcome for arm, (outcome, _) in zip(self.arms, made, strict=True)}
        record = Record(
            **known,
            rollouts=tuple(rollouts),
            drawing=total_cost(meter.by_role),
            outcomes=outcomes,
            donor=donor[0] if donor else None,
        )
        first = foremost(self.arms)
        made_by = {arm.name: ref for arm, (_, ref) in zip(self.arms, made, strict=True)}
        references = {first: made_by[first], **made_by} if first else {}
        return Finished(record, _shown(question, group, references, outcomes, meter), references)

    async def _judge(self, question: Question, seed: int) -> Judge:
        """The judge of the question's rubric, whose cost is in the totals and no method's."""
        assert question.rubric is not None
        twin = await self._twin(self._meter(seed))
        run = await twin.begin()
        options = self.judging or self.cat.judging
        text = question_of(question.task)
        return Judge(await run.model("judge"), twin.prompts, question.rubric, options, question=text)

    async def _graded(self, group: RolloutGroup, grader: Grader) -> list[Drawn]:
        answers = [r.answer if r.ok else None for r in group.rollouts]
        classes = () if grader.question.open else (await acluster(answers)).classes
        family = {i: number for number, members in enumerate(classes) for i in members}

        async def one(place: int) -> Drawn:
            rollout = group.rollouts[place]
            judged = not grader.question.open or place < self.judged
            value = await grader.value(rollout.text, rollout.answer) if rollout.ok and judged else None
            return Drawn(
                value=value,
                answer=rollout.answer.text[:400] if rollout.answer else None,
                family=family.get(place),
                error=None if rollout.ok else rollout.error or "it has no text",
                judged=judged,
            )

        return await gathered(one(i) for i in range(len(group.rollouts)))

    async def _outcome(
        self,
        arm: Arm,
        seed: int,
        question: Question,
        pool: RolloutGroup,
        donor: RolloutGroup | None,
        grader: Grader,
    ) -> tuple[Outcome, Reference | None]:
        meter = self._meter(seed)
        group = pool.model_copy(update={"rollouts": pool.rollouts[: arm.size]})
        given = donor and donor.model_copy(update={"rollouts": donor.rollouts[: arm.size]})
        if arm.plan.donor and given is None:
            return Outcome(error="no other question has rollouts"), None
        try:
            reference = await estimated(arm, await self._twin(meter), question.task, group, given)
        except ENDS:
            raise
        except Exception as error:  # noqa: BLE001 - a method that fails on a question is data, whoever wrote it
            said = str(error) if isinstance(error, CatError) else f"{type(error).__name__}: {error}"
            return Outcome(error=said[:1000], lost=meter.lost, cost=dict(meter.by_role)), None
        return await outcome_of(reference, grader, meter), reference


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.cancelled() or task.exception() is not None


def _shown(
    question: Question,
    group: RolloutGroup,
    references: Mapping[str, Reference | None],
    outcomes: Mapping[str, Outcome],
    meter: Meter,
) -> Solution:
    """The rollouts of a question with the first of its references and the cost of all that was done on it."""
    costs: dict[str, Cost] = dict(meter.by_role)
    for outcome in outcomes.values():
        for role, cost in outcome.cost.items():
            costs[role] = costs.get(role, Cost()).plus(cost)
    return Solution(
        task=question.task,
        group=group,
        reference=next(iter(references.values()), None),
        usage=Usage(roles={role: cost.as_usage() for role, cost in costs.items()}),
    )
