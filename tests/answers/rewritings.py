"""Other ways to write an answer: each function returns a rewriting, or `None` where it does not apply."""

import random
import re
from collections.abc import Callable
from fractions import Fraction

import sympy

from catagent.answers.cleaning import clean
from catagent.answers.conversion import Unconvertible, to_sympy
from catagent.answers.reader import Unreadable, read

_PLAIN = re.compile(r"-?\d+")
_FRAC = re.compile(r"(-?)\\[dt]?frac\s*(?:\{(-?\d+)\}|(\d))\s*(?:\{(\d+)\}|(\d+))")


def _value(gold: str):
    try:
        tree = read(clean(gold))
    except Unreadable:
        return None
    if tree[0] in (
        "unit",
        "deg",
        "base",
        "rel",
        "list",
        "paren",
        "interval",
        "set",
        "union",
        "matrix",
        "pm",
        "text",
        "unit",
    ):
        return None
    try:
        return to_sympy(tree)
    except Unconvertible:
        return None


def _formula(gold: str) -> bool:
    return "," not in gold and _value(gold) is not None


def _words(gold: str) -> bool:
    return "\\text{" in gold and not re.search(r"\d", gold)


def inline(gold):
    return f"${gold}$"


def parenthesised(gold):
    return rf"\({gold}\)"


def display(gold):
    return rf"\[ {gold} \]"


def double_dollar(gold):
    return f"$${gold}$$"


def boxed(gold):
    return rf"\boxed{{{gold}}}"


def boxed_in_dollars(gold):
    return rf"$\boxed{{{gold}}}$."


def full_stop(gold):
    return gold + "."


def padded(gold):
    return f"  {gold}\n"


def display_style(gold):
    return rf"\displaystyle {gold}"


def sentence(gold):
    return f"The answer is ${gold}$."


def bold_sentence(gold):
    return rf"**Final answer:** \({gold}\)"


def text_style(gold):
    return rf"\textstyle {gold}"


def quad_before(gold):
    return rf"\quad {gold}\quad"


def tildes(gold):
    return f"~{gold}~"


def no_break_spaces(gold):
    return f"\u00a0{gold}\u202f"


def framed(gold):
    return rf"\fbox{{{gold}}}"


def announced(gold):
    return f"Answer: ${gold}$"


def concluded(gold):
    return rf"Therefore, the final answer is $\boxed{{{gold}}}$."


def boxed_with_spaces(gold):
    return rf"\boxed{{ {gold} }}"


def box_in_display(gold):
    return rf"\[\boxed{{{gold}}}\]"


def comma_behind(gold):
    return f"${gold}$,"


def dfrac(gold):
    return re.sub(r"\\[dt]?frac(?![a-z])", r"\\dfrac", gold) if "frac" in gold else None


def tfrac(gold):
    return re.sub(r"\\[dt]?frac(?![a-z])", r"\\tfrac", gold) if "frac" in gold else None


def thin_spaces(gold):
    return re.sub(r"(?<=[)\d}a-z]) ?([+=]) ?", r"\\, \1\\; ", gold) if re.search(r"[+=]", gold) else None


def no_spaces(gold):
    return (
        re.sub(r"(?<![A-Za-z]) | (?![A-Za-z])", "", gold)
        if " " in gold and not _words(gold) and "text" not in gold
        else None
    )


def sized_brackets(gold):
    if "\\left" in gold:
        return gold.replace("\\left", "\\bigl").replace("\\right", "\\bigr")
    if "text" in gold:
        return None
    return (
        re.sub(r"\)", r"\\right)", re.sub(r"\(", r"\\left(", gold))
        if re.fullmatch(r"[^()\[\]]*\([^()\[\]]*\)[^()\[\]]*", gold)
        else None
    )


def unicode_minus(gold):
    return gold.replace("-", "−") if "-" in gold and "begin" not in gold else None


def unicode_pi(gold):
    return gold.replace(r"\pi", "π") if r"\pi" in gold else None


def unicode_root(gold):
    return re.sub(r"\\sqrt\{?(\d+)\}?", r"√\1", gold) if re.search(r"\\sqrt\{?\d+\}?$", gold) else None


def unicode_degree(gold):
    return gold.replace(r"^\circ", "°") if r"^\circ" in gold else None


def word_degree(gold):
    return gold.replace(r"^\circ", r"\text{ degrees}") if r"^\circ" in gold else None


def no_degree(gold):
    return gold.replace(r"^\circ", "") if r"^\circ" in gold else None


def zero_width(gold):
    return "\u200b" + gold + "\u2060"


def full_width(gold):
    return (
        "".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in gold) if _PLAIN.fullmatch(gold) else None
    )


def slash(gold):
    return (
        _FRAC.sub(lambda m: f"{m[1]}({m[2] or m[3]})/({m[4] or m[5]})", gold)
        if _FRAC.fullmatch(gold)
        else None
    )


def named(gold):
    return f"x = {gold}" if _formula(gold) and "x" not in gold and "=" not in gold else None


