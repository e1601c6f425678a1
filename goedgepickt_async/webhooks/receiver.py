"""WebhookReceiver: verifies deliveries, keeps them safe, answers at once, and has them handled behind the answer."""

from __future__ import annotations

import asyncio
import contextlib
import math
import ssl
from collections.abc import AsyncIterable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, cast

from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.logs import tell
from goedgepickt_async.webhooks.answers import Answer
from goedgepickt_async.webhooks.calling import Threads, check_function, is_being_cancelled
from goedgepickt_async.webhooks.door import Door
from goedgepickt_async.webhooks.events import (
    AnyEvent,
    CompoundProductStockUpdated,
    Event,
    OrderStatusChanged,
    StockUpdated,
    parse,
)
from goedgepickt_async.webhooks.inbox import Entry, Inbox, Intake, MemoryInbox, SqliteInbox
from goedgepickt_async.webhooks.inbox.places import default_place
from goedgepickt_async.webhooks.keyring import Keyring, SecretSource
from goedgepickt_async.webhooks.patience import HandlerRetry
from goedgepickt_async.webhooks.refusals import Refusals
from goedgepickt_async.webhooks.routes import Route, Routes, name_of
from goedgepickt_async.webhooks.signature import Bytes
from goedgepickt_async.webhooks.state import Client, look_at_order, look_at_product
from goedgepickt_async.webhooks.tally import ReceiverSnapshot, Tally
from goedgepickt_async.webhooks.worker import FailedDelivery, Worker

__all__ = ["WebhookReceiver"]

H = TypeVar("H", bound=Callable[..., Any])

_MAX_BODY = 256 * 1024


