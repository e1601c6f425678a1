"""The control API below `/_sandbox/`, and the page at `/` that uses it.

It is one table of operations, its OpenAPI document, and the events that an open page receives.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
import re
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from importlib import resources
from typing import Any, Final

import attrs
from aiohttp import web

from goedgepickt_async.sandbox.app import Quirks
from goedgepickt_async.sandbox.control import views
from goedgepickt_async.sandbox.control.views import Controlled, Window
from goedgepickt_async.sandbox.deliveries import Delivery
from goedgepickt_async.sandbox.faults import NAMED, named_fault
from goedgepickt_async.sandbox.requests import RecordedRequest
from goedgepickt_async.sandbox.world import ACTIONS, ActionError, Table

_TOGETHER: Final = 0.2
"""Seconds for which events are gathered into one message."""
_ALIVE: Final = 15.0
"""Seconds after which a silent stream says that it is there."""
_REQUESTS: Final = 100
"""Requests in one message at most; the page reads the rest when it shows them."""


@attrs.define(eq=False)
class _Listener:
    loop: asyncio.AbstractEventLoop
    woken: asyncio.Event = attrs.field(factory=asyncio.Event)
    kinds: set[str] = attrs.field(factory=set)
    requests: deque[RecordedRequest] = attrs.field(factory=lambda: deque(maxlen=_REQUESTS))

    def wake(self) -> None:
        self.loop.call_soon_threadsafe(self.woken.set)  # the world may be changed from any thread


class EventStream:
    """Sends changes to every open page; without open pages it does nothing.

    Args:
        sandbox: Whose changes are sent.
    """

    def __init__(self, sandbox: Controlled) -> None:
        self._sandbox = sandbox
        self._listeners: set[_Listener] = set()

    def changed(self, kind: str) -> None:
        """Report a change: a `ChangeKind`, `delivery`, `fault`, `quirk`, `throttle`, `webhook` or `reset`."""
        for listener in tuple(self._listeners):
            listener.kinds.add(kind)
            listener.wake()

    def arrived(self, recorded: RecordedRequest) -> None:
        """Report a request that was answered."""
        for listener in tuple(self._listeners):
            listener.requests.append(recorded)
            listener.wake()

    async def until(self, work: Coroutine[Any, Any, object], seconds: float) -> bool:
        """Wait for something, no longer than a time or until the sandbox closes; returns whether it is done."""
        task = asyncio.ensure_future(work)
        closing = asyncio.ensure_future(self._sandbox.closing.wait())
        try:
            await asyncio.wait([task, closing], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return task.done()
        finally:
            task.cancel()
            closing.cancel()
            await asyncio.wait([task, closing])

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer `GET /_sandbox/events`, until the page or the sandbox closes."""
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        listener = _Listener(asyncio.get_running_loop())
        self._listeners.add(listener)
        try:
            await response.write(self._message(listener, {"reset"}))
            while not self._sandbox.closing.is_set():
                heard = await self.until(listener.woken.wait(), _ALIVE)
                if not heard:
                    await response.write(b": still here\n\n")
                    continue
                await self.until(asyncio.sleep(_TOGETHER), _ALIVE)
                listener.woken.clear()
                kinds, listener.kinds = listener.kinds, set()
                await response.write(self._message(listener, kinds))
        except ConnectionError:
            pass  # the page is closed
        finally:
            self._listeners.discard(listener)
        return response

    def _message(self, listener: _Listener, kinds: set[str]) -> bytes:
        sandbox = self._sandbox
        told = {
            "changed": sorted(kinds),
            "requests": [views.recorded(one) for one in listener.requests],
            "total_requests": sandbox.arrived,
            "throttle": views.throttle(sandbox),
        }
        listener.requests.clear()
        return f"data: {json.dumps(told)}\n\n".encode()


