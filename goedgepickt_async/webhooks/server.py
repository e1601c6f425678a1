"""A server for deliveries, with aiohttp: what `WebhookReceiver.run` and `goedgepickt webhooks listen` use.

A caller without a secret can open connections, send headers slowly and send large bodies. Each of these is bounded
here: the number of connections, the time for headers and for a body, and what is read. A new connection is always
accepted; if there are too many, the one that has been idle for the longest time is closed for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Self

import attrs
from aiohttp import web

from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.webhooks.endpoint import DeliveryEndpoint, WebhookResponse
from goedgepickt_async.webhooks.signature import HEADER

__all__ = ["BindAddress", "DeliveryServer", "handle_signals", "serve"]

_SHUTDOWN_TIMEOUT: Final = 5.0
"""Seconds that requests in flight have to be answered when the server stops."""
_MAX_CONNECTIONS: Final = 1000
_FEWEST_CONNECTIONS: Final = 8
_SHARE_OF_ONE_ADDRESS: Final = 0.75
"""The part of all connections that one address may have."""
_HEADER_TIMEOUT: Final = 10.0
"""Seconds until the headers of a request must be complete; also how long a connection may be idle."""
_CHECK_INTERVAL: Final = 1.0
_LINGERING_TIME: Final = 1.0
"""Seconds in which the rest of a refused body is read, so that the caller sees the response."""
_ACCEPT_PAUSE: Final = 0.1
"""Seconds until the next try, if the process or the system has no file descriptor left."""
_BACKLOG: Final = 1024
"""Connections that wait in the kernel; if it is full, a caller tries again only after a second."""
_AT_ONCE: Final = 2
"""Connections that are accepted before other tasks have their turn: a new one must be read before many others come."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_NO_DESCRIPTOR: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

MALFORMED: Final = WebhookResponse(400, "the request is malformed")
NOT_FOUND: Final = WebhookResponse(404, "not found")
METHOD_NOT_ALLOWED: Final = WebhookResponse(405, "only POST")


@attrs.frozen(kw_only=True)
class BindAddress:
    """Where to listen.

    Attributes:
        host: The host name or address.
        port: The port; 0 takes any free one.
        path: The path of deliveries; None accepts all.
        ssl_context: For https; None is http.
    """

    host: str = "127.0.0.1"
    port: int = 0
    path: str | None = "/"
    ssl_context: ssl.SSLContext | None = None

    def url(self, port: int) -> str:
        """The URL, with the actual port."""
        scheme = "http" if self.ssl_context is None else "https"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{port}{self.path or '/'}"


# -- connections ----------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class _Connection:
    """One connection.

    Attributes:
        address: Where it comes from.
        since: When its state began.
        state: `idle` while no request is complete, `reading` while a body is read, `busy` from then on.
        close: Closes it at once.
    """

    address: str
    since: float
    close: Callable[[], object]
    state: str = "idle"


class _Connections:
    """All open connections, and which of them has to go.

    Args:
        limit: The largest number.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._limit_of_one = max(1, int(limit * _SHARE_OF_ONE_ADDRESS))
        self._clock = clock
        self._open: dict[_Connection, None] = {}
        self._by_address: Counter[str] = Counter()
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._open)

    def add(self, address: str, close: Callable[[], object]) -> _Connection | None:
        """Make room for a new connection, and count it; None if all others are in use."""
        if self._by_address[address] >= self._limit_of_one and not self.evict(address):
            return None
        if len(self._open) >= self._limit and not self.evict():
            return None
        connection = _Connection(address=address, since=self._clock(), close=close)
        self._open[connection] = None
        self._by_address[address] += 1
        return connection

    def remove(self, connection: _Connection) -> None:
        """Count it no more."""
        if self._open.pop(connection, connection) is None:
            self._by_address[connection.address] -= 1
            if not self._by_address[connection.address]:
                del self._by_address[connection.address]

    def evict(self, address: str | None = None) -> bool:
        """Close one connection that has sent nothing verified; whether there was one.

        One of the address with the most connections goes first; of these an idle one before one whose body is
        incomplete; of several, the oldest.
        """
        found = map(self._oldest, self._by_address if address is None else [address])
        oldest = min(
            (one for one in found if one is not None),
            key=lambda one: (-self._by_address[one.address], one.state != "idle", one.since),
            default=None,
        )
        if oldest is None:
            return False
        self.remove(oldest)
        self.evicted += 1
        oldest.close()
        return True

    def _oldest(self, address: str) -> _Connection | None:
        reading = None
        for connection in self._open:  # in the order in which their states began
            if connection.address == address and connection.state != "busy":
                if connection.state == "idle":
                    return connection
                reading = reading or connection
        return reading

    def enter(self, connection: _Connection, state: str) -> None:
        """Change the state of a connection."""
        connection.state, connection.since = state, self._clock()
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def close_idle(self, seconds: float) -> int:
        """Close what has been idle for so long; the number."""
        now = self._clock()
        late = [one for one in self._open if one.state == "idle" and now - one.since >= seconds]
        for connection in late:
            self.remove(connection)
            connection.close()
        return len(late)

    def close_all(self) -> None:
        """Close all that are idle."""
        self.close_idle(-1.0)


class _MalformedRequests(logging.Logger):
    """Takes the place of aiohttp's logger, which writes a traceback for each malformed request."""

    def __init__(self, endpoint: DeliveryEndpoint) -> None:
        super().__init__("goedgepickt_async.webhooks", logging.ERROR)
        self._endpoint = endpoint

    def handle(self, record: logging.LogRecord) -> None:
        """Count what aiohttp reports."""
        error = record.exc_info[0] if record.exc_info else None
        self._endpoint.refuse(MALFORMED, "the request is malformed" + (f" ({error.__name__})" if error else ""))


