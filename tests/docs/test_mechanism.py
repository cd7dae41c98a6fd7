"""What checks the pages is itself able to fail."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.docs.names import strange
from tests.docs.pages import ROOT, anchors, blocks, links, marks
from tests.docs.rewiring import rewired
from tests.docs.runner import run_command, run_python
from tests.docs.shell import Line, Refused, every_option, lines, parsed, wrong

Run = Callable[[str], None]


@pytest.fixture
def run() -> Iterator[Run]:
    space: dict[str, Any] = {}
    with asyncio.Runner() as loop:
        yield lambda code: run_python(code, "page.md:10", space, loop)


def test_blocks_have_lines_titles_and_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        'A\n\n```yaml title="providers.yaml"\nn: 1\n```\n\n<!-- needs: gpu, hours -->\n```python\nx\n```\n\n'
        "- in a list\n\n    ```bash\n    catagent models\n    ```\n"
    )
    titled, marked, indented = blocks(page)
    assert (titled.title, titled.line, titled.code, titled.needs) == ("providers.yaml", 4, "n: 1\n", None)
    assert (marked.language, marked.needs, marked.line) == ("python", "gpu", 9)
    assert indented.code == "catagent models\n"
    assert marks(page) == ["gpu"]


def test_links_and_anchors_leave_code_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A `b` (c)\n\n[x](y.md#z) `[no](no.md)`\n\n```text\n[no](no.md)\n# No\n```\n![p](q.svg)\n"
    )
    assert links(page) == [(3, "y.md#z"), (9, "q.svg")]
    assert anchors(page) == {"a-b-c"}


def test_output_and_values_are_held_against_the_comments(run: Run) -> None:
    run("x = 1 + 1\nx  # 2\nprint(x)\n#> 2\n")
    run("import asyncio\nawait asyncio.sleep(0)\nasync def f(): return x\nprint(await f())\n#> 2\n")
    with pytest.raises(AssertionError, match=r"page\.md:11: 2, and the page says 3"):
        run("\nx  # 3\n")
    with pytest.raises(AssertionError, match="the page says"):
        run("print(x)\n#> 3\n")
    with pytest.raises(AssertionError, match="the page says"):
        run("print(x)\nprint(x)\n#> 2\n")
    run("x  # a word of prose, not a value\n")


def test_what_a_block_raises_names_its_line(run: Run) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        run("y = 1\n\n1 / 0\n")
    assert caught.traceback[-1].lineno == 11  # counted from 0: the third line of a block at line 10


def test_command_lines_are_taken_apart() -> None:
    code = 'export A=b\necho "a b" | catagent solve - \\\n  --n 4   # why\n'
    code += "K=1 catagent models > out.txt && cd x\n"
    assert lines(code) == [
        Line(("export", "A=b")),
        Line(("echo", "a b")),
        Line(("catagent", "solve", "-", "--n", "4"), piped=("echo", "a b")),
        Line(("catagent", "models"), output="out.txt"),
        Line(("cd", "x")),
    ]


def test_the_program_refuses_what_it_does_not_have() -> None:
    assert parsed(("catagent", "models", "pull")).split()[-1] == "pull"
    for words in (
        ("catagent", "solve", "--nonsense"),
        ("catagent", "nonsense"),
        ("catagent", "solve", "a", "b"),
        ("catagent", "batch", "in.jsonl", "--n", "many"),
    ):
        with pytest.raises(Refused):
            parsed(words)
    assert "--estimator" in every_option()
    assert "--nonsense" not in every_option()


@pytest.mark.parametrize(
    "line",
    [
        "pip install 'catagent[nonsense]'",
        "python -m pip install 'catagent[batch,nonsense]'",
        "python -m benchmarks.nonsense",
        "python -m benchmarks.batch --nonsense",
        "make nonsense",
        "nonsense now",
        ".ci/nonsense",
    ],
)
def test_other_tools_are_held_against_the_repository(line: str) -> None:
    assert wrong(lines(line)[0])


def test_tools_that_exist_pass() -> None:
    for line in (
        "pip install 'catagent[batch]'",
        "make docs PYTHON=x",
        "python -m benchmarks.batch kills",
        ".ci/run",
    ):
        assert wrong(lines(line)[0]) is None


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("import catagent.nonsense", ["catagent.nonsense"]),
        ("from catagent import nonsense", ["catagent.nonsense"]),
        ("from catagent.nonsense import x", ["catagent.nonsense"]),
        ("from catagent.rewards import nonsense", ["catagent.rewards.nonsense"]),
        ("import catagent as cat\ncat.nonsense()", ["cat.nonsense"]),
        ("import catagent as cat\ncat.CaT(nonsense=1)", ["CaT(nonsense=…)"]),
        ("import catagent as cat\ncat.CaT(model='a/b').solve_sync('x')", []),
        ("from catagent.rewards import reward\nfrom catagent import answers, CaT", []),
    ],
)
def test_names_that_do_not_exist_are_found(code: str, found: list[str]) -> None:
    assert strange(ast.parse(code)) == found


def test_commands_that_fail_are_failures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("providers.yaml").write_text(rewired("", "http://127.0.0.1:9/v1"))
    with pytest.raises(AssertionError, match="exit code"):
        run_command(["catagent", "view", "nothing.jsonl"], None, None)
    with pytest.raises(AssertionError, match="not known"):
        run_command(["catagent", "solve"], ["curl", "x"], None)


def test_every_provider_of_a_page_is_the_double() -> None:
    import yaml

    text = "providers: {house: {api: openai, base_url: 'https://llm.example.org/v1', timeout: 3}}\n"
    made = yaml.safe_load(rewired(text, "http://127.0.0.1:9/v1"))["providers"]
    assert {one["base_url"] for one in made.values()} == {"http://127.0.0.1:9/v1"}
    assert made["house"]["timeout"] == 3
    packaged = yaml.safe_load((ROOT / "providers.yaml").read_text())["providers"]
    local = {name for name, one in packaged.items() if one.get("local")}
    assert local <= made.keys()
