"""The aiohttp sessions, one for each event loop of each process, and the check of pooled connections."""

from __future__ import annotations

import asyncio
import os
import select
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Protocol

import aiohttp
import attrs

from goedgepickt_async.budget.slots import Lane
from goedgepickt_async.budget.waiting import FairSemaphore
from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.settings import environment_proxy

if TYPE_CHECKING:
    from aiohttp.client import ClientTimeout
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = ["Attempt", "LoopSession", "SessionPool", "current_attempt", "has_ended"]

_QUIET = 0.05
"""Seconds. A server that closes the connection after a response has done it by then."""
_LONGEST_IDLE = 2.0
"""Seconds. Servers close idle connections after 2 s (gunicorn), 5 s (Apache, Node, uvicorn) or more."""


class Attempt(Protocol):
    """The hooks of a session for the request that is in progress."""

    is_repeatable: bool
    """Whether the request may be sent twice."""
    transport: asyncio.BaseTransport | None
    """The connection of the request; None if it is not known."""
    is_reused: bool
    """Whether the connection was used for an earlier request."""
    body: bytes | None
    """The request."""

    def before_bytes(self) -> None:
        """Called before the first bytes are sent; an exception prevents the sending."""


current_attempt: Final[ContextVar[Attempt | None]] = ContextVar("goedgepickt_async_attempt", default=None)
"""The request that the current task is about to send."""


@attrs.define(eq=False)
class LoopSession:
    """The session of a client in one event loop.

    Attributes:
        http: The aiohttp session.
        is_owned: Whether the client made the session; False if the user passed it in.
        limits: The semaphore for parallel requests of a lane. It is acquired before a slot, so that no slot is idle.
            API keys take turns.
        middlewares: The middlewares of the user's session.
        proxy: The proxy that requests go through, with its credentials. None: no proxy, or the proxy of the user's session.
        closing: Whether the client is being closed; its requests end.
        scopes: The time limits of the active requests. `close` ends them, because aiohttp does not wake waiting requests.
    """

    http: aiohttp.ClientSession
    is_owned: bool
    limits: dict[Lane, FairSemaphore]
    middlewares: tuple[aiohttp.ClientMiddlewareType, ...]
    proxy: str | None = attrs.field(repr=False)
    _lifetime: AsyncGenerator[None]
    closing: bool = False
    scopes: set[asyncio.Timeout] = attrs.field(factory=set, repr=False)

    async def close(self) -> None:
        """End the active requests, and close the session if the client made it."""
        self.closing = True
        for scope in self.scopes:
            with suppress(RuntimeError):  # the loop is ending anyway
                scope.reschedule(0)
        await self._lifetime.aclose()


class _Connector(aiohttp.TCPConnector):
    """A connector that gives a non-idempotent request only a connection that is not closed.

    A pooled connection that the server has closed looks usable until the event loop reads the end of its stream. A
    write on it has an unknown outcome. A non-idempotent request gets a pooled connection only if its socket has nothing
    to read and was idle for a short time. Otherwise it gets a new connection.
    """

    def __init__(self) -> None:
        super().__init__(limit=0)
        # The time of the last response of each connection, by two clocks: one stops while the machine sleeps, the other
        # can be changed.
        self._last_used: weakref.WeakKeyDictionary[Any, tuple[float, float]] = weakref.WeakKeyDictionary()

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: ClientTimeout) -> Connection:  # noqa: ASYNC109  aiohttp's
        """A connection from the pool, or a new one."""
        connection = await super().connect(req, traces, timeout)
        attempt = current_attempt.get()
        if attempt is None:
            return connection
        protocol = connection.protocol
        attempt.is_reused = protocol in self._last_used
        if attempt.is_reused and (not attempt.is_repeatable or getattr(protocol, "should_close", False)):
            connection = await self._replace_doubtful(
                connection, attempt, partial(super().connect, req, traces, timeout)
            )
            protocol = connection.protocol
            attempt.is_reused = protocol in self._last_used
        attempt.transport = connection.transport
        connection.add_callback(partial(self._note_use, protocol))
        if attempt.body is None:  # the headers follow immediately
            try:
                attempt.before_bytes()
            except BaseException:
                connection.close()
                raise
        return connection

    async def _replace_doubtful(
        self, connection: Connection, attempt: Attempt, connect: Callable[[], Awaitable[Connection]]
    ) -> Connection:
        too_recent: list[Connection] = []
        try:
            while (used := self._last_used.get(connection.protocol)) is not None:
                try:
                    await asyncio.sleep(0)  # the loop reports an end that TLS has already read one iteration later
                except BaseException:
                    connection.close()
                    raise
                idle = max(time.monotonic() - used[0], time.time() - used[1])
                transport, protocol = connection.transport, connection.protocol
                if transport is None or connection.closed or getattr(protocol, "should_close", False):
                    connection.close()
                elif attempt.is_repeatable:
                    break
                elif idle > _LONGEST_IDLE or has_ended(transport, is_idle=True):
                    connection.close()
                elif idle < _QUIET:
                    too_recent.append(connection)
                else:
                    break
                connection = await connect()
        finally:
            for other in too_recent:
                other.release()
        return connection

    def _note_use(self, protocol: Any) -> None:
        self._last_used[protocol] = (time.monotonic(), time.time())


