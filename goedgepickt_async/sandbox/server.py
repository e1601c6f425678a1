"""`Sandbox`: the test server on a real socket, with a control API and a web page."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final, Self

from aiohttp import web
from multidict import CIMultiDict, MultiDict

from goedgepickt_async.sandbox.app import Application, CacheFlavour, Keys, Quirks, Throttle, is_well_formed, make_key
from goedgepickt_async.sandbox.control import ControlPlane
from goedgepickt_async.sandbox.deliveries import Deliveries
from goedgepickt_async.sandbox.faults import Connections, Exchange, Fault, FaultSchedule, seeded_latency
from goedgepickt_async.sandbox.handlers import build_router
from goedgepickt_async.sandbox.lists import PageLimits
from goedgepickt_async.sandbox.requests import BASES, HostGuard, Incoming, RecordedRequest, clean_input, parse_body
from goedgepickt_async.sandbox.world import Lively, World, WorldSettings

_BACKLOG: Final = 4096
"""Connections that may wait to be accepted. A system without room for a connection sends no answer, and the client tries
again after a second."""


class Sandbox:
    """A test server for GoedGepickt's API, with made-up data in memory, on a real port of this machine.

    ```python
    async with Sandbox(orders=300, seed=1) as sandbox:
        print(sandbox.url, sandbox.api_key, sandbox.page_url)
    ```

    Args:
        orders: The number of orders at the start.
        products: The number of products.
        shipments: The number of shipments; None for one for each completed order.
        webshops: The number of webshops, 1 to 250.
        pick_locations: The number of pick locations, at least 1.
        seed: The seed of the data and the keys. The same seed and sizes make the same data.
        limit: The rate limit: the number of requests per IP address in a window; None for no limit.
        period: The length of the window in seconds.
        cache: The cache for Laravel's counters: `redis` (exact), `file` or `memcached` (whole seconds).
        per_page_default: The page size without `perPage`.
        per_page_max: The largest page size.
        page_reach: The number of rows that page numbers reach.
        cursor: Whether lists have cursors.
        latency: The seconds for each request, or a pair of bounds for random times.
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        hosts: Further host names to answer to, in addition to `localhost`, loopback addresses and `host`; `*` is any. On a
            host that listens on all addresses, any IP address will do. Another name is refused with 421, so that no web
            page can reach the sandbox through its own name (DNS rebinding).
        oddities: Whether the data is irregular, like the data of the real service.
        today: The last day of the generated data, which covers one year and ends at noon. None: it ends now.
        key: The API key of both APIs, 8 to 4096 visible ASCII characters. None: one for each, made from the seed, as
            long as the service's own.
        account_key: The API key of the account API, if it differs from `key`.
        any_key: Whether both APIs accept any other well-formed key.
        strict: Whether searches without public evidence are refused; see the quirk with this name.
        lively: The number of automatic events per minute, for demonstrations and soak tests: orders arrive, move and
            leave. None for no automatic events.
        recorded: The smallest number of requests that `requests` keeps; older ones are removed. None keeps all.
        openapi: An OpenAPI document of the API, or the path of one in JSON: it is served at `/openapi.json`.
        delivery_pace: The factor for the pauses between attempts of a webhook delivery. With 0.001, all ten attempts
            take less than a second.
        delivery_timeout: The longest time of a receiver for an attempt, in seconds.
        clock: The server's clock in Unix seconds; it drives the throttle, the recorded times and the dates of new rows.

    Attributes:
        world: The state, for reading and changing.
        quirks: The variants of the server's behaviour, which can be changed at any time.
        requests: Every request to the API that arrived, in order.
        arrived: The number of requests that arrived, including removed ones.
        faults: The planned faults.
        deliveries: Every webhook delivery that was made, in order.
        api_key: The key of the fulfilment API.
        account_key: The key of the account API.
        takes_any_key: Whether any well-formed key opens both APIs.
        openapi: The document at `/openapi.json`, or None.
        closing: Is set when the sandbox closes.

    Raises:
        ValueError: An argument is not valid; the message names it.
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
        hosts: Iterable[str] = (),
        oddities: bool = True,
        today: date | None = date(2026, 11, 1),
        key: str | None = None,
        account_key: str | None = None,
        any_key: bool = False,
        strict: bool = False,
        lively: float | None = None,
        recorded: int | None = None,
        openapi: Mapping[str, Any] | str | Path | None = None,
        delivery_pace: float = 1.0,
        delivery_timeout: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_limit(limit, period)
        if today is not None and not 1971 <= today.year <= 9998:
            raise ValueError(f"today must be a day of the years 1971 to 9998: not {today}")
        self._settings = WorldSettings(
            orders=orders,
            products=products,
            shipments=shipments,
            webshops=webshops,
            pick_locations=pick_locations,
            seed=seed,
            today=date(2026, 11, 1) if today is None else today,
            until=int(clock()) if today is None else None,
            oddities=oddities,
        )
        self._keys = _keys(seed, key, account_key, any_key=any_key)
        self._limits = PageLimits(default=per_page_default, largest=per_page_max, reach=page_reach, cursor=cursor)
        self._throttling: tuple[int | None, float, CacheFlavour] = (limit, period, cache)
        self._strict = strict
        self._ends_now = today is None
        self._clock = clock
        self._pace = delivery_pace
        self._delivery_timeout = delivery_timeout
        self._latency = seeded_latency(latency, seed)
        self._recorded = recorded
        self._connections = Connections()
        self._host = host
        self._port = port
        self._guard = HostGuard(host, hosts)
        self._runner: web.ServerRunner | None = None
        self._lively_task: asyncio.Task[None] | None = None
        self.lively = lively
        self.closing: asyncio.Event = asyncio.Event()
        self.arrived: int = 0
        self.requests: list[RecordedRequest] = []
        self.openapi: Mapping[str, Any] | None = _document(openapi)
        self.api_key: str = self._keys.fulfilment
        self.account_key: str = self._keys.account
        self.takes_any_key: bool = any_key
        self._set_up()
        self._control = ControlPlane(self)

    def _set_up(self) -> None:
        self.quirks: Quirks = Quirks(strict=self._strict)
        self.world: World = World(self._settings, self._clock, lambda: self.quirks.date_style)
        self.deliveries: Deliveries = Deliveries(
            self.world, pace=self._pace, timeout=self._delivery_timeout, clock=self._clock
        )
        limit, period, cache = self._throttling
        throttle = None if limit is None else Throttle(limit, period, cache)
        router = build_router(self.world, self._limits, self.quirks)
        self._application = Application(router, throttle, self.quirks, self._keys, clock=self._clock)
        self.faults: FaultSchedule = FaultSchedule()
        self._lively = Lively(self._settings.seed)

    # Where it is

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
        return f"{self._origin}{BASES['fulfilment']}"

    @property
    def account_url(self) -> str:
        """The base URL of the account API, without a slash at its end."""
        return f"{self._origin}{BASES['account']}"

    def now(self) -> float:
        """Return the time by the sandbox's clock, in Unix seconds."""
        return self._clock()

    @property
    def page_url(self) -> str:
        """The URL of the page to look at and to click."""
        return f"{self._origin}/"

    # The throttle

    @property
    def throttle(self) -> Throttle | None:
        """The rate limiter; None if it is switched off."""
        return self._application.throttle

    @property
    def throttled(self) -> int:
        """The number of requests that the rate limiter refused, without faults."""
        return sum(recorded.throttled for recorded in self.requests)

    def set_throttle(self, limit: int | None, period: float = 60.0) -> None:
        """Set another rate limit; its counters start at zero.

        Args:
            limit: The number of requests per IP address in a window; None for no limit.
            period: The length of the window in seconds.

        Raises:
            ValueError: An argument is not valid.
        """
        check_limit(limit, period)
        self._throttling = (limit, period, self._throttling[2])
        self._application.throttle = None if limit is None else Throttle(limit, period, self._throttling[2])

    # Faults

    def fail(self, method: str, path_pattern: str, fault: Fault, times: int | None = 1, after: int = 0) -> None:
        """Play a fault on the next matching requests.

        Args:
            method: The HTTP method, or `*` for any.
            path_pattern: The path below the base path, with wildcards as in file names (`/orders*`); `*` goes over
                slashes too.
            fault: A fault of `goedgepickt_async.sandbox.faults`, or any object with a method `play`.
            times: The number of requests with the fault; None for all.
            after: The number of matching requests that pass before.
        """
        self.faults.add(method, path_pattern, fault, times, after)

    def clear_faults(self) -> None:
        """Remove all planned faults."""
        self.faults.clear()

    # Reset, and changes without a request

    async def reset(self, **sizes: Any) -> None:
        """Reset everything: the data, requests, faults, quirks, subscriptions, deliveries and counters.

        Args:
            **sizes: The changed settings: `orders`, `products`, `shipments`, `webshops`,
                `pick_locations`, `seed`, `oddities`.

        Raises:
            ValueError: A size is not valid.
        """
        settings = self._settings.with_sizes(until=int(self._clock()) if self._ends_now else None, **sizes)
        running = self._runner is not None
        await self.deliveries.close()
        self._settings = settings
        self.requests.clear()
        self._set_up()
        self._control.watch()
        if running:
            await self.deliveries.start()

    @property
    def lively(self) -> float | None:
        """The number of automatic events per minute, or None. You can set it."""
        return self._lively_rate

    @lively.setter
    def lively(self, rate: float | None) -> None:
        if rate is not None and not 0 < rate <= 6000:
            raise ValueError(f"lively must be a number of events a minute, more than 0 and at most 6000: not {rate!r}")
        self._lively_rate = rate
        self._live()

    # Starting and stopping

    async def start(self) -> None:
        """Start to listen. A second start does nothing."""
        if self._runner is not None:
            return
        self.closing = asyncio.Event()
        # PHP leaves compressed request bodies as they are, too.
        server = web.Server(self._handle, access_log=None, auto_decompress=False)
        # Handlers end by themselves when `closing` is set, so there is nothing to be patient for.
        runner = self._runner = web.ServerRunner(server, shutdown_timeout=2.0)
        try:
            await runner.setup()
            await web.TCPSite(runner, self._host, self._port, backlog=_BACKLOG).start()
        except BaseException:
            self._runner = None
            await runner.cleanup()
            raise
        await self.deliveries.start()
        self._live()

    async def close(self) -> None:
        """Close all connections, and stop listening and delivering.

        The data and the requests stay. A second close does nothing.
        """
        runner, self._runner = self._runner, None
        self._live()
        try:
            await self.deliveries.close()
        finally:
            if runner is not None:
                self.closing.set()
                await runner.cleanup()

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    # Inside

    @property
    def _origin(self) -> str:
        return f"http://{self._guard.own_name}:{self.port}"

    def _live(self) -> None:
        """Start, change or end what happens by itself."""
        task, self._lively_task = self._lively_task, None
        if task is not None:
            task.cancel()
        if self._runner is not None and self._lively_rate is not None:
            work = self._be_lively(60.0 / self._lively_rate)
            self._lively_task = asyncio.get_running_loop().create_task(work, name="sandbox lively")

    async def _be_lively(self, pause: float) -> None:
        while True:
            await asyncio.sleep(pause)
            self._lively.step(self.world)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        refused = self._guard.refuse(request)
        if refused is not None:
            return refused
        base, path = _split(request.path)
        if not base and (response := await self._control.answer(request)) is not None:
            return response
        return await self._answer(request, self._record(request, base, path))

    async def _answer(self, request: web.BaseRequest, recorded: RecordedRequest) -> web.StreamResponse:
        try:
            recorded.raw = await _read_body(request)
        except (ConnectionError, web.RequestPayloadError):
            return web.Response()  # the client is gone
        recorded.body = parse_body(recorded.raw, request.headers.get("Content-Type", ""), request.method)
        exchange = Exchange(
            request=request,
            incoming=_incoming(request, recorded),
            recorded=recorded,
            application=self._application,
            world=self.world,
            connections=self._connections,
            closing=self.closing,
            latency=self._latency,
        )
        changes, fault = self.faults.take(recorded.method, recorded.path)
        for change in changes:
            change.change(self.world)
        try:
            return await exchange.play(self._connections.faults.pop(recorded.connection, fault))
        except ConnectionError:
            return web.Response()  # the client is gone in the middle of its answer
        finally:
            recorded.seconds = max(0.0, self._clock() - recorded.at)
            self._control.events.arrived(recorded)

    def _record(self, request: web.BaseRequest, base: str, path: str) -> RecordedRequest:
        headers: CIMultiDict[str] = CIMultiDict(request.headers)
        if "Authorization" in headers:
            headers["Authorization"] = "***"
        self.arrived += 1
        recorded = RecordedRequest(
            number=self.arrived,
            at=self._clock(),
            method=request.method,
            path=path,
            base=base,
            query=MultiDict(request.query),
            headers=headers,
            connection=self._connections.number(request.transport),
        )
        self.requests.append(recorded)
        if self._recorded is not None and len(self.requests) > 2 * self._recorded:
            del self.requests[: -self._recorded]
        return recorded


