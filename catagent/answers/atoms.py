"""What one factor of a formula may be: a number, a name, a bracket, a LaTeX command."""

from __future__ import annotations

import re
from fractions import Fraction

from .lexing import MINUS, ONE, Node, Unreadable, _Cursor, negated, number, repeating, times
from .units import CURRENCY_SIGNS

__all__ = ["FUNCTIONS", "GREEK", "is_numeric", "is_symbol_text"]

FUNCTIONS = frozenset(
    re.findall(
        r"[\w.]+",
        "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc asin acos atan sinh cosh tanh "
        "coth sech csch arcsinh arccosh arctanh asinh acosh atanh log ln lg exp sqrt cbrt abs floor ceil "
        "ceiling max min gcd lcm det tr arg Re Im sgn sign deg dim ker rank erf sup inf mod",
    )
)
GREEK = frozenset(
    re.findall(
        r"[\w.]+",
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi rho sigma tau upsilon "
        "phi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Upsilon Phi Psi Omega ell hbar partial "
        "nabla aleph",
    )
)
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


class _Atoms(_Cursor):
    """Reads factors. Sums, lists and statements inside brackets are left to the reader below."""

    def items(self) -> Node:
        """A list of statements."""
        raise NotImplementedError

    def statement(self) -> Node:
        """Expressions joined by relations."""
        raise NotImplementedError

    def union(self) -> Node:
        """Sums joined by set operators."""
        raise NotImplementedError

    def sum(self) -> Node:
        """Products joined by signs."""
        raise NotImplementedError

    def product(self) -> Node:
        """Factors joined by multiplication."""
        raise NotImplementedError

    def power(self) -> Node:
        """A factor with its exponent."""
        raise NotImplementedError

    def exponent(self) -> Node:
        """What follows a caret."""
        raise NotImplementedError

    def starts_factor(self) -> bool:
        """Whether a factor may begin here without an operator."""
        raise NotImplementedError

    def raw_group(self) -> str:
        if not self.skip("{"):
            return self.take()
        text = ""
        while self.peek() and self.peek() != "}":
            text += self.take()
        self.expect("}")
        return text

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
        if value in CURRENCY_SIGNS:
            self.take()
            return ("unit", self.power(), CURRENCY_SIGNS[value])
        raise Unreadable(value)

    def numeral(self) -> Node:
        literal = self.take()
        if "." in literal and self.peek() in (r"\overline", r"\bar", r"\dot") and self.peek(1) == "{":
            self.take()
            return repeating(literal, self.raw_group().strip())
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
        if word in FUNCTIONS and len(word) > 1:
            return self.function(word)
        if word in ("pi", "Pi"):
            return ("const", "pi")
        if word in ("infinity", "inf", "oo", "Infinity"):
            return ("const", "inf")
        if word in GREEK:
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
        if is_symbol_text(text):
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
        bars, self.bars = self.bars, int(opener == r"\{")
        closers = {"(": (")", "]"), "[": ("]", ")"), r"\{": (r"\}",), r"\langle": (r"\rangle",)}[opener]
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
        if bare in FUNCTIONS:
            return self.function(bare)
        if bare in GREEK:
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
        """One LaTeX argument: a group, or a single mark (`\\frac12` is a half)."""
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
            if bare in FUNCTIONS:
                break
            node = times(node, self.power())
        if self.peek() == "/" and self.kind(1) == "num" and is_numeric(node):
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


def is_symbol_text(text: str) -> bool:
    """Whether quoted text is a variable or a function set upright."""
    stripped = text.strip()
    return (len(stripped) == 1 and stripped.isalpha() and text == stripped) or stripped in FUNCTIONS


def is_numeric(node: Node) -> bool:
    """Whether a tree is a number, so that a word behind it is a unit."""
    if node[0] in ("num", "dec", "pct", "base"):
        return True
    if node[0] == "const":
        return node[1] in ("pi", "e")
    if node[0] in ("mul", "add"):
        return all(map(is_numeric, node[1]))
    if node[0] in ("div", "pow"):
        return is_numeric(node[1]) and is_numeric(node[2])
    return node[0] == "fn" and node[1] in ("sqrt",) and all(map(is_numeric, node[2]))
