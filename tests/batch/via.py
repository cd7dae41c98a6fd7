"""Jobs in provider batches on the double, without waiting: in this process, or in one that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import openai
import together

from catagent.batch.api import batch
from catagent.batch.progress import Report
from catagent.batch.via import in_batches
from catagent.cat import CaT
from catagent.models.config import Config, ProviderConfig, load_config
from catagent.models.provider_batch import BatchNews, Polling
from tests.cast import SYNTHESIS
from tests.doubles import prompt_of
from tests.judges import judge

PROVIDERS = {"openai": "openai", "together": "together_ai"}
SETTLE = 0.2
AGREES = judge(lambda response, criterion: True)
POLLING = Polling(first=0.01, longest=0.03, patience=120)


def stages(body: dict[str, Any], index: int) -> str:
    """All four roles, by what is asked; every text names its question, so that no two prompts are equal."""
    prompt = prompt_of(body)
    number = next((word for word in prompt.replace("?", " ").split() if word.startswith("No.")), "No.x")
    if "Write a rubric" in prompt or "<criteria_1_" in prompt:
        return AGREES(body)
    if SYNTHESIS in prompt:
        return f"# UNIFIED RESPONSE\nTo {number}: one, two. \\boxed{{4}}"
    return f"{number} says {index}: \\boxed{{{4 + index % 2}}}"


def tasks(count: int) -> list[dict[str, Any]]:
    return [{"id": i, "prompt": f"No.{i:03d} asks: what is {i} + {i}?"} for i in range(count)]


def config_of(via: str, base_url: str, **provider: Any) -> Config:
    base = load_config()
    given = {"api": "openai", "base_url": base_url, "api_key": "sk-of-the-double", **provider}
    own = ProviderConfig.model_validate(given)
    return base.model_copy(update={"providers": {**base.providers, PROVIDERS[via]: own}})


def cat_for(via: str, base_url: str, *, provider: dict[str, Any] | None = None, **options: Any) -> CaT:
    config = config_of(via, base_url, **(provider or {}))
    return CaT(**{"model": f"{PROVIDERS[via]}/m", "n": 4, "kind": "verifiable", "config": config, **options})


async def run_via(
    via: Any,
    base_url: str,
    rows: Any,
    out: Path,
    *,
    news: list[BatchNews] | None = None,
    cat: dict[str, Any] | None = None,
    lane: dict[str, Any] | None = None,
    **options: Any,
) -> Report:
    hear = (lambda one: news.append(one)) if news is not None else None
    given = {"settle": SETTLE, "polling": POLLING, **(lane or {})}
    async with in_batches(cat_for(via, base_url, **(cat or {})), via, out, hear=hear, **given) as own:
        return await batch(rows, out, cat=own, **options)


class Worker:
    """Runs jobs in processes that can be killed. They are forked from one that has imported everything."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        command = [sys.executable, "-W", "error", "-m", "tests.batch.via"]
        pipe = subprocess.PIPE
        self._parent = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, start_new_session=True)
        self._busy = False
        try:
            self._read()
        except BaseException:  # a test that is given up leaves no process behind
            self.close()
            raise

    def _read(self) -> int:
        assert self._parent.stdout is not None
        return int(self._parent.stdout.readline())

    def start(self, *job: Any) -> int:
        """Begin a job as `run_via` does; the id of its process."""
        if self._busy:  # a test was given up while its job ran
            self.close()
            self._begin()
        self._busy = True
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps(job) + "\n")
        self._parent.stdin.flush()
        return self._read()

    def wait(self) -> int:
        """How the job's process ended: its exit code, or minus the signal."""
        code = self._read()
        self._busy = False
        return code

    def close(self) -> None:
        """End it, and with it a job that a test has left under way."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._parent.pid, signal.SIGKILL)
        self._parent.communicate()


def main() -> None:
    print(0, flush=True)
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            via, base_url, rows, out, options = json.loads(line)
            os.dup2(2, 1)
            asyncio.run(run_via(via, base_url, rows, Path(out), **options))
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    for sdk in (openai.AsyncOpenAI, together.AsyncTogether):
        resources = sdk(api_key="none")  # they are imported when they are first looked at
        assert resources.files
        assert resources.batches

    main()
