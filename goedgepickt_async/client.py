"""GoedGepickt, the session manager: opens, closes, wires; no logic."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Awaitable, Mapping
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Literal, NoReturn, Self, TypeVar, Unpack

import aiohttp
import attrs

from goedgepickt_async._transport.context import CallContext
from goedgepickt_async._transport.pipeline import Pipeline, RetryQuota, Sender
from goedgepickt_async._transport.request import NO_BODY, Idempotency, RawResponse, Request, query_pairs, raw_path
from goedgepickt_async._transport.session import SessionPool
from goedgepickt_async.budget import Budget
from goedgepickt_async.budget.selection import select_budget
from goedgepickt_async.errors import ConfigurationError
from goedgepickt_async.hooks import Hooks
from goedgepickt_async.settings import Options, Settings, masked_key

if TYPE_CHECKING:
    from goedgepickt_async.bulk.planner import Bulk
    from goedgepickt_async.resources import Orders, PickLocations, Products, Shipments, Stock, Webhooks, Webshops

# ruff: noqa: PLC0415  what the resources need is imported when the first client is made; whoever only names the class in
# an annotation, or asks a command for its help, does not wait for it

__all__ = ["APIResponse", "GoedGepickt", "Response"]

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Response:
    """The answer to a raw request.

    Attributes:
        status: The HTTP status, a success.
        headers: Case-insensitive.
        json: The parsed body; None if it was empty.
        attempts: Requests that went out on the wire for it.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    json: Any = attrs.field(repr=False)
    attempts: int


@attrs.frozen(kw_only=True)
class APIResponse(Generic[T]):
    """What a typed call returned, with what is known about its last response.

    Attributes:
        value: What the call returned.
        status: The HTTP status of the last response.
        headers: Its headers, case-insensitive.
        attempts: Requests that went out on the wire for the call.
    """

    value: T
    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    attempts: int