_BODY_AT_MOST: Final = 1 << 20
_WINDOW_AT_MOST: Final = 500
_PREFIX: Final = "/_sandbox"
_PAGES: Final = {"/": "index.html", "/openapi": "openapi.html", "/login": "login.html"}
_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _ControlError(Exception):
    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.headers = headers


@attrs.frozen(kw_only=True)
class _Asked:
    """A request to the control API: its query and its body's fields."""

    query: Mapping[str, str]
    body: dict[str, Any]


_Do = Callable[..., Coroutine[Any, Any, Any]]
"""A method of `ControlPlane`: it gets the request and the names in the path, and returns what is sent as JSON."""


@attrs.define
class _Operation:
    """An operation, as a decorator of the method that carries it out."""

    method: str
    path: str
    text: str
    query: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    body: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict, kw_only=True)
    required: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    do: _Do = attrs.field(init=False)

    def __call__(self, do: _Do) -> _Do:
        self.do = do
        _OPERATIONS.append(self)
        return do

    def match(self, path: str) -> re.Match[str] | None:
        return re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", _PREFIX + self.path), path)


_OPERATIONS: Final[list[_Operation]] = []


def _quirk_schema(quirk: Mapping[str, Any]) -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {
        "boolean": {"type": "boolean"},
        "integer": {"type": ["integer", "null"]},
        "choice": {"enum": quirk["choices"]},
    }
    return {**kinds[quirk["kind"]], "default": quirk["default"], "description": quirk["text"]}


_INTEGER: Final = {"type": "integer"}
_TEXT: Final = {"type": "string"}
_PAGING: Final = ("offset", "limit", "search", "sort", "order")
_SAID: Final = {
    "offset": "The number of rows to skip.",
    "limit": f"The largest number of rows, at most {_WINDOW_AT_MOST}.",
    "search": "Words that the rows contain.",
    "sort": "The sort key; products: `sku`, `name`, `free`, `reserved`.",
    "order": "`asc` or `desc`.",
    "timeout": "The longest wait in seconds.",
    "after": "Only requests with a larger number.",
}
_SIZES: Final = {
    **dict.fromkeys(("orders", "products", "shipments", "webshops", "pick_locations", "seed"), _INTEGER),
    "oddities": {"type": "boolean"},
}
_FAULT: Final[dict[str, dict[str, Any]]] = {
    "fault": {
        "type": "string",
        "description": "A status from 300 to 599, or: "
        + "; ".join(f"`{name}`: {text}" for name, (text, _) in NAMED.items()),
    },
    "method": {**_TEXT, "default": "*"},
    "path": {**_TEXT, "default": "*", "description": "Below the API's base, with * as a wildcard."},
    "times": {"type": ["integer", "null"], "default": 1, "description": "null for all requests."},
    "after": {**_INTEGER, "default": 0, "description": "The number of matching requests that pass before."},
    "every": {**_INTEGER, "default": 1, "description": "Only every n-th."},
    "seconds": {"type": "number", "default": 1.0, "description": "The delay of `slow` in seconds."},
}
_LINE: Final = {"type": "object", "properties": {"sku": _TEXT, "quantity": _INTEGER}, "required": ["sku"]}
_ACTIONS: Final = "; ".join(f"`{name}`: {text}" for name, text in ACTIONS.items())


