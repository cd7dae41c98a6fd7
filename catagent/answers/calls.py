"""Roots, functions, sums and matrices: commands that take arguments."""

from __future__ import annotations

import re

from .lexing import MINUS, ONE, Node, Unreadable, _Cursor, negated, times

__all__ = ["FUNCTIONS", "is_numeric", "is_symbol_text"]

FUNCTIONS = frozenset(
    re.findall(
        r"[\w.]+",
        "sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc asin acos atan sinh cosh tanh "
        "coth sech csch arcsinh arccosh arctanh asinh acosh atanh log ln lg exp sqrt cbrt abs floor ceil "
        "ceiling max min gcd lcm det tr arg Re Im sgn sign deg dim ker rank erf sup inf mod",
    )
)
_MATRICES = frozenset(
    ("matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "array", "smallmatrix")
)


class _Calls(_Cursor):
    """Reads what takes arguments; the arguments themselves are read by the classes built on this one."""

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

    def group(self) -> Node:
        """What stands between braces."""
        raise NotImplementedError

    def argument(self) -> Node:
        """One argument of a LaTeX command."""
        raise NotImplementedError

    def atom(self) -> Node:
        """One factor without exponent."""
        raise NotImplementedError

    def bracketed(self) -> Node:
        """What stands between brackets."""
        raise NotImplementedError

    def raw_group(self) -> str:
        if not self.skip("{"):
            return self.take()
        text = ""
        while self.peek() and self.peek() != "}":
            text += self.take()
        self.expect("}")
        return text

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
