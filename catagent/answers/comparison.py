"""Compares two trees by their shape: lists with lists, equations with equations, sets with sets.

The same walk is used twice. In the caller's process the leaves are decided by exact and floating-point
arithmetic and what remains is `None`; in a worker a `Leaves` backed by SymPy decides the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from .numbers import same_number, same_up_to_scale, zeros_differ
from .reader import Node, negated, times
from .regions import Region, region_of, same_region
from .rules import Rules
from .texts import choice_of, number_word, same_words
from .units import lookup
from .values import free_symbols, parts

__all__ = ["Leaves", "compare"]

_SETTISH = ("interval", "union", "inter", "minus", "set")
_ORDERED = ("paren", "brack")
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


class Leaves:
    """Decides what has no parts. This one is cheap and often says `None`."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules

    def numbers(self, a: Node, b: Node) -> bool | None:
        """Whether two scalar expressions are equal."""
        return same_number(a, b, self.rules)

    def equations(self, a: Node, b: Node) -> bool | None:
        """Whether `a = 0` and `b = 0` have the same solutions; both are known not to be multiples."""
        return False if zeros_differ(a, b) else None

    def region(self, node: Node) -> Region | None:
        """The real set a relation describes, where it can be had."""
        return region_of(node)


def compare(a: Node, b: Node, leaves: Leaves) -> bool | None:
    """Whether two trees are the same answer; `None` where the leaves could not tell."""
    if a == b:
        return True
    rules = leaves.rules
    a, b = _tidy(a), _tidy(b)
    if a == b:
        return True
    if rules.assignments:
        a, b = _unassigned(a, b)
        if a == b:
            return True
    a, b = _spread(a), _spread(b)
    if a[0] == "text" or b[0] == "text":
        return _texts(a, b, leaves)
    if a[0] == "matrix" or b[0] == "matrix":
        return _matrices(a, b, leaves)
    if a[0] == "ratio" or b[0] == "ratio":
        return _ratios(a, b, leaves)
    if _is_relation(a) or _is_relation(b):
        return _relations(a, b, leaves)
    if a[0] in _SETTISH or b[0] in _SETTISH:
        return _sets(a, b, leaves)
    if _is_list(a) or _is_list(b):
        return _lists(a, b, leaves)
    return _scalars(a, b, leaves)


# shape


def _tidy(node: Node) -> Node:
    """One-item brackets opened, approximations behind an exact value dropped, `x in S` read as `S`."""
    while True:
        if node[0] in ("brack", "list") and len(node[1]) == 1:
            node = node[1][0]
        elif node[0] == "rel" and "~" in node[1]:
            at = node[1].index("~")
            exact_part = ("rel", node[1][:at], node[2][: at + 1]) if at else node[2][0]
            if at == 0 and _is_name(node[2][0]):
                node = ("rel", ("=",), (node[2][0], node[2][1]))
            else:
                node = exact_part
        elif node[0] == "rel" and node[1] == ("in",) and _is_name(node[2][0]):
            node = node[2][1]
        elif node[0] in ("list", "and") and any(map(_is_domain, node[1])) and not all(map(_is_domain, node[1])):
            node = ("list" if node[0] == "list" else "and", tuple(item for item in node[1] if not _is_domain(item)))
            if len(node[1]) == 1:
                node = node[1][0]
        elif node[0] == "set" and len(node[1]) == 1 and _is_relation(node[1][0]):
            node = node[1][0]
        elif node[0] == "fn" and node[1] == "builder" and len(node[2]) == 2 and node[2][0][0] != "list":
            node = _tidy(node[2][1])
        else:
            return node


def _is_domain(node: Node) -> bool:
    """Whether an item only says where a parameter runs: `k in Z`."""
    return node[0] == "rel" and node[1] == ("in",) and node[2][1][0] == "const"


def _is_name(node: Node) -> bool:
    """Whether a side of an equation only names the answer: a variable, `f(x)`, a tuple of variables."""
    if node[0] == "sym" or node in (("const", "e"), ("const", "i")):
        return True
    if node[0] == "fn":
        return len(node[1]) == 1 or node[1].endswith("_") or node[1] in ("vec", "overline", "bar", "hat", "prime", "abs")
    if node[0] in ("paren", "list"):
        return all(map(_is_name, node[1]))
    if node[0] == "mul":
        return all(part[0] == "sym" for part in node[1])
    return node[0] == "text"