class ControlPlane:
    """Answers below `/_sandbox/`, serves the page, and tells the page what happens.

    Args:
        sandbox: What is controlled.
    """

    def __init__(self, sandbox: Controlled) -> None:
        self._sandbox = sandbox
        self.events: EventStream = EventStream(sandbox)
        self.watch()

    def watch(self) -> None:
        """Subscribe to changes of the sandbox's present world."""
        self._sandbox.world.subscribe(lambda change: self.events.changed(change.kind.value))
        self._sandbox.deliveries.changed = lambda: self.events.changed("delivery")
        self.events.changed("reset")

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse | None:
        """Answer a request that is not for the API; None for an unknown path."""
        path = request.path
        if path == f"{_PREFIX}/events":
            return await self.events.serve(request)
        if path in _PAGES or path.startswith(f"{_PREFIX}/page/"):
            return _file(request, _PAGES.get(path) or path.removeprefix(f"{_PREFIX}/page/"))
        if path == "/openapi.json" and self._sandbox.openapi is not None:
            return _json(dict(self._sandbox.openapi))
        if path == _PREFIX or path.startswith(f"{_PREFIX}/"):
            try:
                return _json(await self._operate(request))
            except _ControlError as error:
                return _json({"message": error.text}, error.status, error.headers)
        return None

    async def _operate(self, request: web.BaseRequest) -> Any:
        path = request.path.rstrip("/") or "/"
        matching = [(match, one) for one in _OPERATIONS if (match := one.match(path))]
        method = "GET" if request.method == "HEAD" else request.method
        found = next(((match, one) for match, one in matching if one.method == method), None)
        if not matching:
            raise _ControlError(404, f"not found: {path}; see {_PREFIX}/openapi.json")
        if found is None:
            allowed = ", ".join(sorted({one.method for _, one in matching}))
            raise _ControlError(405, f"{path} takes {allowed}", {"Allow": allowed})
        match, operation = found
        asked = _Asked(query=dict(request.query), body=await _body(request, operation))
        try:
            return await operation.do(self, asked, **match.groupdict())
        except ActionError as error:
            raise _ControlError(409, str(error)) from error
        except KeyError as error:
            raise _ControlError(404, f"there is no {error.args[0]}") from error
        except ValueError as error:
            raise _ControlError(422, error.args[0] if error.args else "a value is not valid") from error

    # The operations, in the order of the OpenAPI document

    @_Operation("GET", "", "A summary of the state.")
    async def _state(self, _: _Asked) -> Any:
        return views.state(self._sandbox)

    @_Operation("GET", "/health", "Whether the sandbox is ready.")
    async def _health(self, _: _Asked) -> Any:
        return {"ready": True}

    @_Operation("GET", "/openapi.json", "This API, as OpenAPI 3.1.")
    async def _document(self, _: _Asked) -> Any:
        return _openapi()

    @_Operation("POST", "/reset", "Reset the sandbox, with other sizes or another seed if given.", body=_SIZES)
    async def _reset(self, asked: _Asked) -> Any:
        await self._sandbox.reset(**asked.body)
        return views.state(self._sandbox)

    @_Operation(
        "PUT",
        "/lively",
        "Make events happen automatically; null ends it.",
        body={"per_minute": {"type": ["number", "null"]}},
        required=("per_minute",),
    )
    async def _lively(self, asked: _Asked) -> Any:
        rate = asked.body["per_minute"]
        if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float)):
            raise ValueError("per_minute must be a number of events per minute, or null for none")
        self._sandbox.lively = rate
        return {"per_minute": rate}

    @_Operation(
        "GET",
        "/requests",
        "The requests that arrived at the API, newest first.",
        query=(*_PAGING, "method", "path", "status", "after"),
    )
    async def _requests(self, asked: _Asked) -> Any:
        return views.requests(self._sandbox, _window(asked, "desc", ("method", "path", "status", "after")))

    @_Operation("DELETE", "/requests", "Forget the requests.")
    async def _forget_requests(self, _: _Asked) -> Any:
        self._sandbox.requests.clear()
        self.events.changed("reset")
        return {"kept": 0}

    @_Operation("GET", "/requests/{number}", "One request, with headers and body, without its key.")
    async def _request(self, _: _Asked, number: str) -> Any:
        wanted = _number(number)
        for one in reversed(self._sandbox.requests):
            if one.number == wanted:
                return views.recorded(one, whole=True)
        raise KeyError(f"request {wanted}; older ones are forgotten")

    @_Operation("GET", "/throttle", "The rate limiter and its open windows.")
    async def _throttle(self, _: _Asked) -> Any:
        return views.throttle(self._sandbox)

    @_Operation(
        "PUT",
        "/throttle",
        "Set another rate limit; null switches it off.",
        body={"limit": {"type": ["integer", "null"]}, "period": {"type": "number"}},
        required=("limit",),
    )
    async def _set_throttle(self, asked: _Asked) -> Any:
        self._sandbox.set_throttle(asked.body["limit"], asked.body.get("period", 60.0))
        self.events.changed("throttle")
        return views.throttle(self._sandbox)

    @_Operation("POST", "/throttle/reset", "Reset the counters.")
    async def _reset_throttle(self, _: _Asked) -> Any:
        if self._sandbox.throttle is not None:
            self._sandbox.throttle.reset()
        self.events.changed("throttle")
        return views.throttle(self._sandbox)

    @_Operation("GET", "/faults", "The planned faults, and all available faults.")
    async def _faults(self, _: _Asked) -> Any:
        known = [{"name": name, "text": text} for name, (text, _) in NAMED.items()]
        return {"items": [views.fault(entry) for entry in self._sandbox.faults.pending()], "known": known}

    @_Operation("POST", "/faults", "Add a fault for the next requests.", body=_FAULT, required=("fault",))
    async def _add_fault(self, asked: _Asked) -> Any:
        said, times = asked.body, asked.body.get("times", 1)
        seconds, every, after = said.get("seconds", 1.0), said.get("every", 1), said.get("after", 0)
        for name, value, least in (("times", times, 1), ("every", every, 1), ("after", after, 0)):
            if type(value) is not int and not (name == "times" and value is None):
                raise ValueError(f"{name} is a whole number, not {value!r}")
            if value is not None and value < least:
                raise ValueError(f"{name} is at least {least}, not {value}")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds <= 3600:
            raise ValueError(f"seconds is a number from 0 to 3600, not {seconds!r}")
        name = str(said["fault"])
        made = named_fault(name, seconds=float(seconds), every=every)
        method, path = str(said.get("method", "*")), str(said.get("path", "*"))
        number = self._sandbox.faults.add(method, path, made, times, after, name)
        self.events.changed("fault")
        return {"number": number}

    @_Operation("DELETE", "/faults", "Remove all planned faults.")
    async def _clear_faults(self, _: _Asked) -> Any:
        self._sandbox.clear_faults()
        self.events.changed("fault")
        return {"items": []}

    @_Operation("DELETE", "/faults/{number}", "Forget one.")
    async def _remove_fault(self, asked: _Asked, number: str) -> Any:
        if not self._sandbox.faults.remove(_number(number)):
            raise KeyError(f"fault {_number(number)}")
        self.events.changed("fault")
        return await self._faults(asked)

    @_Operation("GET", "/quirks", "The quirks and their meaning.")
    async def _quirks(self, _: _Asked) -> Any:
        return {"values": attrs.asdict(self._sandbox.quirks), "known": Quirks.describe()}

    @_Operation("PATCH", "/quirks", "Set quirks.", body={one["name"]: _quirk_schema(one) for one in Quirks.describe()})
    async def _set_quirks(self, asked: _Asked) -> Any:
        self._sandbox.quirks.update(asked.body)
        self.events.changed("quirk")
        return await self._quirks(asked)

    @_Operation(
        "GET", "/orders", "Orders, newest first, with their stage and possible actions.", query=(*_PAGING, "status")
    )
    async def _orders(self, asked: _Asked) -> Any:
        return views.orders(self._sandbox.world, _window(asked, "desc", ("status",)))

    @_Operation(
        "POST",
        "/orders",
        "Create an order; without lines it gets made-up lines.",
        body={"lines": {"type": "array", "items": _LINE}, "webshopUuid": _TEXT, "orderId": _TEXT},
    )
    async def _place_order(self, asked: _Asked) -> Any:
        world = self._sandbox.world
        lines, uuid, order_id = (asked.body.get(name) for name in ("lines", "webshopUuid", "orderId"))
        webshop = _index(world.webshops, str(uuid)) if uuid else 0
        if lines is not None and not (
            isinstance(lines, list) and lines and all(isinstance(line, dict) for line in lines)
        ):
            raise ValueError("lines must be a list of objects with sku and quantity")
        pairs = None if lines is None else [(str(line.get("sku")), _whole(line.get("quantity", 1))) for line in lines]
        numbers = (
            dict.fromkeys(("orderId", "orderNumber", "externalDisplayId"), str(order_id))
            if order_id is not None
            else {}
        )
        row = world.place_order(pairs, webshop=webshop, **numbers)
        return views.whole_order(world, _index(world.orders, str(row["uuid"])))

    @_Operation("GET", "/orders/{uuid}", "One order, its missing stock, and the possible actions.")
    async def _order(self, _: _Asked, uuid: str) -> Any:
        return views.whole_order(self._sandbox.world, _index(self._sandbox.world.orders, uuid))

    @_Operation(
        "PUT",
        "/orders/{uuid}/status",
        "Set any status, without other effects.",
        body={"status": _TEXT},
        required=("status",),
    )
    async def _set_status(self, asked: _Asked, uuid: str) -> Any:
        world = self._sandbox.world
        index = _index(world.orders, uuid)
        world.set_order_status(uuid, str(asked.body["status"]))
        return views.whole_order(world, index)

    @_Operation("POST", "/orders/{uuid}/{action}", f"Run an action on an order. {_ACTIONS}")
    async def _act(self, _: _Asked, uuid: str, action: str) -> Any:
        world = self._sandbox.world
        index = _index(world.orders, uuid)
        world.act(uuid, action)
        return views.whole_order(world, index)

    @_Operation(
        "PUT", "/shipments/{uuid}/status", "Give a shipment a status.", body={"status": _TEXT}, required=("status",)
    )
    async def _track(self, asked: _Asked, uuid: str) -> Any:
        _index(self._sandbox.world.shipments, uuid)
        return self._sandbox.world.track(uuid, str(asked.body["status"]))

    @_Operation("GET", "/products", "Products with their stock.", query=_PAGING)
    async def _products(self, asked: _Asked) -> Any:
        return views.products(self._sandbox.world, _window(asked, "asc", ()))

    @_Operation("GET", "/products/{uuid}", "One product, with its locations and reservations.")
    async def _product(self, _: _Asked, uuid: str) -> Any:
        return views.whole_product(self._sandbox.world, _index(self._sandbox.world.products, uuid))

    @_Operation(
        "POST",
        "/products/{uuid}/stock",
        "Change or set its stock, like a warehouse worker.",
        body={"mutation": _INTEGER, "quantity": _INTEGER, "pickLocationUuid": _TEXT},
    )
    async def _stock(self, asked: _Asked, uuid: str) -> Any:
        world, body = self._sandbox.world, asked.body
        product, place = _index(world.products, uuid), body.get("pickLocationUuid")
        location = None if place is None else _index(world.pick_locations, str(place))
        if ("mutation" in body) == ("quantity" in body):
            raise ValueError("pass either mutation (a change) or quantity (the new stock)")
        if "mutation" in body:
            world.inventory.mutate(product, _whole(body["mutation"]), location)
        else:
            world.inventory.set(product, location, _whole(body["quantity"]))
        return views.whole_product(world, product)

    @_Operation("GET", "/webhooks", "The subscriptions, with their secrets.")
    async def _webhooks(self, _: _Asked) -> Any:
        disabled = self._sandbox.deliveries.disabled
        rows = [{**row, "disabled": row["webhookUuid"] in disabled} for row in self._sandbox.world.webhooks]
        return {"items": rows, "total": len(rows)}

    @_Operation(
        "POST",
        "/webhooks",
        "Subscribe.",
        body=dict.fromkeys(("webhookEvent", "targetUrl", "webshopUuid"), _TEXT),
        required=("webhookEvent", "targetUrl"),
    )
    async def _subscribe(self, asked: _Asked) -> Any:
        world, event, url = self._sandbox.world, str(asked.body["webhookEvent"]), str(asked.body["targetUrl"])
        if not re.fullmatch(r"[a-z]+\.[a-z][A-Za-z]*", event):
            raise ValueError(f"webhookEvent is a name such as order.statusChanged, not {event!r}")
        if not re.match(r"https?://[^/\s]+", url):
            raise ValueError(f"targetUrl is an http or https URL, not {url!r}")
        uuid = asked.body.get("webshopUuid")
        return world.add_webhook(0 if uuid is None else _index(world.webshops, str(uuid)), event, url)

    @_Operation("DELETE", "/webhooks/{uuid}", "End a subscription.")
    async def _unsubscribe(self, asked: _Asked, uuid: str) -> Any:
        world = self._sandbox.world
        world.webhooks.delete(_index(world.webhooks, uuid))
        self.events.changed("webhook")
        return await self._webhooks(asked)

    @_Operation("POST", "/webhooks/{uuid}/enable", "Enable it again.")
    async def _enable(self, asked: _Asked, uuid: str) -> Any:
        _index(self._sandbox.world.webhooks, uuid)
        self._sandbox.deliveries.enable(uuid)
        self.events.changed("webhook")
        return await self._webhooks(asked)

    @_Operation("GET", "/deliveries", "The deliveries, newest first.", query=_PAGING)
    async def _deliveries(self, asked: _Asked) -> Any:
        return _window(asked, "desc", ()).of(self._sandbox.deliveries, views.delivery)

    @_Operation("DELETE", "/deliveries", "Forget them.")
    async def _forget_deliveries(self, _: _Asked) -> Any:
        self._sandbox.deliveries.clear()
        self.events.changed("delivery")
        return {"total": 0}

    @_Operation("POST", "/deliveries/wait", "Wait until no delivery is in progress.", query=("timeout",))
    async def _wait(self, asked: _Asked) -> Any:
        try:
            timeout = min(60.0, max(0.0, float(asked.query.get("timeout", "10"))))
        except ValueError:
            raise ValueError("timeout must be a number of seconds") from None
        settled = await self.events.until(self._sandbox.deliveries.settled(), timeout)
        return {"settled": settled, "total": len(self._sandbox.deliveries)}

    @_Operation("GET", "/deliveries/{number}", "One delivery, with body and signature.")
    async def _delivery(self, _: _Asked, number: str) -> Any:
        return views.delivery(self._find_delivery(number), whole=True)

    @_Operation("POST", "/deliveries/{number}/resend", "Deliver it once more.")
    async def _resend(self, _: _Asked, number: str) -> Any:
        return views.delivery(self._sandbox.deliveries.resend(self._find_delivery(number)), whole=True)

    def _find_delivery(self, number: str) -> Delivery:
        wanted = _number(number)
        for one in self._sandbox.deliveries:
            if one.number == wanted:
                return one
        raise KeyError(f"delivery {wanted}")


