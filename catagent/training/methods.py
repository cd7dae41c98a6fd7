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

Any name of an estimator (`catagent.estimators`) is a method too: `rsa:population=8`, `min_ppl`,
`placebo_none`, one's own. What an estimator does not say, its rewards and the kind of task, says a method
that is registered:

    register_method(Method("longest_judged", "longest", open={"judge_equivalence": 1.0}, kind="open"))

Another package can bring one under the entry point group `catagent.methods`: a function that returns it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

from catagent.errors import ConfigError
from catagent.estimators import estimator_names, plan_of
from catagent.messages import Kind
from catagent.naming import split_name
from catagent.plugins import Plugins

__all__ = ["METHODS", "Control", "Method", "method_names", "method_of", "register_method"]

Control: TypeAlias = Literal["random", "format", "gold"]

_VERIFIABLE: Mapping[str, float] = {"answer_match": 1.0}
_OPEN: Mapping[str, float] = {"rubric": 1.0}


@dataclass(frozen=True, slots=True)
class Method:
    """What a method name stands for.

    `estimator` makes the reference; `verifiable` and `open` are the rewards for either kind of task, by name
    and weight, `None` where the run's own are meant; `kind` is forced where the method makes sense for one
    kind only. `control` replaces the rewards by what has nothing to do with a reference.
    """

    name: str
    estimator: str = "synthesis"
    verifiable: Mapping[str, float] | None = None
    open: Mapping[str, float] | None = None
    kind: Kind | None = None
    control: Control | None = None
    summary: str = field(default="", compare=False)

    @property
    def asks_anchor(self) -> bool:
        """Whether the anchor is asked at all."""
        return split_name(self.estimator)[0] != "majority" or self.kind == "open"

    @property
    def donor(self) -> bool:
        """Whether the reference is made from rollouts of another question of the batch."""
        return plan_of(self.estimator).donor

    @property
    def likelihoods(self) -> bool:
        """Whether the reference is chosen by how likely the anchor finds the rollouts."""
        return plan_of(self.estimator).logprobs


METHODS: Mapping[str, Method] = MappingProxyType(
    {
        method.name: method
        for method in (
            Method("cat", summary="the anchor's synthesis"),
            Method(
                "majority", "majority", verifiable=_VERIFIABLE, kind="verifiable", summary="the vote (TTRL)"
            ),
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
            Method("placebo", "placebo_other", summary="a synthesis of another question's rollouts"),
            Method("random", "majority", control="random", summary="a coin (control)"),
            Method("format", "majority", control="format", summary="a stated final answer (control)"),
            Method(
                "gold", "majority", control="gold", kind="verifiable", summary="the label (reference runs)"
            ),
        )
    }
)
"""The methods that are built in."""


def _brought(factory: Callable[[], Any]) -> Method:
    method = factory()
    if not isinstance(method, Method):
        raise ConfigError(f"an entry point of catagent.methods brought a {type(method).__name__}, no Method")
    return method


_methods: Plugins[Method] = Plugins("method", group="catagent.methods", built_in={}, adopt=_brought)
for _built_in in METHODS.values():
    _methods.add(_built_in.name, _built_in)


def register_method(method: Method) -> Method:
    """Make a method known by its name, in `CaTConfig` and run files alike; the last one registered counts.

    Raises `ConfigError` for a name that cannot be written there and for an estimator that does not exist.
    """
    if not method.name or set(method.name) & set(":,=+ "):
        raise ConfigError(f"a method's name has no colon, comma, equals sign, plus or space: {method.name!r}")
    plan_of(method.estimator)
    _methods.add(method.name, method)
    return method


def method_names() -> list[str]:
    """Every method by a name of its own; the names of estimators come on top (`estimator_names`)."""
    return _methods.names()


def method_of(name: str) -> Method:
    """The method of that name, or the one that an estimator's name stands for.

    Raises `ConfigError` when it names neither, or an option does not fit.
    """
    if name in METHODS or name in _methods.names():
        return _methods.get(name)
    bare, _ = split_name(name)
    if bare in estimator_names():
        plan_of(name)
        return Method(name, name)
    known = [*method_names(), *estimator_names()]
    near = difflib.get_close_matches(name, known, 1)
    hint = (
        f"did you mean {near[0]!r}?" if near else f"there are {', '.join(method_names())} and every estimator"
    )
    raise ConfigError(f"there is no method {name!r}; {hint}")
