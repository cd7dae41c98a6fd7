"""How far a judge can be trusted: its verdicts beside those of people.

A judge is picked by measurement before its rewards are believed: accuracy, macro-F1 and Cohen's kappa
against the human majority, the share it leaves unscored, and how many attacks on it succeed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from catagent.agents.judge import Judge
from catagent.agents.prompts import Prompts
from catagent.evaluation.healthbench import healthbench_mean, healthbench_score
from catagent.evaluation.labelled import Item, Labelled
from catagent.evaluation.statistics import (
    Counts,
    Estimate,
    accuracy,
    bootstrapped,
    kappa,
    macro_f1,
    unscored_share,
)
from catagent.gathering import gathered
from catagent.messages import Criterion, Finding, Rollout, Rubric, Usage, Verdict
from catagent.models.model import Model
from catagent.options import JudgeOptions

__all__ = ["Calibration", "Judged", "calibrated", "judge_items", "sampled"]


@dataclass(frozen=True, slots=True)
class Judged:
    """An item and what the judge said, with signs that the response addresses the judge."""

    item: Item
    verdict: Verdict
    findings: tuple[Finding, ...] = ()

    @property
    def agrees(self) -> bool | None:
        """Whether the judge says what people say; `None` when either says nothing."""
        if self.verdict.state == "unscored" or self.item.label is None:
            return None
        return (self.verdict.state == "met") == self.item.label


@dataclass(frozen=True, slots=True)
class Calibration:
    """The figures of one judge on one set. Statistics are over items with a label and a verdict."""

    name: str
    items: int
    labelled: int
    clusters: int
    counts: Counts
    accuracy: Estimate
    macro_f1: Estimate
    kappa: Estimate
    unscored: Estimate
    majority_class: float | None
    """Accuracy of always saying what people say more often: what a judge has to beat."""
    attacks: int
    attack_success: Estimate
    """Share of the attacks with a verdict that the judge calls met."""
    attacks_found: float | None
    """Share of the attacks in which `tampering` finds a sign."""
    false_alarms: float | None
    """Share of the other responses in which it finds one."""
    pair_accuracy: Estimate
    """Preferences reproduced; a pair with equal verdicts counts half."""
    healthbench: float | None
    """HealthBench's score, for data that has points and no labels."""
    usage: Usage

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        for name, value in fields.items():
            if isinstance(value, Estimate | Counts):
                fields[name] = value._asdict()
        fields["usage"] = self.usage.model_dump(mode="json")
        return fields


def sampled(labelled: Labelled, limit: int | None, seed: int = 0) -> Labelled:
    """At most about `limit` items: whole clusters, drawn at random."""
    if limit is None or len(labelled.items) <= limit:
        return labelled
    names = list(dict.fromkeys(i.cluster for i in labelled.items))
    random.Random(seed).shuffle(names)
    kept: set[str] = set()
    count = 0
    sizes: dict[str, int] = {}
    for item in labelled.items:
        sizes[item.cluster] = sizes.get(item.cluster, 0) + 1
    for name in names:
        if count and count + sizes[name] > limit:
            continue
        kept.add(name)
        count += sizes[name]
    items = tuple(i for i in labelled.items if i.cluster in kept)
    return Labelled(labelled.name, items, labelled.left_out)


async def judge_items(
    items: Sequence[Item],
    model: Model,
    prompts: Prompts,
    options: JudgeOptions | None = None,
    *,
    on_judged: Callable[[int], None] | None = None,
) -> list[Judged]:
    """The judge's verdict on every item, in order. `on_judged` hears how many items have just been judged.

    Criteria of one response are asked for together where the options allow it.
    """
    groups: dict[tuple[str, str | None], list[int]] = {}
    for place, item in enumerate(items):
        groups.setdefault((item.response, item.question), []).append(place)
    judged: dict[int, Judged] = {}

    async def one(response: str, question: str | None, places: list[int]) -> None:
        rubric = Rubric(criteria=tuple(Criterion(id=str(p), text=items[p].criterion) for p in places))
        judge = Judge(model, prompts, rubric, options, question=question)
        rollout = Rollout(index=0, text=response, error=None if response else "the response is empty")
        judgement = await judge(rollout)
        for place, verdict in zip(places, judgement.verdicts, strict=True):
            judged[place] = Judged(items[place], verdict, judgement.findings)
        if on_judged:
            on_judged(len(places))

    await gathered(one(response, question, places) for (response, question), places in groups.items())
    return [judged[place] for place in range(len(items))]


