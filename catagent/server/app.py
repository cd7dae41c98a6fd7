"""The application: routes, and what they have in common."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from importlib.metadata import version
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from catagent.cat import CaT
from catagent.completions import (
    ApiError,
    Body,
    ChatRequest,
    Chunks,
    ContentDelta,
    Head,
    Progress,
    StreamItem,
    cast_of,
    complete,
    model_names,
    request_of,
    stream,
)
from catagent.completions.chat import OnSolution
from catagent.estimators import plan_of
from catagent.models.ledger import Ledger
from catagent.server.gate import Gate
from catagent.server.guard import Guard, log_crash
from catagent.server.metrics import Metrics
from catagent.server.openapi import document
from catagent.server.options import ServerOptions
from catagent.server.reading import attended, json_body
from catagent.server.replies import JSONReply
from catagent.server.responses import (
    ResponseEvents,
    ResponsesRequest,
    chat_body,
    response_of,
    responses_request,
)
from catagent.server.scoring import score, score_request
from catagent.server.sse import EventStream, comment, data

__all__ = ["Application", "create_app"]

T = TypeVar("T")


class Application:
    """The ASGI application around one `CaT`, which the caller closes. `on_solution` sees every solution.

    `gate` tells how much is under way; `gate.closed` refuses what comes, `gate.stopped` ends what is there.
    """

    def __init__(
        self, cat: CaT, options: ServerOptions | None = None, on_solution: OnSolution | None = None
    ) -> None:
        self.cat = cat
        self._on_solution = on_solution
        self.options = options or ServerOptions()
        self.gate = Gate(self.options)
        self.ledger = Ledger()
        self.metrics = Metrics(self.gate, self.ledger)
        self._joined: CaT | None = None
        self._named: set[str] = set()
        self._since = int(time.time())
        self._app: ASGIApp = Guard(
            Router(
                routes=[
                    Route("/v1/chat/completions", self._chat, methods=["POST"]),
                    Route("/v1/responses", self._responses, methods=["POST"]),
                    Route("/v1/score", self._score, methods=["POST"]),
                    Route("/v1/models", self._models, methods=["GET"]),
                    Route("/v1/models/{name:path}", self._model, methods=["GET"]),
                    Route("/healthz", self._health, methods=["GET"]),
                    Route("/metrics", self._metrics_page, methods=["GET"]),
                    Route("/openapi.json", self._openapi, methods=["GET"]),
                ],
                redirect_slashes=False,
                lifespan=self._lifespan,
            ),
            self.options,
            self.metrics,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        await self._ours()
        yield

    async def _ours(self) -> CaT:
        """The `CaT` whose runs all count into the server's ledger."""
        if self._joined is None:
            self._joined = await self.cat.joined(totals=self.ledger, journal=self.cat.journal)
        return self._joined

    # What the endpoints share.

    async def _body(self, request: Request) -> Any:
        return await json_body(request.scope["headers"], request.receive, self.gate, self.options)

    def _key(self, request: Request) -> int | None:
        return getattr(request.state, "key", None)

    async def _in_turn(self, request: Request, work: Callable[[], Awaitable[T]]) -> T:
        """Do it when its turn comes, for as long as somebody waits for it."""

        async def waited() -> T:
            async with self.gate.turn(self._key(request)):
                return await work()

        return await attended(waited(), request.receive, self.gate)

    def _may_name(self, model: str) -> None:
        self.options.may_name(model)
        cast_of(model, self.cat)  # a name that stands for nothing does not count
        if model not in self._named and len(self._named) >= self.options.most_models:
            raise ApiError(
                403,
                f"requests have named {len(self._named)} different models, more are not allowed",
                type="permission_error",
                code="too_many_models",
                param="model",
            )
        self._named.add(model)

    def _may_estimate(self, name: str | None) -> None:
        """Refuse an estimator that asks models which are not allowed, or too often."""
        if name is None:
            return
        plan = plan_of(name)
        for model in plan.models:
            self._may_name(f"cat/{model}")
        cost = plan.cost(self.options.most_rollouts)
        if cost is not None and cost.calls > self.options.most_calls:
            said = f"{name[:80]}: up to {cost.calls} requests; this server allows {self.options.most_calls}"
            raise ApiError(400, said, code="invalid_value", param="catagent.estimator")

    def _checked(self, body: ChatRequest) -> ChatRequest:
        self._may_name(body.model)
        self._may_estimate(body.options.estimator)
        most = self.options.most_rollouts
        for name, n, allowed in (("catagent.n", body.options.n, most), ("n", body.n, most + 1)):
            if n is not None and n > allowed:
                said = f"{name} is {n}; this server allows {allowed}"
                raise ApiError(400, said, code="invalid_value", param=name)
        return body

    def _streamed(
        self,
        request: Request,
        asked: ChatRequest,
        head: Head,
        render: Callable[[StreamItem], list[bytes]],
        broken: Callable[[ApiError], bytes],
        opening: bytes = b"",
    ) -> EventStream:
        async def pieces() -> AsyncGenerator[bytes, None]:
            began, spoken = time.monotonic(), False
            async with self.gate.turn(self._key(request)):
                items = stream(
                    asked,
                    await self._ours(),
                    head=head,
                    every=self.options.heartbeat,
                    on_solution=self._on_solution,
                )
                async with aclosing(items):
                    lead = opening
                    async for item in items:
                        if isinstance(item, ContentDelta) and not spoken:
                            spoken = True
                            self.metrics.first.observe(time.monotonic() - began)
                        if piece := lead + b"".join(render(item)):
                            yield piece
                        lead = b""

        return EventStream(
            pieces(),
            self.gate,
            broken=broken,
            send_seconds=self.options.send_seconds,
            failed=self._broke,
        )

    def _broke(self, error: ApiError) -> None:
        self.metrics.broken.labels(error.code or "unknown").inc()
        log_crash(error)

    # Endpoints.

    async def _chat(self, request: Request) -> JSONReply | EventStream:
        asked = self._checked(request_of(await self._body(request)))
        head = Head(asked.model)
        if not asked.stream:

            async def work() -> Body:
                ours = await self._ours()
                return await complete(asked, ours, head=head, on_solution=self._on_solution)

            return JSONReply(await self._in_turn(request, work))
        chunks = Chunks(head, usage=asked.wants_usage)

        def render(item: StreamItem) -> list[bytes]:
            if isinstance(item, Progress):
                return [comment(str(item))]
            made = [data(chunk) for chunk in chunks.of(item)]
            return made if isinstance(item, ContentDelta) else [*made, data("[DONE]")]

        return self._streamed(request, asked, head, render, lambda error: data(error.body))

    async def _responses(self, request: Request) -> JSONReply | EventStream:
        wish: ResponsesRequest = responses_request(await self._body(request))
        asked = self._checked(request_of(chat_body(wish)))
        head = Head(asked.model)
        if not wish.stream:

            async def work() -> Body:
                ours = await self._ours()
                return await complete(asked, ours, head=head, on_solution=self._on_solution)

            return JSONReply(response_of(await self._in_turn(request, work), wish))
        events = ResponseEvents(wish)

        def told(event: Body) -> bytes:
            return data(event, event["type"])

        def render(item: StreamItem) -> list[bytes]:
            return [comment(str(item))] if isinstance(item, Progress) else [told(e) for e in events.of(item)]

        opening = b"".join(told(event) for event in events.opening())
        return self._streamed(request, asked, head, render, lambda error: told(events.failed(error)), opening)

    async def _score(self, request: Request) -> JSONReply:
        asked = score_request(await self._body(request))
        self._may_name(asked.model)
        self._may_estimate(asked.estimator)

        async def work() -> Body:
            return await score(asked, await self._ours(), self.options)

        return JSONReply(await self._in_turn(request, work))

    async def _models(self, _: Request) -> JSONReply:
        names = [name for name in model_names(self.cat) if self._allowed(name)]
        return JSONReply({"object": "list", "data": [self._listed(name) for name in names]})

    async def _model(self, request: Request) -> JSONReply:
        name = request.path_params["name"]
        self.options.may_name(name)
        await self._ours()
        cast_of(name, self.cat)
        return JSONReply(self._listed(name))

    def _allowed(self, name: str) -> bool:
        try:
            self.options.may_name(name)
        except ApiError:
            return False
        return True

    def _listed(self, name: str) -> Body:
        profile = self.cat.config.profiles.get(name.removeprefix("cat/"))
        about = {"description": profile.description} if profile and profile.description else {}
        return {"id": name, "object": "model", "created": self._since, "owned_by": "catagent", **about}

    async def _health(self, _: Request) -> JSONReply:
        status = "stopping" if self.gate.closed else "ok"
        body = {
            "status": status,
            "version": version("catagent"),
            "working": self.gate.working,
            "waiting": self.gate.waiting,
        }
        return JSONReply(body, status=503 if self.gate.closed else 200)

    async def _metrics_page(self, _: Request) -> Response:
        return Response(self.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _openapi(self, _: Request) -> JSONReply:
        return JSONReply(document(keys=bool(self.options.keys)))


def create_app(
    cat: CaT, options: ServerOptions | None = None, on_solution: OnSolution | None = None
) -> Application:
    """The ASGI application, for a server of your own choice. `catagent serve` runs it on uvicorn."""
    return Application(cat, options, on_solution)