def _chain(node: Node) -> tuple[Node, Node] | None:
    """First and last side of a chain of equalities."""
    if node[0] == "rel" and all(operator == "=" for operator in node[1]):
        return node[2][0], node[2][-1]
    return None


def _unassigned(a: Node, b: Node) -> tuple[Node, Node]:
    """Chains cut to their ends, and the name of the answer dropped where the other side has none."""
    ends_a, ends_b = _chain(a), _chain(b)
    if ends_a and ends_b:
        if len(a[2]) > 2 and (_is_name(ends_a[0]) or not free_symbols(a)):
            a = ("rel", ("=",), ends_a)
        if len(b[2]) > 2 and (_is_name(ends_b[0]) or not free_symbols(b)):
            b = ("rel", ("=",), ends_b)
        if ends_a[0] == ends_b[0] and _is_name(ends_a[0]) and ends_a[0][0] != "sym":
            return _tidy(ends_a[1]), _tidy(ends_b[1])
        return a, b
    if ends_a and not _is_relation(b):
        a = _answer_side(a, ends_a, b)
    elif ends_b and not _is_relation(a):
        b = _answer_side(b, ends_b, a)
    elif _has_equations(a) != _has_equations(b) and not ends_a and not ends_b:
        a, b = (_unnamed_items(a), b) if _has_equations(a) else (a, _unnamed_items(b))
    return a, b


def _has_equations(node: Node) -> bool:
    return node[0] in ("list", "and", "or", "set", "paren") and any(_chain(item) for item in node[1])


def _answer_side(node: Node, ends: tuple[Node, Node], other: Node) -> Node:
    left, right = ends
    if _is_name(left) or not free_symbols(left):
        return _tidy(right)
    if _is_name(right) and not free_symbols(left) & free_symbols(right):
        return _tidy(left)
    return node


def _unnamed_items(node: Node) -> Node:
    """`x = 1, x = 2` and `x = 1 or x = 2` as the list of values, when the other side names nothing."""
    items = []
    names = []
    for item in node[1]:
        ends = _chain(item)
        if ends is None or not _is_name(ends[0]):
            return node
        names.append(ends[0])
        items.append(_tidy(ends[1]))
    if not items:
        return node
    distinct = len(set(names)) == len(names) and len(names) > 1
    return ("paren" if distinct else "list", tuple(items))


def _spread(node: Node) -> Node:
    """Both values of a plus-minus; lists in lists opened."""
    if node[0] in ("list", "set"):
        items: list[Node] = []
        for item in node[1]:
            opened = _signs(item)
            items.extend(opened)
        return (node[0], tuple(items))
    if node[0] in ("rel", "paren", "matrix", "text", "and", "or", *_SETTISH):
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
            found.extend([item] if isinstance(item[0], str) else [x for x in item if isinstance(x, tuple) and x])
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


def _is_relation(node: Node) -> bool:
    return node[0] in ("rel", "and", "or")


def _is_list(node: Node) -> bool:
    return node[0] in ("list", "paren", "brack")


def _all(verdicts: Sequence[bool | None]) -> bool | None:
    if any(verdict is False for verdict in verdicts):
        return False
    return None if any(verdict is None for verdict in verdicts) else True


# leaves


def _scalars(a: Node, b: Node, leaves: Leaves) -> bool | None:
    rules = leaves.rules
    if a[0] == "unit" or b[0] == "unit":
        return _units(a, b, leaves)
    for kind, rule in (("pct", rules.percent), ("deg", rules.degrees)):
        if a[0] == kind and b[0] == kind:
            return compare(a[1], b[1], leaves)
        if a[0] == kind or b[0] == kind:
            marked, other = (a, b) if a[0] == kind else (b, a)
            return _marked(marked, other, rule, leaves)
    if rules.drop_base and (a[0] == "base") != (b[0] == "base"):
        based, other = (a, b) if a[0] == "base" else (b, a)
        if other[0] == "num" and str(other[1]) == based[2]:
            return True
    return leaves.numbers(a, b)


