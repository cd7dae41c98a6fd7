"""Units of measure and currencies: which words are units, and how large each is.

A unit is `(dimension, factor)` with the factor in the dimension's base unit. Units that are only ever
dropped or compared by name (`apples`, `students`) need no entry: any words after a number count.
"""

from __future__ import annotations

from fractions import Fraction

__all__ = ["CURRENCY_SIGNS", "WORD_UNITS", "lookup"]

_PREFIXES = {"k": 1000, "c": Fraction(1, 100), "m": Fraction(1, 1000), "M": 10**6, "G": 10**9,
             "n": Fraction(1, 10**9), "d": Fraction(1, 10)}  # fmt: skip
_TABLE: dict[str, tuple[str, Fraction]] = {}


def _add(dimension: str, factor: Fraction | int | str, *names: str) -> None:
    for name in names:
        _TABLE[name] = (dimension, Fraction(factor))


_add("length", 1, "m", "meter", "metre")
_add("length", 1000, "km", "kilometer", "kilometre")
_add("length", "0.01", "cm", "centimeter", "centimetre")
_add("length", "0.001", "mm", "millimeter", "millimetre")
_add("length", "0.0254", "in", "inch", "inche")
_add("length", "0.3048", "ft", "foot", "feet")
_add("length", "0.9144", "yd", "yard")
_add("length", "1609.344", "mi", "mile")
_add("mass", 1, "g", "gram", "gramme")
_add("mass", 1000, "kg", "kilogram")
_add("mass", "0.001", "mg", "milligram")
_add("mass", "453.59237", "lb", "pound")
_add("mass", "28.349523125", "oz", "ounce")
_add("mass", 1000000, "ton", "tonne")
_add("time", 1, "s", "sec", "second")
_add("time", "0.001", "ms", "millisecond")
_add("time", 60, "min", "minute")
_add("time", 3600, "h", "hr", "hour")
_add("time", 86400, "day")
_add("time", 604800, "week", "wk")
_add("month", 1, "month")
_add("month", 12, "year", "yr")
_add("volume", 1, "L", "l", "liter", "litre")
_add("volume", "0.001", "mL", "ml", "milliliter", "millilitre")
_add("angle", 1, "rad", "radian")
_add("energy", 1, "J", "joule")
_add("energy", 1000, "kJ", "kilojoule")
_add("force", 1, "N", "newton")
_add("power", 1, "W", "watt")
_add("power", 1000, "kW", "kilowatt")
_add("frequency", 1, "Hz", "hertz")
_add("voltage", 1, "V", "volt")
_add("current", 1, "A", "ampere", "amp")
_add("temperature", 1, "K", "kelvin")
_add("length/time", 1, "mps")
_add("length/time", Fraction(1000, 3600), "kph", "kmh")
_add("length/time", "0.44704", "mph")
_add("usd", 1, "dollar", "usd", "buck", "us$")
_add("usd", "0.01", "cent", "¢", "penny", "pennie")
_add("eur", 1, "euro", "eur")
_add("gbp", 1, "gbp")
_add("cny", 1, "yuan", "rmb", "cny")
_add("jpy", 1, "yen", "jpy")
_add("inr", 1, "rupee", "inr")

CURRENCY_SIGNS = {"€": "euro", "£": "gbp", "¥": "yen", "₹": "rupee", "¢": "cent"}
_SYMBOLIC = {"m", "in", "g", "s", "h", "L", "l", "J", "N", "W", "V", "A", "K", "min", "rad", "ms", "mi"}
WORD_UNITS = frozenset(name for name in _TABLE if name not in _SYMBOLIC and name.isalpha())
"""Names that are read as a unit when they follow a number, without `\\text` around them."""


def lookup(words: str) -> tuple[str, Fraction]:
    """Dimension and factor of a unit as written; an unknown one is a dimension of its own.

    Powers multiply out (`cm^2`), a plural `s` is dropped, `per` and `/` divide.
    """
    words = words.strip(" .{}")
    if words in _TABLE:
        return _TABLE[words]
    for separator in ("/", " per "):
        above, found, below = words.partition(separator)
        if found:
            top, bottom = lookup(above), lookup(below)
            return f"{top[0]}/{bottom[0]}", top[1] / bottom[1]
    lowered = words.lower()
    for name, power in (("square ", 2), ("sq ", 2), ("sq. ", 2), ("cubic ", 3), ("cu ", 3)):
        if lowered.startswith(name):
            dimension, factor = lookup(words[len(name) :])
            return f"{dimension}^{power}", factor**power
    base, caret, exponent = words.partition("^")
    exponent = exponent.strip("{} ")
    if caret and exponent in ("2", "3"):
        dimension, factor = lookup(base)
        return f"{dimension}^{exponent}", factor ** int(exponent)
    for name in (lowered, lowered.removesuffix("s"), words.removesuffix("s"), lowered.removesuffix("es")):
        if name in _TABLE:
            return _TABLE[name]
    return "?" + lowered.removesuffix("s"), Fraction(1)
