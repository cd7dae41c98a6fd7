from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catagent.models.redaction import redact

secrets = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=8, max_size=60)


@given(st.lists(secrets, min_size=1, max_size=4), st.lists(st.text(), min_size=1, max_size=6))
def test_no_secret_that_is_known_survives(known: list[str], around: list[str]) -> None:
    text = "".join(piece + known[i % len(known)] for i, piece in enumerate(around))
    cleaned = redact(text, *known)
    for secret in known:
        assert secret not in cleaned.replace("[key]", "\0")


@given(st.sampled_from(["KEY", "TOKEN", "SECRET", "PASSWORD"]), secrets)
def test_no_secret_of_the_environment_survives(ending: str, secret: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(f"SOME_{ending}", secret)
        patch.setenv("HARMLESS", "a harmless value")
        assert redact(f"at {secret}, a harmless value").replace("[key]", "\0") == "at \0, a harmless value"


@pytest.mark.parametrize(
    "key",
    [
        "sk-abcdefghijklmnop",
        "sk-ant-api03-abc_def-ghi",
        "sk-wrong***************6789",
        "gsk_abcdefghijklmnop",
        "hf_abcdefghijklmnop",
        "xai-abcdefghijklmnop",
        "AIzaSyA-abcdefghijklmnop_qrstuvwxyz01234",
        "Bearer abcdefgh12345",
    ],
)
def test_what_looks_like_a_key_is_taken_out(key: str) -> None:
    assert redact(f'Incorrect API key provided: "{key}".') == 'Incorrect API key provided: "[key]".'


def test_a_password_in_a_url_is_taken_out() -> None:
    assert redact("cannot reach http://me:secret@host:80/v1") == "cannot reach http://[key]@host:80/v1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "openai/gpt-5-mini answered 429: Rate limit reached for gpt-5-mini.",
        "the task-oriented risk-free desk-bound clerk",
        "see https://platform.openai.com/account/api-keys",
    ],
)
def test_ordinary_texts_are_left_alone(text: str) -> None:
    assert redact(text) == text


def test_short_secrets_do_not_shred_a_text() -> None:
    assert redact("a b c", "a", "b c") == "a b c"
