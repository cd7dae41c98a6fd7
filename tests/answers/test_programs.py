import builtins
import sys
from pathlib import Path

import pytest

from catagent.answers import Sandbox, aprograms_equivalent, cluster, equivalent, programs_equivalent, sandbox
from catagent.answers.generation import signature_of
from catagent.errors import ConfigError
from catagent.messages import Answer

LOOP = "def fact(n: int) -> int:\n    r = 1\n    for i in range(2, n + 1):\n        r *= i\n    return r\n"
RECURSIVE = "def fact(n):\n    return 1 if n < 2 else n * fact(n - 1)\n"
WRONG = "def fact(n: int) -> int:\n    return n * (n - 1)\n"
SORTED = "def f(xs: list[int]) -> list[int]:\n    return sorted(xs)\n"
BUBBLE = (
    "def f(xs):\n    out = []\n    for x in xs:\n        i = 0\n"
    "        while i < len(out) and out[i] < x:\n            i += 1\n"
    "        out.insert(i, x)\n    return out\n"
)
UNIQUE = "def f(xs: list[int]) -> list[int]:\n    return sorted(set(xs))\n"

pytestmark = pytest.mark.skipif(
    bool(Sandbox().problem()), reason=f"no sandbox can be set up here: {Sandbox().problem()}"
)


def test_programs_are_compared_by_what_they_do() -> None:
    assert programs_equivalent(LOOP, WRONG) is False
    assert programs_equivalent(SORTED, BUBBLE) is True
    assert programs_equivalent(SORTED, UNIQUE) is False
    assert programs_equivalent(LOOP, RECURSIVE, inputs=[(n,) for n in range(8)]) is True


async def test_async_and_the_equivalence_of_answers() -> None:
    assert await aprograms_equivalent(SORTED, BUBBLE) is True
    a, b, c = (Answer(text=text, kind="code") for text in (SORTED, BUBBLE, UNIQUE))
    assert equivalent(a, b) is True
    assert equivalent(a, c) is False
    assert equivalent(a, Answer(text="5")) is False


def test_scripts_are_compared_by_what_they_print() -> None:
    a = "print(sum(map(int, input().split())))"
    b = "x, y = map(int, input().split())\nprint(x + y)"
    assert programs_equivalent(a, b, examples=["1 2", "3 4"]) is True
    assert programs_equivalent(a, "print(3)\ninput()", examples=["1 2", "3 4"]) is False
    assert programs_equivalent(a, b) is None, "nothing is known of the input"


def test_inputs_come_from_examples_where_nothing_is_annotated() -> None:
    a = "def f(s, k):\n    return s * k\n"
    b = "def f(s, k):\n    return ''.join(s for _ in range(k))\n"
    c = "def f(s, k):\n    return s + s\n"
    assert programs_equivalent(a, b) is None
    assert programs_equivalent(a, b, examples=[("ab", 2)]) is True
    assert programs_equivalent(a, c, examples=[("ab", 2)]) is False


def test_a_signature_names_the_function() -> None:
    a = SORTED + "def helper(x):\n    return x\n"
    assert programs_equivalent(a, BUBBLE, signature="def f(xs: list[int]) -> list[int]") is True


def test_a_program_that_never_ends_is_not_decided() -> None:
    endless = "def f(xs: list[int]):\n    while True:\n        pass\n"
    assert programs_equivalent(SORTED, endless, timeout=0.5) is None


def test_no_python_is_not_decided() -> None:
    assert programs_equivalent("def f(:", SORTED) is None


