"""The same work in catagent and in its peers: 500 prompts, 8 rollouts each, one answer a prompt by majority.

    python -m benchmarks.peers

Each peer runs in a virtual environment of its own, made on the first run under `--environments` (some GB,
mostly optillm's), against the provider double in a process of its own. Programs are in
`benchmarks/contestants/`. Every round runs every contestant once, so that other work on the machine meets
all of them; the table has medians, and of the first round the start (one prompt) and the storm. Compare rows;
absolutes do not hold elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import aiohttp
import platformdirs
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HERE = Path(__file__).parent
IN_FLIGHT = 64
PACKAGES = {
    "openai": ["openai==3.54.0"],
    "its_hub": ["its_hub[lm]==1.2.0"],
    "curator": ["bespokelabs-curator==0.1.31"],
    "inspect": ["inspect_ai==0.3.285", "openai==3.54.0"],
    "optillm": ["optillm==0.4.0"],
}


@dataclass(frozen=True)
class Contestant:
    """`program` with `how` in the environment of `peer`; without a peer `catagent batch` with flags."""

    name: str
    one_request: bool
    how: tuple[str, ...]
    peer: str | None = None
    program: str = ""

    @property
    def requests(self) -> int:
        """Requests a prompt, of the rollouts."""
        return 1 if self.one_request else 8


CONTESTANTS = [
    Contestant("catagent batch", True, ("--estimator", "majority")),
    Contestant("loop over openai", True, ("n",), "openai", "loop"),
    Contestant("Curator", True, ("n",), "curator", "curator"),
    Contestant("optillm", True, ("n",), "optillm", "optillm"),
    Contestant("catagent batch", False, ("--estimator", "majority")),
    Contestant("loop over openai", False, ("one",), "openai", "loop"),
    Contestant("its_hub", False, ("one",), "its_hub", "its_hub"),
    Contestant("inspect_ai", False, ("one",), "inspect", "inspect"),
    Contestant("Curator", False, ("one",), "curator", "curator"),
    Contestant("catagent batch, synthesis", True, ()),
]


@dataclass
class Run:
    """What one run took, and what came of it."""

    seconds: float
    cpu: float
    memory: float
    answered: int
    requests: int
    refused: int
    failed: bool


@dataclass
class Runs:
    """All runs of one contestant."""

    one: list[Run] = field(default_factory=list)
    whole: list[Run] = field(default_factory=list)
    storm: list[Run] = field(default_factory=list)


def environments(folder: Path, peers: set[str]) -> dict[str, Path]:
    """The Python of each peer's environment, made where missing, by uv: pip does not end with optillm."""
    pythons = {}
    for peer in sorted(peers):
        place = folder / peer
        python = place / "bin" / "python"
        wanted = "\n".join(PACKAGES[peer])
        mark = place / "installed"
        if not mark.is_file() or mark.read_text() != wanted:
            print(f"making {place}: {', '.join(PACKAGES[peer])}", file=sys.stderr, flush=True)
            subprocess.run([sys.executable, "-m", "venv", "--clear", place], check=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "uv"], check=True)
            install = [place / "bin" / "uv", "pip", "install", "-q", "--python", python, *PACKAGES[peer]]
            subprocess.run(install, check=True)
            mark.write_text(wanted)
        pythons[peer] = python
    return pythons


@contextmanager
def double(*flags: str) -> Iterator[str]:
    """The provider double in a process of its own; its base URL."""
    line = [sys.executable, "-m", "tests.doubles.provider", *flags]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def counted(base: str) -> tuple[int, int]:
    """Requests that the double got, and how many of them it refused."""
    async with aiohttp.ClientSession() as session, session.get(f"{base}/_control") as reply:
        told = await reply.json()
        return int(told["received"]), int(told["statuses"].get("429", 0))


def command(contestant: Contestant, base: str, folder: Path, pythons: dict[str, Path]) -> list[str]:
    if contestant.peer is not None:
        program = HERE / "contestants" / f"run_{contestant.program}.py"
        return [str(pythons[contestant.peer]), str(program), base, str(IN_FLIGHT), *contestant.how]
    (folder / "providers.yaml").write_text(
        f"providers: {{house: {{api: openai, base_url: '{base}', "
        f"limits: {{start: {IN_FLIGHT}, max_concurrency: {IN_FLIGHT}}}}}}}\n"
    )
    line = [sys.executable, "-m", "catagent", "batch", "in.jsonl", "-o", "out.jsonl", "-m", "house/m"]
    return [*line, "-n", "8", "--kind", "verifiable", "--quiet", *contestant.how]


