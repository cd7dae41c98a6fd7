"""What one factor of a formula may be: a number, a name, a bracket, a LaTeX command."""

from __future__ import annotations

import re
from fractions import Fraction

from .calls import FUNCTIONS, _Calls, is_symbol_text
from .lexing import Node, Unreadable, number, repeating
from .units import CURRENCY_SIGNS

__all__ = ["GREEK"]

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


class _Atoms(_Calls):
    """Reads factors. Sums, lists and statements inside brackets are left to the reader."""

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
            if above == ("sym", "d"):
                raise Unreadable("derivative")
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
