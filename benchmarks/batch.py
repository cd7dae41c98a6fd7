"""Jobs of many rows: random kills, memory and speed at any size, and the same work by hand.

    python -m benchmarks.batch kills     200 random kills of a job of 2,000 rows
    python -m benchmarks.batch scale     1,000, 10,000 and 100,000 rows of 8 rollouts
    python -m benchmarks.batch litellm   beside a gather over LiteLLM, 2,000 rows of 8 rollouts
    python -m benchmarks.batch litellm --curator-python PATH
        and beside Curator: the Python of an environment with bespokelabs-curator, made for this alone

Everything runs against the provider double on loopback. CPU and memory are those of the process that works
on the job. Compare rows of one table; absolutes do not hold elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from tests.doubles import ProviderDouble

LIMIT = 16


def write_rows(path: Path, count: int) -> None:
    with path.open("w") as file:
        for i in range(count):
            file.write(json.dumps({"id": i, "prompt": f"What is {i} + {i}?"}) + "\n")


def start(folder: Path, base: str, *arguments: str, limit: int = 64) -> subprocess.Popen[str]:
    (folder / "providers.yaml").write_text(
        f"providers: {{house: {{api: openai, base_url: '{base}', "
        f"limits: {{start: {limit}, max_concurrency: {limit}}}}}}}\n"
    )
    line = [sys.executable, "-m", "catagent", "batch", "in.jsonl", "-o", "out.jsonl", "-m", "house/m"]
    line += ["--kind", "verifiable", "--quiet", *arguments]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    return subprocess.Popen(line, cwd=folder, env=env, text=True, stderr=subprocess.PIPE)


def ids(out: Path) -> list[int]:
    with out.open() as file:
        return [json.loads(line)["id"] for line in file]


def kills(rows: int, count: int, seed: int) -> None:
    draw = random.Random(seed)
    killed = in_flight = torn = 0
    with tempfile.TemporaryDirectory() as name, ProviderDouble(latency=0.02) as double:
        folder = Path(name)
        write_rows(folder / "in.jsonl", rows)
        out = folder / "out.jsonl"
        seen: set[int] = set()
        while killed < count:
            served = double.served
            process = start(folder, double.base_url, "-n", "8", limit=LIMIT)
            if draw.random() < 0.75:  # in the midst of the work
                goal = served + draw.randrange(0, 16)
                while double.served < goal and process.poll() is None:
                    time.sleep(0.001)
            else:  # at any moment, while it starts as well
                time.sleep(draw.uniform(0.0, 2.0))
            if process.poll() is not None:
                process.communicate()
                print(f"the job was done after {killed} kills")
                break
            in_flight += double.in_flight
            process.kill()
            process.communicate()
            killed += 1
            if out.exists():
                data = out.read_bytes()
                torn += not data.endswith(b"\n") and bool(data)
                now = {json.loads(line)["id"] for line in data.split(b"\n")[:-1]}
                assert seen <= now, "a finished row was lost"
                seen = now
        process = start(folder, double.base_url, "-n", "8", limit=LIMIT)
        said = process.communicate()[1]
        assert process.returncode == 0, said
        found = Counter(ids(out))
        bought = Counter(json.dumps(r.body, sort_keys=True) for r in double.requests if r.status == 200)
        again = sum(bought.values()) - len(bought)
    print("| | |\n|---|---|")
    print(f"| kills | {killed} |")
    print(f"| rows in the input | {rows} |")
    print(f"| rows in the output, each once | {len(found) if set(found.values()) == {1} else found} |")
    print(f"| finished rows that a kill took away | {0 if seen <= found.keys() else 'some'} |")
    print(f"| torn last lines that were mended | {torn} |")
    print(f"| different requests answered | {len(bought)} |")
    print(f"| answered more than once | {again} |")
    print(f"| in flight at the kills, seen by the provider | {in_flight} |")
    print(f"| in flight at the kills at most ({LIMIT} each) | {killed * LIMIT} |")


@contextmanager
def server(*arguments: str) -> Iterator[str]:
    """The double in a process of its own."""
    line = [sys.executable, "-m", "tests.doubles.provider", *arguments]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as double:
        assert double.stdout is not None
        try:
            yield double.stdout.readline().strip()
        finally:
            double.terminate()


def waited(process: subprocess.Popen[str]) -> resource.struct_rusage:
    """What a process used until its end."""
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, said
    return usage


def scale(sizes: list[int]) -> None:
    print("| rows | rollouts | rows/s | CPU a row, ms | peak memory, MB | journal, bytes a row |")
    print("|---|---|---|---|---|---|")
    for rows in sizes:
        with tempfile.TemporaryDirectory() as name, server() as base:
            folder = Path(name)
            write_rows(folder / "in.jsonl", rows)
            began = time.monotonic()
            usage = waited(start(folder, base, "-n", "8", "--estimator", "majority"))
            wall = time.monotonic() - began
            assert len(set(ids(folder / "out.jsonl"))) == rows
            size = (folder / "out.jsonl.job" / "journal.sqlite").stat().st_size
            cpu = usage.ru_utime + usage.ru_stime
            print(
                f"| {rows:,} | {rows * 8:,} | {rows / wall:.0f} | {cpu / rows * 1000:.2f} "
                f"| {usage.ru_maxrss / 1024:.0f} | {size / rows:.0f} |",
                flush=True,
            )


BY_HAND = """
import asyncio, json, os, sys
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
import litellm

