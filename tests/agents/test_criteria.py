from __future__ import annotations

import pytest

from catagent.agents.criteria import numbered, sift
from catagent.agents.rubric_text import Draft


def texts(*drafts: str, **options: bool) -> list[str]:
    return [d.text for d in sift([Draft(d) for d in drafts], **options).drafts]


@pytest.mark.parametrize(
    ("compound", "atoms"),
    [
        (
            "The response mentions aspirin and explains its dose.",
            ["The response mentions aspirin.", "The response explains its dose."],
        ),
        (
            "Mentions aspirin, and also warns about bleeding",
            ["Mentions aspirin", "Also warns about bleeding"],
        ),
        (
            "Does the response mention fever and recommend rest?",
            ["Does the response mention fever?", "Does the response recommend rest?"],
        ),
        ("States the sky is blue; warns about UV.", ["States the sky is blue.", "Warns about UV."]),
        ("Mentions fever, cough, and fatigue.", ["Mentions fever.", "Mentions cough.", "Mentions fatigue."]),
        (
            "The response mentions both salt and pepper.",
            ["The response mentions salt.", "The response mentions pepper."],
        ),
        ("Explains why A holds as well as describes B", ["Explains why A holds", "Describes B"]),
        (
            "Does it mention ammonia? Does it mention boron?",
            ["Does it mention ammonia?", "Does it mention boron?"],
        ),
    ],
)
def test_compound_criteria_are_split(compound: str, atoms: list[str]) -> None:
    assert texts(compound) == atoms


@pytest.mark.parametrize(
    "atomic",
    [
        "Mentions salt and pepper.",
        "States that patients should rest and avoid alcohol.",
        "Advises the user to see a doctor and get tested.",
        "States that 3 < 5 and 5 < 7.",
        "Gives at least one of: a date, a place, or a name.",
        "Uses a friendly and clear tone throughout.",
        "Does not mention penicillin or other antibiotics.",
    ],
)
def test_atomic_criteria_stay(atomic: str) -> None:
    assert texts(atomic) == [atomic]


@pytest.mark.parametrize(
    "leak",
    [
        "Matches the reference answer.",
        "The response is consistent with the reference.",
        "Covers the same points as the original response.",
        "Reaches the same conclusion as stated above.",
        "Agrees with the text above.",
        "Gives the correct answer.",
        "Has the structure of the provided response.",
        "Contains everything that the ideal answer contains.",
        "Is similar to the unified response.",
        "Follows the rubric closely in all points: the rubric asks for it.",
        "States the expected answer",
    ],
)
def test_criteria_that_speak_of_the_reference_are_refused(leak: str) -> None:
    found = sift([Draft(leak)])
    assert not found.drafts
    assert "speaks of the reference" in found.notes[0]


@pytest.mark.parametrize(
    "fine",
    [
        "Provides references to peer-reviewed studies.",
        "States that the correct answer is 42.",
        "Recommends that the reader consult a doctor about the above-average dose.",
        "Explains how to answer the question of a child.",
        "Mentions the original inhabitants of the island.",
    ],
)
def test_criteria_that_only_sound_like_it_stay(fine: str) -> None:
    assert texts(fine) == [fine]


def test_duplicates_are_merged_and_numbers_and_negations_tell_apart() -> None:
    kept = texts(
        "The response mentions aspirin.",
        "Mentions aspirin",
        "Explicitly mentions the aspirin.",
        "Gives a dose of 5 mg.",
        "Gives a dose of 10 mg.",
        "Recommends aspirin.",
        "Does not recommend aspirin.",
    )
    assert kept == [
        "The response mentions aspirin.",
        "Gives a dose of 5 mg.",
        "Gives a dose of 10 mg.",
        "Recommends aspirin.",
        "Does not recommend aspirin.",
    ]


def test_a_duplicate_keeps_the_larger_weight() -> None:
    found = sift([Draft("Mentions aspirin.", 2.0), Draft("The response mentions aspirin.", 5.0)])
    assert [d.weight for d in found.drafts] == [5.0]


def test_negative_criteria_only_when_asked_for() -> None:
    drafts = [Draft("Recommends a lethal dose.", -4.0), Draft("Mentions aspirin.", 2.0)]
    assert [d.weight for d in sift(drafts).drafts] == [2.0]
    assert [d.weight for d in sift(drafts, negative=True).drafts] == [-4.0, 2.0]


@pytest.mark.parametrize(
    "text",
    [
        "Good.",
        "Yes",
        "States that…",
        "The response mentions it.",
        "x" * 600,
        "word " * 90,
        '{"met": "yes", "a": 1}',
    ],
)
def test_what_is_no_criterion_is_refused(text: str) -> None:
    assert texts(text) == []


def test_numbers_and_equal_weights() -> None:
    drafts = [Draft("A b c d", 5.0), Draft("E f g h", -3.0), Draft("I j k l")]
    assert [(c.id, c.weight) for c in numbered(drafts, weights=True)] == [
        ("c1", 5.0),
        ("c2", -3.0),
        ("c3", 1.0),
    ]
    assert [c.weight for c in numbered(drafts, weights=False)] == [1.0, -1.0, 1.0]
