"""The files and batches of OpenAI and of Together on loopback, by their documented formats and statuses.

A batch moves on by one step each time somebody looks at it, so that no test depends on time.
"""

from __future__ import annotations

import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from aiohttp import web

from tests.doubles.loopback import Loopback
from tests.doubles.protocol import Body, Reply, completion, error_body
from tests.doubles.sending import cut

__all__ = ["BatchApiDouble", "Job"]

JSON = {"Content-Type": "application/json"}
STEPS = ("in_progress", "in_progress", "finalizing", "completed")
URL = "/v1/chat/completions"
ENDED = ("failed", "completed", "expired", "cancelled")
LATE = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}
STOPPED = {"code": "batch_cancelled", "message": "This request was not executed: the batch was cancelled."}

Fate = Callable[[Body, int], Any]
"""From a request and how often it was submitted before to what becomes of it: None for a reply, a number
for a refusal with that status, `missing`, `expired`, `garbage`, or a code and a message."""


@dataclass
class Job:
    """One batch. `lines` are the requests as they came."""

    id: str
    input_file: str
    lines: list[Body]
    metadata: Any = None
    status: str = "validating"
    steps: deque[str] = field(default_factory=deque)
    output_file: str | None = None
    error_file: str | None = None
    completed: int = 0
    failed: int = 0
    errors: list[Body] = field(default_factory=list)
    looks: int = 0
    late: bool = False

    @property
    def stage(self) -> str | None:
        return (self.metadata or {}).get("stage")

    @property
    def ids(self) -> list[str]:
        return [line["custom_id"] for line in self.lines]


