"""`catagent serve`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from catagent.cli.download import DownloadBar
from catagent.cli.pipeline import Pipeline
from catagent.cli.running import console, run_command
from catagent.errors import ConfigError
from catagent.messages import Solution

__all__ = ["Options", "run"]


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for on the command line."""

    pipeline: Pipeline
    host: str
    port: int
    keys: Path | None
    allow: tuple[str, ...]
    concurrency: int
    queue: int
    wait: float
    per_key: int | None
    max_body: int
    max_n: int
    grace: float
    open_metrics: bool
    spans: bool
    quiet: bool


def run(options: Options) -> int:
    """Run the command; returns the exit code."""
    return run_command(_serve(options))


async def _serve(options: Options) -> None:
    try:
        from catagent.server import Keys, ServerOptions, create_app
        from catagent.server.running import is_loopback, listening, serve
    except ImportError as error:
        raise ConfigError(f"the server needs {error.name}: pip install 'catagent[serve]'") from None

    keys = Keys.read(options.keys)
    local = is_loopback(options.host)
    if not keys and not local:
        raise ConfigError(
            f"a server on {options.host} can be reached by others and needs a key: set CATAGENT_SERVER_KEYS "
            "or --keys FILE, or leave --host at 127.0.0.1"
        )
    allowed = ServerOptions(
        keys=keys,
        allow=options.allow,
        concurrency=options.concurrency,
        queue=options.queue,
        wait=options.wait,
        per_key=options.per_key,
        largest_body=options.max_body,
        all_bodies=max(256 * 2**20, 2 * options.max_body),
        most_rollouts=options.max_n,
        grace=options.grace,
        local_only=local and not keys,
        open_metrics=options.open_metrics,
    )
    with DownloadBar(console, quiet=options.quiet) as bar:
        cat = options.pipeline.cat(bar.note, bar.progress)
        sock = listening(options.host, options.port)
        await cat.prepare()
    async with cat:
        if not options.quiet:
            _log()
            shown = f"[{options.host}]" if ":" in options.host else options.host
            console.print(
                f"serving CaT on http://{shown}:{sock.getsockname()[1]}/v1 · {cat.n} rollouts · "
                f"{'with keys' if keys else 'this machine only, no key'} · Ctrl-C stops",
                markup=False,
                soft_wrap=True,
            )
        with _spans() if options.spans else nullcontext() as record:
            await serve(create_app(cat, allowed, record), sock)
    if not options.quiet:
        console.print("stopped")


@contextmanager
def _spans() -> Iterator[Callable[[Solution], None]]:
    """What records solutions as spans, sent where OpenTelemetry's environment variables say."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise ConfigError(f"--spans needs {error.name}: pip install 'catagent[otel]'") from None
    from catagent.spans import SpanRecorder

    provider = TracerProvider(resource=Resource.create({"service.name": "catagent"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    try:
        yield SpanRecorder(provider).record
    finally:
        provider.shutdown()


def _log() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    log = logging.getLogger("catagent.server")
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    log.propagate = False