def run(
    contestant: Contestant,
    pythons: dict[str, Path],
    *,
    rows: int,
    latency: float,
    storm: int,
    patience: float,
) -> Run:
    flags = ["--latency", str(latency)]
    if contestant.peer is None and not contestant.one_request:
        flags += ["--max-n", "1"]
    if storm:
        flags += ["--storm-requests", str(storm)]
    with tempfile.TemporaryDirectory() as name, double(*flags) as base:
        folder = Path(name)
        with (folder / "in.jsonl").open("w") as file:
            for i in range(rows):
                prompt = f"What is {i} + {i}? Put the final answer in \\boxed{{}}."
                file.write(json.dumps({"id": i, "prompt": prompt}) + "\n")
        env = {**os.environ, "PYTHONPATH": str(HERE.parent) if contestant.peer is None else ""}
        line = command(contestant, base, folder, pythons)
        with (folder / "said").open("wb") as said:
            began = time.monotonic()
            process = subprocess.Popen(
                line, cwd=folder, env=env, stdout=said, stderr=said, start_new_session=True
            )
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            while not ended and time.monotonic() < began + patience:
                time.sleep(0.01)
                ended, status, used = os.wait4(process.pid, os.WNOHANG)
            if not ended:
                os.killpg(process.pid, signal.SIGKILL)
                _, status, used = os.wait4(process.pid, 0)
            seconds = time.monotonic() - began
            process.returncode = os.waitstatus_to_exitcode(status)
        done: set[int] = set()  # a tied vote is a row that is done, whether or not one of the two is picked
        if (folder / "out.jsonl").is_file():
            with (folder / "out.jsonl").open() as file:
                done = {line["id"] for line in map(json.loads, file) if not line.get("error")}
        received, refused = asyncio.run(counted(base))
        if not done:
            print(f"nothing answered; it said:\n{(folder / 'said').read_text()[-2000:]}", file=sys.stderr)
    found = Run(
        seconds=seconds,
        cpu=used.ru_utime + used.ru_stime,
        memory=used.ru_maxrss / 1024,
        answered=len(done),
        requests=received,
        refused=refused,
        failed=process.returncode != 0,
    )
    print(
        f"{contestant.name}: {rows} prompts, {'storm, ' if storm else ''}{found}", file=sys.stderr, flush=True
    )
    return found


def middle(runs: list[Run], what: str) -> float:
    return statistics.median(getattr(one, what) for one in runs)


def table(rows: int, found: dict[Contestant, Runs]) -> None:
    print("| | requests a prompt | synthesis | start, s | all, s | CPU a rollout, ms | × catagent "
          "| peak memory, MB | requests | answered |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|")
    base: dict[bool, float] = {}
    for contestant, runs in found.items():
        cpu = (middle(runs.whole, "cpu") - middle(runs.one, "cpu")) / ((rows - 1) * 8) * 1000
        base.setdefault(contestant.one_request, cpu)
        print(
            f"| {contestant.name} | {contestant.requests} "
            f"| {'no' if contestant.how else 'yes'} "
            f"| {middle(runs.one, 'seconds'):.1f} | {middle(runs.whole, 'seconds'):.1f} | {cpu:.2f} "
            f"| {cpu / base[contestant.one_request]:.1f} "
            f"| {middle(runs.whole, 'memory'):.0f} | {middle(runs.whole, 'requests'):.0f} "
            f"| {middle(runs.whole, 'answered'):.0f} |"
        )


def storms(found: dict[Contestant, Runs]) -> None:
    print("| | requests a prompt | answered | s | s without storm | requests | refused |")
    print("|---|---|---|---|---|---|---|")
    for contestant, runs in found.items():
        ended = ", ends with an error" if any(one.failed for one in runs.storm) else ""
        print(
            f"| {contestant.name} | {contestant.requests} "
            f"| {middle(runs.storm, 'answered'):.0f}{ended} "
            f"| {middle(runs.storm, 'seconds'):.1f} | {middle(runs.whole, 'seconds'):.1f} "
            f"| {middle(runs.storm, 'requests'):.0f} | {middle(runs.storm, 'refused'):.0f} |"
        )


