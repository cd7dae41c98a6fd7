"""Brings a tree into the shape in which it is compared: names, approximations and signs resolved."""

from __future__ import annotations

from fractions import Fraction

from .lexing import MINUS, Node, negated
from .values import free_symbols

__all__ = [
    "SETTISH",
    "chain",
    "difference",
    "is_list",
    "is_name",
    "is_relation",
    "spread",
    "tidy",
    "unassigned",
    "unnamed_items",
]

REALS: Node = ("interval", ("mul", (MINUS, ("const", "inf"))), ("const", "inf"), True, True)
SETTISH = ("interval", "union", "inter", "minus", "set")


def tidy(node: Node) -> Node:
    """One-item brackets opened, approximations behind an exact value dropped, `x in S` read as `S`."""
    while True:
        if node[0] in ("brack", "list") and len(node[1]) == 1:
            node = node[1][0]
        elif node[0] == "rel" and "~" in node[1]:
            at = node[1].index("~")
            exact_part = ("rel", node[1][:at], node[2][: at + 1]) if at else node[2][0]
            if at == 0 and is_name(node[2][0]):
                node = ("rel", ("=",), (node[2][0], node[2][1]))
            else:
                node = exact_part
        elif node == ("const", "reals"):
            node = REALS
        elif node[0] == "rel" and node[1] == ("in",) and is_name(node[2][0]):
            node = node[2][1]
        elif (
            node[0] in ("list", "and") and any(map(_is_domain, node[1])) and not all(map(_is_domain, node[1]))
        ):
            node = (
                "list" if node[0] == "list" else "and",
                tuple(item for item in node[1] if not _is_domain(item)),
            )
            if len(node[1]) == 1:
                node = node[1][0]
        elif node[0] == "set" and len(node[1]) == 1 and is_relation(node[1][0]):
            node = node[1][0]
        elif node[0] == "fn" and node[1] == "builder" and len(node[2]) == 2 and node[2][0][0] != "list":
            node = tidy(node[2][1])
        else:
            return node


def _is_differential(node: Node) -> bool:
    """Whether one side of a quotient is a `dy`."""
    return node[0] == "mul" and len(node[1]) == 2 and node[1][0] == ("sym", "d") and is_name(node[1][1])


def _is_domain(node: Node) -> bool:
    """Whether an item only says where a parameter runs: `k in Z`."""
    return bool(node[0] == "rel" and node[1] == ("in",) and node[2][1][0] == "const")


def is_name(node: Node) -> bool:
    """Whether a side of an equation only names the answer: a variable, `f(x)`, a tuple of variables."""
    if node[0] == "sym" or node in (("const", "e"), ("const", "i")):
        return True
    if node[0] == "fn":
        return (
            len(node[1]) == 1
            or node[1].endswith("_")
            or node[1] in ("vec", "overline", "bar", "hat", "prime", "abs")
        )
    if node[0] in ("paren", "list"):
        return all(map(is_name, node[1]))
    if node[0] == "mul":
        return all(is_name(part) for part in node[1])
    if node[0] == "div":
        return all(_is_differential(part) for part in node[1:])
    return bool(node[0] == "text")


def chain(node: Node) -> tuple[Node, Node] | None:
    """First and last side of a chain of equalities."""
    if node[0] == "rel" and all(operator == "=" for operator in node[1]):
        return node[2][0], node[2][-1]
    return None


def unassigned(a: Node, b: Node) -> tuple[Node, Node]:
    """Chains cut to their ends, and the name of the answer dropped where the other side has none."""
    ends_a, ends_b = chain(a), chain(b)
    if ends_a and ends_b:
        if len(a[2]) > 2 and (is_name(ends_a[0]) or not free_symbols(a)):
            a = ("rel", ("=",), ends_a)
        if len(b[2]) > 2 and (is_name(ends_b[0]) or not free_symbols(b)):
            b = ("rel", ("=",), ends_b)
        if ends_a[0] == ends_b[0] and is_name(ends_a[0]) and ends_a[0][0] != "sym":
            return tidy(ends_a[1]), tidy(ends_b[1])
        return a, b
    if ends_a and not is_relation(b):
        a = _answer_side(a, ends_a, b)
    elif ends_b and not is_relation(a):
        b = _answer_side(b, ends_b, a)
    elif _has_equations(a) != _has_equations(b) and not ends_a and not ends_b:
        a, b = (unnamed_items(a), b) if _has_equations(a) else (a, unnamed_items(b))
    return a, b


def _has_equations(node: Node) -> bool:
    return node[0] in ("list", "and", "or", "set", "paren") and any(chain(item) for item in node[1])


def _answer_side(node: Node, ends: tuple[Node, Node], other: Node) -> Node:
    left, right = ends
    if is_name(left) or not free_symbols(left):
        return tidy(right)
    if is_name(right) and not free_symbols(left) & free_symbols(right):
        return tidy(left)
    return node


def unnamed_items(node: Node) -> Node:
    """`x = 1, x = 2` and `x = 1 or x = 2` as the list of values, when the other side names nothing."""
    items = []
    names = []
    for item in node[1]:
        ends = chain(item)
        if ends is None or not is_name(ends[0]):
            return node
        names.append(ends[0])
        items.append(tidy(ends[1]))
    if not items:
        return node
    distinct = len(set(names)) == len(names) and len(names) > 1
    return ("paren" if distinct else "list", tuple(items))


def spread(node: Node) -> Node:
    """Both values of a plus-minus; lists in lists opened."""
    if node[0] in ("list", "set"):
        items: list[Node] = []
        for item in node[1]:
            opened = _signs(item)
            items.extend(opened)
        return (node[0], tuple(items))
    if node[0] in ("rel", "paren", "matrix", "text", "and", "or", *SETTISH):
        return node
    opened = _signs(node)
    return node if len(opened) == 1 else ("list", tuple(opened))


def _signs(node: Node) -> list[Node]:
    if not _has_sign(node):
        return [node]
    plus, minus = _signed(node, 1), _signed(node, -1)
    return [plus, minus]


def _has_sign(node: Node) -> bool:
    if node[0] in ("pm", "mp"):
        return True
    return any(_has_sign(item) for item in _below(node))


def _below(node: Node) -> list[Node]:
    found: list[Node] = []
    for item in node[1:]:
        if isinstance(item, tuple) and item:
            found.extend(
                [item] if isinstance(item[0], str) else [x for x in item if isinstance(x, tuple) and x]
            )
    return found


def _signed(node: Node, sign: int) -> Node:
    if node[0] in ("pm", "mp"):
        left, right = _signed(node[1], sign), _signed(node[2], sign)
        positive = (sign > 0) == (node[0] == "pm")
        return ("add", (left, right if positive else negated(right)))
    return tuple(
        _signed(item, sign)
        if isinstance(item, tuple) and item and isinstance(item[0], str)
        else tuple(_signed(x, sign) if isinstance(x, tuple) and x else x for x in item)
        if isinstance(item, tuple)
        else item
        for item in node
    )


def is_relation(node: Node) -> bool:
    """Whether a tree is an equation, an inequality or several joined."""
    return node[0] in ("rel", "and", "or")


def is_list(node: Node) -> bool:
    """Whether a tree is a list, a tuple or items in square brackets."""
    return node[0] in ("list", "paren", "brack")


def difference(relation: Node) -> Node:
    """Left side minus right side of an equation or inequality."""
    left: Node = relation[2][0]
    right: Node = relation[2][1]
    if right == ("num", Fraction(0)):
        return left
    return ("add", (left, negated(right)))
