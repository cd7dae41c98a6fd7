"""What holds for all tests."""

from __future__ import annotations

from hypothesis import settings

# A shared machine pauses when it likes: how long one example takes says nothing.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")
