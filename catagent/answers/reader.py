"""Reads a cleaned answer into a small tree, without evaluating anything.

The grammar covers what final answers are written in: LaTeX, the usual ASCII forms and mixtures of them.
Text is read by this hand-written parser only, bounded in size and depth; nothing here is ever handed to
an evaluator of Python or of SymPy source.

A node is a tuple whose first item names it: `num` (value), `dec` (value, last place, significant digits),
`sym`, `const`, `add`, `mul`, `div`, `pow`, `fn` (name, arguments), `pm`, `mp`, `pct`, `deg`, `unit`, `base`,
`text`, `paren` (items), `brack` (items), `interval` (low, high, open, open), `list`, `set`, `union`, `inter`,
`minus`, `rel` (operators, sides), `and`, `or`, `matrix` (rows), `ratio`, `big` (sums and their kin).
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from .units import WORD_UNITS

__all__ = ["MAX_LENGTH", "Node", "Unreadable", "read"]

Node = tuple[Any, ...]
MAX_LENGTH = 20_000
_MAX_DEPTH = 60

_TOKEN = re.compile(
    r"(?P<num>(?:\d{1,3}(?:,\d{3})+(?![\d])|\d+)(?:\.\d+|\.(?![.\d]))?(?:[eE][+-]?\d+(?![\w.]))?|\.\d+(?:[eE][+-]?\d+(?![\w.]))?)"
    r"|(?P<text>\\(?:text|mathrm)\s*\{(?P<inside>[^{}]*(?:\{[^{}]*\}[^{}]*)*)\})"
    r"|(?P<cmd>\\[A-Za-z]+|\\.)"
    r"|(?P<word>[^\W\d_]+)"
    r"|(?P<op><=|>=|!=|==|=<|=>|<>|:=|.)"
    r"|(?P<space>\s+)",
    re.DOTALL,
)
_FUNCTIONS = frozenset(
    "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc asin acos atan sinh cosh tanh coth sech csch "
    "arcsinh arccosh arctanh asinh acosh atanh log ln lg exp sqrt cbrt abs floor ceil ceiling max min gcd lcm det tr "
    "arg Re Im sgn sign deg dim ker rank erf sup inf mod".split()
)
_GREEK = frozenset(
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon phi chi psi omega "
    "Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar partial nabla aleph".split()
)
_RELATIONS = {
    "=": "=", "==": "=", ":=": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "=<": "<=", "=>": "=>", "!=": "!=",
    "<>": "!=", r"\le": "<=", r"\ge": ">=", r"\ne": "!=", r"\approx": "~", r"\sim": "~", r"\equiv": "==",
    r"\in": "in", r"\notin": "notin", r"\cong": "==", r"\to": "->", r"\Rightarrow": "=>", r"\mapsto": "->",
    r"\subset": "sub", r"\subseteq": "sub", r"\propto": "prop", r"\perp": "perp", r"\parallel": "par",
}  # fmt: skip
_APPLIED = frozenset("fghFGHPQ")
_BIG = {
    r"\sum": "sum",
    r"\prod": "prod",
    r"\int": "int",
    r"\lim": "lim",
    r"\bigcup": "cup",
    r"\bigcap": "cap",
}
_SETS = {"R": "reals", "Z": "integers", "N": "naturals", "Q": "rationals", "C": "complexes"}
_MATRICES = frozenset(
    ("matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "array", "smallmatrix")
)
ONE: Node = ("num", Fraction(1))
MINUS: Node = ("num", Fraction(-1))


class Unreadable(Exception):  # noqa: N818 - a verdict on the text, not a failure of the program
    """The text is not in the grammar, or too long or too deep to read."""


def read(text: str, *, thousands: bool = True) -> Node:
    """The tree of a cleaned answer.

    `thousands` says whether `1,200` at top level is one number or a list of two. Raises `Unreadable`.
    """
    if len(text) > MAX_LENGTH:
        raise Unreadable("too long")
    return _Parser(_tokens(text, thousands)).whole()


def _tokens(text: str, thousands: bool) -> list[tuple[str, str, bool]]:
    tokens: list[tuple[str, str, bool]] = []
    depth = at = 0
    spaced = False
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None
        kind, value = str(match.lastgroup), match[0]
        if kind == "inside" or match["text"] is not None:
            kind, value = "text", match["inside"]
        if kind == "num" and "," in value and (depth or not thousands or value[0] == "0"):
            value = value[: value.index(",")]
            at += len(value)
        else:
            at = match.end()
        if value.isspace() and kind != "text":
            spaced = True
            continue
        if value in ("(", "[", r"\{", r"\langle"):
            depth += 1
        elif value in (")", "]", r"\}", r"\rangle"):
            depth -= 1
        tokens.append((kind, value, spaced))
        spaced = False
    return tokens


def number(literal: str) -> Node:
    """A `num` or `dec` node from digits, separators dropped. Long integers are read in pieces."""
    literal = literal.replace(",", "").rstrip(".")
    mantissa, _, exponent = literal.lower().partition("e")
    whole, _, decimals = mantissa.partition(".")
    digits = whole + decimals
    value = Fraction(_integer(digits or "0"))
    power = int(exponent) if exponent and len(exponent) < 6 else 0
    if exponent and len(exponent) >= 6:
        raise Unreadable("exponent")
    if abs(power) > 5000:
        raise Unreadable("exponent")
    shift = power - len(decimals)
    value = value * 10**shift if shift >= 0 else value / 10**-shift
    if not decimals and not exponent:
        return ("num", value)
    return ("dec", value, Fraction(10) ** shift, len(digits.lstrip("0")))


def _integer(digits: str) -> int:
    if len(digits) <= 4000:
        return int(digits)
    half = len(digits) // 2
    return _integer(digits[:half]) * 10 ** (len(digits) - half) + _integer(digits[half:])


class _Parser:
    def __init__(self, tokens: list[tuple[str, str, bool]]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.bars = 0

    # token access

    def peek(self, ahead: int = 0) -> str:
        index = self.at + ahead
        if index >= len(self.tokens):
            return ""
        kind, value, _ = self.tokens[index]
        return "\\text" if kind == "text" else value

    def kind(self, ahead: int = 0) -> str:
        index = self.at + ahead
        return self.tokens[index][0] if index < len(self.tokens) else "end"

    def spaced(self) -> bool:
        return self.at < len(self.tokens) and self.tokens[self.at][2]

    def take(self) -> str:
        value = self.tokens[self.at][1] if self.at < len(self.tokens) else ""
        self.at += 1
        return value

    def skip(self, value: str) -> bool:
        if self.peek() == value:
            self.at += 1
            return True
        return False

    def expect(self, *values: str) -> str:
        if self.peek() not in values:
            raise Unreadable(f"expected {values}")
        return self.take()

    # statements

    def whole(self) -> Node:
        if not self.tokens:
            raise Unreadable("empty")
        node = self.items()
        if self.at < len(self.tokens):
            raise Unreadable(self.peek())
        return node

    def separator(self) -> str:
        value = self.peek()
        if value in (",", ";"):
            return ","
        word = self.tokens[self.at][1].strip(" .,").lower() if self.at < len(self.tokens) else ""
        if (value == "\\text" or self.kind() == "word") and word in ("or", "and"):
            return word
        if value in (r"\lor", r"\land"):
            return "or" if value == r"\lor" else "and"
        return ""

    def items(self) -> Node:
        found = [self.statement()]
        joints: set[str] = set()
        while joint := self.separator():
            joints.add(joint)
            self.take()
            while self.separator():
                joints.add(self.separator())
                self.take()
            if self.at < len(self.tokens):
                found.append(self.statement())
        if len(found) == 1:
            return found[0]
        if any(_is_condition(item) for item in found):
            if "or" in joints:
                return ("or", tuple(found))
            return ("and", tuple(found))
        return ("list", tuple(found))

    def statement(self) -> Node:
        sides = [self.union()]
        operators: list[str] = []
        while (operator := _RELATIONS.get(self.peek())) is not None:
            self.take()
            if self.skip(r"\not"):
                operator = "!="
            operators.append(operator)
            sides.append(self.union())
        if not operators:
            return sides[0]
        return ("rel", tuple(operators), tuple(sides))

    def union(self) -> Node:
        node = self.sum()
        while self.peek() in (r"\cup", r"\cap", r"\setminus"):
            name = {r"\cup": "union", r"\cap": "inter", r"\setminus": "minus"}[self.take()]
            node = (name, (node, self.sum()))
        return node

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise Unreadable("too deep")
        if self.peek() in (r"\pm", r"\mp"):
            sign = "pm" if self.take() == r"\pm" else "mp"
            node: Node = (sign, ("num", Fraction(0)), self.product())
        else:
            node = self.product()
        terms = [node]
        while (operator := self.peek()) in ("+", "-", r"\pm", r"\mp"):
            self.take()
            term = self.product()
            if operator in ("+", "-"):
                terms.append(term if operator == "+" else negated(term))
            else:
                left = terms[0] if len(terms) == 1 else ("add", tuple(terms))
                terms = [("pm" if operator == r"\pm" else "mp", left, term)]
        self.depth -= 1
        return terms[0] if len(terms) == 1 else ("add", tuple(terms))

    def product(self) -> Node:
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self.take() == "-" else sign
        node = self.power()
        while True:
            token = self.peek()
            if token in ("*", r"\times", r"\cdot"):
                self.take()
                node = times(node, self.signed_power())
            elif token in ("/", r"\div"):
                self.take()
                node = ("div", node, self.signed_power())
            elif token == ":" and self.kind(1) == "num":
                self.take()
                right = self.power()
                node = ("ratio", (*(node[1] if node[0] == "ratio" else (node,)), right))
            elif self.starts_factor():
                node = self.adjoined(node)
            else:
                break
        return negated(node) if sign < 0 else node

    def signed_power(self) -> Node:
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self.take() == "-" else sign
        node = self.power()
        return negated(node) if sign < 0 else node

    def adjoined(self, node: Node) -> Node:
        """What two neighbours without an operator mean: a unit, a mixed number or a product."""
        if self.peek() == "\\text" and not _is_symbol_text(self.tokens[self.at][1]):
            return self.with_unit(node, self.take())
        if self.kind() == "word" and self.peek() in WORD_UNITS_ALL and _is_numeric(node):
            return self.with_unit(node, self.take())
        spaced = self.spaced()
        factor_is_fraction = self.peek() == r"\frac"
        right = self.power()
        if node[0] == "num" and right[0] == "num" and self.peek() == "/" and spaced and self.kind(1) == "num":
            self.take()
            below = self.power()
            if below[0] == "num" and 0 < right[1] < below[1]:
                return ("num", node[1] + right[1] / below[1])
            raise Unreadable("two numbers side by side")
        if node[0] == "num" and factor_is_fraction and right[0] == "div":
            above, below = right[1], right[2]
            if above[0] == below[0] == "num" and 0 < above[1] < below[1]:
                return ("num", node[1] + above[1] / below[1])
        if node[0] in ("num", "dec") and right[0] in ("num", "dec"):
            raise Unreadable("two numbers side by side")
        return times(node, right)

    def with_unit(self, node: Node, name: str) -> Node:
        name = name.strip()
        while (
            self.peek() in ("^", "/")
            or self.peek() == "\\text"
            or (self.kind() == "word" and self.separator() == "")
        ):
            token = self.take()
            if token == "^":
                name += "^" + self.raw_group()
            elif token == "/":
                name += "/" + self.take().strip()
            else:
                name += " " + token.strip()
        lowered = name.lower().strip(". ")
        if lowered in ("degrees", "degree", "deg"):
            return ("deg", node)
        if lowered in ("percent", "percentage", "pct", "per cent", "%"):
            return ("pct", node)
        if not lowered:
            return node
        return ("unit", node, name)

    def raw_group(self) -> str:
        if not self.skip("{"):
            return self.take()
        text = ""
        while self.peek() and self.peek() != "}":
            text += self.take()
        self.expect("}")
        return text

    def starts_factor(self) -> bool:
        kind, value = self.kind(), self.peek()
        if kind in ("num", "text", "word"):
            return self.separator() == ""
        if kind == "cmd":
            return value not in _NOT_FACTORS and value not in _RELATIONS
        if value == "|":
            return self.bars == 0
        return value in ("(", "{") or (value == "[" and False)

    def power(self) -> Node:
        node = self.postfix(self.atom())
        if self.peek() == "^":
            self.take()
            if self.skip(r"\circ"):
                return self.postfix(("deg", node))
            exponent = self.exponent()
            if exponent == ("sym", r"\circ"):
                return self.postfix(("deg", node))
            if exponent == ("sym", "'"):
                return ("fn", "prime", (node,))
            node = self.postfix(("pow", node, exponent))
            if self.peek() == "^":
                raise Unreadable("double exponent")
        return node

    def exponent(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise Unreadable("too deep")
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self.take() == "-" else sign
        if self.peek() == "{" or self.peek(0).startswith("\\") or self.kind() != "num":
            base = self.group() if self.peek() == "{" else self.atom()
        else:
            base = self.atom()
        if self.peek() == "^":
            self.take()
            base = ("pow", base, self.exponent())
        self.depth -= 1
        return negated(base) if sign < 0 else base

    def postfix(self, node: Node) -> Node:
        while True:
            token = self.peek()
            if token == "!" and self.peek(1) != "=":
                node = ("fn", "factorial", (node,))
            elif token in ("%", r"\%"):
                node = ("pct", node)
            elif token == "'":
                node = ("fn", "prime", (node,))
            elif token == r"\circ":
                node = ("deg", node)
            else:
                return node
            self.take()

    def group(self) -> Node:
        """`{...}`: a LaTeX group; a list inside stays a list."""
        self.expect("{")
        if self.skip("}"):
            return ("list", ())
        bars, self.bars = self.bars, 0
        node = self.items()
        self.expect("}")
        self.bars = bars
        return node

    # atoms

    def atom(self) -> Node:
        kind, value = self.kind(), self.peek()
        if kind == "num":
            return self.numeral()
        if kind == "word":
            return self.word(self.take())
        if kind == "text":
            return self.quoted(self.take())
        if value == "{":
            node = self.group()
            return ("set", node[1]) if node[0] == "list" else node
        if value == "(" or value == "[" or value == r"\{" or value == r"\langle":
            return self.bracketed()
        if value == "|":
            return self.absolute()
        if kind == "cmd":
            return self.command(self.take())
        if value == "$":
            self.take()
            return self.atom()
        if value in _CURRENCIES:
            self.take()
            return ("unit", self.power(), _CURRENCIES[value])
        raise Unreadable(value)

    def numeral(self) -> Node:
        literal = self.take()
        if self.peek() == "_" and "." not in literal:
            self.take()
            return self.based(literal)
        return number(literal)

    def based(self, digits: str) -> Node:
        base = self.raw_group().strip()
        base = {"two": "2", "eight": "8", "ten": "10", "sixteen": "16"}.get(base, base)
        if not base.isdigit() or not 2 <= int(base[:4]) <= 36:
            raise Unreadable("base")
        digits = digits.replace(",", "").replace(" ", "")
        if len(digits) > 1000:
            raise Unreadable("long")
        try:
            return ("base", Fraction(int(digits, int(base))), digits.lower().lstrip("0"), int(base))
        except ValueError:
            raise Unreadable("digit") from None

    def word(self, word: str) -> Node:
        if word in _FUNCTIONS and len(word) > 1:
            return self.function(word)
        if word in ("pi", "Pi"):
            return ("const", "pi")
        if word in ("infinity", "inf", "oo", "Infinity"):
            return ("const", "inf")
        if word in _GREEK:
            return self.symbol(word)
        if len(word) == 1:
            return self.symbol(word)
        if len(word) > 3:
            return self.symbol(word)
        self.at -= 1
        _, _, spaced = self.tokens[self.at]
        self.tokens[self.at : self.at + 1] = [("word", c, spaced and i == 0) for i, c in enumerate(word)]
        self.at += 1
        return self.symbol(word[0])

    def symbol(self, name: str) -> Node:
        if self.peek() == "_":
            self.take()
            if self.peek() == "{":
                start = self.at
                raw = self.raw_group() if self.flat_group() else ""
                if raw.isalnum() and (raw.isdigit() or len(raw) > 1):
                    return self.applied(f"{name}_{raw}")
                self.at = start
                index = self.group()
            else:
                index = self.atom()
            if index[0] == "num":
                return self.applied(f"{name}_{index[1]}")
            return ("fn", name + "_", (index,))
        return self.applied(name)

    def flat_group(self) -> bool:
        ahead = 1
        while self.kind(ahead) in ("num", "word", "text"):
            ahead += 1
        return self.peek(ahead) == "}"

    def applied(self, name: str) -> Node:
        if name[0] in _APPLIED and self.peek() == "(":
            arguments = self.bracketed()
            return ("fn", name, arguments[1] if arguments[0] == "paren" else (arguments,))
        if name == "e":
            return ("const", "e")
        if name == "i":
            return ("const", "i")
        return ("sym", name)

    def quoted(self, text: str) -> Node:
        stripped = text.strip()
        if self.peek() == "_" and re.fullmatch(r"[0-9A-Za-z]+", stripped) and stripped[:1].isdigit():
            self.take()
            return self.based(stripped)
        if _is_symbol_text(text):
            return self.word(stripped)
        return ("text", stripped)

    def absolute(self) -> Node:
        self.expect("|")
        self.bars += 1
        node = self.union()
        self.bars -= 1
        self.expect("|")
        return ("fn", "abs", (node,))

    def bracketed(self) -> Node:
        opener = self.take()
        bars, self.bars = self.bars, 0
        closers = {"(": (")", "]"), "[": ("]", ")", "["), r"\{": (r"\}",), r"\langle": (r"\rangle",)}[opener]
        if self.peek() in closers:
            self.take()
            self.bars = bars
            return ("set", ()) if opener == r"\{" else ("paren", ())
        node = self.items()
        builder = opener == r"\{" and self.peek() in ("|", ":")
        if builder:
            self.take()
            node = ("fn", "builder", (node, self.items()))
        closer = self.expect(*closers)
        self.bars = bars
        items: tuple[Node, ...] = node[1] if node[0] == "list" else (node,)
        if opener == r"\{":
            if builder:
                return node
            if node[0] == "and" and all(item[0] == "rel" for item in node[1]):
                items = node[1]
            return ("set", items)
        if opener == r"\langle":
            return ("paren", items)
        if opener + closer in ("(]", "[)"):
            if len(items) != 2:
                raise Unreadable("interval")
            return ("interval", items[0], items[1], opener == "(", closer == ")")
        if opener == "[":
            return ("brack", items)
        return items[0] if len(items) == 1 else ("paren", items)

    def command(self, name: str) -> Node:
        bare = name[1:]
        if bare == "frac":
            above = self.argument()
            return ("div", above, self.argument())
        if bare == "binom":
            above = self.argument()
            return ("fn", "binom", (above, self.argument()))
        if bare == "sqrt":
            return self.root()
        if bare == "pi":
            return self.symbol("pi") if self.peek() == "_" else ("const", "pi")
        if bare == "infty":
            return ("const", "inf")
        if bare == "emptyset":
            return ("set", ())
        if bare == "circ":
            return ("sym", r"\circ")
        if bare == "prime":
            return ("sym", "'")
        if bare == "$":
            return ("unit", self.power(), "dollar")
        if bare == "begin":
            return self.environment()
        if bare in ("mathbb", "mathcal"):
            letter = self.raw_group()
            return self.named_set(letter)
        if bare in ("overline", "bar", "hat", "vec", "tilde", "widehat", "widetilde", "underline", "dot"):
            node = self.argument()
            return ("fn", bare, (node,))
        if bare in ("lfloor", "lceil"):
            node = self.sum()
            self.expect("\\r" + bare[1:])
            return ("fn", "floor" if bare == "lfloor" else "ceil", (node,))
        if bare == "|":
            node = self.sum()
            self.expect(name)
            return ("fn", "norm", (node,))
        if name in _BIG:
            return self.big(_BIG[name])
        if bare in _FUNCTIONS:
            return self.function(bare)
        if bare in _GREEK:
            return self.symbol(bare)
        if bare in ("mathrm", "text"):
            return self.argument()
        if bare == "dots":
            return ("sym", "...")
        if bare == "pmod":
            return ("fn", "mod", (self.argument(),))
        raise Unreadable(name)

    def named_set(self, letter: str) -> Node:
        name = _SETS.get(letter.strip())
        if name is None:
            return self.symbol(letter.strip() or "?")
        if self.peek() in ("^", "_") or (self.peek() in ("+", "-") and self.peek(1) in ("", "}")):
            if self.peek() in ("^", "_"):
                self.take()
            name += self.raw_group()
        return ("const", name)

    def argument(self) -> Node:
        """One LaTeX argument: a group, or a single token (`\\frac12` is a half)."""
        if self.peek() == "{":
            return self.group()
        if self.kind() == "num":
            literal = self.take()
            if len(literal) > 1 and literal.isdigit():
                self.at -= 1
                self.tokens[self.at] = ("num", literal[1:], False)
                literal = literal[0]
            return number(literal)
        if self.kind() == "word" and len(self.peek()) > 1:
            return self.word(self.take()) if len(self.peek()) <= 3 else self.atom()
        return self.atom()

    def root(self) -> Node:
        index: Node | None = None
        if self.skip("["):
            index = self.sum()
            self.expect("]")
        inside = self.argument()
        if index is None:
            return ("fn", "sqrt", (inside,))
        return ("pow", inside, ("div", ONE, index))

    def function(self, name: str) -> Node:
        name = {"asin": "arcsin", "acos": "arccos", "atan": "arctan", "ceiling": "ceil", "sign": "sgn"}.get(
            name, name
        )
        power: Node | None = None
        base: Node | None = None
        while self.peek() in ("^", "_"):
            if self.take() == "^":
                power = self.exponent()
            else:
                base = self.group() if self.peek() == "{" else self.argument()
        arguments = self.arguments()
        if name == "log" and base is not None:
            node: Node = ("fn", "log", (*arguments, base))
        elif base is not None:
            node = ("fn", name + "_", (base, *arguments))
        else:
            node = ("fn", name, arguments)
        if power is None:
            return node
        if power == MINUS and name in ("sin", "cos", "tan", "cot", "sec", "csc"):
            return ("fn", "arc" + name, arguments)
        return ("pow", node, power)

    def arguments(self) -> tuple[Node, ...]:
        if self.peek() in ("(", "[", "{"):
            node = self.group() if self.peek() == "{" else self.bracketed()
            if node[0] in ("paren", "brack", "list"):
                return tuple(node[1])
            return (node,)
        sign = 1
        while self.peek() in ("+", "-"):
            sign = -sign if self.take() == "-" else sign
        node = self.power()
        while self.starts_factor() and self.peek() not in ("(", "[") and self.kind() != "text":
            bare = self.peek().removeprefix("\\")
            if bare in _FUNCTIONS:
                break
            node = times(node, self.power())
        if self.peek() == "/" and self.kind(1) == "num" and _is_numeric(node):
            self.take()
            node = ("div", node, self.power())
        return (negated(node) if sign < 0 else node,)

    def big(self, name: str) -> Node:
        low: Node | None = None
        high: Node | None = None
        while self.peek() in ("_", "^"):
            if self.take() == "_":
                low = self.group() if self.peek() == "{" else self.argument()
            else:
                high = self.exponent() if self.peek() != "{" else self.group()
        body = self.product()
        return ("big", name, low, high, body)

    def environment(self) -> Node:
        self.expect("{")
        name = self.take()
        self.expect("}")
        if name == "cases":
            return ("and", tuple(row[0] for row in self.rows(name)))
        if name not in _MATRICES:
            raise Unreadable(name)
        if name == "array" and self.peek() == "{":
            self.raw_group()
        rows = self.rows(name)
        node: Node = ("matrix", tuple(rows))
        return ("fn", "det", (node,)) if name == "vmatrix" else node

    def rows(self, name: str) -> list[tuple[Node, ...]]:
        rows: list[tuple[Node, ...]] = []
        row: list[Node] = []
        while True:
            if self.peek() in ("&", "\\\\"):
                if self.take() == "\\\\" and row:
                    rows.append(tuple(row))
                    row = []
                continue
            if self.peek() == r"\end":
                self.take()
                self.expect("{")
                if self.take() != name:
                    raise Unreadable("end")
                self.expect("}")
                if row:
                    rows.append(tuple(row))
                if not rows or (name != "cases" and len({len(r) for r in rows}) != 1):
                    raise Unreadable("ragged")
                return rows
            row.append(self.items() if name == "cases" else self.statement())


_CURRENCIES = {"€": "euro", "£": "gbp", "¥": "yen", "₹": "rupee", "¢": "cent"}
WORD_UNITS_ALL = WORD_UNITS | {name + "s" for name in WORD_UNITS} | {
    "degrees", "degree", "percent", "percentage", "pct", "inches", "units", "unit",
}  # fmt: skip
_NOT_FACTORS = frozenset(
    (r"\}", r"\rangle", r"\rfloor", r"\rceil", r"\%", r"\circ", r"\pm", r"\mp", r"\times", r"\cdot", r"\div", r"\cup",
     r"\cap", r"\setminus", r"\land", r"\lor", r"\end", "\\\\", r"\|", r"\not", r"\mod", r"\\", r"\prime")
)  # fmt: skip


def _is_symbol_text(text: str) -> bool:
    stripped = text.strip()
    return len(stripped) == 1 and stripped.isalpha() and text == stripped or stripped in _FUNCTIONS


def _is_numeric(node: Node) -> bool:
    if node[0] in ("num", "dec", "pct", "base"):
        return True
    if node[0] == "const":
        return node[1] in ("pi", "e")
    if node[0] in ("mul", "add"):
        return all(map(_is_numeric, node[1]))
    if node[0] in ("div", "pow"):
        return _is_numeric(node[1]) and _is_numeric(node[2])
    return node[0] == "fn" and node[1] in ("sqrt",) and all(map(_is_numeric, node[2]))


def _is_condition(node: Node) -> bool:
    return bool(
        node[0] in ("and", "or") or (node[0] == "rel" and any(op not in ("=", "in") for op in node[1]))
    )


def negated(node: Node) -> Node:
    """The node with its sign turned; literals stay literals."""
    if node[0] == "num":
        return ("num", -node[1])
    if node[0] == "dec":
        return ("dec", -node[1], node[2], node[3])
    if node[0] in ("pct", "deg"):
        return (node[0], negated(node[1]))
    if node[0] == "unit":
        return ("unit", negated(node[1]), node[2])
    return ("mul", (MINUS, node))


def times(left: Node, right: Node) -> Node:
    """A product, flattened on the left."""
    if left[0] == "unit":
        return ("unit", times(left[1], right), left[2])
    if left[0] == "mul":
        return ("mul", (*left[1], right))
    return ("mul", (left, right))
