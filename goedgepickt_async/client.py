"""`GoedGepickt`, the client: it opens and closes sessions, and has the resources as properties."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Awaitable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, Self, TypeVar, Unpack

import aiohttp
import attrs

from goedgepickt_async._transport.pipeline import Pipeline, RetryQuota, Sender
from goedgepickt_async._transport.request import (
    NO_BODY,
    CallContext,
    Idempotency,
    RawResponse,
    Request,
    query_pairs,
    raw_path,
)
from goedgepickt_async._transport.session import SessionPool
from goedgepickt_async.budget import Budget
from goedgepickt_async.budget.selection import select_budget
from goedgepickt_async.errors import ConfigurationError, GoedGepicktError, without_frames
from goedgepickt_async.hooks import Hooks
from goedgepickt_async.settings import Options, Settings
from goedgepickt_async.text import masked, shown

if TYPE_CHECKING:
    from goedgepickt_async.bulk import Bulk
    from goedgepickt_async.resources import Orders, PickLocations, Products, Shipments, Stock, Webhooks, Webshops

__all__ = ["APIResponse", "GoedGepickt", "Response"]

T = TypeVar("T")
_LONGEST_METHOD: Final = 20


@attrs.frozen(kw_only=True)
class Response:
    """The response to a raw request.

    Attributes:
        status: The HTTP status, always a success.
        headers: The headers; names are case-insensitive.
        json: The parsed JSON body; None if the body was empty.
        attempts: The number of HTTP requests that were sent for the call.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    json: Any = attrs.field(repr=False)
    attempts: int


@attrs.frozen(kw_only=True)
class APIResponse(Generic[T]):
    """The result of a typed call, with status and headers of its last response.

    Attributes:
        value: The result of the call.
        status: The HTTP status of the last response.
        headers: The headers of the last response; names are case-insensitive.
        attempts: The number of HTTP requests that were sent for the call.
    """

    value: T
    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    attempts: int


