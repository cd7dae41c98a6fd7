"""Wall time of judging against the ideal schedule, on the loopback double in a process of its own.

    python -m benchmarks.judging [--latency 1.0] [--groups 32] [--in-flight 256]

A group has 8 rollouts and a rubric of 10 criteria. The ideal is calls x latency / requests in flight; for a
single group of 80 calls it is one latency, since all of them fit at once.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time

from catagent.agents.judge import Judge
from catagent.agents.prompts import Prompts
from catagent.gathering import gathered
from catagent.messages import Rollout, Rubric
from catagent.models.endpoint import Endpoint
from catagent.models.fast_lane import FastLane
from catagent.models.ledger import Ledger
from catagent.models.limiter import Limits
from catagent.models.model import Model
from catagent.options import JudgeOptions

ROLLOUTS, CRITERIA = 8, 10
REPLY = "<verdict><reason>It says so in the second sentence.</reason><met>yes</met></verdict>"
RESPONSE = "The response is about as long as such responses are. " * 40
RUBRIC = Rubric.of([f"States the fact number {i} with its figure." for i in range(CRITERIA)])


async def judged(url: str, groups: int, limits: Limits, together: bool) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds of this process and calls for `groups` groups judged at once."""
    lane = FastLane(url, name="double")
    endpoint = Endpoint.of(lane, "double-1", limits=limits)
    model = Model("judge", [endpoint], ledger=Ledger())
    options = JudgeOptions(criteria_per_call=None if together else 1)
    prompts = Prompts()
    rollouts = [Rollout(index=i % ROLLOUTS, text=f"{i} {RESPONSE}") for i in range(groups * ROLLOUTS)]
    judge = Judge(model, prompts, RUBRIC, options)
    began, cpu = time.perf_counter(), time.process_time()
    judgements = await gathered(judge(r) for r in rollouts)
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    states = {v.state for j in judgements for v in j.verdicts}
    assert states == {"met"}, states
    await lane.aclose()
    return wall, cpu, model.ledger.usage().calls


async def measure(url: str, latency: float, groups: int, in_flight: int) -> None:
    print("| groups | calls | in flight | ideal s | wall s | ratio | CPU ms a call |")
    print("|---|---|---|---|---|---|---|")
    warm = Limits(start=in_flight, max_concurrency=in_flight)
    cold = Limits(start=16, max_concurrency=in_flight)
    await judged(url, 1, warm, together=False)
    for count, limits, label in (
        (1, warm, f"{in_flight}"),
        (groups, warm, f"{in_flight}"),
        (1, cold, f"16, growing to {in_flight}"),
        (groups, cold, f"16, growing to {in_flight}"),
    ):
        wall, cpu, calls = await judged(url, count, limits, together=False)
        ideal = max(latency, calls * latency / in_flight)
        print(
            f"| {count} | {calls} | {label} | {ideal:.2f} | {wall:.2f} | {wall / ideal:.2f} "
            f"| {1000 * cpu / calls:.2f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--groups", type=int, default=32)
    parser.add_argument("--in-flight", type=int, default=256)
    a = parser.parse_args()
    command = [sys.executable, "-m", "tests.doubles.provider", "--latency", str(a.latency), "--canned", REPLY]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        asyncio.run(measure(server.stdout.readline().strip(), a.latency, a.groups, a.in_flight))
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
