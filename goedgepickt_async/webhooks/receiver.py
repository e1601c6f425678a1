"""`WebhookReceiver` verifies and stores deliveries and runs handlers, and its adapters to web frameworks."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, cast

from goedgepickt_async.errors import ConfigurationError, GoedGepicktError, NotFoundError, WebhookVerificationError
from goedgepickt_async.logs import log_event
from goedgepickt_async.webhooks.endpoint import (
    ACCEPTED,
    BODY_TIMEOUT,
    MAX_BODY,
    UNAVAILABLE,
    UNSUPPORTED_ENCODING,
    DeliveryEndpoint,
    ReceivedDelivery,
    ReceiverSnapshot,
    SecretSource,
    WebhookResponse,
    check_number,
    checked_secrets,
)
from goedgepickt_async.webhooks.events import EVENTS, AnyEvent, Event, parse
from goedgepickt_async.webhooks.handlers import (
    Client,
    FailedDelivery,
    Handler,
    HandlerExecutor,
    HandlerRetry,
    Worker,
    check_function,
    handler_name,
    is_being_cancelled,
)
from goedgepickt_async.webhooks.inbox import Inbox, InboxEntry, Intake, MemoryInbox
from goedgepickt_async.webhooks.inbox.sqlite import SqliteInbox, default_inbox_path
from goedgepickt_async.webhooks.signature import HEADER, Bytes

if TYPE_CHECKING:
    from aiohttp import web
    from django.http import HttpRequest, HttpResponse
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["WebhookReceiver", "aiohttp_handler", "django_view", "starlette_endpoint"]

H = TypeVar("H", bound=Callable[..., Any])


class WebhookReceiver:
    """Receives the webhooks of GoedGepickt.

    Register handlers with `on`, `on_product_changed` and `on_order_changed`. Pass deliveries in with an adapter, with
    `receive` or with `run`. Handlers run while the receiver is entered: `async with receiver: ...`. A delivery is
    answered with 200 as soon as it is stored in the inbox; the answer never waits for a handler. Each delivery is
    handled **at least once**: a crash after a handler's end can repeat it, so handlers must be idempotent.

    Args:
        secrets: One secret or several; a mapping from subscription (`WebhookEvent`) to its secrets; or a function, sync or
            async, that returns either. The function is called for each delivery, also a forged one.
        inbox: The inbox, where deliveries wait for their handlers. Default: in memory; with `run`, a file.
        client: A `GoedGepickt`, for `on_product_changed` and `on_order_changed`. It is not closed. If no lane is
            set, these reads use the `normal` lane, so that other single calls go first.
        concurrency: The largest number of handlers that run at the same time.
        retry: When a handler that failed is called again.
        lease: Seconds after which the entries of a process that died are handed to another one, or to its next start.
        dedup_window: Seconds. An equal delivery that comes within this time after one was handled is handled when the
            time is over, together with all further equal ones.
        grace: Seconds that handlers have to finish when the receiver stops; then their entries are handed back.
        max_body: The largest body, in bytes, before and after decompression.
        body_timeout: Seconds until a body must be complete.
        handler_timeout: Seconds after which a call of a handler has failed, unless `on` sets another time.

    Raises:
        ConfigurationError: There is no secret, a subscription is misspelt, or an argument is invalid.
    """

    def __init__(
        self,
        secrets: SecretSource,
        *,
        inbox: Intake | None = None,
        client: Client | None = None,
        concurrency: int = 10,
        retry: HandlerRetry | None = None,
        lease: float = 60.0,
        dedup_window: float = 2.0,
        grace: float = 10.0,
        max_body: int = MAX_BODY,
        body_timeout: float = BODY_TIMEOUT,
        handler_timeout: float = 300.0,
    ) -> None:
        checked = checked_secrets(secrets)
        del secrets  # from here on, no traceback shows them
        if isinstance(checked, str):
            raise ConfigurationError(checked)
        check_number("concurrency", concurrency, least=1)
        if not isinstance(concurrency, int):
            raise ConfigurationError("concurrency must be a whole number")
        check_number("lease", lease, least=0.001)
        check_number("dedup_window", dedup_window)
        check_number("grace", grace)
        check_number("handler_timeout", handler_timeout, least=0.001)
        self._has_default_inbox = inbox is None
        self._client = client
        self._grace = grace
        self._handler_timeout = handler_timeout
        self._inbox: Intake = MemoryInbox() if inbox is None else inbox
        self._handlers: dict[str, Handler] = {}
        self._executor = HandlerExecutor()
        self._endpoint = DeliveryEndpoint(checked, self._store, max_body=max_body, body_timeout=body_timeout)
        self._stats = self._endpoint.stats
        self._error_hooks: list[Callable[[FailedDelivery], Any]] = []
        self._needs_client = False
        self._make_worker = partial(
            Worker,
            handlers=self._handlers,
            stats=self._stats,
            retry=retry or HandlerRetry(),
            on_given_up=self._call_error_hooks,
            concurrency=concurrency,
            lease=lease,
            dedup_window=dedup_window,
        )
        self._worker: Worker | None = None
        self._work: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        try:
            return f"<WebhookReceiver handlers={len(self._handlers)} inbox={self.inbox!r}>"
        except AttributeError:  # in a traceback of __init__
            return "<WebhookReceiver>"

    # -- handlers -----------------------------------------------------------------------------------------------

    def on(self, *events: type[Event], name: str | None = None, timeout: float | None = None) -> Callable[[H], H]:
        """Registers a handler, sync or async, for events of these classes; `Event` means all.

        Events of one product or order are handled one at a time, in the order of arrival. That may differ from the
        order of the changes. A sync handler runs in a thread.

        Args:
            events: The classes.
            name: The handler's name in the inbox; by default the function's name.
            timeout: Seconds after which a call has failed; by default the receiver's `handler_timeout`.

        Raises:
            ConfigurationError: An event is unknown, the name is taken, or the handler is a generator function.
        """
        if not events or not all(isinstance(cls, type) and issubclass(cls, Event) for cls in events):
            raise ConfigurationError(
                "on() needs event classes: receiver.on(StockUpdated), or receiver.on(Event) for all"
            )
        kind = "+".join(cls.__name__ for cls in events)
        seconds = self._checked_timeout(timeout)

        def register(function: H) -> H:
            check_function(function)

            async def call(event: AnyEvent) -> None:
                await self._executor.call(function, event, timeout=seconds)

            self._add(Handler(name=name or handler_name(function, kind), events=events, call=call))
            return function

        return register

    def on_product_changed(
        self,
        handler: H,
        *,
        within: float = 5.0,
        gone: Callable[[str], Any] | None = None,
        name: str | None = None,
        timeout: float | None = None,
    ) -> H:
        """Registers a handler, sync or async, that gets the current `Product` after its stock changed.

        All events of one product within `within` seconds, in any order and number, cause one request for the current
        state and one call. Calls for one product never overlap. An event counts as handled when the call succeeded.

        Args:
            handler: Gets the `Product`.
            within: Seconds in which events are combined, counted from the first.
            gone: Gets the uuid of a product that no longer exists; None ignores it.
            name: The handler's name in the inbox; by default the function's name.
            timeout: Seconds after which a call has failed; by default the receiver's `handler_timeout`.

        Raises:
            ConfigurationError: The name is taken, or an argument is invalid.
        """
        self._add_refresh("product", handler, within=within, gone=gone, name=name, timeout=timeout)
        return handler

    def on_order_changed(
        self,
        handler: H,
        *,
        within: float = 5.0,
        gone: Callable[[str], Any] | None = None,
        name: str | None = None,
        timeout: float | None = None,
    ) -> H:
        """Registers a handler, sync or async, that gets the current `Order` after it changed.

        Otherwise like `on_product_changed`.
        """
        self._add_refresh("order", handler, within=within, gone=gone, name=name, timeout=timeout)
        return handler

    def on_error(self, hook: H) -> H:
        """Registers a function, sync or async, that gets a `FailedDelivery` when a handler failed for the last time."""
        check_function(hook)
        self._error_hooks.append(hook)
        return hook

    def _add_refresh(
        self,
        resource: Literal["product", "order"],
        function: Callable[..., Any],
        *,
        within: float,
        gone: Callable[[str], Any] | None,
        name: str | None,
        timeout: float | None,
    ) -> None:
        check_function(function)
        check_number("within", within)
        seconds = self._checked_timeout(timeout)

        async def call(event: AnyEvent) -> None:
            if self._client is None:
                raise ConfigurationError("to read products and orders, a webhook receiver needs client=")
            reads = self._client.products if resource == "product" else self._client.orders
            try:
                found = await reads.get(event.resource_uuid)
            except NotFoundError:
                if gone is not None:
                    await self._executor.call(gone, event.resource_uuid, timeout=seconds)
                return
            await self._executor.call(function, found, timeout=seconds)

        self._needs_client = True
        events = tuple(cls for cls in EVENTS.values() if cls.resource == resource)
        self._add(Handler(name=name or handler_name(function, resource), events=events, call=call, within=within))

    def _add(self, handler: Handler) -> None:
        try:
            handler.name.encode()
        except (AttributeError, UnicodeEncodeError):
            raise ConfigurationError("the name of a handler must be text, without half a surrogate pair") from None
        if handler.name in self._handlers:  # waiting entries could go to the wrong handler
            raise ConfigurationError(f"two handlers have the name {handler.name!r}: give one of them another name=")
        self._handlers[handler.name] = handler

    def _checked_timeout(self, timeout: float | None) -> float:
        if timeout is None:
            return self._handler_timeout
        check_number("timeout", timeout, least=0.001)
        return timeout

    # -- deliveries ---------------------------------------------------------------------------------------------

    async def receive(
        self, body: Bytes, signature: str | bytes | None, *, content_encoding: str | None = None
    ) -> WebhookResponse:
        """Receive a delivery. Use it for frameworks without an adapter in this package.

        Args:
            body: The raw bytes of the request's body, as they arrived, not decompressed.
            signature: The value of the `Signature` header, or None.
            content_encoding: The value of the `Content-Encoding` header, or None.

        Returns:
            The response: 200 accepted, 400 not JSON, 401 no valid signature, 413 too large, 415 signed but with an
            unsupported content encoding, 503 cannot be stored.
        """
        return await self._endpoint.receive(body, signature, content_encoding=content_encoding)

    async def receive_chunks(
        self,
        chunks: AsyncIterable[bytes],
        signature: str | bytes | None,
        *,
        content_encoding: str | None = None,
        content_length: int | None = None,
    ) -> WebhookResponse:
        """Like `receive`, with a body that arrives in chunks. It is read only as far as the limits allow.

        Args:
            chunks: The chunks of the raw body.
            signature: The value of the `Signature` header, or None. Without one, nothing is read.
            content_encoding: The value of the `Content-Encoding` header, or None.
            content_length: The value of the `Content-Length` header, or None. If it is too large, nothing is read.

        Returns:
            The response; also 408 for a body that takes too long, and 400 for one that ends early.
        """
        return await self._endpoint.receive_chunks(
            chunks, signature, content_encoding=content_encoding, content_length=content_length
        )

    async def handle(self, entry: InboxEntry) -> None:
        """Run the handler of an inbox entry now, in the workers of a task queue that replaces the inbox.

        Args:
            entry: The entry that was put into the inbox.

        Raises:
            ConfigurationError: There is no handler of that name.
            Exception: The exception of the handler. The task queue decides whether to repeat it.
        """
        if entry.handler not in self._handlers:
            raise ConfigurationError(f"no handler has the name {entry.handler!r}")
        await self._handlers[entry.handler].call(parse(entry.body))
        self._stats.handled += 1

    def rotate(self, secrets: SecretSource) -> None:
        """Replace the secrets, from the next delivery on.

        To rotate a secret without losing a delivery, first accept both (`receiver.rotate([old, new])`). Drop the old
        one (`receiver.rotate(new)`) when no more deliveries can be signed with it.

        Raises:
            ConfigurationError: There is no secret. The present secrets stay.
        """
        checked = checked_secrets(secrets)
        del secrets  # no traceback shows them
        if isinstance(checked, str):
            raise ConfigurationError(checked)
        self._endpoint.secrets = checked

    @property
    def inbox(self) -> Intake:
        """Where deliveries wait for their handlers."""
        return self._inbox

    def snapshot(self) -> ReceiverSnapshot:
        """What the receiver has done in this process."""
        return self._stats.snapshot()

    async def _store(self, delivery: ReceivedDelivery) -> WebhookResponse:
        """Put a verified delivery into the inbox."""
        event = parse(delivery.body)
        allowed = delivery.subscriptions
        if allowed is not None and event.subscription is not None and event.subscription not in allowed:
            names = ", ".join(sorted(allowed))
            raise WebhookVerificationError(f"an event of {event.subscription} is signed with the secret of {names}")
        digest = hashlib.sha256(delivery.body).hexdigest()
        ordering_key = event.ordering_key or f"body:{digest}"
        matching = [handler for handler in self._handlers.values() if isinstance(event, handler.events)]
        if not matching:
            self._stats.unmatched += 1
            return ACCEPTED
        if not self._is_open():
            return self._endpoint.refuse(UNAVAILABLE, "the receiver is not running, and its inbox is not durable")
        try:
            added = await self._inbox.put([one.entry(ordering_key, digest, delivery.body) for one in matching])
        except Exception as error:
            self._stats.inbox_problem = str(error) if isinstance(error, GoedGepicktError) else type(error).__name__
            raise
        self._stats.inbox_problem = None
        self._stats.duplicates += not added
        return ACCEPTED

    def _is_open(self) -> bool:
        running = self._worker is not None and self._worker.is_running
        return running or getattr(self.inbox, "is_durable", True)

    # -- life cycle ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Start to run handlers, in the background of this event loop.

        Raises:
            ConfigurationError: The receiver is running already, its inbox has no `claim`, or a client is missing.
            InboxError: The inbox cannot be used.
        """
        if self._work is not None:
            raise ConfigurationError("this receiver is running already")
        if not hasattr(self.inbox, "claim"):
            raise ConfigurationError("this inbox has no claim(): call receiver.handle in the workers of the task queue")
        if self._needs_client and self._client is None:
            raise ConfigurationError("on_product_changed and on_order_changed need a client=")
        inbox = cast("Inbox", self.inbox)
        self._client = _in_normal_lane(self._client)
        try:
            await _log_orphans(inbox, tuple(self._handlers))
        except BaseException:
            await inbox.close()
            raise
        self._worker = self._make_worker(inbox=inbox)
        self._work = asyncio.create_task(self._worker.work(self._grace), name="goedgepickt-webhooks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop: claim nothing more, and let running handlers finish or hand their entries back."""
        assert self._work is not None
        assert self._worker is not None
        self._worker.stop()
        try:
            await asyncio.shield(self._work)
        except asyncio.CancelledError:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
            raise
        finally:
            self._work = self._worker = None
            await cast("Inbox", self.inbox).close()

    async def run(
        self,
        host: str = "127.0.0.1",
        port: int = 8080,
        *,
        path: str = "/",
        ssl_context: ssl.SSLContext | None = None,
        max_connections: int | None = None,
        ready: Callable[[str], object] | None = None,
    ) -> None:
        """Serve with aiohttp until SIGINT or SIGTERM, or until cancelled.

        Without `inbox=`, the receiver uses a file in the user's state directory, named after the port. So a crash loses
        nothing that was accepted. The first signal stops it after running handlers finish; the second one stops it
        immediately, except for plain handlers that are running. No delivery is lost.

        Args:
            host: The host name or address to listen on.
            port: The port to listen on; 0 for a free port.
            path: The path of deliveries; all others are 404.
            ssl_context: The TLS context for https. Default: http, as behind a proxy.
            max_connections: The largest number of open connections; by default up to 1,000, and always well below the
                number of file descriptors that the process may open. When it is reached, the connection that has been
                idle for the longest time is closed.
            ready: Called with the URL as soon as it listens.

        Raises:
            ConfigurationError: The address cannot be used, or the port is 0 without `inbox=`.
            InboxError: The inbox cannot be used.
        """
        from goedgepickt_async.webhooks.server import serve  # noqa: PLC0415  loads aiohttp

        if self._has_default_inbox:
            if not port:
                raise ConfigurationError("port=0 needs inbox=, because the default file is named after the port")
            self._inbox = SqliteInbox(default_inbox_path(port))
        server = self._endpoint.server(host, port, path=path, ssl_context=ssl_context, max_connections=max_connections)
        await serve(self, server, ready)

    async def _call_error_hooks(self, failed: FailedDelivery) -> None:
        for hook in self._error_hooks:
            try:
                await self._executor.call(hook, failed, timeout=self._handler_timeout)
            except (Exception, asyncio.CancelledError) as error:  # a user's code may raise anything
                if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                    raise
                log_event("webhook.error", exc_info=error, why="a hook for errors failed")


def _in_normal_lane(client: Client | None) -> Client | None:
    """The same client in the normal lane, unless a lane is set."""
    settings, with_options = getattr(client, "settings", None), getattr(client, "with_options", None)
    if settings is None or with_options is None or settings.lane is not None:
        return client
    return cast("Client", with_options(lane="normal"))


async def _log_orphans(inbox: Inbox, names: tuple[str, ...]) -> None:
    """Use the inbox, so that an error comes now; and log entries for handlers that do not exist."""
    if isinstance(inbox, SqliteInbox):
        for name, count in (await inbox.orphans(names)).items():
            log_event("webhook.unhandled", count=count, inbox=str(inbox), handler=name)
    else:
        await inbox.waiting(names)


# -- adapters: a web framework is imported only when its adapter is called --------------------------------------------

_CHUNK = 64 * 1024


def _length(header: str | None) -> int | None:
    """The value of a `Content-Length` header, as far as a body's length can be; Python reads no 5,000 digits."""
    return int(header[:20]) if header is not None and header.isdecimal() else None


def aiohttp_handler(receiver: WebhookReceiver | DeliveryEndpoint) -> Callable[[web.Request], Awaitable[web.Response]]:
    """A handler for aiohttp.web.

    Use it as `app.router.add_post("/webhooks", aiohttp_handler(receiver))`.
    """
    from aiohttp import web  # noqa: PLC0415

    async def goedgepickt_webhook(request: web.Request) -> web.Response:
        if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            return await _refuse_compressed(request)
        answer = await receiver.receive_chunks(
            request.content.iter_any(), request.headers.get(HEADER), content_length=request.content_length
        )
        return web.Response(status=answer.status, text=answer.text)

    async def _refuse_compressed(request: web.Request) -> web.Response:
        """An application's server decompresses before the handler, so the signed bytes are gone: refuse, and close."""
        response = web.Response(status=UNSUPPORTED_ENCODING.status, text=UNSUPPORTED_ENCODING.text)
        response.force_close()
        await response.prepare(request)
        await response.write_eof()
        request.protocol.force_close()  # or aiohttp would continue to read, and decompress what it reads
        return response

    return goedgepickt_webhook


def starlette_endpoint(receiver: WebhookReceiver | DeliveryEndpoint) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint for Starlette and FastAPI.

    Use it as `app.add_route("/webhooks", starlette_endpoint(receiver), methods=["POST"])`.
    """
    from starlette.requests import Request  # noqa: PLC0415
    from starlette.responses import PlainTextResponse, Response  # noqa: PLC0415

    async def goedgepickt_webhook(request: Request) -> Response:
        answer = await receiver.receive_chunks(
            request.stream(),
            request.headers.get(HEADER),
            content_encoding=request.headers.get("Content-Encoding"),
            content_length=_length(request.headers.get("Content-Length")),
        )
        return PlainTextResponse(answer.text, status_code=answer.status)

    # FastAPI needs the classes; it cannot resolve their names in this module.
    goedgepickt_webhook.__annotations__ = {"request": Request, "return": Response}
    return goedgepickt_webhook


def django_view(receiver: WebhookReceiver | DeliveryEndpoint) -> Callable[[HttpRequest], Awaitable[HttpResponse]]:
    """An async view for Django, which accepts POST only, and needs no CSRF token.

    Use it as `path("webhooks", django_view(receiver))`.
    """
    from django.http import HttpResponse, HttpResponseNotAllowed  # noqa: PLC0415

    async def chunks(request: HttpRequest) -> AsyncIterator[bytes]:
        while chunk := request.read(_CHUNK):
            yield chunk

    async def goedgepickt_webhook(request: HttpRequest) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        answer = await receiver.receive_chunks(
            chunks(request),
            request.META.get("HTTP_SIGNATURE"),
            content_encoding=request.META.get("HTTP_CONTENT_ENCODING"),
            content_length=_length(request.META.get("CONTENT_LENGTH")),
        )
        return HttpResponse(answer.text.encode(), status=answer.status, content_type="text/plain")

    goedgepickt_webhook.csrf_exempt = True  # type: ignore[attr-defined]  # Django's middleware reads this attribute
    return goedgepickt_webhook