class WebhookReceiver:
    """Receives the webhooks of GoedGepickt.

    Register handlers with `on`, `on_product_changed` and `on_order_changed`; let deliveries in by an adapter, by
    `receive` or by `run`; and let it work: `async with receiver: ...`. An answer of 200 is given once a delivery lies
    in the inbox, and never waits for a handler. Each delivery is handled **once or more often**: a crash between a
    handler's end and the inbox's hearing of it brings it again, so make handlers that bear that.

    Args:
        secrets: One secret or several; or a mapping from the event that was subscribed to (`WebhookEvent`) to its
            secrets; or a function, sync or async, that gives either, called for each delivery.
        inbox: Where deliveries lie between the answer and the handler. By default in memory; `run` takes a file.
        client: A `GoedGepickt`, for `on_product_changed` and `on_order_changed`. It is not closed. Where it has no
            lane of its own, what is read rides the normal one, so that single calls of others go first.
        concurrency: Handlers at work at once.
        retry: When a handler that failed is tried again.
        lease: Seconds after which the work of a process that died is done by another one, or by its next start.
        again_after: An equal delivery that comes within so many seconds after one was handled, be it the same once
            more or a true later event, is handled when they are over, and those that come meanwhile with it.
        grace: Seconds that handlers have to finish on stopping; the rest is handed back to the inbox.
        max_body: Bytes of a body, at most.
        patience: Seconds for a body to arrive whole.

    Raises:
        ConfigurationError: There is no secret, or something has no such value.
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
        again_after: float = 2.0,
        grace: float = 10.0,
        max_body: int = _MAX_BODY,
        patience: float = 10.0,
    ) -> None:
        _check_number("concurrency", concurrency, least=1)
        if not isinstance(concurrency, int):
            raise ConfigurationError("concurrency must be a whole number")
        _check_number("lease", lease, least=0.001)
        _check_number("again_after", again_after)
        _check_number("grace", grace)
        _check_number("max_body", max_body, least=1)
        _check_number("patience", patience, least=0.001)
        self._own_choice = inbox is None
        self._client = client
        self._grace = grace
        self._tally = Tally()
        self._routes = Routes()
        self._threads = Threads(concurrency)
        self._error_hooks: list[Callable[[FailedDelivery], Any]] = []
        self._looks_at_state = False
        self._door = Door(
            Keyring(secrets),
            self._routes,
            inbox or MemoryInbox(),
            self._tally,
            Refusals(),
            max_body=max_body,
            patience=patience,
            is_open=self._is_open,
        )
        self._make_worker = partial(
            Worker,
            routes=self._routes,
            tally=self._tally,
            retry=retry or HandlerRetry(),
            gave_up=self._tell_of,
            concurrency=concurrency,
            lease=lease,
            again_after=again_after,
        )
        self._worker: Worker | None = None
        self._work: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<WebhookReceiver handlers={len(self._routes.names)} inbox={self.inbox!r}>"

    # -- handlers -----------------------------------------------------------------------------------------------

    def on(self, *events: type[Event], name: str | None = None) -> Callable[[H], H]:
        """Registers a handler, sync or async, for each event of these classes; `Event` stands for all.

        Events of one product or order are handled one at a time, in the order in which they came, which need not be
        the one in which they happened. A sync handler runs in a thread.

        Args:
            events: The classes.
            name: What it is called in the inbox; by default the handler's own name.

        Raises:
            ConfigurationError: There is no such event, another handler of that name for it, or a handler with a `yield`.
        """
        if not events or not all(isinstance(cls, type) and issubclass(cls, Event) for cls in events):
            raise ConfigurationError("say which events: receiver.on(StockUpdated), or receiver.on(Event) for all")
        kind = "+".join(cls.__name__ for cls in events)

        def register(handler: H) -> H:
            check_function(handler)

            async def act(event: AnyEvent) -> None:
                await self._threads.call(handler, event)

            self._routes.add(Route(name=name or name_of(handler, kind), events=events, act=act))
            return handler

        return register

    def on_product_changed(
        self,
        handler: H,
        *,
        within: float = 5.0,
        gone: Callable[[str], Any] | None = None,
        name: str | None = None,
    ) -> H:
        """Registers a handler, sync or async, for products whose stock changed: it is given the `Product` as it is now.

        However many events there are of one product within a while, in whatever order and however often: one request
        for its present state, after the first of them, and one call. While it runs nothing else of that product does.
        An event counts as handled only when that call has succeeded.

        Args:
            handler: Is given the `Product`.
            within: Seconds to gather events, from the first of them.
            gone: Is given the uuid of a product that is no longer there; without it, that is passed over.
            name: What it is called in the inbox; by default the handler's own name.

        Raises:
            ConfigurationError: Another such handler has that name.
        """
        check_function(handler)
        act = look_at_product(lambda: self._client, handler, gone, self._threads)
        self._add_look((StockUpdated, CompoundProductStockUpdated), act, within, name or name_of(handler, "product"))
        return handler

    def on_order_changed(
        self,
        handler: H,
        *,
        within: float = 5.0,
        gone: Callable[[str], Any] | None = None,
        name: str | None = None,
    ) -> H:
        """Registers a handler, sync or async, for orders whose status changed: it is given the `Order` as it is now.

        The rest is as in `on_product_changed`.
        """
        check_function(handler)
        act = look_at_order(lambda: self._client, handler, gone, self._threads)
        self._add_look((OrderStatusChanged,), act, within, name or name_of(handler, "order"))
        return handler

    def on_error(self, hook: H) -> H:
        """Registers a function, sync or async, that is given the `FailedDelivery` when a handler has failed for good."""
        check_function(hook)
        self._error_hooks.append(hook)
        return hook

    def _add_look(
        self, events: tuple[type[Event], ...], act: Callable[[AnyEvent], Any], within: float, name: str
    ) -> None:
        _check_number("within", within)
        self._looks_at_state = True
        self._routes.add(Route(name=name, events=events, act=act, within=within))

    # -- deliveries ---------------------------------------------------------------------------------------------

    async def receive(self, body: Bytes, signature: str | bytes | None) -> Answer:
        """Take a delivery: what an adapter does, of a framework that has none here.

        Args:
            body: The raw bytes of the request's body.
            signature: The value of its header `Signature`, or None.

        Returns:
            What to answer: 200 accepted, 401 not signed by one of the secrets, 400 no JSON, 413 too large, 503 not now.
        """
        return await self._door.receive(body, signature)

    async def receive_chunks(self, chunks: AsyncIterable[bytes], signature: str | bytes | None) -> Answer:
        """The same with a body that arrives in pieces, of which no more is read than is allowed.

        Args:
            chunks: The pieces of the raw body.
            signature: The value of its header `Signature`, or None.

        Returns:
            The same; and 408 for a body that takes too long, 400 for one that breaks off.
        """
        return await self._door.receive_chunks(chunks, signature)

    async def handle(self, entry: Entry) -> None:
        """Have an entry handled here and now: for the workers of a task queue that takes the place of an inbox.

        Args:
            entry: What was put into the inbox.

        Raises:
            ConfigurationError: There is no handler of that name.
            Exception: What the handler raised; retrying is the task queue's affair.
        """
        if entry.route not in self._routes.names:
            raise ConfigurationError(f"there is no handler called {entry.route!r}")
        await self._routes[entry.route].act(parse(entry.body))
        self._tally.handled += 1

    def rotate(self, secrets: SecretSource) -> None:
        """Use other secrets from now on.

        Raises:
            ConfigurationError: There is none.
        """
        self._door.keyring = Keyring(secrets)

    @property
    def inbox(self) -> Intake:
        """Where deliveries lie."""
        return self._door.inbox

    def snapshot(self) -> ReceiverSnapshot:
        """What it has seen and done in this process."""
        return self._tally.snapshot()

    def _is_open(self) -> bool:
        works = self._worker is not None and self._worker.goes_on
        return works or getattr(self.inbox, "is_durable", True)

    # -- life ---------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Work on what is in the inbox, behind whatever else this event loop does.

        Raises:
            ConfigurationError: It works already; its inbox hands nothing out; there is no client to look with.
            InboxError: The inbox cannot be used.
        """
        if self._work is not None:
            raise ConfigurationError("this receiver is at work already")
        inbox = self._working_inbox()
        self._client = _in_background(self._client)
        try:
            await _say_what_strays(inbox, self._routes.names)
        except BaseException:
            await inbox.close()
            raise
        self._worker = self._make_worker(inbox)
        self._work = asyncio.create_task(self._worker.work(self._grace), name="goedgepickt-webhooks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take nothing more out of the inbox, and finish what is in hand or hand it back."""
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
            self._threads.close()
            await cast("Inbox", self.inbox).close()

    async def run(
        self,
        host: str = "127.0.0.1",
        port: int = 8080,
        *,
        path: str = "/",
        ssl_context: ssl.SSLContext | None = None,
        ready: Callable[[str], object] | None = None,
    ) -> None:
        """Serve by itself, with aiohttp, until SIGINT or SIGTERM, or until cancelled.

        A receiver that was given no inbox takes a file of the user's own, named after the port, so that nothing that
        was accepted is lost by a crash. The first signal ends it in good order, the second one at once, but for plain
        handlers that run, which are waited for; both lose nothing.

        Args:
            host: Where to listen.
            port: Where to listen; 0 takes any that is free.
            path: Where deliveries come; all else is 404.
            ssl_context: For https; by default it is http, as behind a proxy.
            ready: Called with the URL as soon as it listens.

        Raises:
            ConfigurationError: It cannot listen there; port 0 without an inbox, which then would have no name.
            InboxError: The inbox cannot be used.
        """
        from goedgepickt_async.webhooks.serving import Place, serve  # noqa: PLC0415  aiohttp is loaded only where it is used

        if self._own_choice:
            if not port:
                raise ConfigurationError("a receiver on any free port needs an inbox=, to find it again")
            self._door.inbox = SqliteInbox(default_place(port))
        await serve(self, Place(host=host, port=port, path=path, ssl_context=ssl_context), ready)

    def _working_inbox(self) -> Inbox:
        inbox = self.inbox
        if not hasattr(inbox, "claim"):
            raise ConfigurationError("this inbox hands nothing out: call receiver.handle where its workers are")
        if self._looks_at_state and self._client is None:
            raise ConfigurationError("on_product_changed and on_order_changed need a client=")
        return cast("Inbox", inbox)

    async def _tell_of(self, failed: FailedDelivery) -> None:
        for hook in self._error_hooks:
            try:
                await self._threads.call(hook, failed)
            except (Exception, asyncio.CancelledError) as error:  # a user's code may raise anything
                if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                    raise
                tell("webhook.trouble", exc_info=error, why="a hook for errors failed")


def _in_background(client: Client | None) -> Client | None:
    """The same client in the normal lane, where it was not told another one."""
    settings, with_options = getattr(client, "settings", None), getattr(client, "with_options", None)
    if settings is None or with_options is None or settings.lane is not None:
        return client
    return cast("Client", with_options(lane="normal"))


async def _say_what_strays(inbox: Inbox, names: tuple[str, ...]) -> None:
    """Ask the inbox, so that one that cannot be used is noticed now; and say what nobody will handle."""
    if isinstance(inbox, SqliteInbox):
        for name, count in (await inbox.strays(names)).items():
            tell("webhook.unhandled", count=count, inbox=str(inbox), handler=name)
    else:
        await inbox.waiting(names)


def _check_number(name: str, value: object, *, least: float = 0.0) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value < math.inf:
        raise ConfigurationError(f"{name} must be a number, at least {least:g}")
