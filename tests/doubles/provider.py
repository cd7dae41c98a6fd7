"""The provider double, to import in tests or to run for benchmarks.

`python -m tests.doubles.provider --latency 0.2` prints its base URL on the first line; `--help` has the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from collections.abc import Callable, Sequence

from tests.doubles.faults import Fault, Plan, at_random
from tests.doubles.limits import ConcurrencyLimit, Jitter, Limit, RateLimit, Storm
from tests.doubles.protocol import Reply, ToolCall, tokens
from tests.doubles.server import ProviderDouble, Record

__all__ = ["ProviderDouble", "Record", "Reply", "ToolCall", "double_of", "main"]

FAULTS: dict[str, Callable[[], Fault]] = {
    "429": Fault.rate_limited,
    "500": lambda: Fault.status_code(500),
    "502": lambda: Fault.status_code(502),
    "503": lambda: Fault.status_code(503),
    "529": lambda: Fault.status_code(529),
    "cut": Fault.cut_before_headers,
    "half": Fault.cut_in_body,
    "garbage": Fault.garbage,
    "html": Fault.html,
    "hang": Fault.hangs,
    "empty": Fault.empty_choices,
    "null": Fault.null_content,
}


def double_of(arguments: Sequence[str] | None = None) -> ProviderDouble:
    """A double from command line flags (None: the process's own)."""
    parser = argparse.ArgumentParser(prog="python -m tests.doubles.provider", description=__doc__)
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0)
    add("--latency", type=float, default=0.0, help="seconds until the answer")
    add("--sigma", type=float, default=0.0, help="spread of the latency (log-normal)")
    add("--seed", type=int, default=0)
    add("--rate", type=float, help="requests a second; the rest meets 429")
    add("--rate-kind", choices=("bucket", "sliding", "fixed"), default="bucket")
    add("--burst", type=float, help="size of the bucket")
    add("--retry-after", choices=("seconds", "ms", "date", "none"), default="seconds")
    add("--slots", type=int, help="requests at a time; the rest meets 429, or waits with --queue")
    add("--queue", action="store_true")
    add("--storm", type=float, metavar="SECONDS", help="refuse half of all requests for a while")
    add("--storm-requests", type=int, metavar="N", help="refuse half of the first N requests")
    add("--fault", action="append", choices=sorted(FAULTS), default=[], help="may be repeated")
    add("--fault-probability", type=float, default=0.1)
    add("--canned", help="one text for every choice, pre-encoded")
    add("--canned-tokens", type=int, help="the same, as so many words")
    add("--flavour", choices=("openai", "vllm", "llama.cpp", "ollama"), default="openai")
    add("--context", type=int)
    add("--key")
    add("--max-n", type=int)
    add("--record", action="store_true", help="keep the requests in memory")
    a = parser.parse_args(arguments)
    limits: list[Limit] = []
    if a.rate:
        form = None if a.retry_after == "none" else a.retry_after
        limits.append(RateLimit(a.rate, kind=a.rate_kind, burst=a.burst, retry_form=form))
    if a.slots:
        limits.append(ConcurrencyLimit(a.slots, queue=a.queue))
    if a.storm or a.storm_requests:
        limits.append(Storm(a.storm, requests=a.storm_requests, seed=a.seed))
    canned = a.canned
    if a.canned_tokens:
        canned = "".join(tokens("word " * a.canned_tokens)[: a.canned_tokens])
    plans: list[Plan] = []
    if a.fault:
        plans.append(at_random(a.fault_probability, *(FAULTS[name]() for name in a.fault), seed=a.seed))
    return ProviderDouble(
        faults=plans,
        limits=limits,
        latency=Jitter(a.latency, sigma=a.sigma, seed=a.seed) if a.sigma else a.latency,
        seed=a.seed,
        key=a.key,
        flavour=a.flavour,
        context=a.context,
        max_n=a.max_n,
        canned=canned,
        record=a.record,
        host=a.host,
        port=a.port,
    )


def main() -> None:
    """Serve until SIGTERM or SIGINT; the first line printed is the base URL."""
    double = double_of()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        asyncio.run(double.serve(lambda: print(double.base_url, flush=True)))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
