"""The sandbox itself: a GoedGepickt on a real socket of the loopback interface."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from datetime import date
from types import TracebackType
from typing import Final, Self

from aiohttp import web
from multidict import CIMultiDict, MultiDict

from goedgepickt_async.sandbox.app import Application, CacheFlavour, Throttle
from goedgepickt_async.sandbox.deliveries import Deliveries
from goedgepickt_async.sandbox.faults import Connections, Exchange, Fault, Script, seeded_latency
from goedgepickt_async.sandbox.handlers import build_router
from goedgepickt_async.sandbox.lists import PageLimits
from goedgepickt_async.sandbox.quirks import Quirks
from goedgepickt_async.sandbox.requests import Incoming, RecordedRequest, clean_input, parse_body
from goedgepickt_async.sandbox.world import World, WorldSettings

__all__ = ["Sandbox"]

_BACKLOG: Final = 4096
"""Connections that may wait to be accepted. Where a system has no room for one it keeps silent, and the client tries
again after a second: a client with many calls at once would seem to wait for the network."""
_BASES: Final = (("fulfilment", "/api/fulfilment/v1"), ("account", "/api/v1"))


class Sandbox:
    """A GoedGepickt to develop and to test against: in memory, seeded, on a real port of this machine.

    ```python
    async with Sandbox(orders=300, seed=1) as sandbox:
        print(sandbox.url, sandbox.api_key)
    ```

    Args:
        orders: How many orders there are to begin with.
        products: How many products.
        shipments: How many shipments; None gives every completed order one.
        webshops: How many webshops, 1 to 250.
        pick_locations: How many pick locations, at least 1.
        seed: What the world and the keys are derived from: the same seed and sizes give the same world anywhere.
        limit: How many requests a window of the throttle admits per IP address; None switches it off.
        period: How many seconds that window lasts.
        cache: How Laravel keeps its counters: `redis` (exact), `file` or `memcached` (whole seconds).
        per_page_default: The page size when `perPage` is not given.
        per_page_max: The page size above which `perPage` is clamped.
        page_reach: How many results page numbers reach.
        cursor: Whether lists give out cursors.
        latency: The handling time of each request in seconds, or its bounds; drawn from the seed.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        oddities: Whether the data is as untidy as the real service's.
        today: The day before whose noon the generated rows lie, within one year.
        delivery_pace: What the pauses between the attempts of a webhook delivery are multiplied by: with 0.001 all
            ten are over within a second.
        delivery_timeout: How many seconds a receiver may take for an attempt.
        clock: The server's clock in Unix seconds; it drives the throttle, the requests and the dates of new rows.

    Attributes:
        world: The state, to look at and to change.
        quirks: Where the server departs from the plain truth; can be changed at any time.
        requests: Every request that arrived, in order.
        deliveries: Every webhook delivery that was made, in order.
        api_key: The key of the fulfilment API.
        account_key: The key of the account API.

    Raises:
        ValueError: An argument makes no sense; the message names it.
    """

    def __init__(
        self,
        *,
        orders: int = 300,
        products: int = 100,
        shipments: int | None = None,
        webshops: int = 2,
        pick_locations: int = 20,
        seed: int = 1,
        limit: int | None = 150,
        period: float = 60.0,
        cache: CacheFlavour = "redis",
        per_page_default: int = 15,
        per_page_max: int = 100,
        page_reach: int = 10_000,
        cursor: bool = True,
        latency: float | tuple[float, float] = 0.0,
        host: str = "127.0.0.1",
        port: int = 0,
        oddities: bool = True,
        today: date = date(2026, 11, 1),
        delivery_pace: float = 1.0,
        delivery_timeout: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError(f"limit must be a whole number of requests, at least 1, or None: not {limit!r}")
        if isinstance(period, bool) or not isinstance(period, int | float) or not 0 < period < math.inf:
            raise ValueError(f"period must be a number of seconds, more than 0: not {period!r}")
        settings = WorldSettings(
            orders=orders,
            products=products,
            shipments=shipments,
            webshops=webshops,
            pick_locations=pick_locations,
            seed=seed,
            today=today,
            oddities=oddities,
        )
        limits = PageLimits(default=per_page_default, largest=per_page_max, reach=page_reach, cursor=cursor)
        self.quirks: Quirks = Quirks()
        self.world: World = World(settings, clock)
        self.requests: list[RecordedRequest] = []
        self.deliveries: Deliveries = Deliveries(self.world, pace=delivery_pace, timeout=delivery_timeout, clock=clock)
        throttle = None if limit is None else Throttle(limit, period, cache)
        router = build_router(self.world, limits, self.quirks)
        self._application = Application(router, throttle, self.quirks, seed=seed, clock=clock)
        self._latency = seeded_latency(latency, seed)
        self._script = Script()
        self._connections = Connections()
        self._clock = clock
        self._host = host
        self._port = port
        self._runner: web.ServerRunner | None = None
        self._closing = asyncio.Event()
        self.api_key: str = self._application.keys["fulfilment"]
        self.account_key: str = self._application.keys["account"]

    @property
    def port(self) -> int:
        """The port that it listens on.

        Raises:
            RuntimeError: It is not started.
        """
        if self._runner is None:
            raise RuntimeError("the sandbox is not started")
        return int(self._runner.addresses[0][1])

    @property
    def url(self) -> str:
        """The base URL of the fulfilment API, without a slash at its end."""
        return f"{self._origin}{_BASES[0][1]}"

    @property
    def account_url(self) -> str:
        """The base URL of the account API, without a slash at its end."""
        return f"{self._origin}{_BASES[1][1]}"

    @property
    def throttled(self) -> int:
        """How many requests the throttle itself refused; scripted refusals are not among them."""
        return sum(recorded.throttled for recorded in self.requests)

    def fail(self, method: str, path_pattern: str, fault: Fault, times: int | None = 1, after: int = 0) -> None:
        """Have a fault played on requests to come.

        Args:
            method: The HTTP method, or `*` for any.
            path_pattern: The path below the base path, with wildcards as in file names (`/orders*`); `*` goes over
                slashes too.
            fault: One of `goedgepickt_async.sandbox.faults`, or anything that has their `play`.
            times: On how many requests; None for ever.
            after: How many matching requests go unharmed before.
        """
        self._script.add(method, path_pattern, fault, times, after)

    def clear_faults(self) -> None:
        """Forget all faults that were asked for and have not been played."""
        self._script.clear()

    async def start(self) -> None:
        """Listen. Starting twice does nothing."""
        if self._runner is not None:
            return
        self._closing = asyncio.Event()
        # PHP does not unpack request bodies either.
        server = web.Server(self._handle, access_log=None, auto_decompress=False)
        # Handlers end by themselves when `_closing` is set, so there is nothing to be patient for.
        self._runner = web.ServerRunner(server, shutdown_timeout=2.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port, backlog=_BACKLOG).start()
        await self.deliveries.start()

    async def close(self) -> None:
        """Hang up on everybody, stop listening and delivering; the world and the requests stay. Twice does nothing."""
        runner, self._runner = self._runner, None
        try:
            await self.deliveries.close()
        finally:
            if runner is not None:
                self._closing.set()
                await runner.cleanup()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    @property
    def _origin(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.port}"

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        recorded = self._write_down(request)
        try:
            recorded.raw = await _read_body(request)
        except (ConnectionError, web.RequestPayloadError):
            return web.Response()  # the client is gone; nobody reads this
        recorded.body = parse_body(recorded.raw, request.headers.get("Content-Type", ""))
        exchange = Exchange(
            request,
            _incoming(request, recorded),
            recorded,
            application=self._application,
            world=self.world,
            connections=self._connections,
            closing=self._closing,
            latency=self._latency,
        )
        changes, fault = self._script.take(recorded.method, recorded.path)
        for change in changes:
            change.change(self.world)
        fault = self._connections.take_doom(recorded.connection) or fault
        if fault is None:
            return exchange.reply(await exchange.answer())
        recorded.fault = type(fault).__name__
        try:
            return await fault.play(exchange)
        except ConnectionError:
            return web.Response()  # the client is gone in the middle of its answer

    def _write_down(self, request: web.BaseRequest) -> RecordedRequest:
        base, path = _split(request.path)
        headers: CIMultiDict[str] = CIMultiDict(request.headers)
        if "Authorization" in headers:
            headers["Authorization"] = "***"
        recorded = RecordedRequest(
            at=self._clock(),
            method=request.method,
            path=path,
            base=base,
            query=MultiDict(request.query),
            headers=headers,
            connection=self._connections.number(request.transport),
        )
        self.requests.append(recorded)
        return recorded


async def _read_body(request: web.BaseRequest) -> bytes:
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await request.content.read()


def _split(path: str) -> tuple[str, str]:
    for base, prefix in _BASES:
        if path == prefix or path.startswith(f"{prefix}/"):
            return base, path.removeprefix(prefix).rstrip("/") or "/"
    return "", path


def _incoming(request: web.BaseRequest, recorded: RecordedRequest) -> Incoming:
    data = clean_input(recorded.body)
    fields = data if isinstance(data, dict) else {}
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    # Laravel lets a form name another method, because browsers know only GET and POST.
    overridden = str(fields.get("_method") or recorded.method).upper() if recorded.method == "POST" else recorded.method
    return Incoming(
        method=overridden,
        base=recorded.base,
        path=recorded.path,
        query=recorded.query,
        data=fields,
        token=token.strip() if scheme.lower() == "bearer" else None,
        wants_json="/json" in _first_accepted(request) or "+json" in _first_accepted(request),
        referer=request.headers.get("Referer", "/"),
        client=request.remote or "",
    )


def _first_accepted(request: web.BaseRequest) -> str:
    return request.headers.get("Accept", "").partition(",")[0].lower()
