"""From groups to rewards, by the agents of `CaT.score`.

All groups of a batch run side by side. What the policy's own model is asked goes over the exchange; judges
and anchors elsewhere are called from the loop. A group that could not be scored has rewards `None`. A model
elsewhere that answers nobody is tried again until patience ends, and then ends the run.
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from catagent.agents.sampler import rollout_of
from catagent.answers import extract
from catagent.cat import CaT
from catagent.errors import AccountError, BudgetError, CatError, ConfigError, JournalError, ModelError
from catagent.gathering import gathered
from catagent.messages import ChatMessage, Rollout, RolloutGroup, Solution, Task, Usage
from catagent.models.scoring import scoring_model, token_logprobs
from catagent.training.exchange import Exchange, Lockstep, Serve
from catagent.training.figures import group_figures
from catagent.training.groups import Group
from catagent.training.labels import is_right, right_ones
from catagent.training.methods import Method

__all__ = ["Scored", "Scorer"]

_log = logging.getLogger("catagent.training")
PAUSE: Callable[[float], None] = time.sleep
_ROLES = ("anchor", "rubric_proposer", "judge")


@dataclass(slots=True)
class Scored:
    """What became of one group; plain data that goes from process to process.

    `fatal` says why training cannot go on, `down` which model elsewhere answered nothing.
    """

    index: int
    values: list[float | None]
    reference: str | None = None
    rubric: list[str] | None = None
    figures: dict[str, float | None] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    failure: str | None = None
    down: str | None = None
    fatal: str | None = None


class Scorer:
    """Scores groups with one method.

    `away` are the roles whose models are not in this process. `stops` are texts that end a response.
    `prompted` gives the text after which the policy wrote its rollouts, for methods that ask how likely they
    are.
    """

    def __init__(
        self,
        cat: CaT,
        method: Method,
        exchange: Exchange,
        serve: Serve,
        *,
        kind: Any,
        away: frozenset[str],
        seed: int,
        stops: Sequence[str] = (),
        prompted: Callable[[Sequence[ChatMessage]], str] | None = None,
        longest_wait: float = 600.0,
        patience: float = 600.0,
        lockstep: Lockstep | None = None,
        pause: Callable[[float], None] | None = None,
    ) -> None:
        self._cat = cat
        self._method = method
        self._exchange = exchange
        self._serve = serve
        self._kind = kind
        self._away = away
        self._seed = seed
        self._stops = tuple(stops)
        self._prompted = prompted
        self._longest_wait = longest_wait
        self._patience = patience
        self._lockstep = lockstep
        self._pause = pause or PAUSE

    def score(
        self,
        groups: Sequence[Group],
        conversations: Sequence[Sequence[ChatMessage]],
        *,
        labels: Sequence[str | None],
        donors: Sequence[Group | None],
        step: str,
        rewards: bool = True,
    ) -> list[Scored]:
        """One `Scored` a group, in their order; the three sequences say what belongs to each.

        Without `rewards` only labels are looked at, and no agent is asked. Raises `ConfigError` for settings
        that cannot work and what the model in this process raised.
        """
        scored: dict[int, Scored] = {}
        began, delay = time.monotonic(), 1.0
        todo = list(range(len(groups)))
        while True:
            jobs = [
                self._job(groups[i], conversations[i], labels[i], donors[i], step, rewards=rewards)
                for i in todo
            ]
            spent = time.monotonic() - began if self._away else 0.0
            wait = max(1.0, self._longest_wait - spent) if self._away else float("inf")
            results = self._exchange.run(jobs, self._serve, patience=wait, lockstep=self._lockstep)
            for i, result in zip(todo, results, strict=True):
                scored[i] = self._result(groups[i], result)
            down = [i for i in todo if scored[i].down]
            again = bool(down) and len(down) == len(todo)
            left = self._patience - (time.monotonic() - began)
            if again and left <= 0:
                for one in (scored[i] for i in down):
                    one.fatal = f"{one.down} has answered nothing for {self._patience:g} s ({one.failure})"
                again = False
            if self._lockstep is not None and self._lockstep(again):
                todo = down if again else []
            elif again:
                todo = down
            else:
                break
            if again:
                delay = min(delay * 2, 60.0)
                _log.warning(
                    "%s answers nothing (%s); training waits and tries again in %.0f s, for %.0f s more",
                    scored[down[0]].down, scored[down[0]].failure, min(delay, left), left,
                )  # fmt: skip
                self._pause(max(0.0, min(delay, left)))
        return [scored[i] for i in range(len(groups))]

    def _result(self, group: Group, result: Scored | BaseException) -> Scored:
        if isinstance(result, Scored):
            return result
        nothing: list[float | None] = [None] * len(group.samples)
        if isinstance(result, TimeoutError):
            return Scored(group.index, nothing, failure="it took too long", down="a model elsewhere")
        if isinstance(result, AccountError | BudgetError | JournalError):
            return Scored(group.index, nothing, failure=str(result), fatal=str(result))
        if isinstance(result, ConfigError) or not isinstance(result, CatError):
            raise result
        return Scored(group.index, nothing, failure=str(result))

    def _job(
        self,
        group: Group,
        messages: Sequence[ChatMessage],
        label: str | None,
        donor: Group | None,
        step: str,
        *,
        rewards: bool,
    ) -> Callable[[], Any]:
        async def job() -> Scored:
            task = Task.of(list(messages), kind=self._kind)
            rollouts = self._rollouts(task, group)
            texts = [r.text for r in rollouts.rollouts]
            right = None if label is None else await right_ones([t or "" for t in texts], label)
            solution: Solution | None = None
            failure, spent = None, Usage()
            values: list[float | None] = [None] * len(texts)
            if rewards and rollouts.survivors:
                if self._method.donor and donor is None:
                    failure = "there is no other question in the batch to take rollouts from"
                else:
                    if self._method.likelihoods:
                        try:
                            rollouts, spent = await self._likely(messages, rollouts)
                        except AccountError:
                            raise
                        except ModelError as error:
                            down = f"the anchor ({self._named('anchor')})" if "anchor" in self._away else None
                            return Scored(group.index, values, failure=str(error), down=down)
                    solution = await self._solution(task, rollouts, donor)
                    values = [reward.value for reward in solution.rewards]
            elif rewards:
                failure = "no completion has text"
            if rewards and self._method.control:
                values = self._controlled(group, texts, right, step)
            reference = solution.reference if solution else None
            reference_right = None
            if label is not None and reference is not None and not self._method.control:
                reference_right = await is_right(reference.answer, label)
            failure = (
                failure or next((r.reason for r in solution.rewards if r.reason), None)
                if solution
                else failure
            )
            return Scored(
                group.index,
                values,
                reference=reference.text if reference else None,
                rubric=[c.text for c in solution.rubric.criteria] if solution and solution.rubric else None,
                figures=group_figures(rollouts, solution, values, right, reference_right),
                usage=solution.usage + spent if solution else spent,
                failure=failure,
                down=self._down(solution),
            )

        return job

    async def _solution(self, task: Task, rollouts: RolloutGroup, donor: Group | None) -> Solution:
        given = self._rollouts(Task.of("another question", kind=task.kind), donor) if donor else None
        return await self._cat.score(task, rollouts, donor=given if self._method.donor else None)

    async def _likely(
        self, messages: Sequence[ChatMessage], group: RolloutGroup
    ) -> tuple[RolloutGroup, Usage]:
        """The rollouts with what the anchor thinks of each token, and what that took."""
        assert self._prompted is not None
        run = await self._cat.begin()
        scoring = scoring_model(await run.model("anchor"), f"the method {self._method.name}")
        context = self._prompted(messages)

        async def scored(rollout: Rollout) -> Rollout:
            if not rollout.ok:
                return rollout
            tokens = await token_logprobs(scoring, context, rollout.text or "")
            return rollout.model_copy(
                update={
                    "tokens": tuple(t.token for t in tokens),
                    "logprobs": tuple(t.logprob for t in tokens),
                }
            )

        rollouts = tuple(await gathered(scored(rollout) for rollout in group.rollouts))
        return group.model_copy(update={"rollouts": rollouts}), run.ledger.usage()

    def _rollouts(self, task: Task, group: Group) -> RolloutGroup:
        made = []
        for index, sample in enumerate(group.samples):
            cut = min((at for at in (sample.text.find(s) for s in self._stops) if at >= 0), default=None)
            text = sample.text[:cut]
            ended = sample.finished or cut is not None
            made.append(
                rollout_of(
                    task,
                    index,
                    text,
                    finish_reason="stop" if ended else "length",
                    error=None if text.strip() else "the completion is empty",
                )
            )
        return RolloutGroup(parents=(task.id,), task_id=task.id, kind=task.kind, rollouts=tuple(made))

    def _controlled(
        self, group: Group, texts: Sequence[str | None], right: Sequence[bool | None] | None, step: str
    ) -> list[float | None]:
        """The rewards of a control, which look at no reference."""
        if self._method.control == "gold":
            if right is None:
                raise ConfigError(
                    "the method 'gold' rewards by labels, and a prompt has none: give every row a label "
                    "(label_field), or take a label-free method"
                )
            return [None if r is None else float(r) for r in right]
        if self._method.control == "format":
            found = [extract(text) if text else None for text in texts]
            return [float(a is not None and a.source != "last_line") for a in found]
        seed = hashlib.sha256(f"{self._seed}|{step}|{group.index}".encode()).digest()
        coin = random.Random(seed)
        return [float(coin.random() < 0.5) for _ in texts]

    def _down(self, solution: Solution | None) -> str | None:
        """The role elsewhere whose every request failed."""
        used: Mapping[str, Any] = solution.usage.roles if solution else {}
        for role in _ROLES:
            if role in self._away and role in used:
                usage = used[role]
                if usage.calls and usage.failed == usage.calls and not usage.cached:
                    return f"the {role.replace('_', ' ')} ({self._named(role)})"
        return None

    def _named(self, role: str) -> str:
        model, _ = self._cat.model_of(role)
        return model if isinstance(model, str) else str(getattr(model, "name", type(model).__name__))