def check_limit(limit: Any, period: Any) -> None:
    """Refuse a rate limit that is not valid.

    Raises:
        ValueError: The message names the argument.
    """
    if limit is not None and (type(limit) is not int or limit < 1):
        raise ValueError(f"limit must be a whole number of requests, at least 1, or None: not {limit!r}")
    if isinstance(period, bool) or not isinstance(period, int | float) or not 0 < period < math.inf:
        raise ValueError(f"period must be a number of seconds, more than 0: not {period!r}")


def _keys(seed: int, key: str | None, account_key: str | None, *, any_key: bool) -> Keys:
    for name, given in (("key", key), ("account_key", account_key)):
        if given is not None and not is_well_formed(given):
            raise ValueError(f"{name} must be 8 to 4096 visible ASCII characters without spaces")
    fulfilment = make_key(seed, "fulfilment") if key is None else key
    account = account_key or key or make_key(seed, "account")
    return Keys(fulfilment=fulfilment, account=account, any=any_key)


def _document(given: Mapping[str, Any] | str | Path | None) -> Mapping[str, Any] | None:
    if given is None or isinstance(given, Mapping):
        return given
    read = json.loads(Path(given).read_text(encoding="utf-8"))
    if not isinstance(read, dict):
        raise ValueError(f"openapi must be a JSON object: {given}")  # noqa: TRY004  it is the argument that is wrong
    return read