def calibrated(
    name: str, judged: Sequence[Judged], *, usage: Usage | None = None, resamples: int = 2000, seed: int = 0
) -> Calibration:
    """The figures for these verdicts, with bootstrap intervals over clusters."""
    with_label = [j for j in judged if j.item.label is not None]
    attacks = [j for j in judged if j.item.attack]

    def over(rows: Iterable[Judged], statistic: Callable[[Counts], float | None]) -> Estimate:
        return bootstrapped(_clusters(rows), statistic, resamples=resamples, seed=seed)

    met = sum(bool(j.item.label) for j in with_label)
    counts = _counted(with_label)
    return Calibration(
        name=name,
        items=len(judged),
        labelled=len(with_label),
        clusters=len({j.item.cluster for j in judged}),
        counts=counts,
        accuracy=over(with_label, accuracy),
        macro_f1=over(with_label, macro_f1),
        kappa=over(with_label, kappa),
        unscored=over(judged, unscored_share),
        majority_class=max(met, len(with_label) - met) / len(with_label) if with_label else None,
        attacks=len(attacks),
        attack_success=over(attacks, _success),
        attacks_found=_found_share(attacks),
        false_alarms=_found_share([j for j in judged if not j.item.attack]),
        pair_accuracy=_pair_accuracy(judged, resamples, seed),
        healthbench=_healthbench([j for j in judged if j.item.label is None]),
        usage=usage or Usage(),
    )


def _counted(rows: Iterable[Judged]) -> Counts:
    tally = dict.fromkeys(Counts._fields, 0)
    for row in rows:
        if row.verdict.state == "unscored":
            tally["unscored"] += 1
        else:
            right = "right" if (row.verdict.state == "met") == bool(row.item.label) else "wrong"
            tally[f"{row.verdict.state}_{right}"] += 1
    return Counts(**tally)


def _clusters(rows: Iterable[Judged]) -> list[Counts]:
    together: dict[str, list[Judged]] = {}
    for row in rows:
        together.setdefault(row.item.cluster, []).append(row)
    return [_counted(rows) for rows in together.values()]


def _success(counts: Counts) -> float | None:
    """Attacks have the label unmet: those called met have succeeded."""
    return counts.met_wrong / counts.scored if counts.scored else None


def _found_share(rows: Sequence[Judged]) -> float | None:
    return sum(bool(row.findings) for row in rows) / len(rows) if rows else None


def _pair_accuracy(judged: Sequence[Judged], resamples: int, seed: int) -> Estimate:
    """A pair is two halves: both right when the verdicts order it as people do, one when they are equal."""
    pairs: dict[str, list[Judged]] = {}
    for row in judged:
        if row.item.pair is not None:
            pairs.setdefault(row.item.pair, []).append(row)
    counts = []
    for rows in pairs.values():
        agreed = [row.agrees for row in rows]
        if len(rows) == 2 and None not in agreed:
            right = sum(bool(a) for a in agreed)
            counts.append(Counts(met_right=right, met_wrong=2 - right))
        else:
            counts.append(Counts(unscored=2))
    return bootstrapped(counts, accuracy, resamples=resamples, seed=seed)


def _healthbench(rows: Sequence[Judged]) -> float | None:
    together: dict[str, list[Judged]] = {}
    for row in rows:
        together.setdefault(row.item.cluster, []).append(row)
    scores = []
    for some in together.values():
        criteria = [Criterion(id=r.item.id, text=r.item.criterion, weight=r.item.points) for r in some]
        scores.append(healthbench_score(criteria, {r.item.id: r.verdict.state for r in some}))
    return healthbench_mean(scores)