class GoedGepickt:
    """A client of the GoedGepickt API.

    It opens nothing before the first call, and may then be used from any task, and from several event loops in
    several threads. Use it with `async with`, or call `close` when done.

    Args:
        api_key: Made under Settings → GoedGepickt API; else from `GOEDGEPICKT_API_KEY`.
        api: `"fulfilment"` (the default) or `"account"`: a key of one kind is refused by the other (A).
        base_url: Instead of `api`, for a sandbox or a proxy.
        session: An aiohttp session to use, for its event loop. It is never closed. Its own middlewares stay in force,
            and a tracer that tells sent from never sent is added to its `trace_configs`. The key replaces credentials that
            it finds in ~/.netrc, its cookies are not sent, and `auth=` is refused.
            Without it, requests go through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY` names.
        budget: The rate limit. Default: a `HostBudget`, which all processes of this user on this host share. For a
            server on this machine, such as a sandbox: a `LocalBudget`, which all clients of this process share.
        hooks: Functions that are called for events: see `Hooks`.
        concurrency: Parallel requests in one lane and one event loop.
        settings: `webshop_uuid`, `timeout`, `connect_timeout`, `max_wait`, `deadline`, `lane`, `retry`, `max_body`,
            `user_agent`, `headers`; see `Settings`.

    Raises:
        ConfigurationError: No key, an unknown API, a bad URL or setting.
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        api: Literal["fulfilment", "account"] | None = None,
        base_url: str | None = None,
        session: aiohttp.ClientSession | None = None,
        budget: Budget | None = None,
        hooks: Hooks | None = None,
        concurrency: int = 25,
        **settings: Unpack[Options],
    ) -> None:
        api_key = masked_key(api_key)
        _check_names(settings)
        chosen = Settings.of(api_key, api=api, base_url=base_url, **settings)
        if type(concurrency) is not int or concurrency < 1:
            raise ConfigurationError("concurrency must be a whole number, at least 1")
        _check_parts(session, budget, hooks)
        pipeline = Pipeline(
            SessionPool(borrowed=session, concurrency=concurrency, base_url=chosen.base_url),
            budget or select_budget(server=chosen.base_url, is_loopback=chosen.is_local),
            hooks or Hooks(),
        )
        # The resources hold the sender, not the client: no cycle keeps a forgotten client from being noticed.
        self._sender = Sender(pipeline, chosen, RetryQuota(chosen.retry.quota))
        self._parent: GoedGepickt | None = None
        caller = sys._getframe(1)  # noqa: SLF001  where it was made, for the warning
        self._made_at = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        self._made_in = os.getpid()
        _bring_in_resources()

    def __repr__(self) -> str:
        sender = getattr(self, "_sender", None)  # missing if the arguments were refused
        return f"<GoedGepickt {'half made' if sender is None else sender.settings.base_url}>"

    def _sharing(self, settings: Settings) -> GoedGepickt:
        client = object.__new__(type(self))
        client._sender = self._sender.with_settings(settings)
        client._parent = self
        return client

    # -- the resources ------------------------------------------------------------------------------------------

    @cached_property
    def webshops(self) -> Webshops:
        """Webshops of the account."""
        from goedgepickt_async.resources import Webshops

        return Webshops(self._sender)

    @cached_property
    def products(self) -> Products:
        """The products."""
        from goedgepickt_async.resources import Products

        return Products(self._sender)

    @cached_property
    def stock(self) -> Stock:
        """How much of a product lies where."""
        from goedgepickt_async.resources import Stock

        return Stock(self._sender)

    @cached_property
    def pick_locations(self) -> PickLocations:
        """The places in the warehouse."""
        from goedgepickt_async.resources import PickLocations

        return PickLocations(self._sender)

    @cached_property
    def orders(self) -> Orders:
        """What is to be picked and sent."""
        from goedgepickt_async.resources import Orders

        return Orders(self._sender)

    @cached_property
    def shipments(self) -> Shipments:
        """Parcels and where they are."""
        from goedgepickt_async.resources import Shipments

        return Shipments(self._sender)

    @cached_property
    def webhooks(self) -> Webhooks:
        """Where GoedGepickt reports changes to."""
        from goedgepickt_async.resources import Webhooks

        return Webhooks(self._sender)

    @cached_property
    def bulk(self) -> Bulk:
        """Many items."""
        from goedgepickt_async.bulk.planner import Bulk

        return Bulk(self._sender)

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """Its settings."""
        return self._sender.settings

    @property
    def budget(self) -> Budget:
        """The requests that may be made; `budget.snapshot()` tells how it stands."""
        return self._sender.pipeline.budget

    def with_options(self, **options: Unpack[Options]) -> GoedGepickt:
        """The same client with other settings: it shares the session, the budget and the hooks.

        It need not be closed. `async with GoedGepickt().with_options(…)` closes the session at its end. Inside the block
        of the original client, it leaves the session open. A `retry` with another `quota` has a separate retry quota.

        Args:
            options: `timeout`, `connect_timeout`, `max_wait`, `deadline`, `lane`, `retry`, `webshop_uuid`, `max_body`,
                `user_agent`, `headers`; see `Settings`.

        Raises:
            ConfigurationError: There is no such option, or it has no such value.
        """
        _check_names(options)
        return self._sharing(attrs.evolve(self._sender.settings, **options))

    def for_key(self, api_key: str, *, webshop_uuid: str | None = None) -> GoedGepickt:
        """The same client with another key, of another tenant: the limit is per IP, so the budget is shared too.

        Args:
            api_key: The other key, for the same API.
            webshop_uuid: The webshop that its writes are for.

        Raises:
            ConfigurationError: It is no key.
        """
        api_key = masked_key(api_key) or ""
        return self._sharing(attrs.evolve(self._sender.settings, api_key=api_key, webshop_uuid=webshop_uuid))

    # -- calls --------------------------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = NO_BODY,
        idempotent: bool | None = None,
        route: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Call what is not wrapped, under the same budget, retries and errors.

        Args:
            method: The HTTP method.
            path: Below the base URL, such as `/suppliers`.
            query: Parameters; those that are None are left out.
            json: The body, JSON-ready. Default: no body.
            idempotent: Whether the request may be sent twice. Default: GET and HEAD may; other requests are never
                blindly sent again.
            route: The name in logs, hooks and metrics, such as `/customers/{id}/notes`. Default: the path with `{id}` for
                all but its first word, because an id can be personal data.
            headers: Headers in addition to the headers of the client's settings.

        Raises:
            ConfigurationError: The path leads out of the base URL, where the key must not go.
            OutcomeUnknownError: A write that is not idempotent may or may not have been carried out.
            GoedGepicktError: Any other of the tree.
        """
        verb = method.upper() if isinstance(method, str) else ""
        if not verb.isascii() or not verb.isalpha():
            raise ConfigurationError(f"this is no HTTP method: {method!r}")
        reads = verb in {"GET", "HEAD"}
        request = Request(
            method=verb,
            path=raw_path(path),
            query=query_pairs(query or {}),
            body=json,
            idempotency=Idempotency.SAFE
            if reads
            else Idempotency.IDEMPOTENT
            if idempotent
            else Idempotency.NON_IDEMPOTENT,
            may_be_empty=True,
            from_user=True,
            route=route,
        )
        del query, json  # error trackers collect the local variables of a call that fails
        if reads and idempotent is False:
            request = attrs.evolve(request, idempotency=Idempotency.NON_IDEMPOTENT)
        sender = self._sender
        if headers is not None:
            everything = {**sender.settings.headers, **headers}
            sender = sender.with_settings(attrs.evolve(sender.settings, headers=everything))
        result = await sender.send(request)
        answer = result.response
        return Response(status=answer.status, headers=answer.headers, json=result.data, attempts=result.attempts)

    async def with_raw_response(self, call: Awaitable[T]) -> APIResponse[T]:
        """Await a typed call, and return its value with status, headers and attempts.

        ```python
        raw = await gg.with_raw_response(gg.orders.list().first())
        print(raw.status, raw.attempts, raw.headers.get("X-RateLimit-Remaining"))
        ```

        Args:
            call: A call of this client that is not awaited yet, such as `gg.orders.get(uuid)`.

        Raises:
            ConfigurationError: The call got no response, or is awaited already.
            GoedGepicktError: What the call raises.
        """
        if not isinstance(call, Awaitable):
            raise ConfigurationError("with_raw_response takes a call without `await`, such as gg.orders.get(uuid)")
        responses: list[RawResponse] = []
        with CallContext(on_response=responses.append).active() as context:
            value = await call
        if not responses:
            raise ConfigurationError("with_raw_response: the call made no request")
        last = responses[-1]
        return APIResponse(value=value, status=last.status, headers=last.headers, attempts=context.requests)

    # -- life ---------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Close the session in all event loops. It may be called twice, and the next call opens the session again.

        A client of `with_options` or `for_key` leaves that to the original client. Its `async with` block closes the
        session only if it has opened it and no other client's block is active.
        """
        if self._parent is None:
            await self._sender.pipeline.sessions.close()

    def __enter__(self) -> NoReturn:
        """Refused: the client is asynchronous."""
        raise TypeError("use `async with GoedGepickt() as gg:`, not `with`")

    def __exit__(self, *_: object) -> None:
        """Never reached."""

    async def __aenter__(self) -> Self:
        await self._sender.pipeline.sessions.acquire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._sender.pipeline.sessions.release(is_owner=self._parent is None)

    def __del__(self) -> None:
        if getattr(self, "_parent", self) is not None or self._made_in != os.getpid():
            return
        if self._sender.pipeline.sessions.open_here:
            warnings.warn(
                f"a GoedGepickt client was not closed; it was made at {self._made_at}",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )


def _bring_in_resources() -> None:
    """Import now what would otherwise stop the event loop for a moment in the middle of the first call."""
    import goedgepickt_async.bulk.planner
    import goedgepickt_async.resources  # noqa: F401


_OPTIONS = {attribute.name for attribute in attrs.fields(Settings)} - {"api_key", "base_url"}


def _check_names(options: Mapping[str, Any]) -> None:
    unknown = options.keys() - _OPTIONS
    if unknown:
        raise ConfigurationError(
            f"there is no such setting: {', '.join(sorted(unknown))}; there are: {', '.join(sorted(_OPTIONS))}"
        )


def _check_parts(session: object, budget: object, hooks: object) -> None:
    if session is not None and not isinstance(session, aiohttp.ClientSession):
        raise ConfigurationError("session must be an aiohttp.ClientSession")
    if budget is not None and not isinstance(budget, Budget):
        raise ConfigurationError("budget must be a budget, such as LocalBudget(150, 60.0)")
    if hooks is not None and not isinstance(hooks, Hooks):
        raise ConfigurationError("hooks must be a Hooks, such as Hooks(call_finished=function)")
