"""What Prometheus is told, in a registry of the server's own.

Labels come from fixed sets: a client cannot make new ones. Tokens, calls and cost are read from the ledger
of all runs when somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from catagent.models.ledger import Ledger
from catagent.server.gate import Gate

__all__ = ["Metrics"]

_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)


class Metrics:
    """The server's counters. `page` is what `/metrics` shows."""

    def __init__(self, gate: Gate, ledger: Ledger) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "catagent_http_requests", "Requests answered.", ("route", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "catagent_http_request_seconds",
            "Seconds until a request was answered whole.",
            ("route",),
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.first = Histogram(
            "catagent_first_content_seconds",
            "Seconds until a stream's first content.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.gone = Counter(
            "catagent_clients_gone", "Requests whose client went before the end.", registry=self.registry
        )
        self.broken = Counter(
            "catagent_streams_broken", "Streams that ended in an error.", ("code",), registry=self.registry
        )
        working = Gauge("catagent_requests_working", "Requests worked on.", registry=self.registry)
        working.set_function(lambda: gate.working)
        waiting = Gauge("catagent_requests_waiting", "Requests in the queue.", registry=self.registry)
        waiting.set_function(lambda: gate.waiting)
        self.registry.register(_Upstream(ledger))

    def page(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)


class _Upstream(Collector):
    """What was sent to models, by role."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def collect(self) -> Iterator[Metric]:
        roles = self._ledger.usage().roles
        calls = CounterMetricFamily(
            "catagent_model_calls", "Requests sent to models.", labels=("role", "outcome")
        )
        tokens = CounterMetricFamily("catagent_tokens", "Tokens, where told.", labels=("role", "kind"))
        usd = CounterMetricFamily("catagent_usd", "Cost in US dollars, where known.", labels=("role",))
        for role, used in roles.items():
            calls.add_metric((role, "ok"), used.calls - used.failed)
            calls.add_metric((role, "refused"), used.refused)
            calls.add_metric((role, "failed"), used.failed - used.refused)
            tokens.add_metric((role, "prompt"), used.prompt_tokens)
            tokens.add_metric((role, "completion"), used.completion_tokens)
            usd.add_metric((role,), used.usd)
        yield from (calls, tokens, usd)