def function_named(gold):
    return f"$f(t) = {gold}$" if _formula(gold) and "=" not in gold else None


def plus_zero(gold):
    return f"{gold} + 0" if _formula(gold) and "begin" not in gold else None


def zero_plus(gold):
    return f"0 + ({gold})" if _formula(gold) else None


def times_one(gold):
    return rf"1 \cdot \left({gold}\right)" if _formula(gold) else None


def minus_minus(gold):
    return f"-(-({gold}))" if _formula(gold) else None


def halved_twice(gold):
    return rf"\frac{{2({gold})}}{{2}}" if _formula(gold) else None


def split_sum(gold):
    return f"({gold}) - 5 + 5" if _formula(gold) else None


def power_one(gold):
    return f"({gold})^{{1}}" if _formula(gold) else None


def chain(gold):
    return f"x = {gold} + 1 - 1 = {gold}" if _formula(gold) and "x" not in gold else None


def expanded(gold):
    value = _value(gold)
    return sympy.latex(sympy.expand(value)) if value is not None else None


def factored(gold):
    value = _value(gold)
    return sympy.latex(sympy.factor(value)) if value is not None else None


def ascii_form(gold):
    value = _value(gold)
    return str(value).replace("I", "i") if value is not None else None


def swapped(gold):
    value = _value(gold)
    if value is None or not isinstance(value, sympy.Add):
        return None
    return " + ".join(f"({sympy.latex(term)})" for term in reversed(value.args))


def decimal(gold):
    value = _value(gold)
    if value is None or not isinstance(value, sympy.Rational):
        return None
    rest = value.q
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return str(sympy.Float(value, 30)).rstrip("0").rstrip(".") if rest == 1 and abs(value) < 10**9 else None


def long_decimal(gold):
    value = _value(gold)
    return str(sympy.Float(value, 12)) if isinstance(value, sympy.Rational) and value.q > 1 else None


def scaled_fraction(gold):
    value = _value(gold)
    return rf"\frac{{{value.p * 7}}}{{{value.q * 7}}}" if isinstance(value, sympy.Rational) else None


def scientific(gold):
    if not re.fullmatch(r"-?\d{2,15}", gold):
        return None
    power = len(gold.lstrip("-")) - 1
    return rf"{float(Fraction(int(gold), 10**power))!r} \times 10^{{{power}}}"


def trailing_zeros(gold):
    return gold + ".00" if _PLAIN.fullmatch(gold) else None


def leading_plus(gold):
    return "+" + gold if re.fullmatch(r"\d+", gold) else None


def thousands(gold):
    return f"{int(gold):,}" if re.fullmatch(r"\d{4,}", gold) else None


def thousands_latex(gold):
    return f"{int(gold):,}".replace(",", "{,}") if re.fullmatch(r"\d{4,}", gold) else None


def as_difference(gold):
    return f"{int(gold) + 17} - 17" if _PLAIN.fullmatch(gold) else None


def as_product(gold):
    return rf"{int(gold) * 3} \div 3" if _PLAIN.fullmatch(gold) else None


def with_unit(gold):
    return gold + r" \text{ units}" if _PLAIN.fullmatch(gold) else None


def mixed(gold):
    value = _value(gold)
    if not isinstance(value, sympy.Rational) or value.q == 1 or value < 1:
        return None
    return rf"{value.p // value.q}\frac{{{value.p % value.q}}}{{{value.q}}}"


def permuted(gold):
    if not re.fullmatch(r"[^()\[\]{}\\=]+(,[^()\[\]{}\\=]+)+", gold) or re.fullmatch(
        r"\d{1,3}(,\d{3})+", gold
    ):
        return None
    parts = gold.split(",")
    return ", ".join(part.strip() for part in reversed(parts))


def braced(gold):
    return rf"\{{ {gold} \}}" if permuted(gold) else None


def joined_by_and(gold):
    return gold.replace(",", r"\text{ and }") if permuted(gold) and gold.count(",") == 1 else None


def plus_minus(gold):
    if gold.count(r"\pm") != 1 or ("{1" in gold and gold.startswith("\\{")):
        return None
    return f"{gold.replace(chr(92) + 'pm', '-')}, {gold.replace(chr(92) + 'pm', '+')}"


def as_inequality(gold):
    match = re.fullmatch(r"(?:\\left)?([(\[])\s*(.+?)\s*,\s*(.+?)\s*(?:\\right)?([)\]])", gold)
    if not match or "\\cup" in gold or (match[1] + match[4] == "()" and "infty" not in gold):
        return None
    low = r"\le" if match[1] == "[" else "<"
    high = r"\le" if match[4] == "]" else "<"
    if "infty" in match[2]:
        return f"x {high} {match[3]}"
    if "infty" in match[3]:
        return f"x {'>=' if match[1] == '[' else '>'} {match[2]}"
    return f"{match[2]} {low} x {high} {match[3]}"


def member_of(gold):
    return (
        rf"x \in {gold}"
        if re.match(r"(\\left)?[(\[]", gold) and ("infty" in gold or "cup" in gold or "]" in gold)
        else None
    )