def _marked(marked: Node, other: Node, rule: str, leaves: Leaves) -> bool | None:
    verdicts: list[bool | None] = []
    if rule in ("either", "bare"):
        verdicts.append(leaves.numbers(marked[1], other))
    if rule in ("either", "value") and True not in verdicts:
        verdicts.append(leaves.numbers(marked, other))
    if True in verdicts:
        return True
    return None if None in verdicts else False


def _units(a: Node, b: Node, leaves: Leaves) -> bool | None:
    if a[0] == b[0] == "unit":
        (kind_a, factor_a), (kind_b, factor_b) = lookup(a[2]), lookup(b[2])
        if kind_a == kind_b:
            if factor_a == factor_b:
                return compare(a[1], b[1], leaves)
            return compare(times(("num", factor_a), a[1]), times(("num", factor_b), b[1]), leaves)
        return False
    if not leaves.rules.drop_units:
        return False
    return compare(a[1] if a[0] == "unit" else a, b[1] if b[0] == "unit" else b, leaves)


def _texts(a: Node, b: Node, leaves: Leaves) -> bool | None:
    x, y = _spelt(a), _spelt(b)
    if x is not None and y is not None:
        if same_words(x, y, leaves.rules):
            return True
        letters = choice_of(x), choice_of(y)
        return letters[0] is not None and letters[0] == letters[1]
    words, other = (x, b) if x is not None else (y, a)
    assert words is not None
    number = number_word(words) if leaves.rules.number_words else None
    if number is not None:
        return compare(("num", Fraction(number)), other, leaves)
    if words.lower() in ("infinity", "infinite") and other == ("const", "inf"):
        return True
    if words.lower() in ("all real numbers", "all reals", "real numbers") and other == ("const", "reals"):
        return True
    return words.lower() in ("no solution", "no solutions", "none", "empty set") and other == ("set", ())


def _spelt(node: Node) -> str | None:
    """The letters of a tree that may be words: text, or a product of one-letter variables."""
    if node[0] == "text":
        return str(node[1])
    if node[0] == "sym":
        return str(node[1])
    if node[0] == "const" and node[1] in ("e", "i"):
        return str(node[1])
    if node[0] == "mul":
        letters = [_spelt(part) for part in node[1]]
        if all(letters):
            return "".join(letter or "" for letter in letters)
    return None


# compounds


def _items(node: Node) -> tuple[Node, ...]:
    return tuple(node[1]) if node[0] in ("list", "set", "paren", "brack", "and", "or") else (node,)


def _pairwise(a: Sequence[Node], b: Sequence[Node], leaves: Leaves) -> bool | None:
    if len(a) != len(b):
        return False
    verdicts = []
    for x, y in zip(a, b, strict=True):
        verdict = compare(x, y, leaves)
        if verdict is False:
            return False
        verdicts.append(verdict)
    return _all(verdicts)


def _unordered(a: Sequence[Node], b: Sequence[Node], leaves: Leaves, *, sets: bool) -> bool | None:
    """Equality up to order; for sets also up to repetition."""
    if sets:
        a, b = _distinct(a, leaves), _distinct(b, leaves)
    if len(a) != len(b):
        return False
    if len(a) > 200:
        return _pairwise(a, b, leaves)
    left = list(range(len(b)))
    doubt = False
    for index, x in enumerate(a):
        candidates = sorted(left, key=lambda j: j != index)
        for j in candidates:
            verdict = compare(x, b[j], leaves)
            if verdict:
                left.remove(j)
                break
            doubt = doubt or verdict is None
        else:
            if not doubt:
                return False
    return None if left else True


def _distinct(items: Sequence[Node], leaves: Leaves) -> list[Node]:
    kept: list[Node] = []
    for item in items[:200]:
        if not any(compare(item, other, leaves) for other in kept):
            kept.append(item)
    return kept


