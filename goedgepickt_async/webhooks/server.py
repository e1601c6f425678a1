"""A server for deliveries, with aiohttp: what `WebhookReceiver.run` and `goedgepickt webhooks listen` use.

A caller without a secret can open connections, send headers slowly and send large bodies. Each of these is bounded
here: the number of connections, the time for headers and for a body, and what is read. A new connection is always
accepted; if there are too many, those that have been idle for the longest time are closed for it.

aiohttp's request handling costs many times what it costs to see that a delivery is forged. So the first request of each
connection is checked before aiohttp gets it. This check can only refuse: what it accepts or does not understand, aiohttp
reads again.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import heapq
import http
import logging
import math
import os
import re
import signal
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, NamedTuple, Self, cast

import attrs
from aiohttp import HttpVersion11, StreamReader, web

from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.text import shown
from goedgepickt_async.webhooks.endpoint import DeliveryEndpoint, WebhookResponse
from goedgepickt_async.webhooks.signature import HEADER

__all__ = ["DeliveryServer", "handle_signals", "serve"]

_SHUTDOWN_TIMEOUT: Final = 5.0  # seconds that requests in flight have to be answered when the server stops
_MAX_CONNECTIONS: Final = 1000
_FEWEST_CONNECTIONS: Final = 8
_SHARE_OF_ONE_ADDRESS: Final = 0.75  # the part of all connections that one address may have
_HEADER_TIMEOUT: Final = 10.0  # seconds until the headers must be complete; also how long a connection may be idle
_CHECK_INTERVAL: Final = 1.0
_LINGERING_TIME: Final = 1.0  # seconds in which the rest of a refused body is read, so that the response arrives
_ACCEPT_PAUSE: Final = 0.1  # seconds until the next try, if the process or the system has no file descriptor left
_BACKLOG: Final = 1024  # connections that wait in the kernel; if it is full, a caller tries again after a second
_AT_ONCE: Final = 8  # connections that are accepted before other tasks have their turn
_READ: Final = 64 * 1024
_MAX_RECEIVED: Final = 16 * 1024**2  # bytes of all unverified bodies together
_EVICTED_AT_ONCE: Final = 20  # this part of all connections is closed together, since choosing them reads all
_REMEMBERED_ADDRESSES: Final = 1000
_MAX_HEAD: Final = 16 * 1024  # bytes of a request's head that are checked before aiohttp reads it
_IPV6_PARTS: Final = 4
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_NO_DESCRIPTOR: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

MALFORMED: Final = WebhookResponse(400, "the request is malformed")
NOT_FOUND: Final = WebhookResponse(404, "not found")
METHOD_NOT_ALLOWED: Final = WebhookResponse(405, "only POST")
_PASS_ON: Final = WebhookResponse(0, "")  # no response: aiohttp reads the request


# -- the first request of a connection ------------------------------------------------------------------------------

_REQUEST_LINE: Final = re.compile(rb"([A-Z]+) ([^\s?#]+)[^\s]* HTTP/1\.[01]\r\n")
_CHECKED_HEADERS: Final = re.compile(
    rb"\n(signature|content-length|transfer-encoding|expect)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE
)
_FOR_AIOHTTP: Final = {b"transfer-encoding", b"expect"}
_PATH: Final = re.compile(r"/[^\s?#]*")
_HIGHEST_PORT: Final = 65_535
_LONGEST_LENGTH: Final = 9  # digits


class _Body(NamedTuple):
    """Where a body starts and ends in the received bytes, and the digest that it must have."""

    start: int
    end: int
    digest: bytes


_UNKNOWN_BODY: Final = _Body(0, 0, b"")  # the headers are not complete


@functools.cache
def _raw_response(response: WebhookResponse) -> bytes:
    allow = "Allow: POST\r\n" if response is METHOD_NOT_ALLOWED else ""
    return (
        f"HTTP/1.1 {response.status} {http.HTTPStatus(response.status).phrase}\r\n{allow}"
        "Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n"
        f"Content-Length: {len(response.text)}\r\n\r\n{response.text}"
    ).encode()


# -- connections ----------------------------------------------------------------------------------------------------


@attrs.define(eq=False)
class _Connection:
    """One connection.

    Attributes:
        address: The address of the caller.
        since: The time when its state began.
        close: A function that closes it immediately.
        state: `idle` while no request is complete, `reading` while a body is read, then `busy`. `refused` while the rest
            of a refused body is read.
        verified: Whether its last request was signed.
        unread: The socket, until the first request is passed on to aiohttp.
        received: The result of that request.
        size: The number of bytes of its request that are kept before it is verified.
        body: Its body.
        complete: Whether a request was received as a whole and is not answered yet.
        ended: Whether the caller sends no more.
    """

    address: str
    since: float
    close: Callable[[], object]
    state: str = "idle"
    verified: bool = False
    unread: socket.socket | None = None
    received: bytearray = attrs.field(factory=bytearray)
    size: int = 0
    body: _Body = _UNKNOWN_BODY
    complete: bool = False
    ended: bool = False


class _Connections:
    """All open connections, and which of them are closed when there are too many."""

    def __init__(self, limit: int, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._limit_of_one = max(1, int(limit * _SHARE_OF_ONE_ADDRESS))
        self._clock = clock
        self._open: dict[_Connection, None] = {}
        self._by_address: Counter[str] = Counter()
        self._signers: dict[str, None] = {}  # addresses of verified deliveries, the latest last
        self._received = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._open)

    def add(self, address: str, close: Callable[[], object]) -> _Connection | None:
        """Make room for a new connection, and count it; None if all others are in use."""
        if self._by_address[address] >= self._limit_of_one and not self.evict(address):
            return None
        if len(self._open) >= self._limit and not self.evict():
            return None
        connection = _Connection(address, self._clock(), close)
        self._open[connection] = None
        self._by_address[address] += 1
        return connection

    def remove(self, connection: _Connection) -> None:
        """Stop counting a connection."""
        if self._open.pop(connection, connection) is None:
            self.take_received(connection)
            connection.unread = None
            self._by_address[connection.address] -= 1
            if not self._by_address[connection.address]:
                del self._by_address[connection.address]

    def evict(self, address: str | None = None) -> bool:
        """Close a few connections without a verified request; whether there were any.

        Connections that delivered before, or whose address did, are closed last. Of the others, the address with the
        most connections goes first, there the connections without a complete request, and of these the oldest.
        """
        unused = [one for one in self._open if one.state != "busy" and address in {None, one.address}]
        if not unused:
            return False
        worst = heapq.nsmallest(max(1, self._limit // _EVICTED_AT_ONCE), unused, key=self._worth)
        for connection in worst:
            if self._worth(connection)[:2] == self._worth(worst[0])[:2]:
                self.close(connection)
                self.evicted += 1
        return True

    def _worth(self, one: _Connection) -> tuple[bool, bool, int, bool, float]:
        return (
            one.verified,
            one.address in self._signers,
            -self._by_address[one.address],
            one.state == "reading",
            one.since,
        )

    def enter(self, connection: _Connection, state: str) -> None:
        """Change the state of a connection."""
        connection.state, connection.since = state, self._clock()

    def remember(self, connection: _Connection) -> None:
        """It delivered something verified."""
        connection.verified = True
        self._signers.pop(connection.address, None)
        self._signers[connection.address] = None
        if len(self._signers) > _REMEMBERED_ADDRESSES:
            del self._signers[next(iter(self._signers))]

    def late(self, **seconds: float) -> list[_Connection]:
        """Return the connections that have been in a state for this number of seconds."""
        now = self._clock()
        return [one for one in self._open if now - one.since >= seconds.get(one.state, math.inf)]

    def close(self, connection: _Connection) -> None:
        """Close the connection and stop counting it."""
        self.remove(connection)
        connection.close()

    def count(self, connection: _Connection, size: int) -> None:
        """Count unverified bytes that are kept. If there are too many of all, the connection with the most is closed."""
        connection.size += size
        self._received += size
        if self._received > _MAX_RECEIVED:
            self.close(max(self._open, key=lambda one: one.size))

    def release(self, connection: _Connection) -> None:
        """Its unverified bytes are not kept any more."""
        self._received, connection.size = self._received - connection.size, 0

    def take_received(self, connection: _Connection) -> bytes:
        """The bytes of a first request, which are not kept."""
        self.release(connection)
        received = bytes(connection.received)
        connection.received.clear()
        return received


class _MalformedRequests(logging.Logger):
    """Takes the place of aiohttp's logger, which writes a traceback for each malformed request."""

    def __init__(self, endpoint: DeliveryEndpoint) -> None:
        super().__init__("goedgepickt_async.webhooks", logging.ERROR)
        self._endpoint = endpoint

    def handle(self, record: logging.LogRecord) -> None:
        error = record.exc_info[0] if record.exc_info else None
        self._endpoint.refuse(MALFORMED, "the request is malformed" + (f" ({error.__name__})" if error else ""))


