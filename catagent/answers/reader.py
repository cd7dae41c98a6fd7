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

from fractions import Fraction

from .atoms import GREEK, _Atoms
from .calls import FUNCTIONS, is_numeric, is_symbol_text
from .lexing import MAX_DEPTH, MAX_LENGTH, Node, Unreadable, negated, times, tokens_of
from .units import WORD_UNITS

__all__ = ["MAX_LENGTH", "Node", "Unreadable", "negated", "read", "times"]

_MAX_TREE_DEPTH = 200
_RELATIONS = {
    "=": "=", "==": "=", ":=": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "=<": "<=", "=>": "=>",
    "!=": "!=",
    "<>": "!=", r"\le": "<=", r"\ge": ">=", r"\ne": "!=", r"\approx": "~", r"\sim": "~", r"\equiv": "==",
    r"\in": "in", r"\notin": "notin", r"\cong": "==", r"\to": "->", r"\Rightarrow": "=>", r"\mapsto": "->",
    r"\subset": "sub", r"\subseteq": "sub", r"\propto": "prop", r"\perp": "perp", r"\parallel": "par",
}  # fmt: skip
_UNIT_WORDS = WORD_UNITS | {name + "s" for name in WORD_UNITS} | {
    "square", "cubic", "sq", "degrees", "degree", "percent", "percentage", "pct", "inches", "units", "unit",
}  # fmt: skip
_NOT_FACTORS = frozenset(
    (r"\}", r"\rangle", r"\rfloor", r"\rceil", r"\%", r"\circ", r"\pm", r"\mp", r"\times", r"\cdot",
    r"\div", r"\cup",
     r"\cap", r"\setminus", r"\land", r"\lor", r"\end", "\\\\", r"\|", r"\not", r"\mod", r"\\", r"\prime")
)  # fmt: skip


def read(text: str, *, thousands: bool = True) -> Node:
    """The tree of a cleaned answer.

    `thousands` says whether `1,200` at top level is one number or a list of two. Raises `Unreadable`.
    """
    if len(text) > MAX_LENGTH:
        raise Unreadable("too long")
    tree = _Parser(tokens_of(text, thousands)).whole()
    if _too_deep(tree):
        raise Unreadable("too deep")
    return tree


def _too_deep(tree: Node) -> bool:
    """Whether a tree is deeper than recursion over it may go; chains of operators nest without brackets."""
    level: list[Node] = [tree]
    for _ in range(_MAX_TREE_DEPTH):
        level = [item for node in level for item in node if isinstance(item, tuple)]
        if not level:
            return False
    return True


class _Parser(_Atoms):
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
        if self.depth > MAX_DEPTH:
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
            mark = self.peek()
            if mark in ("*", r"\times", r"\cdot"):
                self.take()
                node = times(node, self.signed_power())
            elif mark in ("/", r"\div"):
                self.take()
                node = ("div", node, self.signed_power())
            elif mark == ":" and self.kind(1) == "num":
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
        if self.peek() == "\\text" and node[0] != "deg" and not is_symbol_text(self.tokens[self.at][1]):
            return self.with_unit(node, self.take())
        if self.kind() == "word" and self.peek() in _UNIT_WORDS and is_numeric(node):
            return self.with_unit(node, self.take())
        if self.kind() == "word" and _is_unknown_unit(node, self.peek()):
            return self.with_unit(node, self.take())
        if node[0] == "deg" and self.peek() in ("C", "F", "\\text"):
            return ("unit", node[1], "°" + self.take().strip())
        spaced = self.spaced()
        factor_is_fraction = self.peek() == r"\frac"
        numeral = self.kind() == "num"
        right = self.power()
        if factor_is_fraction and right[0] in ("pct", "deg") and right[1][0] == "div":
            whole = _mixed(node, right[1])
            return (right[0], times(node, right[1]) if whole is None else whole)
        if node[0] == "num" and right[0] == "num" and self.peek() == "/" and spaced and self.kind(1) == "num":
            self.take()
            below = self.power()
            if below[0] == "num" and 0 < right[1] < below[1]:
                return ("num", node[1] + right[1] / below[1])
            raise Unreadable("two numbers side by side")
        if factor_is_fraction and (whole := _mixed(node, right)) is not None:
            return whole
        if numeral and node[0] in ("num", "dec") and right[0] in ("num", "dec"):
            raise Unreadable("two numbers side by side")
        return times(node, right)

    def with_unit(self, node: Node, name: str) -> Node:
        name = name.strip()
        while (
            self.peek() in ("^", "/")
            or self.peek() == "\\text"
            or (self.kind() == "word" and self.separator() == "")
        ):
            mark = self.take()
            if mark == "^":
                name += "^" + self.raw_group()
            elif mark == "/":
                name += "/" + self.take().strip()
            else:
                name += " " + mark.strip()
        lowered = name.lower().strip(". ")
        if lowered in ("degrees", "degree", "deg"):
            return ("deg", node)
        if lowered in ("percent", "percentage", "pct", "per cent", "%"):
            return ("pct", node)
        if not lowered or lowered in ("rad", "radian", "radians"):
            return node
        return ("unit", node, name)

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
        if self.depth > MAX_DEPTH:
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
            mark = self.peek()
            if mark == "!" and self.peek(1) != "=":
                node = ("fn", "factorial", (node,))
            elif mark in ("%", r"\%"):
                node = ("pct", node)
            elif mark == "'":
                node = ("fn", "prime", (node,))
            elif mark == r"\circ":
                node = ("deg", node)
            else:
                return node
            self.take()


def _mixed(whole: Node, part: Node) -> Node | None:
    """The mixed number of an integer and a proper fraction of integers."""
    if whole[0] == "num" and part[0] == "div" and part[1][0] == part[2][0] == "num":
        above, below = part[1][1], part[2][1]
        if 0 < above < below:
            return ("num", whole[1] + above / below)
    return None


def _is_unknown_unit(node: Node, word: str) -> bool:
    """Whether a word of more than three letters after a bare number names what is counted."""
    return node[0] in ("num", "dec") and len(word) > 3 and word not in FUNCTIONS and word not in GREEK


def _is_condition(node: Node) -> bool:
    return bool(
        node[0] in ("and", "or") or (node[0] == "rel" and any(op not in ("=", "in") for op in node[1]))
    )
