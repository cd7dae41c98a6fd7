"""Compares two trees by their shape: lists with lists, equations with equations, sets with sets.

The same walk is used twice. In the caller's process the leaves are decided by exact and floating-point
arithmetic and what remains is `None`; in a worker a `Leaves` backed by SymPy decides the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

from .leaves import Leaves
from .numbers import same_up_to_scale
from .reader import Node, times
from .regions import EVERYTHING, region_of, same_region
from .shapes import SETTISH, chain, difference, is_list, is_relation, spread, tidy, unassigned, unnamed_items
from .texts import choice_of, number_word, same_words
from .units import lookup
from .values import free_symbols, parts

__all__ = ["compare"]

_ORDERED = ("paren", "brack")
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def compare(a: Node, b: Node, leaves: Leaves) -> bool | None:
    """Whether two trees are the same answer; `None` where the leaves could not tell."""
    if a == b:
        return True
    rules = leaves.rules
    a, b = tidy(a), tidy(b)
    if a == b:
        return True
    if rules.assignments:
        a, b = unassigned(a, b)
        if a == b:
            return True
    a, b = spread(a), spread(b)
    if a[0] == "text" or b[0] == "text":
        return _texts(a, b, leaves)
    if a[0] == "matrix" or b[0] == "matrix":
        return _matrices(a, b, leaves)
    if a[0] == "ratio" or b[0] == "ratio":
        return _ratios(a, b, leaves)
    if is_relation(a) or is_relation(b):
        return _relations(a, b, leaves)
    if a[0] in SETTISH or b[0] in SETTISH:
        return _sets(a, b, leaves)
    if is_list(a) or is_list(b):
        return _lists(a, b, leaves)
    return _scalars(a, b, leaves)


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
    if words.lower() in ("all real numbers", "all reals", "real numbers") and region_of(other) == EVERYTHING:
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
    """Equality up to order, for sets also up to repetition; equal spellings cancel at once."""
    if sets:
        a, b = _distinct(a, leaves), _distinct(b, leaves)
    if len(a) != len(b):
        return False
    common = Counter(a) & Counter(b)
    a, b = list((Counter(a) - common).elements()), list((Counter(b) - common).elements())
    if len(a) > leaves.most_items:
        return None
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
    unique = list(dict.fromkeys(items))
    if len(unique) > leaves.most_items:
        return unique
    kept: list[Node] = []
    for item in unique:
        if not any(compare(item, other, leaves) for other in kept):
            kept.append(item)
    return kept


def _lists(a: Node, b: Node, leaves: Leaves) -> bool | None:
    rules = leaves.rules
    if not (is_list(a) and is_list(b)):
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
        if one[0] == "set" and len(one[1]) == 1 and not is_list(other) and other[0] not in SETTISH:
            return compare(one[1][0], other, leaves) if leaves.rules.sets_as_lists else False
    if {a[0], b[0]} <= {"set", "paren"} or {a[0], b[0]} <= {"set", "brack"}:
        return False
    a, b = _as_interval(a, b), _as_interval(b, a)
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


def _as_interval(node: Node, other: Node) -> Node:
    """A pair in brackets beside an interval is an interval."""
    if node[0] in _ORDERED and other[0] == "interval" and len(node[1]) == 2:
        return ("interval", *node[1], node[0] == "paren", node[0] == "paren")
    return node


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
        if len(pair[0][1]) == 2 and not is_list(pair[1]) and pair[1][0] == "div":
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
    if not (is_relation(a) and is_relation(b)):
        return _relation_with_other(a, b, leaves)
    if a[0] == b[0] == "rel":
        return _two_relations(a, b, leaves)
    region_a, region_b = leaves.region(a), leaves.region(b)
    if region_a is not None and region_b is not None and free_symbols(a) == free_symbols(b):
        return same_region(region_a, region_b, lambda x, y: compare(x, y, leaves))
    items_a, items_b = _items(a), _items(b)
    if a[0] == b[0] or {a[0], b[0]} == {"list", "and"}:
        return _unordered(items_a, items_b, leaves, sets=True)
    return None if free_symbols(a) == free_symbols(b) else False


def _relation_with_other(a: Node, b: Node, leaves: Leaves) -> bool | None:
    relation, other = (a, b) if is_relation(a) else (b, a)
    equations = relation[0] in ("and", "or") and all(map(chain, relation[1]))
    if (equations and other[0] in ("list", "set", "paren")) or (
        relation[0] in ("and", "or") and other[0] in ("list", "set") and any(map(is_relation, other[1]))
    ):
        if any(map(is_relation, other[1])):
            return _unordered(relation[1], other[1], leaves, sets=True)
        return _unordered(_items(unnamed_items(relation)), other[1], leaves, sets=True)
    if not leaves.rules.relations_as_sets:
        return False
    if other[0] not in (*SETTISH, *_ORDERED):
        return False
    if chain(relation):
        return False
    target = leaves.region(other)
    found = leaves.region(relation)
    if target is None:
        return False
    if found is None:
        return None
    return same_region(found, target, lambda x, y: compare(x, y, leaves))


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
    strictness_differs = (operator_a in ("<", ">")) != (operator_b in ("<", ">"))
    ratio = same_up_to_scale(difference(a), difference(b))
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
    left, right = difference(a), difference(b)
    ratio = same_up_to_scale(left, right)
    if ratio is not None and not isinstance(ratio, bool):
        return True
    if free_symbols(left) != free_symbols(right):
        return False
    return leaves.equations(left, right)
