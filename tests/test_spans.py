"""A solve as OpenTelemetry spans, with the real SDK."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from catagent.spans import SpanRecorder
from tests.cast import cast, cat_on
from tests.doubles import Fault, ProviderDouble


def provided() -> tuple[TracerProvider, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


def children(spans: tuple[ReadableSpan, ...], parent: ReadableSpan | None) -> list[ReadableSpan]:
    own = parent.context.span_id if parent else None
    return sorted(
        (s for s in spans if (s.parent.span_id if s.parent else None) == own), key=lambda s: s.start_time or 0
    )


async def test_a_solve_is_a_tree_of_stages_and_requests() -> None:
    provider, exporter = provided()
    secret = "what nobody should read"
    faults = [Fault.status_code(500)]
    async with (
        ProviderDouble(reply=cast(("\\boxed{4}", "\\boxed{5}")), faults=faults) as double,
        cat_on(double) as cat,
    ):
        solution = await cat.solve(f"{secret}: 2 + 2?", emit=SpanRecorder(provider))
    spans = exporter.get_finished_spans()
    (root,) = children(spans, None)
    stages = children(spans, root)
    assert [s.name for s in (root, *stages)] == [
        "invoke_workflow catagent",
        "invoke_agent sampler",
        "invoke_agent anchor",
    ]
    sampler, anchor = (children(spans, stage) for stage in stages)
    assert [s.name for s in sampler] == ["chat sampler", "chat sampler"]
    assert [s.status.status_code for s in sampler] == [StatusCode.ERROR, StatusCode.UNSET]
    assert [s.kind for s in (*sampler, *anchor)] == [SpanKind.CLIENT] * 3
    assert len(spans) == 6
    for stage in stages:
        for span in (stage, *children(spans, stage)):
            assert (root.start_time or 0) <= (span.start_time or 0) <= (span.end_time or 0)
    attributes = dict(root.attributes or {})
    assert attributes["gen_ai.usage.output_tokens"] == solution.usage.total.completion_tokens > 0
    assert attributes["catagent.reference.method"] == "synthesis"
    assert (stages[0].attributes or {})["gen_ai.request.model"] == "m"
    assert (stages[0].attributes or {})["gen_ai.provider.name"] == "double"
    assert secret not in "".join(s.to_json() for s in spans)
    assert "boxed" not in "".join(s.to_json() for s in spans)


async def test_lost_rollouts_and_scores_are_there_too() -> None:
    provider, exporter = provided()
    async with ProviderDouble(reply=cast(("\\boxed{4}",))) as double, cat_on(double) as cat:
        await cat.score("2 + 2?", ["\\boxed{4}", None], emit=SpanRecorder(provider))
    spans = exporter.get_finished_spans()
    (root,) = children(spans, None)
    assert [event.name for event in root.events] == ["rollouts lost"]
    assert [s.name for s in children(spans, root)] == ["invoke_agent anchor"]
