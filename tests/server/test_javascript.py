"""OpenAI's JavaScript client against the server. Needs `node` and `npm`; the package is fetched once."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from platformdirs import user_cache_path

from tests.cast import cast, cat_on
from tests.doubles import ProviderDouble
from tests.server.running import FOURS, running, until

VERSION = "7.57.0"
SCRIPT = Path(__file__).with_name("client.mjs")

pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and shutil.which("npm")),
    reason="node and npm are not installed: OpenAI's JavaScript client was NOT tried against the server",
)


@pytest.fixture(scope="session")
def package() -> Path:
    """A folder with the client installed, kept between runs."""
    kept = user_cache_path("catagent") / f"openai-js-{VERSION}"
    if not (kept / "node_modules" / "openai" / "package.json").is_file():
        kept.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=kept.parent))
        quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
        subprocess.run(
            ["npm", "install", *quiet, "--prefix", str(fresh), f"openai@{VERSION}"], check=True, timeout=110
        )
        try:
            fresh.rename(kept)
        except OSError:  # another run was first
            shutil.rmtree(fresh)
    return kept


async def test_the_javascript_client(package: Path, tmp_path: Path) -> None:
    script = tmp_path / SCRIPT.name
    shutil.copy(SCRIPT, script)
    (tmp_path / "node_modules").symlink_to(package / "node_modules")
    async with (
        ProviderDouble(reply=cast(FOURS)) as double,
        ProviderDouble(reply=cast(FOURS), latency=60) as slow,
        cat_on(double) as cat,
        cat_on(slow) as slow_cat,
        running(cat) as server,
        running(slow_cat, heartbeat=0.05) as slow_server,
    ):
        node = await asyncio.create_subprocess_exec(
            "node",
            str(script),
            f"{server.url}/v1",
            f"{slow_server.url}/v1",
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "NODE_NO_WARNINGS": "1"},
        )
        out, err = await asyncio.wait_for(node.communicate(), 100)
        assert node.returncode == 0, err.decode()
        await until(lambda: slow.disconnected == 2)  # the time-out, and the stream that was left
    seen = json.loads(out)
    text = "So it is \\boxed{4}."
    assert seen["chat"] == [text, True, 3]
    assert seen["stream"] == [text, ["stop"], True]
    assert seen["helper"] == text
    assert seen["responses"] == [text, "completed"]
    assert seen["events"] == [
        text,
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ],
    ]
    assert seen["errors"] == {
        "model": ["NotFoundError", 404, "model_not_found"],
        "body": ["BadRequestError", 400, "invalid_value"],
        "memory": ["BadRequestError", 400, "unsupported_parameter"],
        "timeout": ["APIConnectionTimeoutError", None, None],
    }
    assert seen["models"] == ["cat"]