async def _read_body(request: web.BaseRequest) -> bytes:
    if request.headers.get("Expect", "").lower() == "100-continue" and request.transport is not None:
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await request.content.read()


def _split(path: str) -> tuple[str, str]:
    for base, prefix in BASES.items():
        if path == prefix or path.startswith(f"{prefix}/"):
            return base, path.removeprefix(prefix).rstrip("/") or "/"
    return "", path


def _incoming(request: web.BaseRequest, recorded: RecordedRequest) -> Incoming:
    data = clean_input(recorded.body)
    fields = data if isinstance(data, dict) else {}
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    first_accepted = request.headers.get("Accept", "").partition(",")[0].lower()
    # Laravel lets a form name another method, because browsers know only GET and POST.
    overridden = str(fields.get("_method") or recorded.method).upper() if recorded.method == "POST" else recorded.method
    return Incoming(
        method=overridden,
        base=recorded.base,
        path=recorded.path,
        query=recorded.query,
        data=fields,
        is_unreadable=bool(recorded.raw) and not isinstance(recorded.body, dict),
        token=token.strip() if scheme.lower() == "bearer" else None,
        wants_json="/json" in first_accepted or "+json" in first_accepted,
        referer=request.headers.get("Referer", "/"),
        origin=f"{request.scheme}://{request.host}",
        client=request.remote or "",
    )