def _index(table: Table, uuid: str) -> int:
    index = table.find(uuid)
    if index is None:
        raise KeyError(f"{table.kind} {uuid[:64]}")
    return index


def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(value, status=status, headers={**_HEADERS, **(headers or {})})


def _file(request: web.BaseRequest, name: str) -> web.Response:
    if request.method not in {"GET", "HEAD"}:
        return _json({"message": "a page is read with GET"}, 405, {"Allow": "GET"})
    found = resources.files("goedgepickt_async.sandbox.control") / "page" / name
    if not re.fullmatch(r"[a-z]+\.(html|css|js|svg)", name) or not found.is_file():
        return _json({"message": f"there is no page {name[:64]}"}, 404)
    kind = {"js": "text/javascript"}.get(name.rpartition(".")[2]) or mimetypes.guess_type(name)[0] or "text/plain"
    return web.Response(body=found.read_bytes(), content_type=kind, charset="utf-8", headers=_HEADERS)


async def _body(request: web.BaseRequest, operation: _Operation) -> dict[str, Any]:
    raw = await request.content.read(_BODY_AT_MOST + 1)
    while chunk := await request.content.read(_BODY_AT_MOST):
        if len(raw) > _BODY_AT_MOST:
            raise _ControlError(413, "the body is larger than 1 MiB")
        raw += chunk
    try:
        data = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError):
        raise _ControlError(400, "the body is not JSON") from None
    if not isinstance(data, dict):
        raise _ControlError(422, "the body is a JSON object")
    unknown = sorted(data.keys() - operation.body.keys())
    if unknown:
        fields = ", ".join(operation.body) or "none"
        raise _ControlError(422, f"there is no field {', '.join(unknown)[:200]}; there are: {fields}")
    missing = [name for name in operation.required if name not in data]
    if missing:
        raise _ControlError(422, f"the body lacks {', '.join(missing)}")
    return data