ATTACKS = [
    "open('/etc/passwd').read()", "open('/tmp/catagent-was-here', 'w')", "__import__('os').listdir('/')",
    "__import__('socket').socket()", "__import__('os').fork()", "__import__('os').kill(1, 9)",
    "__import__('subprocess').run(['id'])", "__import__('os').execv('/bin/sh', ['sh'])",
    "__import__('threading').Thread(target=print).start()", "__import__('os').unlink('/tmp/x')",
    "__import__('os').mkdir('/tmp/catagent')", "__import__('os').chmod('/', 0)", "__import__('os').setuid(0)",
    "__import__('resource').setrlimit(0, (9**9, 9**9))",
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_sandbox_holds(attack: str) -> None:
    (outcome,) = Sandbox().run(f"def f():\n    return {attack}\n", "f", [[]])
    assert outcome[0] == "error", outcome
    assert outcome[1] in ("PermissionError", "RuntimeError", "OSError", "ValueError"), outcome


def test_without_landlock_nothing_can_be_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "sandboxed.py"
    source = Path(sandbox._SCRIPT).read_text(encoding="utf-8")
    probe = "    version = libc.syscall(444"
    assert probe in source
    script.write_text(source.replace(probe, "    return False\n" + probe), encoding="utf-8")
    monkeypatch.setattr(sandbox, "_SCRIPT", str(script))
    code = "import re, math, heapq\ndef f(path):\n    return open(path).read() if path else math.sqrt(4)\n"
    opened, computed = Sandbox().run(code, "f", [["/etc/passwd"], [""]])
    assert opened == ["error", "PermissionError"]
    assert computed == ["value", ["float", "2.0"]]


def test_limits_of_memory_time_and_output() -> None:
    assert Sandbox().run("def f():\n    return [0] * 10**10\n", "f", [[]])[0][0] == "memory"
    stubborn = "def f():\n  while 1:\n    try:\n      while 1: pass\n    except BaseException: pass\n"
    assert Sandbox(seconds=0.5).run(stubborn, "f", [[]])[0][0] in ("timeout", "killed")
    loud = "def f():\n    return 'x' * 10**7\n"
    assert len(str(Sandbox().run(loud, "f", [[]]))) < 10**6


def test_the_environment_is_empty() -> None:
    (outcome,) = Sandbox().run("import os\ndef f():\n    return sorted(os.environ)\n", "f", [[]])
    assert outcome == ["value", ["list", [["str", "LC_ALL"], ["str", "PYTHONHASHSEED"]]]]


def test_nothing_runs_where_the_sandbox_cannot_be_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sandbox, "_lines", lambda self, job: [["isolated", "seccomp filters are refused"]])
    with pytest.raises(ConfigError, match="seccomp filters are refused"):
        Sandbox().run("def f(): return 1", "f", [[]])
    assert Sandbox(unsafe=True).run("def f(): return 1", "f", [[]]) == [["killed"]]


def test_without_hypothesis_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *arguments: object, **options: object) -> object:
        if name.startswith("hypothesis"):
            raise ImportError(name)
        return real(name, *arguments, **options)  # type: ignore[arg-type]

    for name in [name for name in sys.modules if name.startswith("hypothesis")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r"pip install 'catagent\[code\]'"):
        programs_equivalent(SORTED, BUBBLE)
    assert programs_equivalent(SORTED, BUBBLE, inputs=[([3, 1],), ([],)]) is True


def test_annotations_are_read_and_never_evaluated() -> None:
    (signature,) = (
        signature_of("def f(a: list[tuple[int, str]], b: 'dict[str, int] | None', c: exit() = 3): pass") or []
    )
    assert signature.hints == (
        ("list", ("tuple", ("int",), ("str",))),
        ("union", ("dict", ("str",), ("int",)), ("none",)),
    )


def test_a_vote_does_not_fail_where_programs_cannot_be_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sandbox, "_lines", lambda self, job: [["isolated", "seccomp filters are refused"]])
    codes = [Answer(text=text, kind="code", source="code") for text in (SORTED, BUBBLE, SORTED)]
    assert equivalent(codes[0], codes[1]) is None
    found = cluster(codes)
    assert found.classes == ((0, 2), (1,))
    assert found.undecided == ((0, 1),)
