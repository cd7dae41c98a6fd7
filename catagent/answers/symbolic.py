"""The slow leaves: high precision, SymPy and, for texts that cannot be read here, Math-Verify.

Runs in a worker process only, under a limit of CPU time and of memory; nothing here needs to be quick or
certain to end.
"""

from __future__ import annotations

import logging
import math
import signal
from fractions import Fraction
from typing import Any

import sympy
from sympy.solvers.inequalities import solve_univariate_inequality

from .conversion import Unconvertible, from_sympy, to_sympy
from .judging import judge, readings_of
from .leaves import Leaves
from .reader import MAX_LENGTH, Node
from .regions import End, Region, region_of
from .rules import Rules
from .values import free_symbols, has_decimals

__all__ = ["SymbolicLeaves", "decide"]

_PROBES = (Fraction(7, 10), Fraction(-13, 10), Fraction(23, 10))
_OPERATORS = {"<": sympy.Lt, ">": sympy.Gt, "<=": sympy.Le, ">=": sympy.Ge, "!=": sympy.Ne, "=": sympy.Eq}


def decide(a: str, b: str, rules: dict[str, Any]) -> bool | None:
    """The verdict on two texts, `None` when SymPy gives none."""
    verdict = judge(a, b, SymbolicLeaves(Rules(**rules)))
    if verdict is not None:
        return verdict
    if readings_of(a) and readings_of(b):
        return None
    if max(len(a), len(b)) > MAX_LENGTH:
        return None
    return _math_verify(a, b)


class SymbolicLeaves(Leaves):
    """Decides what exact and floating-point arithmetic left open."""

    most_items = 400

    def numbers(self, a: Node, b: Node) -> bool | None:
        """Equality by high-precision evaluation and simplification."""
        verdict = super().numbers(a, b)
        if verdict is not None:
            return verdict
        try:
            x, y = to_sympy(a), to_sympy(b)
        except Unconvertible:
            return None
        except (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError, IndexError):
            return None
        try:
            tolerance = 2.0 * 10.0 ** -_digits(a, b, self.rules)
            return _same(x, y, tolerance)
        except (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError):
            return None

    def equations(self, a: Node, b: Node) -> bool | None:
        """Whether two expressions vanish at the same places."""
        verdict = super().equations(a, b)
        if verdict is not None:
            return verdict
        try:
            return _same_zeros(to_sympy(a), to_sympy(b))
        except Unconvertible:
            return None
        except (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError):
            return None

    def region(self, node: Node) -> Region | None:
        """The solution set of inequalities in one real variable."""
        plain = region_of(node)
        if plain is not None:
            return plain
        names = free_symbols(node)
        if len(names) != 1:
            return None
        try:
            return _region(_solution(node, sympy.Symbol(next(iter(names)), real=True)))
        except Unconvertible:
            return None
        except (ArithmeticError, ValueError, TypeError, AttributeError, NotImplementedError):
            return None


def _digits(a: Node, b: Node, rules: Rules) -> int:
    digits = [d for d in (has_decimals(a), has_decimals(b)) if d >= rules.digits]
    return min(digits, default=30)


def _same(x: Any, y: Any, tolerance: float) -> bool | None:
    if isinstance(x, sympy.MatrixBase) or isinstance(y, sympy.MatrixBase):
        if not (isinstance(x, sympy.MatrixBase) and isinstance(y, sympy.MatrixBase)) or x.shape != y.shape:
            return False
        verdicts = [_same(u, v, tolerance) for u, v in zip(x, y, strict=True)]
        return False if False in verdicts else None if None in verdicts else True
    difference = x - y
    if difference == 0:
        return True
    if x.has(sympy.nan, sympy.zoo) or y.has(sympy.nan, sympy.zoo):
        return False if not (x.has(sympy.nan) or y.has(sympy.nan)) and x != y else None
    if x in (sympy.oo, -sympy.oo) or y in (sympy.oo, -sympy.oo):
        return bool(x == y) if x.is_number and y.is_number else None
    agreed = 0
    symbols = sorted(difference.free_symbols, key=str)
    for probe in _PROBES if symbols else (None,):
        at = {} if probe is None else {s: probe + Fraction(i, 7) for i, s in enumerate(symbols)}
        at = {s: sympy.Rational(v.numerator, v.denominator) for s, v in at.items()}
        size = abs(sympy.N(x.subs(at), 20)) + abs(sympy.N(y.subs(at), 20))
        gap = abs(sympy.N(difference.subs(at), 30, maxn=400))
        if not (gap.is_number and gap.is_finite and size.is_finite):
            continue
        if gap > max(tolerance, 1e-25) * max(size, sympy.Float("1e-300")):
            return False
        agreed += 1
    if agreed == len(_PROBES) or (agreed and not symbols):
        return True
    return True if sympy.simplify(difference) == 0 else None