def _window(asked: _Asked, order: str, filters: tuple[str, ...]) -> Window:
    query = asked.query
    descending = query.get("order", order)
    if descending not in {"asc", "desc"}:
        raise ValueError("order is asc or desc")
    if query.get("after") and "after" in filters:
        _number(query["after"])
    return Window(
        offset=_number(query.get("offset", "0")),
        limit=min(_WINDOW_AT_MOST, _number(query.get("limit", "50"))),
        search=query.get("search", ""),
        sort=query.get("sort", ""),
        descending=descending == "desc",
        filters={name: query[name] for name in filters if query.get(name)},
    )


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,12}", text):
        raise ValueError(f"not a whole number: {text[:64]!r}")
    return int(text)


def _whole(value: Any) -> int:
    if type(value) is not int or abs(value) > 10**9:
        raise ValueError(f"a quantity is a whole number, not {value!r}")
    return value


def _openapi() -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for one in _OPERATIONS:
        names = re.findall(r"\{(\w+)\}", one.path)
        parameters = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in names]
        parameters += [
            {"name": name, "in": "query", "schema": _TEXT, "description": _SAID.get(name, "")} for name in one.query
        ]
        said: dict[str, Any] = {
            "summary": one.text.partition(". ")[0].rstrip("."),
            "description": one.text,
            "operationId": re.sub(r"\W+", "_", f"{one.method.lower()}{one.path}").strip("_"),
            "responses": {"200": {"description": "Done.", "content": {"application/json": {"schema": {}}}}},
        }
        if parameters:
            said["parameters"] = parameters
        if one.body:
            schema = {"type": "object", "properties": one.body, "additionalProperties": False}
            if one.required:
                schema["required"] = list(one.required)
            said["requestBody"] = {"content": {"application/json": {"schema": schema}}, "required": bool(one.required)}
            said["responses"]["422"] = {"description": "A field is unknown, missing or not valid: see `message`."}
        if names:
            said["responses"]["404"] = {"description": "It does not exist: see `message`."}
        if "action" in names:
            parameters[-1]["schema"] = {"enum": list(ACTIONS)}
            said["responses"]["409"] = {
                "description": "The action is not possible in the order's state; `message` has the possible actions."
            }
        paths.setdefault(f"{_PREFIX}{one.path}" if one.path else f"{_PREFIX}/", {})[one.method.lower()] = said
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Control API of the GoedGepickt sandbox",
            "version": "1",
            "description": "Inspect and change the sandbox from any language. It needs no key, accepts only the sandbox's own host names, and refuses changes from other web origins.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
    }