class _Request(aiohttp.ClientRequest):
    """A request that notifies the attempt before headers and body are sent."""

    async def write_bytes(self, writer: Any, conn: Connection, *rest: Any, **others: Any) -> None:
        """Send the body."""
        attempt = current_attempt.get()
        if attempt is not None:
            try:
                attempt.before_bytes()
            except ConnectionResetError as error:
                if conn.protocol is not None:
                    conn.protocol.set_exception(aiohttp.ClientOSError(*error.args))
                conn.close()
                return
        await super().write_bytes(writer, conn, *rest, **others)


def has_ended(transport: asyncio.BaseTransport, *, is_idle: bool) -> bool:
    """Whether this machine knows that the peer has closed the connection, by the socket's state without the loop.

    An idle connection waits for no response. So anything to read is the end, or a response without a request.
    """
    if transport.is_closing():
        return True
    sock = transport.get_extra_info("socket")
    try:
        descriptor = sock.fileno()
        if hasattr(select, "poll"):
            poll = select.poll()
            poll.register(descriptor, select.POLLIN | _HUNG_UP)
            events = sum(event for _, event in poll.poll(0))
            return bool(events & (_HUNG_UP | select.POLLIN if is_idle else _HUNG_UP))
        return is_idle and bool(select.select([descriptor], [], [], 0)[0])
    except (AttributeError, OSError, ValueError):
        return False  # the socket is not available


_HUNG_UP: Final = sum(getattr(select, name, 0) for name in ("POLLRDHUP", "POLLHUP", "POLLERR", "POLLNVAL"))