def bracket_matrix(gold):
    return gold.replace("pmatrix", "bmatrix") if "pmatrix" in gold else None


def array_matrix(gold):
    if "pmatrix" not in gold:
        return None
    return gold.replace(r"\begin{pmatrix}", r"\left(\begin{array}{cc}").replace(
        r"\end{pmatrix}", r"\end{array}\right)"
    )


def matrix_with_break(gold):
    return gold.replace(r" \end{pmatrix}", r" \\ \end{pmatrix}") if "pmatrix" in gold else None


def vector_tuple(gold):
    return (
        "(" + gold.replace(r"\begin{pmatrix}", "").replace(r"\end{pmatrix}", "").replace(r"\\", ",") + ")"
        if "pmatrix" in gold and "&" not in gold
        else None
    )


def matrix_dfrac(gold):
    return (
        re.sub(r"(-?)(\d+)/(\d+)", r"\1\\frac{\2}{\3}", gold) if "pmatrix" in gold and "/" in gold else None
    )


def moved_to_one_side(gold):
    match = re.fullmatch(r"(y) = (.+)", gold)
    return f"{match[1]} - ({match[2]}) = 0" if match else None


def sides_swapped(gold):
    left, equals, right = gold.partition("=")
    return f"{right.strip()} = {left.strip()}" if equals and gold.count("=") == 1 else None


def equation_scaled(gold):
    left, equals, right = gold.partition("=")
    return f"-3({left}) = -3({right})" if equals and gold.count("=") == 1 and gold != "x=5" else None


def value_only(gold):
    return gold.removeprefix("x=") if gold.startswith("x=") else None


def bare_text(gold):
    return re.sub(r"\\text\{(.*?)\}", r"\1", gold) if _words(gold) else None


def textbf(gold):
    return gold.replace(r"\text{", r"\textbf{") if _words(gold) else None


def mathrm(gold):
    return gold.replace(r"\text{", r"\mathrm{") if _words(gold) else None


def mbox(gold):
    return gold.replace(r"\text{", r"\mbox{") if _words(gold) else None


def upper(gold):
    return gold.replace("\\text", "@").upper().replace("@", "\\text") if _words(gold) else None


def quoted(gold):
    return f'"{bare_text(gold)}"' if _words(gold) else None


def emphasised(gold):
    return f"**{bare_text(gold)}**" if _words(gold) else None


def spaced_text(gold):
    return gold.replace("{", "{ ").replace("}", " }") if _words(gold) else None


def letter_only(gold):
    return re.sub(r"\\text\{\((.)\)\}", r"\1", gold) if re.search(r"\{\(.\)\}", gold) else None


def letter_dot(gold):
    return (letter_only(gold) or "") + "." if letter_only(gold) else None


def base_braces(gold):
    return re.sub(r"_\{?(\d)\}?$", r"_{\1}", gold) if re.fullmatch(r"\d+_\{?\d\}?", gold) else None


def base_no_braces(gold):
    return re.sub(r"_\{?(\d)\}?$", r"_\1", gold) if re.fullmatch(r"\d+_\{?\d\}?", gold) else None


def base_text(gold):
    return re.sub(r"_\{?(\d)\}?$", r"_{\\text{\1}}", gold) if re.fullmatch(r"\d+_\{?\d\}?", gold) else None


def base_value(gold):
    match = re.fullmatch(r"(\d+)_\{?(\d)\}?", gold)
    return str(int(match[1], int(match[2]))) if match else None


def no_dollar(gold):
    return gold.replace(r"\$", "").replace(r"\!", "") if r"\$" in gold else None


def dollars_word(gold):
    return gold.replace(r"\$", "").replace(r"\!", "") + r" \text{ dollars}" if r"\$" in gold else None


def plain_unit(gold):
    return (
        re.sub(r"\\(?:text|mbox)\{\s*(\w+)\s*\}.*", "", gold).strip()
        if re.search(r"\d.*\\(?:text|mbox)\{", gold)
        else None
    )


def text_unit(gold):
    return gold.replace(r"\mbox", r"\text") if r"\mbox" in gold else None


def unit_in_mathrm(gold):
    return (
        re.sub(r"\\(?:text|mbox)\{", r"\\mathrm{", gold)
        if re.search(r"\d.*\\(?:text|mbox)\{", gold)
        else None
    )


ALL: list[Callable[[str], str | None]] = [
    function
    for name, function in list(globals().items())
    if callable(function) and getattr(function, "__module__", "") == __name__ and not name.startswith("_")
]


def rewritings(gold: str, count: int | None = None, seed: int = 0) -> list[tuple[str, str]]:
    """Name and text of the rewritings that apply, or `count` of them, always the same ones."""
    found = []
    for function in ALL:
        text = function(gold)
        if text is not None and text != gold:
            found.append((function.__name__, text))
    if count is not None and len(found) > count:
        found = random.Random(f"{seed}/{gold}").sample(found, count)
    return found
