"""p(met): how sure a judge is of its verdict, from the log-probabilities of the verdict's own token."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from catagent.agents.verdicts import MET_NAMES, NO, YES
from catagent.models.client import TokenLogprob

__all__ = ["probability_met"]

_SIDE = re.compile(rf"[\W_]*(?:(?P<no>{NO}|un|not)|(?P<yes>{YES}))[\W_]*", re.I)


def probability_met(logprobs: Sequence[TokenLogprob] | None) -> float | None:
    """p(met): the share of `yes` among the likeliest tokens in the place of the last verdict word.

    `None` where there are no log-probabilities or the verdict's token cannot be found.
    """
    if not logprobs:
        return None
    text = "".join(t.token for t in logprobs)
    places = list(
        re.finditer(
            rf"<(?:{'|'.join(MET_NAMES)})>|[\"'](?:{'|'.join(MET_NAMES)})[\"']\s*:|\b(?:verdict|answer|met)\s*:",
            text,
            re.I,
        )
    )
    start = places[-1].end() if places else 0
    at = 0
    for token in logprobs:
        at += len(token.token)
        if at <= start or _SIDE.fullmatch(token.token) is None:
            continue
        return _share(token)
    return None


def _share(token: TokenLogprob) -> float:
    options = dict(token.top)
    options.setdefault(token.token, token.logprob)
    mass = {True: 0.0, False: 0.0}
    for word, logprob in options.items():
        if said := _SIDE.fullmatch(word):
            mass[said["yes"] is not None] += math.exp(min(0.0, logprob))
    for side in (True, False):
        if mass[side] == 0.0:  # not listed: it can have no more than what the listed ones leave
            mass[side] = max(0.0, 1.0 - sum(math.exp(min(0.0, p)) for p in options.values()))
    total = mass[True] + mass[False]
    return min(1.0, mass[True] / total) if total > 0 else 0.5
