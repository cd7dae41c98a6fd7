import pytest

from catagent.answers import aequivalent, equivalent
from catagent.answers.equivalence import cheap
from catagent.messages import Answer

SAME = [
    # numbers
    ("1/2", r"\frac12"), ("1.5", r"1\frac12"), ("3 1/2", "3.5"), ("1,234,567", "1234567"),
    (r"10{,}000", "10000"),
    ("3.54e-07", r"3.54 \times 10^{-7}"), ("28%", "28 percent"), (r"\$32,\!348", "32348"),
    ("$5", "5 dollars"),
    (r"15\text{ cm}", "150 mm"), (r"90^\circ", r"90\text{ degrees}"), ("4210_7", "4210_{7}"), ("52_8", "42"),
    ("0.0833333333333333", "1/12"), ("0.30000000000000004", "0.3"), ("½", "0.5"), ("10^{-3}", "0.001"),
    (r"\sqrt{12}", r"2\sqrt3"), (r"\frac{1}{\sqrt{3}}", r"\frac{\sqrt{3}}{3}"), (r"\sqrt[3]{-8}", "-2"),
    (r"\sqrt{5+2\sqrt{6}}", r"\sqrt{2}+\sqrt{3}"), (r"\log_2 8", "3"), (r"5!", "120"),
    (r"\binom{5}{2}", "10"),
    # expressions
    ("(x+1)^2", "x^2+2x+1"), ("i(2-i)", "1+2i"), (r"e^{i\pi}", "-1"), (r"\tan^2 y + 1", r"\sec^2 y"),
    (r"\sin x \cos x", r"\frac{1}{2}\sin(2x)"), (r"\sqrt{x^2}", "|x|"), (r"(-1)^n", r"\cos(n\pi)"),
    (r"\frac{n(n+1)}{2}", r"\sum_{k=1}^{n} k"), ("C_1 e^x + C_2", "C_2 + e^x C_1"),
    ("sqrt(x)", "x**0.5"), ("sin(x)", r"\sin x"), ("2*(3+4)", "14"), (r"0.1\overline{6}", "1/6"),
    # equations and inequalities
    ("2x+4y=6", "x+2y=3"), ("y=2x+3", "y-2x-3=0"), ("x=5", "5"), ("x = 2 + 3 = 5", "x = 5"),
    ("x<1", "-x>-1"), (r"5 \leq x", "x >= 5"), ("0<f(x)<1", "(0,1)"), (r"x \in [-2,7]", "[-2,7]"),
    (r"x \ne 1", r"(-\infty,1)\cup(1,\infty)"), (r"\mathbb{R}\setminus\{1\}", r"x \neq 1"),
    ("f(x)=x+1", "x+1"),
    # collections
    (r"\{1,2\}", r"\{2,1\}"), ("1,-2", "-2,1"), ("x=1 or x=2", "1, 2"),
    (r"1\pm\sqrt2", r"1-\sqrt2, 1+\sqrt2"),
    ("x=1, y=2", "(1,2)"), ("(3,4]", "3 < x <= 4"), ("= 7", "7"),
    (r"\approx 3.14", "3.14"), (r"\begin{pmatrix}1\\2\end{pmatrix}", "(1,2)"),
    (r"(0,1)\cup(1,2)", r"(1,2)\cup(0,1)"), ("[0,1]\\cup[1,2]", "[0,2]"), ("2:3", "4:6"),
    # words
    ("(C)", "C"), ("White", "white"), ("March 5, 2021", "2021-03-05"), ("yes", "Yes."), ("seven", "7"),
    ("no solution", r"\emptyset"), (r"\text{even}", "even"), ("C) 42", "C"),
]  # fmt: skip

DIFFERENT = [
    ("5", "5.001"), ("0.33", "1/3"), ("28", "0.28"), (r"\infty", r"-\infty"), ("-5", "5"), ("$5", "€5"),
    ("15 cm", "15 kg"), ("(1,2)", "(2,1)"), ("[0,1)", "[0,1]"), ("(a,b)", "[a,b)"),
    ("x<1", "x>1"), ("x>3", r"x\geq 3"),
    ("x+y=0", "x-y=0"), ("x+2=0", "x+1=0"), (r"\cos x = \frac{42}{59}", r"\sin x = \frac{42}{59}"),
    ("1", "1, 2"), (r"\{1,2\}", "(1,2)"), ("A", "B"), ("12:00", "1:00"), ("east", "west"), ("5", "east"),
    (r"\sqrt{x^2}", "x"), ("x^3+2x+1", "x^2+2x+1"), ("1000000.5", "1000000"), ("52_8", "52"), ("", ""),
    ("", "1"),
    ("2x", "2X"), (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}2\\1\end{pmatrix}"), ("1/0", "2"),
    ("0.1000001", "0.1"), ("10000000000000001", "10000000000000000"), (r"x^2 \ge 4", r"x \ge 2"),
]  # fmt: skip

HARD = [
    (r"\int_0^1 x^2 dx", "1/3"), (r"\sum_{n=1}^{\infty} \frac{1}{n^2}", r"\frac{\pi^2}{6}"),
    (r"\lim_{x\to 0}\frac{\sin x}{x}", "1"), (r"\det\begin{pmatrix}1&2\\3&4\end{pmatrix}", "-2"),
    ("y=1/x", "xy=1"), ("x^2-5x+6<0", "(2,3)"), ("|x-1|<2", "-1<x<3"),
    (r"x^2 \ge 4", r"x \le -2 \text{ or } x \ge 2"),
    (r"x^2 \ge 4", r"(-\infty,-2]\cup[2,\infty)"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}\begin{pmatrix}0&1\\1&0\end{pmatrix}",
    r"\begin{pmatrix}2&1\\4&3\end{pmatrix}"),
]  # fmt: skip


@pytest.mark.parametrize(("a", "b"), SAME)
def test_the_same_answer_at_once(a: str, b: str) -> None:
    assert cheap(a, b) is True
    assert cheap(b, a) is True


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different_answers(a: str, b: str) -> None:
    assert equivalent(a, b) is False
    assert equivalent(b, a) is False


@pytest.mark.parametrize(("a", "b"), HARD)
def test_hard_pairs_are_decided_by_a_worker(a: str, b: str) -> None:
    assert cheap(a, b) is None
    assert equivalent(a, b, timeout=10) is True
    assert equivalent(b, a, timeout=10) is True


async def test_async_agrees() -> None:
    assert await aequivalent("1/2", "0.5") is True
    assert await aequivalent("x^2-5x+6<0", "(2,4)", timeout=10) is False


def test_json_and_tool_calls_are_compared_as_values() -> None:
    def answer(text: str, kind: str = "tool_call") -> Answer:
        return Answer.model_validate({"text": text, "kind": kind})

    a = answer('{"name": "f", "arguments": "{\\"x\\": 1, \\"y\\": [true]}"}')
    assert equivalent(a, answer('{"arguments": "{\\"y\\": [true], \\"x\\": 1.0}", "name": "f"}')) is True
    assert equivalent(a, answer('{"name": "g", "arguments": "{}"}')) is False
    assert equivalent(answer("[1, 2]", "json"), answer("[2, 1]", "json")) is False
    assert equivalent(answer("[true]", "json"), answer("[1]", "json")) is False
    assert equivalent(answer("not json", "json"), answer("not json", "json")) is True


def test_a_sentence_is_read_for_its_answer() -> None:
    assert equivalent("The ratio is [1/2].", "0.5") is True
    assert equivalent("The angle is [60].", "90") is False
    assert equivalent(r"We find that $x \lt 3$.", "x<3") is True