def weight(distributions: list[importlib.metadata.Distribution]) -> str:
    """How many packages these are, and their size on disk."""
    files = (Path(str(one.locate_file(file))) for one in distributions for file in one.files or ())
    size = sum(path.stat().st_size for path in files if path.is_file())
    return f"{len(distributions)} packages, {size / 2**20:.0f} MB"


def needed(name: str) -> list[importlib.metadata.Distribution]:
    """A distribution of this environment and all that it requires, without extras of its own."""
    found: dict[str, importlib.metadata.Distribution] = {}
    pending = [(canonicalize_name(name), frozenset[str]())]
    while pending:
        one, extras = pending.pop()
        known = one in found
        distribution = found.setdefault(one, importlib.metadata.distribution(one))
        for text in distribution.requires or ():
            requirement = Requirement(text)
            asked = requirement.marker is None or any(
                requirement.marker.evaluate({"extra": extra})
                for extra in (extras if known else {"", *extras})
            )
            if asked and (requirement.extras or canonicalize_name(requirement.name) not in found):
                pending.append((canonicalize_name(requirement.name), frozenset(requirement.extras)))
    return list(found.values())


def versions(pythons: dict[str, Path]) -> None:
    print(f"- catagent {importlib.metadata.version('catagent')} ({weight(needed('catagent'))})")
    for peer, python in pythons.items():
        packages = python.parent.parent / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
        there = importlib.metadata.distributions(path=[str(packages)])
        mine = [d for d in there if d.name.lower() not in ("pip", "setuptools", "uv")]
        wanted = {canonicalize_name(re.split(r"[\[=]", package)[0]) for package in PACKAGES[peer]}
        named = ", ".join(
            sorted(f"{d.name} {d.version}" for d in mine if canonicalize_name(d.name) in wanted)
        )
        print(f"- {named} ({weight(mine)})")


def read_runs(path: Path | None) -> dict[str, Run]:
    """The runs that an earlier invocation kept."""
    if path is None or not path.is_file():
        return {}
    with path.open() as file:
        return {line.pop("key"): Run(**line) for line in map(json.loads, file)}


def main() -> None:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=form)
    parser.add_argument("--rows", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds a reply")
    parser.add_argument(
        "--storm", type=int, default=1000, help="of so many first requests half are refused; 0: none"
    )
    parser.add_argument("--patience", type=float, default=600.0, help="seconds after which a run is ended")
    parser.add_argument(
        "--only", nargs="+", help="peers: openai, its_hub, curator, inspect, optillm, catagent"
    )
    parser.add_argument(
        "--runs", type=Path, metavar="FILE", help="keep each run here; the same command goes on after an end"
    )
    cache = platformdirs.user_cache_path("catagent") / "peers"
    parser.add_argument("--environments", type=Path, default=cache, metavar="DIR")
    a = parser.parse_args()
    chosen = [c for c in CONTESTANTS if not a.only or (c.peer or "catagent") in a.only]
    pythons = environments(a.environments, {c.peer for c in chosen if c.peer})
    found = {contestant: Runs() for contestant in chosen}
    kept = read_runs(a.runs)
    for turn in range(a.rounds):
        for contestant, runs in found.items():
            plan = [("whole", a.rows, 0)]
            if turn == 0:
                plan = [("one", 1, 0), *plan, *([("storm", a.rows, a.storm)] if a.storm else [])]
            for what, rows, storm in plan:
                key = f"{contestant.name}, {contestant.requests}, {what} {rows}, {a.latency}, {storm}, {turn}"
                if key not in kept:
                    done = run(
                        contestant, pythons, rows=rows, storm=storm, latency=a.latency, patience=a.patience
                    )
                    kept[key] = done
                    if a.runs:
                        with a.runs.open("a") as file:
                            file.write(json.dumps({"key": key, **asdict(done)}) + "\n")
                getattr(runs, what).append(kept[key])
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}")
    print(f"{a.rows} prompts, 8 rollouts, {a.latency * 1000:.0f} ms a reply, {IN_FLIGHT} in flight")
    print(f"medians of {a.rounds} rounds, load {os.getloadavg()[2]:.1f} over the last 15 minutes\n")
    versions(pythons)
    print()
    table(a.rows, found)
    if a.storm:
        print(f"\nOf the first {a.storm} requests half are refused (429), without a time to come back:\n")
        storms(found)


if __name__ == "__main__":
    main()