class BatchApiDouble(Loopback):
    """Speaks one of the two protocols, and `POST /v1/chat/completions` for comparison.

    reply: `(body, index)` to the text of a choice.
    fate: see `Fate`.
    troubles: by operation (`upload`, `create`, `retrieve`, `list`, `content`, `cancel`) what happens to the
        next calls: None, a status to refuse with, `lost`: it is done, and the reply is cut, or `half` of it.
    on: called with the operation and the batch (or None) before each reply.
    held: while it says True of a batch, the batch does not move on.
    max_n: never more choices than this, silently.
    queue: requests at a time; a batch beyond it fails with `token_limit_exceeded`.
    """

    def __init__(
        self,
        flavour: Literal["openai", "together"] = "openai",
        *,
        reply: Callable[[Body, int], str],
        fate: Fate = lambda body, before: None,
        troubles: dict[str, Iterable[int | str | None]] | None = None,
        on: Callable[[str, Job | None], None] = lambda operation, job: None,
        held: Callable[[Job], bool] = lambda job: False,
        steps: Iterable[str] = STEPS,
        queue: int | None = None,
        models: frozenset[str] | None = None,
        max_n: int = 128,
    ) -> None:
        super().__init__()
        self.flavour = flavour
        self.reply = reply
        self.fate = fate
        self.troubles = {name: deque(plan) for name, plan in (troubles or {}).items()}
        self.on = on
        self.held = held
        self.steps = tuple(steps)
        self.queue = queue
        self.models = models
        self.max_n = max_n
        self.files: dict[str, bytes] = {}
        self.names: dict[str, str] = {}
        self.jobs: dict[str, Job] = {}
        self.billed: Counter[bytes] = Counter()
        """How often each request was worked off, by its body."""
        self.submitted: Counter[bytes] = Counter()
        self.hits: Counter[str] = Counter()
        self.direct = 0
        self.refusing: Callable[[str], str] = lambda name: f"No luck with {name}."
        self._ids = itertools.count(1)

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def made(self) -> list[Job]:
        """The batches in the order they were made."""
        return list(self.jobs.values())

    @property
    def bought(self) -> int:
        """Requests worked off, repeated ones as often as they were."""
        return self.billed.total()

    # What comes in.

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._handle(request)
        except Exception as crash:
            self.crashes.append(crash)
            raise

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        method, parts = request.method, request.path.strip("/").split("/")
        if method == "POST" and request.path == "/v1/chat/completions":
            self.direct += 1
            return self.said(self.answered(orjson.loads(await request.read())))
        if parts[0] == "storage":
            self.files[parts[1]] = await request.read()
            return web.Response()
        match method, parts[1:]:
            case "POST", ["files"]:
                return await self.operation(request, "upload", self.upload)
            case "POST", ["files", ident, "preprocess"]:
                return self.said(self.file(ident))
            case "GET", ["files", ident, "content"]:
                return await self.operation(request, "content", self.content, ident)
            case "POST", ["batches"]:
                return await self.operation(request, "create", self.create)
            case "GET", ["batches"]:
                return await self.operation(request, "list", self.list)
            case "GET", ["batches", ident]:
                return await self.operation(request, "retrieve", self.retrieve, ident)
            case "POST", ["batches", ident, "cancel"]:
                return await self.operation(request, "cancel", self.cancel, ident)
        return web.Response(
            status=404, body=error_body(f"Invalid URL ({method} {request.path})"), headers=JSON
        )

    async def operation(
        self, request: web.BaseRequest, name: str, perform: Callable[..., Any], *args: Any
    ) -> web.StreamResponse:
        self.hits[name] += 1
        plan = self.troubles.get(name)
        trouble = plan.popleft() if plan else None
        if isinstance(trouble, int):
            return web.Response(status=trouble, body=error_body(self.refusing(name)), headers=JSON)
        response, job = await perform(request, *args)
        if trouble == "half":
            response.body = response.body[: len(response.body) // 2]
        self.on(name, job)
        return cut(request) if trouble == "lost" else response

    def said(self, body: Any, status: int = 200) -> web.Response:
        return web.Response(status=status, body=orjson.dumps(body), headers=JSON)

    def refused(self, message: str, status: int = 400) -> tuple[web.Response, None]:
        return web.Response(status=status, body=error_body(message), headers=JSON), None

    # Files.

    async def upload(self, request: web.BaseRequest) -> tuple[web.Response, None]:
        fields: dict[str, bytes] = {}
        async for part in await request.multipart():
            content = bytearray()
            while chunk := await part.read_chunk(2**20):
                content += chunk
            fields[part.name] = bytes(content)
            if part.name == "file":
                fields["file_name"] = (part.filename or "").encode()
        openai = self.flavour == "openai"
        purpose = fields.get("purpose", b"").decode()
        if purpose != ("batch" if openai else "batch-api"):
            return self.refused(f"Invalid value for 'purpose': {purpose!r}")
        ident = f"file-{next(self._ids)}"
        self.names[ident] = fields["file_name"].decode()
        if openai:
            self.files[ident] = fields["file"]
            return self.said(self.file(ident)), None
        for known, content in self.files.items():
            if fields["checksum"].decode() == sha256(content):
                return self.said({"file_id": known}, 409), None
        head = {"Location": f"{self.url}/storage/{ident}", "X-Together-File-Id": ident}
        return web.Response(status=302, headers=head), None

    def file(self, ident: str) -> Body:
        size, name = len(self.files[ident]), self.names[ident]
        whole = {"id": ident, "object": "file", "bytes": size, "created_at": 1, "filename": name}
        if self.flavour == "openai":
            return {**whole, "purpose": "batch", "status": "processed"}
        return {**whole, "purpose": "batch-api", "FileType": "jsonl", "Processed": True}

    async def content(self, _: web.BaseRequest, ident: str) -> tuple[web.Response, None]:
        if ident not in self.files:
            return self.refused(f"No such File object: {ident}", 404)
        return web.Response(body=self.files[ident]), None

    # Batches.

    async def create(self, request: web.BaseRequest) -> tuple[web.Response, Job | None]:
        wish = orjson.loads(await request.read())
        if wish.get("endpoint") != URL or wish.get("completion_window") != "24h":
            return self.refused("Invalid endpoint or completion window.")
        content = self.files.get(wish["input_file_id"])
        if content is None:
            return self.refused(f"Cannot find file {wish['input_file_id']}.")
        lines = [orjson.loads(line) for line in content.splitlines()]
        job = Job(f"batch_{next(self._ids)}", wish["input_file_id"], lines, wish.get("metadata"))
        job.steps = deque(self.steps)
        self.jobs[job.id] = job
        shown = self.shown(job)
        return self.said(shown if self.flavour == "openai" else {"job": shown, "warning": ""}, 201), job

    async def retrieve(self, _: web.BaseRequest, ident: str) -> tuple[web.Response, Job | None]:
        job = self.jobs.get(ident)
        if job is None:
            return self.refused(f"No batch found with id {ident!r}.", 404)
        job.looks += 1
        if job.status not in ENDED and not self.held(job):
            self.move(job)
        return self.said(self.shown(job)), job

    async def list(self, request: web.BaseRequest) -> tuple[web.Response, None]:
        jobs = self.made[::-1]
        if self.flavour == "together":
            return self.said([self.shown(job) for job in jobs]), None
        after, limit = request.query.get("after"), 2  # short pages, so that there are several
        if after:
            jobs = jobs[[job.id for job in jobs].index(after) + 1 :]
        page, more = jobs[:limit], len(jobs) > limit
        ends = {"first_id": page[0].id, "last_id": page[-1].id} if page else {}
        return self.said({"object": "list", "data": [*map(self.shown, page)], "has_more": more, **ends}), None

    async def cancel(self, _: web.BaseRequest, ident: str) -> tuple[web.Response, Job]:
        job = self.jobs[ident]
        self.finish(job, "cancelled", undone=STOPPED, half=True)
        return self.said(self.shown(job)), job

    def shown(self, job: Job) -> Body:
        if self.flavour == "together":
            return self.shown_by_together(job)
        total = len(job.lines) if job.status != "validating" else 0
        return {
            "id": job.id,
            "object": "batch",
            "endpoint": URL,
            "errors": {"object": "list", "data": job.errors} if job.errors else None,
            "input_file_id": job.input_file,
            "completion_window": "24h",
            "status": job.status,
            "output_file_id": job.output_file,
            "error_file_id": job.error_file,
            "created_at": 4_000_000_000,
            "request_counts": {"total": total, "completed": job.completed, "failed": job.failed},
            "metadata": job.metadata,
        }

    def shown_by_together(self, job: Job) -> Body:
        status = {"finalizing": "in_progress", "cancelling": "in_progress"}.get(job.status, job.status)
        return {
            "id": job.id,
            "user_id": "user_1",
            "input_file_id": job.input_file,
            "file_size_bytes": len(self.files[job.input_file]),
            "status": status.upper(),
            "job_deadline": "2090-01-15T15:30:00Z",
            "created_at": "2090-01-15T14:30:00Z",
            "endpoint": URL,
            "progress": 100 * (job.completed + job.failed) / len(job.lines),
            "model_id": job.lines[0]["body"]["model"],
            "output_file_id": job.output_file,
            "error_file_id": job.error_file,
            "error": "; ".join(e["message"] for e in job.errors) or None,
        }

    # What a batch does.

    def move(self, job: Job) -> None:
        if job.status == "validating" and (faults := self.faults(job)):
            job.status, job.errors = "failed", faults
            return
        step = job.steps.popleft()
        if step in ENDED:
            self.finish(job, step)
        job.status = "expired" if job.late and step == "completed" else step
        if step == "in_progress" and len(job.steps) > 1:
            job.completed = len(job.lines) // 2

    def faults(self, job: Job) -> list[Body]:
        found: list[Body] = []

        def fault(code: str, message: str, line: int | None = None) -> None:
            found.append({"code": code, "message": message, "line": line, "param": None})

        keys = {"custom_id", "method", "url", "body"} if self.flavour == "openai" else {"custom_id", "body"}
        seen: set[str] = set()
        for number, line in enumerate(job.lines, 1):
            if set(line) != keys or len(line["custom_id"]) > 64:
                fault("invalid_json_line", "This line is not parseable as valid JSON.", number)
            if line["custom_id"] in seen:
                fault("duplicate_custom_id", "The custom_id is a duplicate of another request.", number)
            seen.add(line["custom_id"])
            model = line["body"]["model"]
            if self.models is not None and model not in self.models:
                fault("model_not_found", f"The provided model {model!r} is not supported here.", number)
            if self.fate(line["body"], -1) == "unfit":
                fault("invalid_request", "The body of this line will not do.", number)
        if len({line["body"]["model"] for line in job.lines}) > 1:
            fault("mismatched_model", "All requests of a file must have the same model.")
        running = sum(len(j.lines) for j in self.made if j.status not in (*ENDED, "validating"))
        if self.queue is not None and running + len(job.lines) > self.queue:
            fault("token_limit_exceeded", f"Enqueued token limit reached. Limit: {self.queue} enqueued.")
        return found

    def finish(self, job: Job, status: str, *, undone: Body | None = None, half: bool = False) -> None:
        """Work off what is not worked off yet, in an order of its own, and write the two files."""
        good, bad = [], []
        job.completed = job.failed = 0
        for number, line in enumerate(job.lines[::-1]):
            body = line["body"]
            content = orjson.dumps(body)
            fate = self.fate(body, self.submitted[content])
            self.submitted[content] += 1
            if half and number % 2:
                bad.append(self.unmade(line, undone or LATE))
            elif fate == "expired":
                job.late = True
                bad.append(self.unmade(line, LATE))
            elif fate != "missing":
                self.billed[content] += 1
                (good if fate is None else bad).append(self.made_of(line, fate))
        job.completed, job.failed = len(good), len(bad)
        job.output_file = self.written(good)
        job.error_file = self.written(bad)
        job.status = status

    def written(self, lines: list[Body]) -> str | None:
        if not lines:
            return None
        ident = f"file-{next(self._ids)}"
        self.files[ident] = b"".join(orjson.dumps(line) + b"\n" for line in lines)
        return ident

    def unmade(self, line: Body, error: Body) -> Body:
        if self.flavour == "together":
            return {"custom_id": line["custom_id"], "error": error}
        return {"id": "batch_req_1", "custom_id": line["custom_id"], "response": None, "error": error}

    def made_of(self, line: Body, fate: Any) -> Body:
        if isinstance(fate, tuple):
            return self.unmade(line, {"code": fate[0], "message": fate[1]})
        body: Body
        if fate is None:
            status, body = 200, self.answered(line["body"])
        elif fate == "garbage":
            status, body = 200, {"object": "chat.completion"}
        else:
            status, body = fate, orjson.loads(error_body(f"This request is refused ({fate})."))
            if self.flavour == "together":
                return self.unmade(line, {"code": str(fate), "message": body["error"]["message"]})
        response = {"status_code": status, "request_id": "req_1", "body": body}
        ident = f"batch_req_{line['custom_id']}"
        return {"id": ident, "custom_id": line["custom_id"], "response": response, "error": None}

    def answered(self, body: Body) -> Body:
        replies = [Reply(self.reply(body, index)) for index in range(min(self.max_n, body.get("n", 1)))]
        return completion(body, replies, ident="chatcmpl-1", created=1)


def sha256(content: bytes) -> str:
    import hashlib

    return hashlib.sha256(content).hexdigest()
