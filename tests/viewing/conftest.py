"""One browser for all tests of the page in a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.viewing import browser


@pytest.fixture(scope="session")
def debugger() -> Iterator[str]:
    """A real browser; where there is none these tests are skipped, and say so."""
    program = browser.found()
    if program is None:
        pytest.skip(
            f"no browser here: the page is not opened (one of {', '.join(browser.NAMES)}, or CHROMIUM=…)"
        )
    with browser.running(program) as address:
        yield address


@pytest.fixture
async def tab(debugger: str) -> AsyncIterator[browser.Tab]:
    async with browser.tab(debugger) as one:
        yield one
        assert one.heard == []
        assert [address for address in one.asked if not address.startswith(("file:///", "about:"))] == []