base, rows, in_flight = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
gate = asyncio.Semaphore(in_flight)

async def ask(prompt, n):
    async with gate:
        reply = await litellm.acompletion(
            model="openai/m", messages=[{"role": "user", "content": prompt}], n=n,
            api_base=base, api_key="sk-x", num_retries=0, max_retries=0)
    return [choice.message.content for choice in reply.choices]

async def solve(i, several):
    prompt = f"What is {i} + {i}? Put the final answer in a box."
    if several:
        texts = await ask(prompt, 8)
    else:
        texts = [t for one in await asyncio.gather(*(ask(prompt, 1) for _ in range(8))) for t in one]
    (reference,) = await ask("Reconcile these answers.\\n# UNIFIED RESPONSE\\n" + "\\n".join(texts), 1)
    return {"id": i, "text": reference}

async def main():
    lines = await asyncio.gather(*(solve(i, sys.argv[4] == "n") for i in range(rows)))
    with open("out.jsonl", "w") as file:
        file.writelines(json.dumps(line) + "\\n" for line in lines)

asyncio.run(main())
"""


# Curator asks the prompts of BY_HAND, without a synthesis, which it does not have. It counts tokens with
# an encoding that LiteLLM, one of its requirements, brings along: nothing is fetched. Its cache starts empty.
CURATOR = """
import importlib.util, os, sys
from pathlib import Path

base, rows, in_flight, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), 8 if sys.argv[4] == "n" else 1
encodings = Path(importlib.util.find_spec("litellm").origin).parent / "litellm_core_utils" / "tokenizers"
os.environ |= {
    "HOME": os.getcwd(), "HF_HOME": os.path.abspath("hf"), "CURATOR_CACHE_DIR": os.path.abspath("cache"),
    "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "TELEMETRY_ENABLED": "0", "CURATOR_VIEWER": "0", "CURATOR_DISABLE_RICH_DISPLAY": "1",
    "TIKTOKEN_CACHE_DIR": str(encodings), "OPENAI_API_KEY": "sk-x"}
from bespokelabs import curator

class Solve(curator.LLM):
    return_completions_object = n > 1

    def prompt(self, row):
        return f"What is {row['id']} + {row['id']}? Put the final answer in a box."

    def parse(self, row, reply):
        texts = [choice["message"]["content"] for choice in reply["choices"]] if n > 1 else [reply]
        return [{"id": row["id"], "text": text} for text in texts]