class SessionPool:
    """Opens and closes aiohttp sessions.

    The first call in an event loop opens its session, and all tasks of the loop share it. It ends with `close`, or with
    the loop (`asyncio.run` ends it with the loop's asynchronous generators). A forked child opens its own sessions.

    Args:
        borrowed: The user's session, for its own loop; never closed.
        concurrency: The largest number of parallel requests of one lane in one loop.
        base_url: The API's base URL, to select the proxy from the environment.
    """

    def __init__(self, *, borrowed: aiohttp.ClientSession | None, concurrency: int, base_url: str) -> None:
        self._borrowed = borrowed
        self._base_url = base_url
        self._concurrency = concurrency
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._by_loop: dict[asyncio.AbstractEventLoop, LoopSession] = {}
        self._inherited: list[object] = []
        self.generation: int = 0  # how often the client was closed
        self._entered = 0  # the number of active blocks of clients that share the session
        self._opened_by_block = False
        _living.add(self)

    @property
    def open_here(self) -> bool:
        """Whether this process has an open session that the client made."""
        return self._borrowed is None and bool(self.loops)

    @property
    def loops(self) -> list[asyncio.AbstractEventLoop]:
        """The event loops in which this process has an open session."""
        if self._pid != os.getpid():
            return []
        return [loop for loop, held in list(self._by_loop.items()) if not loop.is_closed() and not held.http.closed]

    async def get(self) -> LoopSession:
        """Return the session of the running loop."""
        loop = asyncio.get_running_loop()
        held = self._by_loop.get(loop)
        if held is not None and not held.http.closed and self._pid == os.getpid():
            return held
        with self._lock:
            self._notice_fork()
            held = self._by_loop.get(loop)
            if held is not None and not held.http.closed:
                return held
            self._forget_ended_loops()
            held = self._by_loop[loop] = self._open()
        # The first step registers the generator with the loop, which closes it at shutdown.
        await anext(held._lifetime)  # noqa: SLF001  same module
        return held

    async def acquire(self) -> None:
        """Enter an `async with` block: open the running loop's session."""
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
        """Leave an `async with` block.

        Args:
            is_owner: Whether it is the original client, which closes the session. Another client's block closes only a
                session that a block opened, and only the last block does.
        """
        with self._lock:
            self._notice_fork()
            self._entered = max(0, self._entered - 1)
            is_last = self._opened_by_block and not self._entered
        if is_owner or is_last:
            await self.close(is_blocks_end=True)

    async def close(self, *, is_blocks_end: bool = False) -> None:
        """Close the sessions of this process in all loops. A second call does nothing.

        The session of a loop that is not running is closed when that loop runs again.

        Args:
            is_blocks_end: Whether other blocks may continue; they close the session that they open.
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
        is_owned = self._borrowed is None
        proxy = environment_proxy(self._base_url) if is_owned else None  # this may raise; no session is open yet
        http = _new_session() if is_owned else self._borrow()
        return LoopSession(
            http,
            is_owned,
            {lane: FairSemaphore(self._concurrency) for lane in Lane},
            tuple(getattr(http, "_middlewares", ())),
            proxy,
            _lifetime(http, owned=is_owned),
        )

    def _borrow(self) -> aiohttp.ClientSession:
        session = self._borrowed
        assert session is not None
        if session.closed:
            raise ConfigurationError("the aiohttp session that was passed in is closed")
        if getattr(session, "_loop", asyncio.get_running_loop()) is not asyncio.get_running_loop():
            raise ConfigurationError("the aiohttp session that was passed in belongs to another event loop")
        if session.auth is not None:
            raise ConfigurationError(
                "the aiohttp session that was passed in has auth=, which would replace the API key. "
                "Pass a session without auth=, or set auth= on your own requests only"
            )
        # The tracer finds out whether a request was sent, and ignores the user's requests.
        if _TRACE not in session.trace_configs:
            session.trace_configs.append(_TRACE)
        return session

    def _forget_ended_loops(self) -> None:
        for loop in [loop for loop, held in self._by_loop.items() if loop.is_closed() or held.http.closed]:
            del self._by_loop[loop]

    def _notice_fork(self) -> None:
        if self._pid == os.getpid():
            return
        # Closing the parent's connections in the child would disturb the parent's selector, so they stay open.
        self._inherited.append(self._by_loop)
        self._by_loop = {}
        self._entered = 0  # the parent's blocks end in the parent
        self._opened_by_block = False
        self._pid = os.getpid()


_living: weakref.WeakSet[SessionPool] = weakref.WeakSet()
_held: list[threading.Lock] = []


def _before_fork() -> None:
    """Take the locks before a fork, so that another thread is not in the middle of a change."""
    locks = [pool._lock for pool in list(_living)]  # noqa: SLF001  same module
    # A signal handler can fork inside the lock. After a second the child gets a new lock.
    _held.extend(lock for lock in locks if lock.acquire(timeout=1.0))


def _after_fork_in_parent() -> None:
    while _held:
        _held.pop().release()


def _after_fork_in_child() -> None:
    _held.clear()
    for pool in list(_living):
        pool._lock = threading.Lock()  # noqa: SLF001


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)


async def _lifetime(http: aiohttp.ClientSession, *, owned: bool) -> AsyncGenerator[None]:
    """Keep the session open as long as this generator. A loop that shuts down closes its generators."""
    try:
        yield
    finally:
        if owned:
            await http.close()


async def _before_headers(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: object) -> None:
    attempt = context.trace_request_ctx
    if hasattr(attempt, "before_bytes"):  # the user's own request on the session
        attempt.before_bytes()


def _make_trace() -> aiohttp.TraceConfig:
    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(_before_headers)
    trace.freeze()
    return trace


_TRACE = _make_trace()


def _new_session() -> aiohttp.ClientSession:
    """Return a session without cookies, redirects and timeouts (the client's timeout starts after the slot is granted).

    The connector has no limit, because `concurrency` and slots limit the requests. The import of aiohttp builds the TLS
    context, so none is built inside a running loop. The option `trust_env` is off, because it would use credentials
    from ~/.netrc. The client passes the proxy itself.
    """
    return aiohttp.ClientSession(
        connector=_Connector(),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        request_class=_Request,
        raise_for_status=False,
    )
