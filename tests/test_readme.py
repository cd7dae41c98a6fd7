"""The README's Python runs when pasted, top to bottom, and its commands do what they say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from tests.cast import cast
from tests.doubles import ProviderDouble

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.S)


def environment(double: ProviderDouble) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_API_KEY")}
    return {**clean, "OPENAI_API_KEY": "sk-test-123456789", "OPENAI_BASE_URL": double.base_url}


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    script = tmp_path / "readme.py"
    blocks = [code for language, code in BLOCK.findall(README) if language == "python"]
    assert len(blocks) >= 4
    checks = [
        (line.split("  # ")[0].strip(), line.rpartition("# ")[2].strip())
        for block in blocks
        if "cat.answers." in block
        for line in block.splitlines()
        if "  # " in line
    ]
    assert len(checks) == 3
    asserts = "".join(f"assert {code} == {value}, {code!r}\n" for code, value in checks)
    script.write_text("\n".join(blocks) + "\n" + asserts)
    with ProviderDouble(reply=cast(["\\boxed{10000}", "\\boxed{4}"])) as double:
        done = subprocess.run(
            [sys.executable, "-W", "error::ResourceWarning", script],
            env=environment(double), capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "[0.0, 0.0, None]" in done.stdout  # the completions that the README scores
    assert done.stderr == ""


def test_the_commands_of_the_readme_run() -> None:
    lines = [
        line
        for language, code in BLOCK.findall(README)
        if language == "bash"
        for line in code.splitlines()
        if "catagent " in line
    ]
    assert len(lines) >= 3
    with ProviderDouble(reply=cast(["\\boxed{10000}"])) as double:
        for line in lines:
            piped, _, command = line.rpartition("| ")
            arguments = shlex.split(command)
            done = subprocess.run(
                [sys.executable, "-m", *arguments],
                env=environment(double), input=piped, capture_output=True, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 0, (line, done.stderr)
