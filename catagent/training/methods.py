"""Where the reward of a training run comes from, chosen by one name.

All but `gold` are label-free and comparable: same trainer, same groups, same switches. A method is an
estimator (rollouts to reference) and rewards (reference to one number a rollout); the controls have neither.

- `cat`: the anchor's synthesis (paper, section 1); answer equality, or a rubric for open-ended tasks.
- `majority`: the vote over equivalence classes, ties abstain (TTRL, 2504.16084).
- `rubric`, `judge_equivalence`: the synthesis, with these rewards whatever the kind of task.
- `self_consistency_soft`: the share of rollouts with the same final answer; no reference.
- `placebo`: `cat` with a reference synthesised from another question's rollouts.
- `random`, `format`: a coin, and whether a final answer is stated in the form asked for.
- `gold`: equality with the label, for reference runs only.

Any name of an estimator (`catagent.estimators`) is a method too: `rsa:population=8`, `self_bon`, one's own.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from catagent.errors import ConfigError
from catagent.estimators import estimator_names
from catagent.messages import Kind
from catagent.naming import split_name

__all__ = ["METHODS", "Control", "Method", "method_of"]

Control: TypeAlias = Literal["random", "format", "gold"]

_VERIFIABLE: Mapping[str, float] = {"answer_match": 1.0}
_OPEN: Mapping[str, float] = {"rubric": 1.0}


@dataclass(frozen=True, slots=True)
class Method:
    """What a method name stands for.

    `estimator` makes the reference; `verifiable` and `open` are the rewards for either kind of task, by name
    and weight, `None` where the run's own are meant; `kind` is forced where the method makes sense for one
    kind only. `control` replaces the rewards by what has nothing to do with a reference. `donor`: the
    estimator is given another question's rollouts.
    """

    name: str
    estimator: str = "synthesis"
    verifiable: Mapping[str, float] | None = None
    open: Mapping[str, float] | None = None
    kind: Kind | None = None
    control: Control | None = None
    donor: bool = False
    summary: str = field(default="", compare=False)

    @property
    def asks_anchor(self) -> bool:
        """Whether the anchor is asked at all."""
        return split_name(self.estimator)[0] != "majority" or self.kind == "open"


METHODS: Mapping[str, Method] = {
    method.name: method
    for method in (
        Method("cat", summary="the anchor's synthesis"),
        Method("majority", "majority", verifiable=_VERIFIABLE, kind="verifiable", summary="the vote (TTRL)"),
        Method("rubric", open=_OPEN, kind="open", summary="a rubric from the synthesis, judged"),
        Method(
            "judge_equivalence",
            open={"judge_equivalence": 1.0},
            kind="open",
            summary="a judge says whether a rollout means what the synthesis says",
        ),
        Method(
            "self_consistency_soft",
            "majority",
            verifiable={"self_consistency_soft": 1.0},
            kind="verifiable",
            summary="the share of rollouts with the same answer",
        ),
        Method("placebo", "placebo_other", donor=True, summary="a synthesis of another question's rollouts"),
        Method("random", "majority", control="random", summary="a coin (control)"),
        Method("format", "majority", control="format", summary="a stated final answer (control)"),
        Method("gold", "majority", control="gold", kind="verifiable", summary="the label (reference runs)"),
    )
}


def method_of(name: str) -> Method:
    """The method of that name, or the one that an estimator's name stands for.

    Raises `ConfigError` when it names neither.
    """
    if name in METHODS:
        return METHODS[name]
    bare, _ = split_name(name)
    if bare in estimator_names():
        return Method(name, name, donor=bare == "placebo_other")
    known = [*METHODS, *estimator_names()]
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(METHODS)} and every estimator"
    raise ConfigError(f"there is no method {name!r}; {hint}")
