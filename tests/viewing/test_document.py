"""Still pages: what gets onto them is text, and what the page allows is its own style."""

from __future__ import annotations

import base64
import hashlib

import pytest

from catagent.viewing.document import document, shown


def test_hostile_text_is_shown_as_text() -> None:
    assert shown('<b onclick="x">\u202e') == "&lt;b onclick=&quot;x&quot;&gt;[U+202E]"
    page = document("</title><script>x</script>", "p{}", "<p>body</p>")
    assert "<script>" not in page
    assert page.count("&lt;script&gt;x") == 2, "in the title and in the heading"
    assert "<p>body</p>\n</body>" in page


@pytest.mark.parametrize("attributes", [False, True])
def test_the_policy_allows_the_pages_own_style_alone(attributes: bool) -> None:
    page = document("t", "p{color:red}", "", style_attributes=attributes)
    digest = base64.b64encode(hashlib.sha256(b"p{color:red}").digest()).decode()
    assert "<style>p{color:red}</style>" in page
    policy = page.partition('Content-Security-Policy" content="')[2].partition('"')[0]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("style-src-elem" if attributes else "style-src") == f"'sha256-{digest}'"
    assert rules.pop("style-src-attr", None) == ("'unsafe-inline'" if attributes else None)
    assert rules == {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"}