class _Server(web.Server):
    """aiohttp's server, which tells when a connection is lost."""

    def __init__(self, handler: Any, lost: Callable[[web.RequestHandler], None], **options: Any) -> None:
        super().__init__(handler, **options)
        self._lost = lost

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        """Called by the connection."""
        super().connection_lost(handler, exc)
        self._lost(handler)


# -- the server -----------------------------------------------------------------------------------------------------


class DeliveryServer:
    """Serves one endpoint; an asynchronous context.

    Bodies are not decompressed before they are verified.

    Args:
        endpoint: Verifies the deliveries.
        address: Where to listen.
        max_connections: The largest number of open connections; by default up to 1,000, and always well below the
            number of file descriptors that the process may open.
        header_timeout: Seconds until the headers of a request must be complete; also how long a connection may be idle.

    Attributes:
        url: Where it listens.
    """

    def __init__(
        self,
        endpoint: DeliveryEndpoint,
        address: BindAddress,
        *,
        max_connections: int | None = None,
        header_timeout: float = _HEADER_TIMEOUT,
    ) -> None:
        if max_connections is not None and (isinstance(max_connections, bool) or not max_connections >= 1):
            raise ConfigurationError("max_connections must be a whole number, at least 1")
        self.url: str = ""
        self._endpoint = endpoint
        self._address = address
        self._max_connections = max_connections
        self._header_timeout = header_timeout
        self._connection_of: dict[web.RequestHandler, _Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: list[socket.socket] = []

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            ConfigurationError: It cannot listen there.
        """
        loop = asyncio.get_running_loop()
        self._connections = _Connections(_connection_limit(self._max_connections), loop.time)
        self._server = _Server(
            self._handle,
            self._lost,
            access_log=None,
            auto_decompress=False,  # what is signed is what arrived
            keepalive_timeout=self._header_timeout,
            lingering_time=_LINGERING_TIME,
            logger=_MalformedRequests(self._endpoint),
        )
        try:
            self._sockets = await _bound_sockets(self._address)
        except OSError as error:
            where = f"{self._address.host}:{self._address.port}"
            raise ConfigurationError(f"cannot listen on {where}: {error.strerror or error}") from None
        self.url = self._address.url(self._sockets[0].getsockname()[1])
        for listening in self._sockets:
            self._start(self._accept(listening))
        self._start(self._close_idle())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop: accept nothing more, and answer the requests in flight."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listening in self._sockets:
            listening.close()
        self._connections.close_all()
        self._server.pre_shutdown()
        await self._server.shutdown(_SHUTDOWN_TIMEOUT)

    def _start(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        """Accept connections. asyncio's own server cannot be used: it logs a traceback for each failure to accept."""
        loop = asyncio.get_running_loop()
        number = 0
        while True:
            try:
                accepted, peer = await loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _NO_DESCRIPTOR:
                    self._connections.evict()
                if not isinstance(error, ConnectionError):  # that one was only the caller's
                    await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            self._admit(accepted, str(peer[0]) if isinstance(peer, tuple) else "")
            number += 1
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _admit(self, accepted: socket.socket, address: str) -> None:
        connection = self._connections.add(address, accepted.close)
        if connection is None:
            accepted.close()
            return
        accepted.setblocking(False)
        self._start(self._connect(accepted, connection))

    async def _connect(self, accepted: socket.socket, connection: _Connection) -> None:
        """Give a connection to aiohttp, after the TLS handshake if there is one."""
        loop = asyncio.get_running_loop()
        context = self._address.ssl_context
        task = asyncio.current_task()
        assert task is not None
        connection.close = task.cancel
        timeout = None if context is None else self._header_timeout
        try:
            transport, protocol = await loop.connect_accepted_socket(
                self._server, accepted, ssl=context, ssl_handshake_timeout=timeout
            )
        except (OSError, ssl.CertificateError, asyncio.CancelledError):
            self._connections.remove(connection)
            accepted.close()
            return
        connection.close = transport.abort
        if transport.is_closing():
            self._connections.remove(connection)
        else:
            self._connection_of[protocol] = connection

    def _lost(self, protocol: web.RequestHandler) -> None:
        connection = self._connection_of.pop(protocol, None)
        if connection is not None:
            self._connections.remove(connection)

    async def _close_idle(self) -> None:
        reported = 0
        while True:
            await asyncio.sleep(min(_CHECK_INTERVAL, self._header_timeout / 2))
            self._connections.close_idle(self._header_timeout)
            if self._connections.evicted > reported:
                count, reported = self._connections.evicted - reported, self._connections.evicted
                self._endpoint.note(
                    503, "they were idle, and were closed for new ones", count=count, kind="connections"
                )

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        loop = asyncio.get_running_loop()
        connection = self._connection_of.get(request.protocol)
        if connection is None:  # it was closed
            connection = _Connection(address="", since=loop.time(), close=lambda: None)
        self._connections.enter(connection, "reading")
        try:
            response = await self._respond(request, lambda: self._connections.enter(connection, "busy"))
        finally:
            self._connections.enter(connection, "idle")
        answer = web.Response(status=response.status, text=response.text)
        if response.status not in {200, 503}:
            answer.force_close()  # a caller that gets it wrong keeps no connection
        if response is METHOD_NOT_ALLOWED:
            answer.headers["Allow"] = "POST"
        return answer

    async def _respond(self, request: web.BaseRequest, verified: Callable[[], None]) -> WebhookResponse:
        if self._address.path is not None and request.path != self._address.path:
            return NOT_FOUND
        if request.method != "POST":
            return METHOD_NOT_ALLOWED
        signature = request.headers.get(HEADER)
        body = await self._endpoint.read(request.content.iter_any(), signature, content_length=request.content_length)
        if isinstance(body, WebhookResponse):
            return body
        verified()
        return await self._endpoint.receive(
            body, signature, content_encoding=request.headers.get("Content-Encoding"), headers=request.headers
        )


def _connection_limit(wanted: int | None) -> int:
    """The number of connections, so that half of the free file descriptors are left for all else."""
    try:
        import resource  # noqa: PLC0415  not on Windows
    except ImportError:
        return wanted or _MAX_CONNECTIONS
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted or _MAX_CONNECTIONS
    return max(_FEWEST_CONNECTIONS, min(wanted or _MAX_CONNECTIONS, (soft - _open_descriptors()) // 2))


def _open_descriptors() -> int:
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return len(os.listdir(folder))  # noqa: PTH208
    return 32


async def _bound_sockets(address: BindAddress) -> list[socket.socket]:
    """Listening sockets for each address of the host; all have the same port."""
    infos = await asyncio.get_running_loop().getaddrinfo(
        address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    found: list[socket.socket] = []
    port = address.port
    try:
        for family, kind, protocol, _, place in dict.fromkeys(infos):
            listening = socket.socket(family, kind, protocol)
            found.append(listening)
            if os.name == "posix":
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.setblocking(False)
            listening.bind((place[0], port, *place[2:]))
            listening.listen(_BACKLOG)
            port = listening.getsockname()[1]
    except BaseException:
        for listening in found:
            listening.close()
        raise
    return found


# -- until a signal -------------------------------------------------------------------------------------------------


async def serve(
    receiver: AbstractAsyncContextManager[object],
    endpoint: DeliveryEndpoint,
    address: BindAddress,
    ready: Callable[[str], object] | None,
    *,
    max_connections: int | None,
) -> None:
    """See `WebhookReceiver.run`."""
    stopping, forced = asyncio.Event(), asyncio.Event()
    this_task = asyncio.current_task()
    assert this_task is not None

    def force_stop() -> None:
        forced.set()
        this_task.cancel()

    with handle_signals(stopping.set, force_stop):
        try:
            async with receiver, DeliveryServer(endpoint, address, max_connections=max_connections) as server:
                if ready is not None:
                    ready(server.url)
                await stopping.wait()
        except asyncio.CancelledError:
            if not forced.is_set() or this_task.uncancel():  # the cancellation came from the caller
                raise


@contextlib.contextmanager
def handle_signals(stop: Callable[[], object], force_stop: Callable[[], object]) -> Iterator[None]:
    """Within this context, the first SIGINT or SIGTERM calls `stop`, and each further one `force_stop`.

    Outside the main thread and on Windows, where asyncio cannot handle signals, it does nothing.
    """
    loop = asyncio.get_running_loop()
    calls = iter([stop])

    def received() -> None:
        next(calls, force_stop)()

    before = {number: signal.getsignal(number) for number in _SIGNALS}
    handled = [number for number in _SIGNALS if _add_handler(loop, number, received)]
    try:
        yield
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def _add_handler(loop: asyncio.AbstractEventLoop, number: int, received: Callable[[], None]) -> bool:
    try:
        loop.add_signal_handler(number, received)
    except (NotImplementedError, RuntimeError, ValueError):
        return False
    return True