class _PassedOn(asyncio.Protocol):
    """Calls a function with the transport of a new connection; it sets another protocol."""

    def __init__(self, connected: Callable[[asyncio.Transport], None]) -> None:
        self._connected = connected

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connected(cast("asyncio.Transport", transport))


class _RequestHandler(web.RequestHandler):
    """aiohttp's request handler. It also answers a caller that closes its half of the connection after the request."""

    __slots__ = ("connection", "lost")
    connection: _Connection
    lost: Callable[[_Connection], None]

    def eof_received(self) -> Any:
        """Return whether to keep the other half open; TLS has no halves."""
        self.connection.ended = True
        assert self.transport is not None
        return self.connection.complete and self.transport.get_extra_info("sslcontext") is None

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self.lost(self.connection)


# -- the server -----------------------------------------------------------------------------------------------------


class DeliveryServer:
    """A server for one endpoint, as an async context manager.

    Bodies are not decompressed before they are verified.

    Args:
        endpoint: Verifies the deliveries.
        host: The host name or address where to listen.
        port: The port; 0 takes any free one.
        path: The path of deliveries; None accepts all.
        ssl_context: For https; None is http.
        max_connections: The largest number of open connections; by default up to 1,000, and always well below the
            number of file descriptors that the process may open.
        header_timeout: Seconds until the headers of a request must be complete; also how long a connection may be idle.

    Attributes:
        url: Where it listens.
    """

    def __init__(
        self,
        endpoint: DeliveryEndpoint,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        path: str | None = "/",
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int | None = None,
        header_timeout: float = _HEADER_TIMEOUT,
    ) -> None:
        if max_connections is not None and not (type(max_connections) is int and max_connections >= 1):
            raise ConfigurationError("max_connections must be a whole number, at least 1")
        if not (type(port) is int and 0 <= port <= _HIGHEST_PORT):
            raise ConfigurationError(f"port must be a whole number from 0 to {_HIGHEST_PORT}")
        if not isinstance(host, str):
            raise ConfigurationError(f"host must be text, not {type(host).__name__}")
        if path is not None and not (isinstance(path, str) and _PATH.fullmatch(path)):
            raise ConfigurationError(f"path must begin with a / and have no blank, ? or #, not {shown(path)}")
        self.url: str = ""
        self._endpoint = endpoint
        self._host = host
        self._port = port
        self._path = path
        self._ssl_context = ssl_context
        self._max_connections = max_connections
        self._header_timeout = header_timeout
        self._tasks: set[asyncio.Task[None]] = set()
        self._sockets: list[socket.socket] = []

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            ConfigurationError: The address or port cannot be used.
        """
        self._loop = asyncio.get_running_loop()
        self._connections = _Connections(_connection_limit(self._max_connections), self._loop.time)
        self._server = web.Server(self._handle)
        try:
            self._sockets = await _bound_sockets(self._host, self._port)
        except (OSError, UnicodeError) as error:  # the latter for a host that is no name
            why = getattr(error, "strerror", None) or error
            raise ConfigurationError(f"cannot listen on {self._host}:{self._port}: {why}") from None
        scheme = "http" if self._ssl_context is None else "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"{scheme}://{host}:{self._sockets[0].getsockname()[1]}{self._path or '/'}"
        try:
            self._loop.remove_reader(self._sockets[0])
            self._can_wait = self._ssl_context is None
        except NotImplementedError:  # of Windows
            self._can_wait = False
        for listening in self._sockets:
            self._start(self._accept(listening))
        self._start(self._close_idle())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop: accept nothing more, and answer the requests in flight."""
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            for listening in self._sockets:
                listening.close()
        for connection in self._connections.late(idle=0.0, refused=0.0):
            self._connections.close(connection)
        self._server.pre_shutdown()
        await self._server.shutdown(_SHUTDOWN_TIMEOUT)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _accept(self, listening: socket.socket) -> None:
        """Accept connections. asyncio's own server cannot be used: it logs a traceback for each failure to accept."""
        number = 0
        while True:
            try:
                accepted, peer = await self._loop.sock_accept(listening)
            except OSError as error:
                if error.errno in _NO_DESCRIPTOR:
                    self._connections.evict()
                if not isinstance(error, ConnectionError):  # that one was only the caller's
                    await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            self._admit(accepted, _source(peer))
            number += 1
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)

    def _admit(self, accepted: socket.socket, address: str) -> None:
        connection = self._connections.add(address, accepted.close)
        if connection is None:
            accepted.close()
            return
        accepted.setblocking(False)
        if not self._can_wait:
            self._pass_on(connection, accepted)
            return
        connection.unread = accepted
        connection.close = functools.partial(self._close, accepted)
        if self._read(connection, accepted):
            self._loop.add_reader(accepted, self._read, connection, accepted)

    def _close(self, accepted: socket.socket) -> None:
        self._loop.remove_reader(accepted)
        accepted.close()

    # -- the first request --------------------------------------------------------------------------------------

    def _read(self, connection: _Connection, accepted: socket.socket) -> bool:
        """Read the received bytes, and refuse the request or pass it on. Return whether to wait for more."""
        try:
            data = accepted.recv(_READ)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        if not data:
            self._connections.close(connection)
        elif connection.state != "refused":
            response = self._look(connection, data)
            if response is _PASS_ON:
                self._loop.remove_reader(accepted)
                self._pass_on(connection, accepted)
            elif response is not None:
                self._refuse(connection, accepted, response)
        return connection.unread is not None

    def _look(self, connection: _Connection, data: bytes) -> WebhookResponse | None:
        """Return the response to the first request, or pass it on; None if more bytes are needed."""
        searched = len(connection.received)
        connection.received += data
        self._connections.count(connection, len(data))
        if connection.unread is None:  # it was closed
            return None
        if connection.body is _UNKNOWN_BODY:
            body = self._body_of(connection.received, searched)
            if isinstance(body, WebhookResponse):
                return body
            if body is _UNKNOWN_BODY:
                return None
            connection.body = body
            self._connections.enter(connection, "reading")
        start, end, digest = connection.body
        if len(connection.received) < end:
            return None
        refused = self._endpoint.check_body(bytes(connection.received[start:end]), digest)
        connection.complete = refused is None
        return refused or _PASS_ON

    def _body_of(self, received: bytearray, searched: int) -> _Body | WebhookResponse:
        """The body that the headers announce; or the response: a refusal, or `_PASS_ON` if only aiohttp understands it.

        The first `searched` bytes do not contain the end of the headers.
        """
        start = received.find(b"\r\n\r\n", max(0, searched - 3)) + 4
        if start < 4:
            return _UNKNOWN_BODY if len(received) < _MAX_HEAD else _PASS_ON
        head = bytes(received[:start])
        line = _REQUEST_LINE.match(head)
        if line is None:
            empty = head.startswith(b"\r\n")  # an empty line first: aiohttp ignores it (RFC 9112, section 2.2)
            return _PASS_ON if empty else self._endpoint.refuse(MALFORMED, "the request is malformed")
        if self._path is not None and line[2] != self._path.encode():
            return _PASS_ON if b"%" in line[2] or b":" in line[2] else NOT_FOUND  # written in another way, perhaps
        return METHOD_NOT_ALLOWED if line[1] != b"POST" else self._announced_body(head, start)

    def _announced_body(self, head: bytes, start: int) -> _Body | WebhookResponse:
        found = _CHECKED_HEADERS.findall(head)
        headers = {name.lower(): value for name, value in found}
        length = headers.get(b"content-length", b"0")
        if len(headers) < len(found) or not length.isdigit() or len(length) > _LONGEST_LENGTH:
            return _PASS_ON
        digest = self._endpoint.check_headers(headers.get(b"signature"), int(length))
        if isinstance(digest, WebhookResponse):
            return digest
        return _PASS_ON if headers.keys() & _FOR_AIOHTTP else _Body(start, start + int(length), digest)

    def _refuse(self, connection: _Connection, accepted: socket.socket, response: WebhookResponse) -> None:
        """Send a response, and close. If more is to come, that is read first, so that the caller sees the response."""
        with contextlib.suppress(OSError):
            accepted.send(_raw_response(response))
            if not 0 < connection.body.end <= len(connection.received):
                accepted.shutdown(socket.SHUT_WR)
                self._connections.take_received(connection)
                self._connections.enter(connection, "refused")
                return
        self._connections.close(connection)

    def _pass_on(self, connection: _Connection, accepted: socket.socket) -> None:
        """Give a connection to aiohttp, with what was received."""
        connection.unread = None
        received = self._connections.take_received(connection)
        connection.close = self._start(self._connect(accepted, connection, received)).cancel

    async def _connect(self, accepted: socket.socket, connection: _Connection, received: bytes) -> None:
        """After the TLS handshake, if there is one."""
        context = self._ssl_context
        timeout = None if context is None else self._header_timeout
        try:
            await self._loop.connect_accepted_socket(
                lambda: _PassedOn(functools.partial(self._connected, connection, received)),
                accepted,
                ssl=context,
                ssl_handshake_timeout=timeout,
            )
        except (OSError, ssl.CertificateError, asyncio.CancelledError):
            self._connections.remove(connection)
            accepted.close()

    def _connected(self, connection: _Connection, received: bytes, transport: asyncio.Transport) -> None:
        protocol = _RequestHandler(
            self._server,
            loop=self._loop,
            access_log=cast("Any", None),
            auto_decompress=False,  # what is signed is what arrived
            keepalive_timeout=self._header_timeout,
            lingering_time=_LINGERING_TIME,
            logger=_MalformedRequests(self._endpoint),
        )
        protocol.connection, protocol.lost = connection, self._connections.remove
        connection.close = transport.abort
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if received:
            protocol.data_received(received)

    async def _close_idle(self) -> None:
        reported = 0
        interval = min(_CHECK_INTERVAL, self._header_timeout / 2, self._endpoint.body_timeout / 2)
        while True:
            await asyncio.sleep(interval)
            for one in self._connections.late(idle=self._header_timeout, refused=_LINGERING_TIME):
                self._connections.close(one)
            for one in self._connections.late(reading=self._endpoint.body_timeout):
                if one.unread is not None:
                    self._refuse(one, one.unread, self._endpoint.refuse_slow())
            if self._connections.evicted > reported:
                count, reported = self._connections.evicted - reported, self._connections.evicted
                why = "they were idle, and were closed for new ones"
                self._endpoint.log.note(503, why, count=count, kind="connections")

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection = cast("_RequestHandler", request.protocol).connection
        self._connections.enter(connection, "reading")
        try:
            response = await self._respond(request, connection)
        finally:
            self._connections.release(connection)
            self._connections.enter(connection, "idle")
            connection.complete = False
        if response.status == 200:
            self._connections.remember(connection)
        answer = web.Response(status=response.status, text=response.text)
        if response.status not in {200, 503} or connection.ended:
            answer.force_close()  # a caller that gets it wrong keeps no connection
        if response is METHOD_NOT_ALLOWED:
            answer.headers["Allow"] = "POST"
        return answer

    async def _respond(self, request: web.BaseRequest, connection: _Connection) -> WebhookResponse:
        if self._path not in {None, request.path}:
            return NOT_FOUND
        if request.method != "POST":
            return METHOD_NOT_ALLOWED
        expects = request.headers.get("Expect", "").lower() == "100-continue" and request.version >= HttpVersion11
        if expects and request.transport is not None:
            request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")  # or the caller waits before it sends the body
        return await self._endpoint.receive_chunks(
            self._chunks(request.content, connection),
            request.headers.get(HEADER),
            content_encoding=request.headers.get("Content-Encoding"),
            content_length=request.content_length,
            headers=request.headers,
        )

    async def _chunks(self, content: StreamReader, connection: _Connection) -> AsyncIterator[bytes]:
        async for chunk in content.iter_any():
            self._connections.count(connection, len(chunk))
            yield chunk
        self._connections.enter(connection, "busy")
        connection.complete = True


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


def _source(peer: tuple[Any, ...]) -> str:
    """The address of a caller; of IPv6 the network, since one caller can have all addresses of it."""
    if len(peer) == _IPV6_PARTS:
        return socket.inet_pton(socket.AF_INET6, peer[0].split("%")[0])[:8].hex()
    return str(peer[0])


async def _bound_sockets(host: str, port: int) -> list[socket.socket]:
    """Listening sockets for each address of the host; all have the same port."""
    infos = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    found: list[socket.socket] = []
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
    server: DeliveryServer,
    ready: Callable[[str], object] | None,
) -> None:
    """See `WebhookReceiver.run`."""
    stopping, forced = asyncio.Event(), asyncio.Event()
    this_task = cast("asyncio.Task[None]", asyncio.current_task())

    def force_stop() -> None:
        forced.set()
        this_task.cancel()

    with handle_signals(stopping.set, force_stop):
        try:
            async with receiver:
                try:
                    async with server:
                        if ready is not None:
                            ready(server.url)
                        await stopping.wait()
                finally:
                    if forced.is_set():  # the server has received the cancellation: the receiver must receive it too
                        this_task.uncancel()
                        this_task.cancel()
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
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        loop.add_signal_handler(number, received)
        return True
    return False
