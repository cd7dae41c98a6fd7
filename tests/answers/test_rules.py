"""Each house rule: the example of `docs/answers.md`, and the option that turns it."""

import pytest

from catagent.answers import Rules, equivalent

CASES = [
    ("28%", "28", True, {"percent": "value"}, False),
    ("28%", "0.28", True, {"percent": "bare"}, False),
    (r"90^\circ", "90", True, {"degrees": "value"}, False),
    (r"90^\circ", r"\frac{\pi}{2}", True, {"degrees": "bare"}, False),
    ("0.333333", "1/3", True, {"digits": 8}, False),
    ("0.3333", "1/3", False, {"digits": 4}, True),
    ("15 cm", "15", True, {"drop_units": False}, False),
    ("52_8", "52", False, {"drop_base": True}, True),
    ("x = 5", "5", True, {"assignments": False}, False),
    ("1, -2", "-2, 1", True, {"ordered_lists": True}, False),
    (r"\{1, 2\}", "1, 2", True, {"sets_as_lists": False}, False),
    ("(1, 2)", "1, 2", True, {"tuples_as_lists": False}, False),
    (r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}", "(1, 2)", True, {"vectors_as_tuples": False}, False),
    ("0 < x < 1", "(0, 1)", True, {"relations_as_sets": False}, False),
    ("White", "white", True, {"case_sensitive": True}, False),
    ("seven", "7", True, {"number_words": False}, False),
]


@pytest.mark.parametrize(("a", "b", "usual", "options", "turned"), CASES)
def test_each_rule_has_an_example_and_an_option(
    a: str, b: str, usual: bool, options: dict[str, object], turned: bool
) -> None:
    assert equivalent(a, b) is usual
    assert equivalent(b, a) is usual
    assert equivalent(a, b, rules=Rules(**options)) is turned  # type: ignore[arg-type]
    assert equivalent(b, a, rules=Rules(**options)) is turned  # type: ignore[arg-type]


def test_every_option_but_noise_is_covered() -> None:
    covered = {name for *_, options, _ in CASES for name in options}
    assert covered | {"noise"} == set(Rules().to_json())


def test_noise() -> None:
    assert equivalent("0.30000000000000004", "0.3") is True
    assert equivalent("0.30000000000000004", "0.3", rules=Rules(noise=0.0)) is False
