"""`catagent view`."""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.text import Text

from catagent.batch.reading import Files
from catagent.batch.rows import BadLineError, Fields, row_of
from catagent.cli.running import console, run_plainly
from catagent.errors import ConfigError
from catagent.messages import ChatMessage
from catagent.viewing import Reading, Row, is_page, read, serving, write_page

__all__ = ["Options", "run"]


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    source: Path
    out: Path | None = None
    port: int | None = None
    prompts: tuple[Path, ...] = ()
    title: str | None = None
    quiet: bool = False


def run(options: Options) -> int:
    """Run the command; returns the exit code."""
    if options.source.name in ("", ".."):  # "." and its kin have no name to call a page after
        options = replace(options, source=options.source.resolve())
    return run_plainly(lambda: _view(options))


def _view(options: Options) -> None:
    if (ready := _ready(options.source)) is not None:
        if options.out is not None and options.out != ready:
            _copied(ready, options.out)
        if options.port is None:
            sys.stdout.write(f"{options.out or ready}\n")
        else:
            _serve(ready, options.port)
        return
    reading = read(options.source, prompts=_prompts(options.prompts) if options.prompts else None)
    if options.port is None or options.out is not None:
        page = options.out or _beside(options.source)
        if options.port is None:
            _write(options, reading, page)
            sys.stdout.write(f"{page}\n")
        else:
            _serve(page, options.port, lambda: _write(options, reading, page))
        return
    with tempfile.TemporaryDirectory(prefix="catagent-view-") as folder:
        page = Path(folder) / "page.html"
        _serve(page, options.port, lambda: _write(options, reading, page))


def _ready(source: Path) -> Path | None:
    """The page that is there: `source` itself, or the one that an evaluation wrote into its folder."""
    for page in (source, source / "questions.html"):
        if page.is_file() and is_page(page):
            return page
    return None


def _copied(page: Path, out: Path) -> None:
    try:
        shutil.copyfile(page, out)
    except OSError as error:
        raise ConfigError(f"cannot write the page to {out}: {error.strerror}") from None


def _beside(source: Path) -> Path:
    """Where the page goes when nobody says. Raises `ConfigError` rather than write over what is no page."""
    name = source.name
    for ending in (".job", ".gz", ".jsonl", ".json"):
        name = name.removesuffix(ending)
    page = source.with_name(f"{name}.html")
    if page.exists() and not is_page(page):
        raise ConfigError(f"{page} is there and is no page of catagent: name another file with -o")
    return page


def _write(options: Options, reading: Reading, page: Path) -> None:
    title = options.title or options.source.name
    with console.status("reading …") as status:

        def told() -> Iterator[Row]:
            for count, row in enumerate(reading, 1):
                if not options.quiet and count % 50 == 0:
                    status.update(f"{count} rows …")
                yield row

        if options.quiet:
            status.stop()
        count = write_page(page, told(), title=title, notes=reading.notes)
    if not options.quiet:
        size = page.stat().st_size / 1e6
        rows = "1 row" if count == 1 else f"{count} rows"
        console.print(Text(f"{rows}, {size:.1f} MB"), soft_wrap=True)
    for note in reading.notes:
        console.print(Text(note, style="yellow"), soft_wrap=True)


def _serve(page: Path, port: int, write: Callable[[], None] | None = None) -> None:
    """Serve a page. The port is taken before the page is written: a refusal costs nothing then."""
    with serving(page, port) as server:
        if write is not None:
            write()
        sys.stdout.write(f"http://127.0.0.1:{server.server_port}/\n")
        sys.stdout.flush()
        console.print("Ctrl-C ends it")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            console.print("stopped")


def _prompts(files: Sequence[Path]) -> _Known:
    return asyncio.run(_Known.of(files))


class _Known(dict[str | int, Sequence[ChatMessage]]):
    """Conversations by the id that a batch job gives a row."""

    @classmethod
    async def of(cls, files: Sequence[Path]) -> _Known:
        """Those in the input of a job. Raises `ConfigError` for a file that cannot be read or holds none."""
        known = cls()
        fields = Fields()
        async for lines in Files(files):
            for line in lines:
                for scored in (False, True):  # an id made from the content counts what is to be scored
                    try:
                        row = row_of(0, line.raw, fields, scored=scored)
                    except BadLineError:
                        continue
                    known[row.id] = row.messages
        if not known:
            raise ConfigError(f"there is no prompt in {', '.join(map(str, files))}")
        return known

    def __call__(self, ident: str | int) -> Sequence[ChatMessage] | None:
        return self.get(ident)