solve = Solve(
    model_name="m", backend="openai", generation_params={"n": n} if n > 1 else {},
    backend_params={"base_url": base, "max_concurrent_requests": in_flight,
                    "max_requests_per_minute": 10**7, "max_tokens_per_minute": 10**10})
solve([{"id": i} for i in range(rows) for _ in range(8 // n)]).dataset.to_json("out.jsonl")
"""
VERSIONS = """
from importlib.metadata import version
print(", ".join(f"{name} {version(name)}" for name in ("bespokelabs-curator", "litellm", "datasets")))
"""


def litellm(rows: int, latency: float, curator: str | None) -> None:
    in_flight = 64
    # name, program (None: catagent), its last argument or catagent's flags, flags of the double
    contestants: list[tuple[str, str | None, list[str], list[str]]] = [
        ("catagent batch", None, [], []),
        ("catagent batch, majority", None, ["--estimator", "majority"], []),
        ("gather over LiteLLM, n = 8", BY_HAND, ["n"], []),
        ("gather over LiteLLM, 8 requests", BY_HAND, ["one"], []),
    ]
    print(f"catagent {version('catagent')}, litellm {version('litellm')}")
    if curator:
        said = subprocess.run([curator, "-c", VERSIONS], check=True, capture_output=True, text=True).stdout
        print(f"Curator's environment: {said.strip()}")
        contestants[2:2] = [
            ("catagent batch, one choice a reply", None, ["--estimator", "majority"], ["--max-n", "1"]),
            ("Curator, n = 8", CURATOR, ["n"], []),
            ("Curator, 8 requests", CURATOR, ["one"], []),
        ]
    print(f"\n{rows:,} rows of 8 rollouts, {latency * 1000:.0f} ms a reply, {in_flight} in flight\n")
    print("| | synthesis | time, s | CPU, s | peak memory, MB | requests |")
    print("|---|---|---|---|---|---|", flush=True)
    for name, program, arguments, flags in contestants:
        with tempfile.TemporaryDirectory() as place, server("--latency", str(latency), *flags) as base:
            folder = Path(place)
            write_rows(folder / "in.jsonl", rows)
            began = time.monotonic()
            if program is None:
                process = start(folder, base, "-n", "8", *arguments, limit=in_flight)
            else:
                python = curator if curator and program == CURATOR else sys.executable
                line = [python, "-c", program, base, str(rows), str(in_flight), *arguments]
                process = subprocess.Popen(
                    line, cwd=folder, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
                )
            usage = waited(process)
            wall = time.monotonic() - began
            found = Counter(ids(folder / "out.jsonl"))
            assert len(found) == rows
            assert set(found.values()) == {8 if program == CURATOR else 1}
            requests = asyncio.run(count(base))
            cpu = usage.ru_utime + usage.ru_stime
            synthesis = "no" if program == CURATOR or "majority" in arguments else "yes"
            print(
                f"| {name} | {synthesis} | {wall:.1f} | {cpu:.1f} | {usage.ru_maxrss / 1024:.0f} "
                f"| {requests} |",
                flush=True,
            )


async def count(base: str) -> int:
    """The requests that the double got, refused ones too."""
    import aiohttp

    async with aiohttp.ClientSession() as session, session.get(f"{base}/_control") as reply:
        return int((await reply.json())["received"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("kills", "scale", "litellm"))
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--curator-python", metavar="PATH", help="measure Curator too, with this Python")
    a = parser.parse_args()
    print(
        f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, {time.strftime('%Y-%m-%d')}\n", flush=True
    )
    if a.what == "kills":
        kills(a.rows, a.kills, a.seed)
    elif a.what == "scale":
        scale(a.sizes)
    else:
        litellm(a.rows, a.latency, a.curator_python)


if __name__ == "__main__":
    main()
