"""The provider double: the OpenAI chat API with a plan of replies, faults, limits and latencies."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from tests.doubles.discovery import Flavour, page
from tests.doubles.faults import Fault, Plan, first_of, in_order
from tests.doubles.limits import Limit
from tests.doubles.loopback import Loopback
from tests.doubles.protocol import (
    Body,
    Reply,
    ToolCall,
    chunks,
    completion,
    default_text,
    error_body,
    prompt_of,
)
from tests.doubles.refusals import refusal, unauthorised
from tests.doubles.sending import cut, send_stream, send_whole, wants_usage

__all__ = ["ProviderDouble", "Record", "Reply", "ToolCall"]

Said = str | Reply
Answer = Said | Sequence[Said]
ReplyPlan = Callable[..., Answer | Awaitable[Answer]]

JSON = {"Content-Type": "application/json"}


@dataclass(slots=True)
class Record:
    """One chat request as it came. Times are `time.monotonic()`; `status` stays None if it was cut."""

    body: Body
    headers: Mapping[str, str]
    at: float
    status: int | None = None
    finished: float | None = None
    fault: str | None = None
    disconnected: bool = False

    @property
    def prompt(self) -> str:
        return prompt_of(self.body)


class ProviderDouble(Loopback):
    """Speaks `POST /v1/chat/completions`, `GET /v1/models` and the local servers' discovery paths.

    reply: `(body)` or `(body, index)` -> text, `Reply`, or a list of them (then it is all choices of the
        request); sync or async. None: texts that depend on the prompt, `seed` and how often it was asked.
    faults: a list consumed in order (None passes), one `Plan`, or a list of plans. A request that a limit
        refuses asks no plan.
    limits: asked in order; see `limits`.
    latency: seconds until the first byte, or a callable of the number of requests in flight.
    pace: seconds between the chunks of a stream.
    rejects: parameters answered with 400, as providers do that lack them (`n` only above 1).
    max_n: never more choices than this, silently.
    context: tokens of context; prompts beyond it meet 400 in the flavour's words.
    canned: one text for every choice from pre-encoded bodies; for benchmarks. Only `faults`, `limits` and
        `latency` go with it.
    record: keep `requests`; switch off for long benchmarks.
    """

    def __init__(
        self,
        *,
        reply: ReplyPlan | None = None,
        faults: Plan | Sequence[Plan | Fault | None] = (),
        limits: Iterable[Limit] = (),
        latency: float | Callable[[int], float] = 0.0,
        pace: float = 0.0,
        seed: int = 0,
        key: str | None = None,
        models: Sequence[str] = ("double-1",),
        check_model: bool = False,
        flavour: Flavour = "openai",
        context: int | None = None,
        rejects: Iterable[str] = (),
        max_n: int | None = None,
        canned: str | None = None,
        record: bool = True,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        super().__init__(host=host, port=port)
        self.reply = reply
        self.faults = faults
        self.limits: list[Limit] = list(limits)
        self.latency = latency
        self.pace = pace
        self.seed = seed
        self.key = key
        self.models = list(models)
        self.check_model = check_model
        self.flavour: Flavour = flavour
        self.context = context
        self.rejects = set(rejects)
        self.max_n = max_n
        self.canned = canned
        self.record = record
        self.reset()

    def reset(self) -> None:
        """Forget what was counted and recorded."""
        self._requests: list[Record] = []
        self._turns: Counter[int] = Counter()
        self._ids = itertools.count(1)
        self._canned: dict[tuple[Any, ...], bytes] = {}
        self.in_flight = 0
        self.max_in_flight = 0
        self.received = 0
        self.served = 0
        self.disconnected = 0
        self.statuses: Counter[int] = Counter()
        self.hits: Counter[str] = Counter()

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def requests(self) -> list[Record]:
        """The chat requests so far, in the order they came; a copy."""
        return list(self._requests)

    @property
    def reply(self) -> ReplyPlan | None:
        return self._reply

    @reply.setter
    def reply(self, value: ReplyPlan | None) -> None:
        self._reply = value
        self._takes_index = False
        if value is not None:
            kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            taken = [p for p in inspect.signature(value).parameters.values() if p.kind in kinds]
            self._takes_index = len(taken) > 1

    @property
    def faults(self) -> Plan:
        return self._plan

    @faults.setter
    def faults(self, value: Plan | Sequence[Plan | Fault | None]) -> None:
        if callable(value):
            self._plan: Plan = value
        else:
            plans = [rule for rule in value if callable(rule)]
            listed = [rule for rule in value if not callable(rule)]
            self._plan = first_of([*plans, in_order(*listed)])

    def stats(self) -> dict[str, Any]:
        return {
            "received": self.received,
            "served": self.served,
            "disconnected": self.disconnected,
            "in_flight": self.in_flight,
            "max_in_flight": self.max_in_flight,
            "statuses": {str(status): count for status, count in sorted(self.statuses.items())},
        }

    # What comes in.

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        self.hits[path] += 1
        if path == "/v1/_control":
            return await self.control(request)
        if self.key is not None:
            refused = unauthorised(request.headers.get("Authorization", ""), self.key)
            if refused is not None:
                self.statuses[401] += 1
                return self.refuse(refused.body, 401)
        if path == "/v1/chat/completions" and request.method == "POST":
            return await self.chat(request)
        if request.method == "GET":
            found = page(path, flavour=self.flavour, models=self.models, context=self.context)
            if found is not None:
                return web.Response(body=orjson.dumps(found), headers=JSON)
        message = f"Invalid URL ({request.method} {path})"
        return web.Response(status=404, body=error_body(message), headers=JSON)

    async def control(self, request: web.BaseRequest) -> web.Response:
        """GET: the counters. POST: `reset`, `latency`, and `faults` as [name, *arguments] in order."""
        if request.method == "POST":
            wish = orjson.loads(await request.read())
            if wish.get("reset"):
                self.reset()
            if "latency" in wish:
                self.latency = float(wish["latency"])
            if "faults" in wish:
                self.faults = [one and getattr(Fault, one[0])(*one[1:]) for one in wish["faults"]]
        return web.Response(body=orjson.dumps(self.stats()), headers=JSON)

    async def chat(self, request: web.BaseRequest) -> web.StreamResponse:
        at = time.monotonic()
        try:
            body = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            return self.refuse(error_body("We could not parse the JSON body of your request."))
        if not isinstance(body, dict):
            return self.refuse(error_body("The body of your request is not an object."))
        record = Record(body, request.headers, at)
        if self.record:
            self._requests.append(record)
        self.received += 1
        self.in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self.in_flight)
        entered: list[Limit] = []
        try:
            response = await self.answer(request, record, entered)
        except asyncio.CancelledError:
            if not self.stopping and record.fault not in CUTS:
                record.disconnected = True
                self.disconnected += 1
            raise
        except ConnectionError:
            record.disconnected = True
            self.disconnected += 1
            raise
        except Exception as crash:  # noqa: BLE001 - a test's own reply may raise anything
            self.crashes.append(crash)
            return self.refuse(error_body(f"The double failed: {crash!r}", kind="server_error"), 500)
        finally:
            for limit in entered:
                limit.leave()
            self.in_flight -= 1
            record.finished = time.monotonic()
        if record.fault not in CUTS:
            record.status = response.status
            self.statuses[response.status] += 1
            self.served += response.status == 200
        return response

    def refuse(self, body: bytes, status: int = 400) -> web.Response:
        return web.Response(status=status, body=body, headers=JSON)

    # What is answered.

    async def answer(
        self, request: web.BaseRequest, record: Record, entered: list[Limit]
    ) -> web.StreamResponse:
        body = record.body
        fault: Fault | None = None
        for limit in self.limits:
            if (fault := await limit.enter(body)) is not None:
                break
            entered.append(limit)
        fault = fault or self.faults(body) or self.refusal(body)
        if fault is not None:
            record.fault = fault.name
            if fault.hang:
                await asyncio.Event().wait()
            if fault.cut == "headers":
                return cut(request)
        latency = self.latency(self.in_flight) if callable(self.latency) else self.latency
        if fault is not None and fault.status is not None:
            head = {"Content-Type": fault.content_type, **self.headers(), **fault.headers}
            return web.Response(status=fault.status, body=fault.body, headers=head)
        if self.canned is not None and fault is None:
            if latency:
                await asyncio.sleep(latency)
            return self.canned_response(body)
        replies = await self.replies(body)
        if latency := latency + max((reply.delay for reply in replies), default=0.0):
            await asyncio.sleep(latency)
        whole = completion(body, replies, ident=f"chatcmpl-{next(self._ids):08d}", created=int(time.time()))
        if fault is not None and fault.head_delay:
            await asyncio.sleep(fault.head_delay)
        if fault is not None and fault.spoil is not None:
            whole = fault.spoil(whole)
        if body.get("stream"):
            return await send_stream(request, body, whole, fault, self.headers(), self.pace)
        return await send_whole(request, whole, fault, self.headers())

    def refusal(self, body: Body) -> Fault | None:
        return refusal(
            body,
            models=self.models if self.check_model else None,
            rejects=self.rejects,
            context=self.context,
            flavour=self.flavour,
        )

    def headers(self) -> dict[str, str]:
        head = {
            "x-request-id": f"req_{next(self._ids):08d}",
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-tokens": "1999000",
        }
        for limit in self.limits:
            head.update(limit.headers())
        return head

    async def replies(self, body: Body) -> list[Reply]:
        count = min(body.get("n") or 1, self.max_n or 1_000_000)
        plan = self.reply
        if plan is None:
            mark = hash(prompt_of(body))
            if isinstance(body.get("seed"), int):
                turn = 1000 * body["seed"]
            else:
                turn = 0 if body.get("temperature") == 0 else self._turns[mark]
            self._turns[mark] += count
            return [Reply(default_text(body, seed=self.seed, turn=turn + k)) for k in range(count)]

        async def ask(index: int) -> Answer:
            said = plan(body, index) if self._takes_index else plan(body)
            return await said if inspect.isawaitable(said) else said

        first = await ask(0)
        if isinstance(first, str | Reply):
            said: Sequence[Answer] = [first, *await asyncio.gather(*map(ask, range(1, count)))]
        else:
            said = first
        return [one if isinstance(one, Reply) else Reply(str(one)) for one in said]

    def canned_response(self, body: Body) -> web.Response:
        streamed = bool(body.get("stream"))
        usage = wants_usage(body)
        mark = (body.get("n") or 1, streamed, usage)
        data = self._canned.get(mark)
        if data is None:
            replies = [Reply(self.canned)] * min(mark[0], self.max_n or mark[0])
            whole = completion(body, replies, ident="chatcmpl-canned", created=int(time.time()))
            data = orjson.dumps(whole)
            if streamed:
                parts = [orjson.dumps(part) for part in chunks(whole, include_usage=usage)]
                data = b"".join(b"data: %b\n\n" % part for part in [*parts, b"[DONE]"])
            self._canned[mark] = data
        kind = "text/event-stream" if streamed else "application/json"
        return web.Response(body=data, headers={"Content-Type": kind})


CUTS = frozenset({"cut_before_headers", "cut_in_body"})
