"""`catagent models`: what plays which role, whether it answers, and what can be fetched."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.table import Table
from rich.text import Text

from catagent.cat import CaT
from catagent.cli.download import DownloadBar
from catagent.cli.running import console, run_command
from catagent.errors import CatError, ConfigError
from catagent.models.catalogue import CATALOGUE, choose, fetch, installed, remove
from catagent.models.config import ROLES
from catagent.models.endpoint import Endpoint
from catagent.models.ledger import Ledger

__all__ = ["pull", "show"]

_PATIENCE = 20.0


def show(config: Path | None, *, check: bool) -> int:
    """Print roles and catalogue; returns 1 when a model does not answer."""
    failures: list[str] = []

    async def work() -> None:
        with DownloadBar(console) as bar:
            async with CaT(config=config, note=bar.note, progress=bar.progress) as cat:
                await _roles(cat, failures, check=check)
        _catalogue()

    return run_command(work()) or (1 if failures else 0)


async def _roles(cat: CaT, failures: list[str], *, check: bool) -> None:
    run = await cat.begin()
    table = Table(title=f"Roles ({cat.config.source})", title_justify="left", box=None, pad_edge=False)
    for heading in ("role", "model", "context", "answers"):
        table.add_column(heading)
    said: dict[str, str] = {}
    for role in ROLES:
        try:
            endpoint = (await run.model(role, start=check)).endpoint
        except CatError as error:
            failures.append(role)
            table.add_row(role, "–", "", Text(str(error), style="red"))
            continue
        if endpoint.name not in said:
            said[endpoint.name] = await _asked(endpoint) if check else "not asked"
            if check and not said[endpoint.name].startswith("yes"):
                failures.append(endpoint.name)
        answer = Text(
            said[endpoint.name], style="" if said[endpoint.name].startswith(("yes", "not")) else "red"
        )
        table.add_row(role, Text(endpoint.name), str(endpoint.context or "unknown"), answer)
    console.print(table)


async def _asked(endpoint: Endpoint) -> str:
    """Whether it answers: one token, one attempt."""
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(_PATIENCE):
            await endpoint.once("check", Ledger(), [{"role": "user", "content": "Hi"}], {"max_tokens": 1})
    except TimeoutError:
        return f"no: silent for {_PATIENCE:g} s"
    except CatError as error:
        return f"no: {error}"
    return f"yes, in {asyncio.get_running_loop().time() - began:.1f} s"


def _catalogue() -> None:
    table = Table(title="\nEmbedded models", title_justify="left", box=None, pad_edge=False)
    for heading in ("name", "size", "licence", "here", "about"):
        table.add_column(heading)
    for entry in CATALOGUE.values():
        here = "yes" if installed(entry.name) else "no"
        table.add_row(
            f"embedded/{entry.name}", f"{entry.size / 1e6:.0f} MB", entry.licence, here, Text(entry.summary)
        )
    console.print(table)
    console.print("Fetch one with `catagent models pull NAME`.", style="dim")


def pull(name: str | None, *, again: bool) -> int:
    """Fetch one model of the catalogue, by default the best that can be had."""

    async def work() -> None:
        with DownloadBar(console) as bar:
            chosen = name
            if chosen is None:
                chosen = (await choose(progress=bar.progress, note=bar.note)).name
            chosen = chosen.removeprefix("embedded/")
            if chosen not in CATALOGUE:
                raise ConfigError(f"there is no embedded model {name!r}; there are {', '.join(CATALOGUE)}")
            if again:
                remove(chosen)
            path = await fetch(chosen, progress=bar.progress)
        console.print(Text(f"{chosen} is at {path}"), soft_wrap=True)

    return run_command(work())
