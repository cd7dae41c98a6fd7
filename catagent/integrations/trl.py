"""TRL: CaT as a reward function of `GRPOTrainer` and `RLOOTrainer`.

    from catagent.integrations.trl import CatReward

    trainer = GRPOTrainer(model, reward_funcs=[CatReward(anchor="openai/gpt-5-mini", num_generations=8)], …)

The reference is made from the completions of each prompt by an anchor that is reached like any other model.
For a frozen anchor inside the training process, and for groups that are spread over processes, take
`catagent.training`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from catagent.assembly import Row, RowReward, score_rows, spoken
from catagent.cat import CaT
from catagent.errors import ConfigError
from catagent.messages import Kind

__all__ = ["CatReward"]


class CatReward:
    """An async reward function: one reward a completion, `None` where it is not known.

    TRL leaves a row out whose rewards are all `None`. `num_generations` is the trainer's: with it a batch
    that cuts a group in two is refused instead of rewarded by half of its rollouts. `rubric` and
    `reference` name columns of the data set that hold a rubric, or a trusted answer, for each prompt;
    every other column is ignored, so that gold labels reach no agent. `options` are those of `CaT`, unless
    an instance is given.

    Raises what ends a job (`AccountError`, `BudgetError`, `ConfigError`); any other failure costs a group
    its rewards and is logged.
    """

    def __init__(
        self,
        cat: CaT | None = None,
        *,
        num_generations: int | None = None,
        kind: Kind | None = None,
        estimator: str | None = None,
        rubric: str | None = None,
        reference: str | None = None,
        name: str = "cat",
        **options: Any,
    ) -> None:
        if cat is not None and options:
            raise ConfigError(
                f"with a CaT of its own the reward takes no {', '.join(options)}: give it those"
            )
        self.__name__ = name  # TRL's name for the reward in its logs
        self.cat = cat or CaT(**options)
        self._size = num_generations
        self._kind = kind
        self._estimator = estimator
        self._rubric = rubric
        self._reference = reference

    async def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """The rewards of a batch, in its order. The rest of what TRL passes is ignored."""
        rubrics, references = (self._column(columns, name) for name in (self._rubric, self._reference))
        rows = [
            Row(
                prompt,
                completion if isinstance(completion, str) else spoken(completion),
                references[i] if references else None,
                (rubrics[i] or None) if rubrics else None,
            )
            for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True))
        ]
        rewards = await score_rows(
            self.cat, rows, size=self._size, kind=self._kind, estimator=self._estimator
        )
        if log_extra:
            log_extra(f"{self.__name__}_reference", [_text(reward) for reward in rewards])
        if log_metric:
            for name, value in self._figures(rewards).items():
                log_metric(f"{self.__name__}/{name}", value)
        return [reward.value for reward in rewards]

    @staticmethod
    def _column(columns: Mapping[str, Any], name: str | None) -> Sequence[Any] | None:
        if name is None:
            return None
        if name not in columns:
            raise ConfigError(f"the data set has no column {name!r}; it has {', '.join(columns) or 'none'}")
        column: Sequence[Any] = columns[name]
        return column

    @staticmethod
    def _figures(rewards: Sequence[RowReward]) -> dict[str, float]:
        """What TRL logs beside the reward; a figure that is not known is left out."""
        solutions = {id(r.solution): r.solution for r in rewards if r.solution}.values()
        agreed = [
            s.reference.agreement for s in solutions if s.reference and s.reference.agreement is not None
        ]
        costs = [s.usage.usd for s in solutions]
        figures = {
            "unknown": sum(reward.value is None for reward in rewards) / len(rewards),
            "calls": float(sum(s.usage.calls for s in solutions)),
            "tokens": float(sum(s.usage.tokens for s in solutions)),
        }
        if agreed:
            figures["agreement"] = sum(agreed) / len(agreed)
        if costs and None not in costs:
            figures["usd"] = sum(cost for cost in costs if cost is not None)
        return figures


def _text(reward: RowReward) -> str:
    return reward.solution.text if reward.solution else f"({reward.reason})"