def _lists(a: Node, b: Node, leaves: Leaves) -> bool | None:
    rules = leaves.rules
    if not (_is_list(a) and _is_list(b)):
        return False
    kinds = {a[0], b[0]}
    if kinds == {"list"}:
        if rules.ordered_lists:
            return _pairwise(a[1], b[1], leaves)
        return _unordered(a[1], b[1], leaves, sets=False)
    if kinds == {"paren", "brack"}:
        return False if len(a[1]) == 2 else _pairwise(a[1], b[1], leaves)
    if "list" in kinds and not rules.tuples_as_lists:
        return False
    return _pairwise(a[1], b[1], leaves)


def _sets(a: Node, b: Node, leaves: Leaves) -> bool | None:
    finite_a, finite_b = a[0] in ("set", "list"), b[0] in ("set", "list")
    if finite_a and finite_b:
        if a[0] != b[0] and not leaves.rules.sets_as_lists:
            return False
        return _unordered(a[1], b[1], leaves, sets=True)
    for one, other in ((a, b), (b, a)):
        if one[0] == "set" and len(one[1]) == 1 and not _is_list(other) and other[0] not in _SETTISH:
            return compare(one[1][0], other, leaves) if leaves.rules.sets_as_lists else False
    if {a[0], b[0]} <= {"set", "paren"} or {a[0], b[0]} <= {"set", "brack"}:
        return False
    if a[0] == b[0] == "interval":
        if a[3:] != b[3:]:
            return False
        return _pairwise(a[1:3], b[1:3], leaves)
    region_a, region_b = leaves.region(a), leaves.region(b)
    if region_a is not None and region_b is not None:
        return same_region(region_a, region_b, lambda x, y: compare(x, y, leaves))
    if a[0] == b[0] and a[0] in ("union", "inter"):
        return _unordered(_operands(a, a[0]), _operands(b, b[0]), leaves, sets=True)
    if a[0] == b[0] == "minus":
        return _pairwise(a[1], b[1], leaves)
    if region_a is None and region_b is None:
        return None
    return False


def _operands(node: Node, kind: str) -> list[Node]:
    return [x for item in node[1] for x in (_operands(item, kind) if item[0] == kind else [item])]


def _matrices(a: Node, b: Node, leaves: Leaves) -> bool | None:
    rows_a, rows_b = _rows(a, leaves), _rows(b, leaves)
    if rows_a is None or rows_b is None:
        if _holds_matrix(a) and _holds_matrix(b):
            return leaves.numbers(a, b)
        return False
    if a[0] != b[0]:
        flat_a, flat_b = _vector(rows_a), _vector(rows_b)
        if flat_a is not None and flat_b is not None:
            return _pairwise(flat_a, flat_b, leaves)
    if len(rows_a) != len(rows_b) or len(rows_a[0]) != len(rows_b[0]):
        return False
    return _all([_pairwise(x, y, leaves) for x, y in zip(rows_a, rows_b, strict=True)])


def _holds_matrix(node: Node) -> bool:
    return node[0] == "matrix" or any(map(_holds_matrix, parts(node)))


def _vector(rows: Sequence[Sequence[Node]]) -> Sequence[Node] | None:
    if len(rows) == 1:
        return rows[0]
    return [row[0] for row in rows] if all(len(row) == 1 for row in rows) else None


def _rows(node: Node, leaves: Leaves) -> list[Sequence[Node]] | None:
    if node[0] == "matrix":
        return list(node[1])
    if node[0] in _ORDERED:
        if all(item[0] in _ORDERED for item in node[1]):
            rows = [item[1] for item in node[1]]
            return rows if len({len(row) for row in rows}) == 1 else None
        return [node[1]] if leaves.rules.vectors_as_tuples else None
    return None


def _ratios(a: Node, b: Node, leaves: Leaves) -> bool | None:
    if a[0] != b[0]:
        pair = (a, b) if a[0] == "ratio" else (b, a)
        if len(pair[0][1]) == 2 and not _is_list(pair[1]) and pair[1][0] == "div":
            return leaves.numbers(("div", *pair[0][1]), pair[1])
        return False
    if len(a[1]) != len(b[1]):
        return False
    first = _pairwise(a[1], b[1], leaves)
    if first:
        return True
    return _all(
        [
            leaves.numbers(times(x, b[1][0]), times(y, a[1][0]))
            for x, y in zip(a[1][1:], b[1][1:], strict=True)
        ]
    )


