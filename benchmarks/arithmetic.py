"""Every estimator on a task that the smallest model can half do: sums, continued line by line.

    python -m benchmarks.arithmetic --questions 60

SmolLM2-135M continues `12 + 5 = 17`, `6 + 20 = 26`, `a + b =`. As the anchor it continues worked lines of the
form `6 + 20 | guesses: 16, 26, 24 | answer: 6 + 20 = 26`. The placebos stand beside the methods that they are
placebos of. Gold answers stay here: no agent sees them. A journal keeps what was sampled, so that a run goes
on where it stopped.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import math
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

import catagent as cat
from catagent.models.client import Choice, Completion, ModelRequest, OnDelta, TokenLogprob
from catagent.models.embedded import EmbeddedClient
from catagent.models.sqlite_journal import SqliteJournal

MODEL = "smollm2-135m"
METHODS = (
    "single", "majority", "min_ppl", "mutual_predictability", "synthesis:aware", "synthesis:aware,support=1",
    "synthesis:aware,of=1", "synthesis_vote:samples=5,aware", "auto:aware",
    "rsa:population=8,subset=4,rounds=1", "placebo_other:aware", "placebo_none:aware",
)  # fmt: skip
LINES = ((6, 20, (16, 26, 26, 24, 26)), (31, 7, (38, 37, 38, 48, 38)), (14, 5, (18, 19, 19, 29, 19)))
ATTEMPT = re.compile(r"<attempt_\d+_\w+>\n(.*?)\n</attempt_", re.S)
SUM = re.compile(r"(\d+) \+ (\d+)")


class WorkedLines:
    """The embedded model as a writer of lines: each request of an agent becomes one line to be continued."""

    name = f"embedded/{MODEL} in lines"

    def __init__(self) -> None:
        self._embedded = EmbeddedClient(MODEL)
        self._http: aiohttp.ClientSession | None = None
        self._address = ""

    async def start(self) -> None:
        await self._embedded.start()
        lane = self._embedded._lane  # noqa: SLF001 - llama.cpp's own protocol, which clients do not show
        assert lane is not None
        self._address = lane._root  # noqa: SLF001
        self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None))

    async def complete(self, request: ModelRequest, on_delta: OnDelta | None = None) -> Completion:
        said = str(request.messages[-1]["content"])
        attempts = ATTEMPT.findall(said)
        sums = SUM.findall(said)
        asked = " + ".join(sums[0]) if sums else ""
        if "attempts at the same problem" in said:
            worked = "".join(
                f"{a} + {b} | guesses: {', '.join(map(str, guesses))} | answer: {a} + {b} = {a + b}\n"
                for a, b, guesses in LINES
            )
            # A placebo without rollouts has worked lines without guesses.
            shown = ", ".join(re.findall(r"\d+", text)[-1] for text in attempts if re.search(r"\d", text))
            if not attempts:
                worked = re.sub(r"guesses:.*? \|", "guesses: |", worked)
            prompt = f"{worked}{asked} | guesses: {shown}{' ' if shown else ''}| answer: {asked} ="
        else:
            prompt = f"12 + 5 = 17\n6 + 20 = 26\n{asked} ="
        choices = await asyncio.gather(*(self._continued(prompt, request, i) for i in range(request.n)))
        return Completion(tuple(choices), len(prompt) // 2, 4 * request.n)

    async def _continued(self, prompt: str, request: ModelRequest, index: int) -> Choice:
        assert self._http is not None
        digest = hashlib.sha256(f"{request.tag}:{index}:{prompt}".encode()).digest()
        body = {
            "prompt": prompt, "n_predict": 5, "stop": ["\n"], "n_probs": 1, "cache_prompt": True,
            "temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0,
            "seed": int.from_bytes(digest[:4], "big"),
        }  # fmt: skip
        async with self._http.post(f"{self._address}/completion", json=body) as reply:
            found = await reply.json()
        number = re.match(r"\s*(\d+)", found["content"])
        logprobs = tuple(
            TokenLogprob(t["token"], t["logprob"]) for t in found.get("completion_probabilities", ())
        )
        text = f"\\boxed{{{number[1]}}}" if number else found["content"].strip() or "?"
        return Choice(text, "stop", logprobs=logprobs)

    async def score(self, model: str, context: str, text: str) -> Completion:
        return await self._embedded.score(MODEL, context, text)

    async def aclose(self) -> None:
        if self._http is not None:
            await self._http.close()
        await self._embedded.aclose()


def right(answer: Any, gold: int) -> bool:
    return bool(answer) and bool(cat.answers.equivalent(answer, str(gold)))


async def measure(questions: int, n: int, seed: int, journal: Path, found: dict[str, list[float]]) -> None:
    draw = random.Random(seed)
    pairs = [(a, b) for a in range(2, 31) for b in range(1, 10)]
    draw.shuffle(pairs)
    client = WorkedLines()
    await client.start()
    kept = SqliteJournal(journal)
    began, donor = time.monotonic(), None
    async with contextlib.aclosing(client), cat.CaT(client, n=n, kind="verifiable", journal=kept) as solver:
        for number, (a, b) in enumerate(pairs[: questions + 1]):
            base = await solver.solve(f"{a} + {b}", estimator="majority", logprobs=True)
            if donor is not None:
                hits = [right(r.answer, a + b) for r in base.rollouts]
                found.setdefault("one rollout, mean of all", []).append(sum(hits) / n)
                found.setdefault(f"any of {n} rollouts", []).append(any(hits))
                for name in METHODS:
                    solution = await solver.score(base.task, base.group, estimator=name, donor=donor)
                    answer = solution.reference.answer if solution.reference else None
                    found.setdefault(name, []).append(right(answer, a + b))
                shown = {name: round(sum(values)) for name, values in found.items()}
                print(
                    f"{number}/{questions} {time.monotonic() - began:.0f} s {json.dumps(shown)}", flush=True
                )
            donor = base.group
    kept.close()


def mean(values: Sequence[float]) -> tuple[float, float]:
    centre = sum(values) / len(values)
    spread = math.sqrt(sum((v - centre) ** 2 for v in values) / max(1, len(values) - 1) / len(values))
    return 100 * centre, 100 * spread


def table(found: dict[str, list[float]]) -> None:
    print("\n| method | right, % | over majority | over placebo_other |\n|---|---|---|---|")
    for name, values in found.items():
        cells = ["{:.1f} ± {:.1f}".format(*mean(values))]
        for other in ("majority", "placebo_other:aware"):
            pairs = zip(values, found[other], strict=True)
            cells.append("" if name == other else "{:+.1f} ± {:.1f}".format(*mean([x - y for x, y in pairs])))
        print(
            f"| `{name}` | {' | '.join(cells)} |" if name in METHODS else f"| {name} | {' | '.join(cells)} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--n", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--journal", type=Path, default=Path("arithmetic.sqlite"))
    given = parser.parse_args()
    found: dict[str, list[float]] = {}
    with contextlib.suppress(KeyboardInterrupt):  # what is there is shown
        asyncio.run(measure(given.questions, given.n, given.seed, given.journal, found))
    whole = min(map(len, found.values()), default=0)
    if whole:
        print(f"\n{whole} questions, G = {given.n}, seed {given.seed}")
        table({name: values[:whole] for name, values in found.items()})


if __name__ == "__main__":
    main()
