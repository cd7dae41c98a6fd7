"""DSPy: `dspy.configure(lm=cat_lm("cat/openai/gpt-5-mini"))`.

An engine is one request in DSPy's own types; caching, retries, history and several candidates are DSPy's.
The engines are DSPy's own for the chat protocol, with CaT in the process behind them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from catagent.background import run_in_background
from catagent.cat import CaT
from catagent.integrations.answering import BASE_URL, Answer, answer
from catagent.integrations.chat import default_cat, in_background
from catagent.integrations.extras import absent

try:
    import dspy
    from dspy.lm15 import AsyncOpenAIChatLM, OpenAIChatLM
except ImportError as error:
    raise absent("dspy", error) from error

__all__ = ["AsyncCatEngine", "CatEngine", "cat_lm"]


def cat_lm(
    model: str = "cat", *, cat: CaT | None = None, catagent: Mapping[str, Any] | None = None, **options: Any
) -> Any:
    """A `dspy.LM` whose answers are references: `cat`, `cat/provider/model` or a profile.

    `catagent` is how references are made (`n`, `estimator`, …), `options` are those of `dspy.LM`
    (`temperature`, `cache`, …).
    """
    engines = {"engine": CatEngine(cat, catagent), "async_engine": AsyncCatEngine(cat, catagent)}
    return dspy.LM(model, **engines, **options)


class CatEngine(OpenAIChatLM):
    """The engine of calls that are not async."""

    def __init__(self, cat: CaT | None = None, catagent: Mapping[str, Any] | None = None) -> None:
        self.catagent = dict(catagent or {})
        super().__init__(api_key="in-process", base_url=BASE_URL, transport=_Transport(cat, self.catagent))

    def dump_state(self) -> dict[str, Any]:
        """What a saved program needs to make this engine again; models and keys stay in the configuration."""
        return {"catagent": self.catagent}

    @classmethod
    def load_state(cls, state: Mapping[str, Any]) -> Self:
        """The engine of a saved program."""
        return cls(catagent=state.get("catagent"))


class AsyncCatEngine(AsyncOpenAIChatLM):
    """The engine of async calls."""

    def __init__(self, cat: CaT | None = None, catagent: Mapping[str, Any] | None = None) -> None:
        self.catagent = dict(catagent or {})
        super().__init__(
            api_key="in-process", base_url=BASE_URL, transport=_AsyncTransport(cat, self.catagent)
        )

    def dump_state(self) -> dict[str, Any]:
        """As `CatEngine.dump_state`."""
        return {"catagent": self.catagent}

    @classmethod
    def load_state(cls, state: Mapping[str, Any]) -> Self:
        """As `CatEngine.load_state`."""
        return cls(catagent=state.get("catagent"))


class _Asked:
    """One exchange, in the shape that DSPy's engines read: entered, then read whole or in pieces."""

    http_version = "HTTP/1.1"
    reason = ""

    def __init__(self, request: Any, cat: CaT | None, options: Mapping[str, Any]) -> None:
        path = request.url.removeprefix(BASE_URL)
        self._work = answer(request.method, path, request.body, cat or default_cat(), options)
        self._made: Answer | None = None

    def _take(self, made: Answer) -> Self:
        self._made = made
        self.status = made.status
        self.headers = list(made.headers.items())
        return self

    @property
    def _body(self) -> Any:
        assert self._made is not None
        return self._made.body


class _Sync(_Asked):
    def __enter__(self) -> Self:
        return self._take(run_in_background(self._work))

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if not isinstance(self._body, bytes):
            run_in_background(self._body.aclose())

    def __iter__(self) -> Iterator[bytes]:
        return iter([self._body]) if isinstance(self._body, bytes) else in_background(self._body)

    def iter_lines(self) -> Iterator[bytes]:
        """The lines of the body as they come."""
        for piece in self:
            yield from piece.splitlines(keepends=True)

    def read(self) -> bytes:
        """The whole body."""
        return b"".join(self)


class _Async(_Asked):
    async def __aenter__(self) -> Self:
        return self._take(await self._work)

    async def __aexit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if not isinstance(self._body, bytes):
            await self._body.aclose()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if isinstance(self._body, bytes):
            yield self._body
        else:
            async for piece in self._body:
                yield piece

    async def aiter_lines(self) -> AsyncIterator[bytes]:
        """The lines of the body as they come."""
        async for piece in self:
            for line in piece.splitlines(keepends=True):
                yield line

    async def read(self) -> bytes:
        """The whole body."""
        return b"".join([piece async for piece in self])

    aread = read


class _Transport:
    def __init__(self, cat: CaT | None, options: Mapping[str, Any]) -> None:
        self._cat = cat
        self._options = options

    def stream(self, request: Any) -> _Sync:
        return _Sync(request, self._cat, self._options)


class _AsyncTransport(_Transport):
    def stream(self, request: Any) -> Any:
        return _Async(request, self._cat, self._options)