# relations


def _relations(a: Node, b: Node, leaves: Leaves) -> bool | None:
    if not (_is_relation(a) and _is_relation(b)):
        return _relation_with_other(a, b, leaves)
    if a[0] == b[0] == "rel":
        return _two_relations(a, b, leaves)
    region_a, region_b = leaves.region(a), leaves.region(b)
    if region_a is not None and region_b is not None and free_symbols(a) == free_symbols(b):
        return same_region(region_a, region_b, lambda x, y: compare(x, y, leaves))
    items_a, items_b = _items(a), _items(b)
    if a[0] == b[0] or {a[0], b[0]} == {"list", "and"}:
        return _unordered(items_a, items_b, leaves, sets=True)
    return None if region_a is None and region_b is None else False


def _relation_with_other(a: Node, b: Node, leaves: Leaves) -> bool | None:
    relation, other = (a, b) if _is_relation(a) else (b, a)
    if relation[0] in ("and", "or") and other[0] in ("list", "set", "paren"):
        if any(map(_is_relation, other[1])):
            return _unordered(relation[1], other[1], leaves, sets=True)
        return _unordered(_items(_unnamed_items(relation)), other[1], leaves, sets=True)
    if not leaves.rules.relations_as_sets:
        return False
    if other[0] not in (*_SETTISH, *_ORDERED) and other != ("const", "reals"):
        return False
    if _chain(relation):
        return False
    target = leaves.region(other)
    found = leaves.region(relation)
    if target is None:
        return False
    if found is None:
        return None
    return same_region(found, target, lambda x, y: compare(x, y, leaves))


def _difference(relation: Node) -> Node:
    left, right = relation[2]
    if right == ("num", Fraction(0)):
        return left
    return ("add", (left, negated(right)))


def _two_relations(a: Node, b: Node, leaves: Leaves) -> bool | None:
    if a[1] == b[1]:
        verdict = _pairwise(a[2], b[2], leaves)
        if verdict:
            return True
    if len(a[1]) != 1 or len(b[1]) != 1:
        return _chains(a, b, leaves)
    (operator_a,), (operator_b,) = a[1], b[1]
    if any(side[0] not in _SCALAR for side in (*a[2], *b[2])):
        return _pairwise(a[2], b[2], leaves) if operator_a == operator_b else False
    if operator_a in ("=", "!=", "==") or operator_b in ("=", "!=", "=="):
        if operator_a != operator_b:
            return False
        return _equations(a, b, leaves)
    if operator_a not in _FLIPPED or operator_b not in _FLIPPED:
        return False
    if (operator_a in ("<", ">")) != (operator_b in ("<", ">")):
        strictness_differs = True
    else:
        strictness_differs = False
    ratio = same_up_to_scale(_difference(a), _difference(b))
    if ratio is not None and not isinstance(ratio, bool) and abs(ratio.imag) <= 1e-9 * abs(ratio):
        same_way = (operator_a == operator_b) or strictness_differs
        if strictness_differs:
            return False
        return (ratio.real > 0) == same_way
    return _chains(a, b, leaves)


_SCALAR = frozenset(
    ("num", "dec", "sym", "const", "add", "mul", "div", "pow", "fn", "pct", "deg", "unit", "base", "big")
)


def _chains(a: Node, b: Node, leaves: Leaves) -> bool | None:
    if free_symbols(a) != free_symbols(b):
        return False
    region_a, region_b = leaves.region(a), leaves.region(b)
    if region_a is not None and region_b is not None:
        return same_region(region_a, region_b, lambda x, y: compare(x, y, leaves))
    mirrored = ("rel", tuple(_FLIPPED.get(op, op) for op in reversed(b[1])), tuple(reversed(b[2])))
    if a[1] == mirrored[1]:
        return _pairwise(a[2], mirrored[2], leaves)
    return None


def _equations(a: Node, b: Node, leaves: Leaves) -> bool | None:
    left, right = _difference(a), _difference(b)
    ratio = same_up_to_scale(left, right)
    if ratio is not None and not isinstance(ratio, bool):
        return True
    if free_symbols(left) != free_symbols(right):
        return False
    return leaves.equations(left, right)

