"""A solve as OpenTelemetry spans, by the conventions for generative AI.

A listener over events: nothing on the request path knows of it. The tree is made when the solve has ended,
from what the solution keeps of its requests, with the times at which they were under way:

    recorder = SpanRecorder()
    solution = await cat.solve(prompt, emit=recorder)

Content (prompts, rollouts, the reference) is in no span.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from catagent.errors import ConfigError
from catagent.events import Event, Solved
from catagent.messages import Call, Solution

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer, TracerProvider

__all__ = ["SpanRecorder"]

_STAGES = {
    "sampler": "rollouts",
    "anchor": "reference",
    "rubric_proposer": "rubric",
    "judge": "judgements",
}


class SpanRecorder:
    """Records the spans of each solve it hears of: one root, one span a stage, one a request.

    `provider` is where they go, by default the one that the process has set up. Raises `ConfigError` when
    OpenTelemetry is not installed.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        try:
            from opentelemetry import trace
        except ImportError:
            raise ConfigError("spans need OpenTelemetry: pip install 'catagent[otel]'") from None
        self._trace: Any = trace
        self._tracer: Tracer = trace.get_tracer("catagent", tracer_provider=provider)

    def __call__(self, event: Event) -> None:
        """Take an event; `Solved` is the one that counts."""
        if isinstance(event, Solved):
            self.record(event.solution)

    def record(self, solution: Solution, *, ended: int | None = None) -> None:
        """Record one solution. `ended` is when the solve ended, in nanoseconds since 1970; now by default."""
        ended = time.time_ns() if ended is None else ended
        began = ended - int(solution.usage.seconds * 1e9)
        kind = self._trace.SpanKind
        root = self._tracer.start_span(
            "invoke_workflow catagent", kind=kind.INTERNAL, start_time=began, attributes=_about(solution)
        )
        context = self._trace.set_span_in_context(root)
        stages: dict[str, list[Call]] = defaultdict(list)
        for call in solution.usage.timeline:
            stages[call.role].append(call)
        for role, calls in sorted(stages.items(), key=lambda stage: min(c.began for c in stage[1])):
            first = began + int(min(c.began for c in calls) * 1e9)
            last = began + int(max(c.began + c.seconds for c in calls) * 1e9)
            stage = self._tracer.start_span(
                f"invoke_agent {role}",
                context,
                kind.INTERNAL,
                start_time=first,
                attributes=_of_role(role, solution),
            )
            within = self._trace.set_span_in_context(stage)
            for call in calls:
                self._request(call, within, began)
            stage.end(last)
        if solution.partial:
            root.add_event("rollouts lost", {"catagent.rollouts.lost": _lost(solution)}, timestamp=ended)
        root.end(ended)

    def _request(self, call: Call, context: Any, began: int) -> None:
        start = began + int(call.began * 1e9)
        span = self._tracer.start_span(
            f"chat {call.role}",
            context,
            self._trace.SpanKind.CLIENT,
            start_time=start,
            attributes={"gen_ai.operation.name": "chat", "catagent.outcome": call.outcome},
        )
        if call.outcome != "ok":
            span.set_attribute("error.type", call.outcome)
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(start + int(call.seconds * 1e9))


def _lost(solution: Solution) -> int:
    return sum(not rollout.ok for rollout in solution.rollouts)


def _about(solution: Solution) -> dict[str, Any]:
    total, reference = solution.usage.total, solution.reference
    about: dict[str, Any] = {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "catagent",
        "gen_ai.usage.input_tokens": total.prompt_tokens,
        "gen_ai.usage.output_tokens": total.completion_tokens,
        "catagent.kind": solution.group.kind,
        "catagent.rollouts": len(solution.rollouts),
        "catagent.calls": total.calls,
    }
    if total.unmetered and not total.prompt_tokens:
        del about["gen_ai.usage.input_tokens"], about["gen_ai.usage.output_tokens"]
    if solution.usage.usd is not None:
        about["catagent.usd"] = solution.usage.usd
    if reference is not None:
        about["catagent.reference.method"] = reference.method
        if reference.agreement is not None:
            about["catagent.reference.agreement"] = reference.agreement
        if reference.fallback:
            about["catagent.reference.fallback"] = True
    return about


def _of_role(role: str, solution: Solution) -> dict[str, Any]:
    used = solution.usage.roles.get(role)
    about: dict[str, Any] = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.agent.name": role,
        "catagent.stage": _STAGES.get(role, role),
    }
    if role == "sampler":
        names = sorted({r.model for r in solution.rollouts if r.model})
        if names:
            provider, _, model = names[0].partition("/")
            about |= {"gen_ai.request.model": model or provider, "gen_ai.provider.name": provider}
            about["gen_ai.request.choice.count"] = len(solution.rollouts)
    if used is not None and (used.prompt_tokens or not used.unmetered):
        about["gen_ai.usage.input_tokens"] = used.prompt_tokens
        about["gen_ai.usage.output_tokens"] = used.completion_tokens
    return about