def _factors(expression: Any) -> Any:
    numerator = sympy.numer(sympy.together(expression))
    symbols = sorted(numerator.free_symbols, key=str)
    polynomial = sympy.Poly(numerator, *symbols)
    return {factor.monic() for factor, _ in polynomial.factor_list()[1]}


def _same_zeros(a: Any, b: Any) -> bool | None:
    symbols = sorted(a.free_symbols | b.free_symbols, key=str)
    if not symbols:
        return None
    try:
        return bool(_factors(a) == _factors(b))
    except sympy.PolynomialError:
        pass
    for variable in reversed(symbols):
        try:
            zeros = [set(map(sympy.simplify, sympy.solve(side, variable))) for side in (a, b)]
        except NotImplementedError:
            continue
        if zeros[0] == zeros[1] and zeros[0]:
            return True
        for one, other in ((zeros[0], b), (zeros[1], a)):
            for zero in one:
                rest = sympy.simplify(other.subs(variable, zero))
                if rest.is_number and abs(sympy.N(rest, 20)) > 1e-10:
                    return False
                if rest.free_symbols and rest != 0:
                    return False
        if len(symbols) == 1 and all(zeros):
            return None
        return True if all(zeros) else None
    return None


def _solution(node: Node, variable: Any) -> Any:
    kind = node[0]
    if kind in ("and", "or"):
        sets = [_solution(item, variable) for item in node[1]]
        return sympy.Intersection(*sets) if kind == "and" else sympy.Union(*sets)
    if kind != "rel" or any(operator not in _OPERATORS for operator in node[1]):
        raise Unconvertible(kind)
    result: Any = sympy.S.Reals
    for operator, left, right in zip(node[1], node[2], node[2][1:], strict=False):
        relation = _OPERATORS[operator](to_sympy(left), to_sympy(right))
        if relation in (sympy.true, sympy.false):
            found: Any = sympy.S.Reals if relation == sympy.true else sympy.S.EmptySet
        elif operator in ("=", "!="):
            zeros = sympy.solveset(to_sympy(left) - to_sympy(right), variable, sympy.S.Reals)
            found = zeros if operator == "=" else sympy.Complement(sympy.S.Reals, zeros)
        else:
            found = solve_univariate_inequality(relation, variable, relational=False)
        result = sympy.Intersection(result, found)
    return result


def _region(solution: Any) -> Region:
    pieces = solution.args if isinstance(solution, sympy.Union) else (solution,)
    found: Region = []
    for piece in pieces:
        if isinstance(piece, sympy.FiniteSet):
            found.extend((end, end) for end in (_end(item, False) for item in piece))
        elif isinstance(piece, sympy.Interval):
            found.append((_end(piece.start, piece.left_open), _end(piece.end, piece.right_open)))
        elif piece != sympy.S.EmptySet:
            raise Unconvertible("set")
    return sorted(found, key=lambda piece: piece[0].at)


def _end(number: Any, is_open: Any) -> End:
    if number in (sympy.oo, -sympy.oo):
        return End(math.inf if number == sympy.oo else -math.inf, None, True)
    return End(float(number), from_sympy(number), bool(is_open))


def _math_verify(a: str, b: str) -> bool | None:
    """Math-Verify's reading of LaTeX that the reader does not know. Its `False` may be a failure to parse."""
    remaining = signal.setitimer(signal.ITIMER_PROF, 0)[0]
    from math_verify import LatexExtractionConfig, parse, verify

    logging.disable(logging.CRITICAL)
    signal.setitimer(signal.ITIMER_PROF, remaining)
    config = [LatexExtractionConfig()]
    parsed = [
        parse(
            text if "$" in text or "\\[" in text else f"${text}$",
            config,
            fallback_mode="no_fallback",
            parsing_timeout=0,
        )
        for text in (a, b)
    ]
    if not all(parsed):
        return False
    return bool(
        verify(parsed[0], parsed[1], timeout_seconds=0) or verify(parsed[1], parsed[0], timeout_seconds=0)
    )