class GoedGepickt:
    """A client of the GoedGepickt API.

    It opens no connection before the first call. Any task can use it, also in several event loops of several threads.
    Use it with `async with`, or call `close` at the end.

    Args:
        api_key: The API key, from Settings → GoedGepickt API. Default: the variable `GOEDGEPICKT_API_KEY`.
        api: `"fulfilment"` (the default) or `"account"`. Each API refuses the keys of the other one (A).
        base_url: The URL of a sandbox or a proxy, instead of `api`.
        session: Your own aiohttp session, for its event loop. The client never closes it. Its middlewares stay active.
            The client adds a tracer to its `trace_configs`, to find out which requests were sent. The API key replaces
            credentials from ~/.netrc. Cookies of the session are not sent, and `auth=` is refused. Default: the client
            makes a session that uses the proxy in `HTTPS_PROXY`, `HTTP_PROXY` or `ALL_PROXY`.
        budget: The object that keeps requests under the rate limit. Default: a `HostBudget`, which all processes of
            this user on this host share. For a server on this machine, such as a sandbox, it is a `LocalBudget`, which
            all clients of this process share.
        hooks: Functions that the client calls for its events: see `Hooks`.
        concurrency: The largest number of parallel requests in one lane and one event loop.
        settings: `webshop_uuid`, `timeout`, `connect_timeout`, `max_wait`, `deadline`, `lane`, `retry`, `max_body`,
            `user_agent`, `headers`; see `Settings`.

    Raises:
        ConfigurationError: There is no key, the API is unknown, or a URL or setting is not valid.
    """

    webshops: Webshops
    """The webshops of the account."""
    products: Products
    """The products of the account."""
    stock: Stock
    """The stock of products at pick locations."""
    pick_locations: PickLocations
    """The pick locations of the warehouse."""
    orders: Orders
    """The orders."""
    shipments: Shipments
    """The shipments."""
    webhooks: Webhooks
    """The webhook subscriptions."""
    bulk: Bulk
    """Bulk calls: one function for many items."""

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
        api_key = masked(api_key)
        _check_names(settings)
        try:
            chosen = Settings.of(api_key, api=api, base_url=base_url, **settings)
        except ConfigurationError as error:
            del settings  # headers may hold a token, and error trackers collect local variables
            raise without_frames(error) from None
        if type(concurrency) is not int or concurrency < 1:
            raise ConfigurationError("concurrency must be a whole number, at least 1")
        _check_parts(session, budget, hooks)
        pipeline = Pipeline(
            SessionPool(borrowed=session, concurrency=concurrency, base_url=chosen.base_url),
            budget or select_budget(server=chosen.base_url, is_loopback=chosen.is_local),
            hooks or Hooks(),
        )
        caller = sys._getframe(1)  # noqa: SLF001  where it was made, for the warning
        self._made_at = f"{caller.f_code.co_filename}:{caller.f_lineno}"
        self._made_in = os.getpid()
        self._set_up(Sender(pipeline, chosen, RetryQuota(chosen.retry.quota)), None)

    def __repr__(self) -> str:
        sender = getattr(self, "_sender", None)  # missing if the arguments were refused
        return f"<GoedGepickt {'half made' if sender is None else sender.settings.base_url}>"

    def __copy__(self) -> GoedGepickt:
        return self.with_options()

    def _set_up(self, sender: Sender, parent: GoedGepickt | None) -> None:
        """Make the resources. They hold the sender, not the client: a cycle would delay the warning of `__del__`."""
        # The first client imports these modules. A command's `--help` and annotations do not need them.
        from goedgepickt_async import bulk, resources  # noqa: PLC0415

        self._sender = sender
        self._parent = parent
        self.webshops = resources.Webshops(sender)
        self.products = resources.Products(sender)
        self.stock = resources.Stock(sender)
        self.pick_locations = resources.PickLocations(sender)
        self.orders = resources.Orders(sender)
        self.shipments = resources.Shipments(sender)
        self.webhooks = resources.Webhooks(sender)
        self.bulk = bulk.Bulk(sender)

    def _sharing(self, settings: Settings) -> GoedGepickt:
        client = object.__new__(type(self))
        client.__dict__.update(self.__dict__)  # what a subclass has set
        client._set_up(self._sender.with_settings(settings), self)
        return client

    # -- what it is ---------------------------------------------------------------------------------------------

    @property
    def settings(self) -> Settings:
        """The settings of this client."""
        return self._sender.settings

    @property
    def budget(self) -> Budget:
        """The budget, which keeps requests under the rate limit; `budget.snapshot()` returns its state."""
        return self._sender.pipeline.budget

    def with_options(self, **options: Unpack[Options]) -> GoedGepickt:
        """Return a client with other settings that shares the session, the budget and the hooks.

        You do not have to close it. `async with GoedGepickt().with_options(…)` closes the session at its end. Inside
        the block of the original client, it leaves the session open. A `retry` with another `quota` has a separate
        retry quota.

        Args:
            options: `timeout`, `connect_timeout`, `max_wait`, `deadline`, `lane`, `retry`, `webshop_uuid`, `max_body`,
                `user_agent`, `headers`; see `Settings`.

        Raises:
            ConfigurationError: The option does not exist, or its value is not valid.
        """
        _check_names(options)
        try:
            return self._sharing(attrs.evolve(self._sender.settings, **options))
        except ConfigurationError as error:
            del options  # headers may hold a token, and error trackers collect local variables
            raise without_frames(error) from None

    def for_key(self, api_key: str, *, webshop_uuid: str | None = None) -> GoedGepickt:
        """Return a client with the key of another tenant.

        It shares the budget, because the rate limit counts per IP address.

        Args:
            api_key: The other tenant's key, for the same API.
            webshop_uuid: The uuid of the webshop for writes.

        Raises:
            ConfigurationError: The text is not an API key.
        """
        api_key = masked(api_key) or ""
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
        """Send a request to any path of the API, with the same budget, retries and errors.

        Args:
            method: The HTTP method.
            path: The path below the base URL, such as `/webshops`.
            query: Query parameters; parameters that are None are left out.
            json: The body, as values for `json.dumps`. Default: no body.
            idempotent: Whether a retry may send the request twice. Default: GET and HEAD are idempotent, other methods
                are not.
            route: The name in logs, hooks and metrics, such as `/customers/{id}/notes`. Default: the path with `{id}` for
                all but its first word, because an id can be personal data.
            headers: Headers in addition to the headers of the client's settings.

        Raises:
            ConfigurationError: The path leads out of the base URL, and the key is only sent below the base URL.
            OutcomeUnknownError: A write has an unknown outcome: the server may have carried it out.
            GoedGepicktError: Any other error of the package: see `errors`.
        """
        sender = self._sender
        try:
            request = _request(method, path, query, json, idempotent=idempotent, route=route)
            if headers is not None:
                sender = sender.with_headers(headers)
        except GoedGepicktError as error:
            del query, json, headers  # error trackers collect the local variables of a call that fails
            raise without_frames(error) from None
        del query, json, headers
        result = await sender.send(request)
        answer = result.response
        return Response(status=answer.status, headers=answer.headers, json=result.data, attempts=result.attempts)

    async def with_raw_response(self, call: Awaitable[T]) -> APIResponse[T]:
        """Await a typed call, and return its result with status, headers and attempts.

        ```python
        raw = await gg.with_raw_response(gg.orders.list().first())
        print(raw.status, raw.attempts, raw.headers.get("X-RateLimit-Remaining"))
        ```

        Args:
            call: A call of this client without `await`, such as `gg.orders.get(uuid)`.

        Raises:
            ConfigurationError: The call got no response, or was awaited before.
            GoedGepicktError: Any error that the call raises.
        """
        if not isinstance(call, Awaitable):
            raise ConfigurationError("with_raw_response takes a call without `await`, such as gg.orders.get(uuid)")
        responses: list[RawResponse] = []
        with CallContext(on_response=responses.append).active() as context:
            value = await call
        if not responses:
            raise ConfigurationError("with_raw_response: the call sent no request")
        last = responses[-1]
        return APIResponse(value=value, status=last.status, headers=last.headers, attempts=context.requests)

    # -- life ---------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Close the session in all event loops. A second `close` does nothing. The next call opens the session again.

        On a client from `with_options` or `for_key`, `close` does nothing: the original client closes the session. The
        `async with` block of such a client closes a session that it has opened, unless another client's block is
        active.
        """
        if self._parent is None:
            await self._sender.pipeline.sessions.close()

    def __enter__(self) -> NoReturn:
        """Raise TypeError, because the client is asynchronous."""
        raise TypeError("use `async with GoedGepickt() as gg:`, not `with`")

    def __exit__(self, *_: object) -> None:
        """Do nothing: `__enter__` raises."""

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


_OPTIONS = {attribute.name for attribute in attrs.fields(Settings)} - {"api_key", "base_url"}


def _check_names(options: Mapping[str, Any]) -> None:
    unknown = options.keys() - _OPTIONS
    if unknown:
        raise ConfigurationError(
            f"unknown setting: {', '.join(sorted(unknown))}; the settings are: {', '.join(sorted(_OPTIONS))}"
        )


def _request(
    method: str, path: str, query: Mapping[str, Any] | None, body: Any, *, idempotent: bool | None, route: str | None
) -> Request:
    """A request that a user wrote, after a check of its method, path and query."""
    verb = method.upper() if isinstance(method, str) else ""
    if not verb.isascii() or not verb.isalpha() or len(verb) > _LONGEST_METHOD:
        raise ConfigurationError(f"method is not a valid HTTP method: {shown(method)}")
    if query is not None and not isinstance(query, Mapping):
        raise ConfigurationError(f"query must be a mapping, not {type(query).__name__}")
    is_read = verb in {"GET", "HEAD"}
    if is_read and idempotent is not False:
        idempotency = Idempotency.SAFE
    else:
        idempotency = Idempotency.IDEMPOTENT if idempotent else Idempotency.NON_IDEMPOTENT
    return Request(
        method=verb,
        path=raw_path(path),
        query=query_pairs(query or {}),
        body=body,
        idempotency=idempotency,
        may_be_empty=True,
        from_user=True,
        route=route,
    )


def _check_parts(session: object, budget: object, hooks: object) -> None:
    if session is not None and not isinstance(session, aiohttp.ClientSession):
        raise ConfigurationError("session must be an aiohttp.ClientSession")
    if budget is not None and not isinstance(budget, Budget):
        raise ConfigurationError("budget must be a budget, such as LocalBudget(150, 60.0)")
    if hooks is not None and not isinstance(hooks, Hooks):
        raise ConfigurationError("hooks must be a Hooks, such as Hooks(call_finished=function)")
