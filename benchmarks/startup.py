"""What importing catagent and asking the command for help cost, beside a bare interpreter.

python -m benchmarks.startup
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 9
COMMANDS = {
    "python -c pass": ["-c", "pass"],
    "import catagent": ["-c", "import catagent"],
    "from catagent import CaT": ["-c", "from catagent import CaT"],
    "catagent --help": ["-m", "catagent", "--help"],
    "catagent solve --help": ["-m", "catagent", "solve", "--help"],
    "import openai": ["-c", "import openai"],
    "import litellm": ["-c", "import litellm"],
}


def seconds(arguments: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(RUNS):  # interleaved: a busy moment of the machine hits all alike
        for name, arguments in COMMANDS.items():
            times[name].append(seconds(arguments))
    bare = statistics.median(times["python -c pass"])
    print(f"Python {sys.version.split()[0]}, median of {RUNS} interleaved runs\n")
    print("| command | seconds | over a bare interpreter |\n|---|---|---|")
    for name, taken in times.items():
        median = statistics.median(taken)
        print(f"| `{name}` | {median:.3f} | {median - bare:+.3f} |")
    loaded = subprocess.run(
        [sys.executable, "-c", "import catagent, sys; print(sorted({m.split('.')[0] for m in sys.modules}))"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    heavy = [
        name for name in ("litellm", "openai", "aiohttp", "pydantic", "sympy", "xllamacpp") if name in loaded
    ]
    print(f"\nProvider and other heavy libraries loaded by `import catagent`: {', '.join(heavy) or 'none'}.")


if __name__ == "__main__":
    main()
