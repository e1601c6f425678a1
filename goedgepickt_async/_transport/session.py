"""Who owns the aiohttp session: one for each event loop of each process, opened on first use."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

import aiohttp
import attrs

from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.errors import ConfigurationError

__all__ = ["ConcurrencyLimit", "LoopSession", "SessionPool"]


class ConcurrencyLimit:
    """How many requests of one lane may be under way at once, in one event loop.

    Attributes:
        waiting: How many wait for one.
    """

    def __init__(self, number: int) -> None:
        self._semaphore = asyncio.Semaphore(number)
        self.waiting: int = 0

    @property
    def locked(self) -> bool:
        """Whether the next one has to be waited for."""
        return self._semaphore.locked()

    async def acquire(self, max_wait: float | None) -> None:
        """Take one, which `release` ends; TimeoutError if that takes longer than `max_wait` seconds."""
        self.waiting += 1
        try:
            if max_wait is None:
                await self._semaphore.acquire()
            else:
                async with asyncio.timeout(max_wait):
                    await self._semaphore.acquire()
        finally:
            self.waiting -= 1

    def release(self) -> None:
        """One that was taken is free again."""
        self._semaphore.release()


@attrs.define(eq=False)
class LoopSession:
    """What one event loop has of a client.

    Attributes:
        http: The aiohttp session.
        permits: How many requests of a lane may be under way at once; taken before a slot, so that slots never idle.
        closing: The client is being closed, and what is under way ends.
    """

    http: aiohttp.ClientSession
    permits: dict[Lane, ConcurrencyLimit]
    _lifetime: AsyncGenerator[None]
    closing: bool = False
    _clocks: set[asyncio.Timeout] = attrs.field(factory=set)

    @asynccontextmanager
    async def timeout_scope(self) -> AsyncGenerator[asyncio.Timeout]:
        """A time limit, still unset, that also ends when the session is closed: aiohttp wakes nobody then."""
        async with asyncio.timeout(None) as clock:
            self._clocks.add(clock)
            try:
                yield clock
            finally:
                self._clocks.discard(clock)

    async def close(self) -> None:
        """End what is under way; close the session, if it is ours to close."""
        self.closing = True
        for clock in self._clocks:
            with suppress(RuntimeError):  # it is ending anyway
                clock.reschedule(0)
        await self._lifetime.aclose()


class SessionPool:
    """Opens and closes aiohttp sessions.

    An event loop gets its session on the first call from it, and whichever task calls, it is the same one. It ends
    with `close`, or at the latest with its loop (`asyncio.run` ends it with the loop's asynchronous generators). A
    forked child leaves its parent's sessions alone and opens its own.

    Args:
        borrowed: A session of the user's, for its own loop; never closed.
        concurrency: Requests of one lane under way at once, in one loop.
    """

    def __init__(self, *, borrowed: aiohttp.ClientSession | None, concurrency: int) -> None:
        self._borrowed = borrowed
        self._concurrency = concurrency
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._by_loop: dict[asyncio.AbstractEventLoop, LoopSession] = {}
        self._inherited: list[object] = []
        self.generation: int = 0  # how often it was closed
        self._entered = 0  # blocks of clients that share it
        self._opened_by_block = False
        _living.add(self)

    @property
    def open_here(self) -> bool:
        """Whether this process has a session of ours that is still open."""
        return self._borrowed is None and bool(self.loops)

    @property
    def loops(self) -> list[asyncio.AbstractEventLoop]:
        """The event loops in which this process has a session that is still open."""
        if self._pid != os.getpid():
            return []
        return [loop for loop, held in list(self._by_loop.items()) if not loop.is_closed() and not held.http.closed]

    async def get(self) -> LoopSession:
        """The session of the running loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            self._notice_fork()
            held = self._by_loop.get(loop)
            if held is not None and not held.http.closed:
                return held
            self._forget_ended_loops()
            held = self._by_loop[loop] = self._open()
        # The first step suspends nothing; it registers the generator with the loop, which ends it at shutdown.
        await anext(held._lifetime)  # noqa: SLF001  same module
        return held

    async def acquire(self) -> None:
        """A block of a client begins: open the running loop's session."""
        with self._lock:
            self._notice_fork()
            if not self._entered:
                self._opened_by_block = not self.loops
            self._entered += 1
        try:
            await self.get()
        except BaseException:
            with self._lock:
                self._entered -= 1
            raise

    async def release(self, *, is_owner: bool) -> None:
        """A block of a client ends.

        Args:
            is_owner: It is the client that all others were made from: it closes. A block of another one closes only
                what a block has opened, and only the last one does.
        """
        with self._lock:
            self._notice_fork()
            self._entered = max(0, self._entered - 1)
            is_last = self._opened_by_block and not self._entered
        if is_owner or is_last:
            await self.close(is_blocks_end=True)

    async def close(self, *, is_blocks_end: bool = False) -> None:
        """Close what this process has open, in whichever loop; twice is once.

        What a loop has that stands still can be closed in that one only, and stays open until then.

        Args:
            is_blocks_end: Other blocks may go on: what they open again is theirs to close.
        """
        here = asyncio.get_running_loop()
        with self._lock:
            self._notice_fork()
            self._forget_ended_loops()
            held = [(loop, session) for loop, session in self._by_loop.items() if loop is here or loop.is_running()]
            for loop, _ in held:
                del self._by_loop[loop]
            self._opened_by_block = is_blocks_end and self._entered > 0
            self.generation += 1
        for loop, session in held:
            if loop is here:
                await session.close()
            else:
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(session.close(), loop))

    def _open(self) -> LoopSession:
        http = self._borrow() if self._borrowed is not None else _new_session()
        permits = {lane: ConcurrencyLimit(self._concurrency) for lane in Lane}
        return LoopSession(http, permits, _lifetime(http, owned=self._borrowed is None))

    def _borrow(self) -> aiohttp.ClientSession:
        session = self._borrowed
        assert session is not None
        if session.closed:
            raise ConfigurationError("the aiohttp session that was passed in is closed")
        if getattr(session, "_loop", asyncio.get_running_loop()) is not asyncio.get_running_loop():
            raise ConfigurationError("the aiohttp session that was passed in belongs to another event loop")
        if session.auth is not None:
            raise ConfigurationError(
                "the aiohttp session that was passed in has auth=, which would take the place of the API key: "
                "make one without it, or set it on your own requests only"
            )
        # It tells "sent" from "never sent", and does nothing to requests that are not ours.
        if _TRACE not in session.trace_configs:
            session.trace_configs.append(_TRACE)
        return session

    def _forget_ended_loops(self) -> None:
        for loop in [loop for loop, held in self._by_loop.items() if loop.is_closed() or held.http.closed]:
            del self._by_loop[loop]

    def _notice_fork(self) -> None:
        if self._pid == os.getpid():
            return
        # Closing the parent's connections here would disturb its selector: keep them alive and untouched.
        self._inherited.append(self._by_loop)
        self._by_loop = {}
        self._entered = 0  # the parent's blocks end in the parent
        self._opened_by_block = False
        self._pid = os.getpid()


_living: weakref.WeakSet[SessionPool] = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for owner in list(_living):
        owner._lock = threading.Lock()  # noqa: SLF001  another thread of the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


async def _lifetime(http: aiohttp.ClientSession, *, owned: bool) -> AsyncGenerator[None]:
    """The session lives as long as this generator; a loop that shuts down closes its generators."""
    try:
        yield
    finally:
        if owned:
            await http.close()


async def _mark_sent(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    with suppress(AttributeError):  # a request of the user's own on a borrowed session
        context.trace_request_ctx.mark_sent()


def _make_trace() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(_mark_sent)
    trace.freeze()
    return trace


_TRACE = _make_trace()


def _new_session() -> aiohttp.ClientSession:
    """A session without cookies, without time limits of its own (ours begin after the grant), without redirects.

    The connector does not limit connections: permits and slots do, and a slot must not idle in its queue. The TLS
    context is the one that aiohttp builds when it is imported, so none is ever built inside a running loop.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trace_configs=[_TRACE],
        raise_for_status=False,
    )
