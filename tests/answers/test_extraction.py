import time

import pytest

from catagent.answers import extract

FOUND = [
    ("The answer is:\n- $x = 1$\n- $x = 2$", "x = 1, x = 2", "math", "phrase"),
    ("\\begin{align*}\na &= 2 \\\\\nx &= 3\n\\end{align*}", "x = 3", "math", "last_line"),
    ("So\n\\[\nx = 3\n\\]", "x = 3", "math", "last_line"),
    (r"So $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}", "math", "boxed"),
    (r"\boxed{\text{(C)}}", "C", "choice", "boxed"),
    (r"First \boxed{3}. Then again, \boxed{\sqrt{2}^{2}}", r"\sqrt{2}^{2}", "math", "boxed"),
    (r"$\boxed{1}$ and $\boxed{2}$", "1, 2", "math", "boxed"),
    (r"\boxed{1.5}, or $\boxed{\frac32}$", r"\frac32", "math", "boxed"),
    (r"$\boxed{28}$ percent", r"28\%", "math", "boxed"),
    (r"\boxed 7", "7", "math", "boxed"),
    (r"\boxed{a \} b}", r"a \} b", "math", "boxed"),
    ("The answer is 42.", "42", "math", "phrase"),
    ("The final answer is $x^2 + 1$. I hope it is correct.", "x^2 + 1", "math", "phrase"),
    ("**Answer:** -5", "-5", "math", "phrase"),
    ("The correct answer is (B).", "B", "choice", "phrase"),
    ("the answer is 3.14", "3.14", "math", "phrase"),
    ("Answer \\[ \n 9 \n \\]", "9", "math", "phrase"),
    ("<answer>Paris</answer>", "Paris", "text", "phrase"),
    ("Each has 9 * 2 = 18.\n#### -18", "-18", "math", "phrase"),
    ("<think>maybe \\boxed{1}</think>\nIt is \\boxed{2}.", "2", "math", "boxed"),
    ("reasoning without an opening tag \\boxed{1}</think> The answer is 3", "3", "math", "phrase"),
    ("The answer is 4<|im_end|>\n<|im_start|>user\nThe answer is 5", "4", "math", "phrase"),
    ("We get two.\nTherefore $x \\geq 5$ is the solution.", r"x \geq 5", "math", "last_line"),
    ("Hence the probability is 2/3.", "2/3", "math", "last_line"),
    ("so it rises by 100%.", "100%", "math", "last_line"),
    ("The ratio is [1/2].", "1/2", "math", "last_line"),
    ('{"reasoning": "...", "answer": 7}', "7", "math", "json"),
    ("Here:\n```python\ndef f(x):\n    return x\n```", "def f(x):\n    return x", "code", "code"),
    ("(1, 2)", "(1, 2)", "math", "last_line"),
]


@pytest.mark.parametrize(("text", "answer", "kind", "source"), FOUND)
def test_the_answer_is_found(text: str, answer: str, kind: str, source: str) -> None:
    found = extract(text)
    assert found is not None
    assert (found.text, found.kind, found.source) == (answer, kind, source)


TRUNCATED = [
    "The answer is 5 and the",
    "The answer is 5 +",
    "",
    "   \n",
    r"So the answer is \boxed{\frac{1}{2",
    r"\boxed{1} but wait, in fact \boxed{2",
    "<think>The answer is 5, let me check",
    "The answer is",
    "The final answer is:\n",
    "<answer>4",
    "Now 3 + 4 = 7, which we multiply by",
    "The area is $x^2 + ",
    r"\boxed{}",
    "```python\ndef f(x):\n    return",
]


@pytest.mark.parametrize("text", TRUNCATED)
def test_a_response_that_breaks_off_has_no_answer(text: str) -> None:
    assert extract(text) is None


def test_kinds_narrow_the_search() -> None:
    code = extract("```python\nprint(1)\n```\nThe answer is above.", kind="code")
    assert code is not None
    assert code.text == "print(1)"
    assert extract("```python\nprint(1)", kind="code") is None
    assert extract("no code here", kind="code") is None
    json_answer = extract('Result:\n```json\n{"a": [1, 2]}\n```', kind="json")
    assert json_answer is not None
    assert json_answer.kind == "json"
    assert json_answer.text == '{"a": [1, 2]}'
    assert extract("no json", kind="json") is None
    assert extract("The answer is C", kind="choice").text == "C"  # type: ignore[union-attr]
    assert extract("After all, **(D)** fits best.", kind="choice").text == "D"  # type: ignore[union-attr]
    assert extract("It fits best, all in all.", kind="choice") is None


@pytest.mark.parametrize(
    "hostile",
    ["{" * 10**6, "\\boxed{" * 10**5,
     "<think>" * 10**5, "```\n" * 10**5, "$" * 10**6, "the answer is " * 5 * 10**4,
     "\\" * 10**6, "[" * 10**6, "<answer>" * 10**5, "1," * 10**5 + "\n" * 10**5],
)  # fmt: skip
def test_a_megabyte_of_anything_is_bounded(hostile: str) -> None:
    """In seconds of CPU, far above what it takes and far below what anything quadratic would."""
    begin = time.process_time()
    extract(hostile)
    assert time.process_time() - begin < 3.0


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("End with the final answer alone inside \\boxed{}.\n\n\\boxed{3}", "3"),
        ("inside \\boxed{ }.\n\\boxed{1}, \\boxed{2}", "1, 2"),
        ("\\boxed{}: \\boxed{\\frac12}", "\\frac12"),
    ],
)
def test_an_empty_box_before_the_answer_is_no_part_of_it(text: str, answer: str) -> None:
    found = extract(text)
    assert found is not None
    assert found.text == answer
