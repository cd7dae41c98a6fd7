import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from catagent.answers import aequivalent, cluster, equivalent
from catagent.answers.equivalence import cheap
from catagent.answers.pool import Pool, shared
from catagent.answers.rules import DEFAULT_RULES

HARD = ("x^2-5x+6<0", "(2,3)")
ENDLESS = ("9^{9^{9^{9}}}", "5")
ROOT = Path(__file__).resolve().parents[2]


def run(program: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
        cwd=ROOT,
    )


HOSTILE = [
    "9**9**9**9", "9^{9^{9^9}}", "1000000000!", r"\binom{10^9}{5\cdot 10^8}", "{" * 10**6, "\\boxed{" * 10**5,
    r"\input{/etc/passwd}", "__import__('os').system('touch hacked')", "(lambda: exit())()", "7" * 10_000,
    "0." + "3" * 10_000, r"\sqrt{" * 50 + "2" + "}" * 50,
    r"\sqrt{" * 3000 + "2" + "}" * 3000, "(" * 9000 + "1" + ")" * 9000,
    "1e999999", "x" * 10_000, "(x+1)^{1000}", "5" + "'" * 1000, "5" + "%" * 1000, "1" + "/1" * 900, "|" * 900,
    "\u202e5\u200b", "٣", "\x00" * 500, "a," * 900 + "a",
    r"\begin{matrix}" * 100, "1 " * 900, "-" * 1900, "!" * 900,
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_answers_are_bounded_and_the_next_pair_is_answered(text: str) -> None:
    begin = time.process_time()
    assert equivalent(text, "41", timeout=0.5) in (None, False)
    assert time.process_time() - begin < 1.0, "the caller's own process worked too long"
    assert equivalent(*HARD, timeout=10) is True
    assert not (ROOT / "hacked").exists()


EXPENSIVE = [
    (r"\sum_{a=1}^{500}\sum_{b=1}^{500}\sum_{c=1}^{500} abc", "5"),
    (r"\sum_{a=1}^{500}(" + "+".join(["x^a"] * 200) + ")", "5"),
    (",".join(map(str, range(400))), ",".join(map(str, range(399, -1, -1)))),
    (r"\{" + ",".join(f"x_{i}" for i in range(200)) + r"\}",
     r"\{" + ",".join(f"y_{i}" for i in range(200)) + r"\}"),
    ("+".join(f"{i}x^{{{i % 40}}}" for i in range(200)) + "=0",
     "+".join(f"{i}x^{{{i % 41}}}" for i in range(200)) + "=0"),
    ("*".join(["(2^{50000})"] * 100), "5"), ("2^{99999}+" * 150 + "1", "7"), (r"\pm 1," * 200 + "1", "5"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), EXPENSIVE, ids=range(len(EXPENSIVE)))
def test_nothing_in_the_callers_process_takes_long(a: str, b: str) -> None:
    begin = time.process_time()
    cheap(a, b)
    assert time.process_time() - begin < 1.0


def test_a_timeout_is_none_and_not_false() -> None:
    assert equivalent(*ENDLESS, timeout=0.2) is None


def test_a_hung_pair_does_not_hold_up_others() -> None:
    pool = Pool(2)
    try:
        pool.decide(*HARD, DEFAULT_RULES, 10)
        with ThreadPoolExecutor(1) as threads:
            slow = threads.submit(pool.decide, *ENDLESS, DEFAULT_RULES, 1.5)
            for _ in range(3):
                assert pool.decide(*HARD, DEFAULT_RULES, 10) is True
            assert not slow.done()
            assert slow.result() is None
    finally:
        pool.close()


def test_memory_is_bounded() -> None:
    pool = Pool(1, memory_mb=400)
    try:
        assert pool.decide(r"\sum_{k=1}^{n} k^{3000000}", "10^{9999999}", DEFAULT_RULES, 5.0) in (None, False)
        assert pool.decide(*HARD, DEFAULT_RULES, 10) is True
    finally:
        pool.close()


def test_the_clock_does_not_count_the_queue() -> None:
    """Eight pairs on one worker, each with a limit shorter than all eight take together."""
    pool = Pool(1)
    try:
        pool.decide(*HARD, DEFAULT_RULES, 10)
        pairs = [(f"x^2-{n}x+{n - 1}<0", f"(1,{n - 1})") for n in range(5, 13)]
        with ThreadPoolExecutor(8) as threads:
            verdicts = list(threads.map(lambda pair: pool.decide(*pair, DEFAULT_RULES, 1.0), pairs))
        assert verdicts == [True] * 8
    finally:
        pool.close()


async def test_the_event_loop_is_never_blocked() -> None:
    gaps, stop = [], asyncio.Event()

    async def tick() -> None:
        last = time.monotonic()
        while not stop.is_set():
            await asyncio.sleep(0.01)
            gaps.append(time.monotonic() - last)
            last = time.monotonic()

    ticking = asyncio.create_task(tick())
    verdicts = await asyncio.gather(*(aequivalent(*ENDLESS, timeout=0.5) for _ in range(3)))
    stop.set()
    await ticking
    assert verdicts == [None] * 3
    assert len(gaps) > 20
    assert sorted(gaps)[len(gaps) // 2] < 0.1


def test_several_event_loops_in_one_process() -> None:
    for _ in range(2):
        assert asyncio.run(aequivalent(*HARD, timeout=10)) is True


def test_threads() -> None:
    found: list[bool | None] = []
    threads = [threading.Thread(target=lambda: found.append(equivalent(*HARD, timeout=10))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4


def test_a_forked_child_gets_its_own_workers() -> None:
    program = (
        "import os, sys\n"
        "from catagent.answers import equivalent\n"
        f"assert equivalent(*{HARD!r}, timeout=10) is True\n"
        "child = os.fork()\n"
        f"verdict = equivalent(*{HARD!r}, timeout=10)\n"
        "if child == 0:\n    os._exit(0 if verdict is True else 1)\n"
        "_, status = os.waitpid(child, 0)\n"
        "print(verdict, os.waitstatus_to_exitcode(status))\n"
    )
    assert run(program).stdout.split() == ["True", "0"]


def test_a_script_without_a_main_guard_runs_once() -> None:
    program = (
        f"print('once')\nfrom catagent.answers import equivalent\nprint(equivalent(*{HARD!r}, timeout=10))"
    )
    assert run(program).stdout.split() == ["once", "True"]


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to find the processes")
def test_workers_end_with_a_killed_parent() -> None:
    program = (
        "import sys, time\nfrom catagent.answers import equivalent\n"
        f"equivalent(*{HARD!r}, timeout=10)\nprint('ready', flush=True)\ntime.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().strip() == "ready"
        workers = children(parent.pid)
        workers += [grandchild for worker in workers for grandchild in children(worker)]
        assert workers
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_the_import_is_light() -> None:
    heavy = ["sympy", "mpmath", "math_verify", "latex2sympy2_extended", "hypothesis", "multiprocessing"]
    program = (
        "import sys, catagent.answers as answers\n"
        "answers.extract('The answer is 5')\nanswers.equivalent('1/2', '0.5')\nanswers.cluster(['1', '2'])\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    assert run(program).stdout.strip() == "[]"


def test_a_cluster_makes_few_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = Pool.decide

    def counted(self: Pool, *arguments: object) -> bool | None:
        asked.append(arguments)
        return original(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Pool, "decide", counted)
    answers = ["x^2-5x+6<0", "(2,3)", "2<x<3", "(2,3)", "x^2-5x+6<0", "(2,4)", "x^2-5x<-6", None]
    found = cluster(answers, timeout=10)
    assert found.classes == ((0, 1, 2, 3, 4, 6), (5,))
    assert len(asked) <= 4


def test_the_pool_is_shared() -> None:
    assert shared() is shared()
