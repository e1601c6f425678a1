"""The control API below `/_sandbox/`, and the page at `/` that uses it.

It is one table of operations, its OpenAPI document, and the events that an open page receives.
"""

from __future__ import annotations

import asyncio
import json
import mimetypes
import re
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from importlib import resources
from typing import Any, Final

import attrs
from aiohttp import web

from goedgepickt_async.sandbox.app import Quirks
from goedgepickt_async.sandbox.control import views
from goedgepickt_async.sandbox.control.views import Controlled, Window
from goedgepickt_async.sandbox.faults import NAMED, named_fault
from goedgepickt_async.sandbox.requests import RecordedRequest
from goedgepickt_async.sandbox.world import ACTIONS, ActionError, Table

__all__ = ["ControlPlane", "EventStream"]

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

    async def until(self, work: Coroutine[Any, Any, None], seconds: float) -> bool:
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
                heard = await self.until(_wait(listener.woken), _ALIVE)
                if not heard:
                    await response.write(b": still here\n\n")
                    continue
                await self.until(_never(), _TOGETHER)
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


async def _wait(event: asyncio.Event) -> None:
    await event.wait()


async def _never() -> None:
    await asyncio.get_running_loop().create_future()


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
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@attrs.frozen(kw_only=True)
class _Asked:
    """A request to the control API: the names in its path, its query and its body's fields."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    body: dict[str, Any]


@attrs.frozen(kw_only=True)
class _Operation:
    method: str
    path: str
    text: str
    do: Callable[[_Asked], Awaitable[Any]]
    query: tuple[str, ...] = ()
    body: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    required: tuple[str, ...] = ()

    @property
    def pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", _PREFIX + self.path))


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


class ControlPlane:
    """Answers below `/_sandbox/`, serves the page, and tells the page what happens.

    Args:
        sandbox: What is controlled.
    """

    def __init__(self, sandbox: Controlled) -> None:
        self._sandbox = sandbox
        self._events = EventStream(sandbox)
        self._operations = [(operation.pattern, operation) for operation in self._table()]
        self.watch()

    def watch(self) -> None:
        """Subscribe to changes of the sandbox's present world."""
        self._sandbox.world.subscribe(lambda change: self._events.changed(change.kind.value))
        self._sandbox.deliveries.changed = lambda: self._events.changed("delivery")
        self._events.changed("reset")

    def answered(self, recorded: RecordedRequest) -> None:
        """Report a request that was answered."""
        self._events.arrived(recorded)

    def handler(self, request: web.BaseRequest) -> Awaitable[web.StreamResponse] | None:
        """Return the handler of a request that is not for the API; None for an unknown path."""
        path = request.path
        if path == f"{_PREFIX}/events":
            return self._events.serve(request)
        if path in _PAGES or path.startswith(f"{_PREFIX}/page/"):
            return _file(request, _PAGES.get(path) or path.removeprefix(f"{_PREFIX}/page/"))
        if path == "/openapi.json" and self._sandbox.openapi is not None:
            return _json(dict(self._sandbox.openapi))
        if path == _PREFIX or path.startswith(f"{_PREFIX}/"):
            return self._answer(request)
        return None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:  # noqa: PLR0911  one for each status
        path = request.path.rstrip("/") or "/"
        matching = [(match, one) for pattern, one in self._operations if (match := pattern.fullmatch(path))]
        method = "GET" if request.method == "HEAD" else request.method
        found = next(((match, one) for match, one in matching if one.method == method), None)
        if found is None:
            allowed = ", ".join(sorted({one.method for _, one in matching}))
            if not matching:
                return await _json({"message": f"not found: {path}; see {_PREFIX}/openapi.json"}, 404)
            return await _json({"message": f"{path} takes {allowed}"}, 405, {"Allow": allowed})
        match, operation = found
        try:
            body = await _body(request, operation)
            asked = _Asked(path=match.groupdict(), query=dict(request.query), body=body)
            answer = await operation.do(asked)
        except _ControlError as error:
            return await _json({"message": error.text}, error.status)
        except ActionError as error:
            return await _json({"message": str(error)}, 409)
        except KeyError as error:
            return await _json({"message": f"there is no {error.args[0]}"}, 404)
        except ValueError as error:
            return await _json({"message": error.args[0] if error.args else "a value is not valid"}, 422)
        return await _json(answer)

    # What each operation does

    async def _state(self, _: _Asked) -> Any:
        return views.state(self._sandbox)

    async def _health(self, _: _Asked) -> Any:
        return {"ready": True}

    async def _document(self, _: _Asked) -> Any:
        return _openapi([operation for _, operation in self._operations])

    async def _reset(self, asked: _Asked) -> Any:
        await self._sandbox.reset(**asked.body)
        return views.state(self._sandbox)

    async def _lively(self, asked: _Asked) -> Any:
        rate = asked.body["per_minute"]
        if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float)):
            raise ValueError("per_minute must be a number of events per minute, or null for none")
        self._sandbox.lively = rate
        return {"per_minute": rate}

    async def _requests(self, asked: _Asked) -> Any:
        return views.requests(self._sandbox, _window(asked, "desc", ("method", "path", "status", "after")))

    async def _request(self, asked: _Asked) -> Any:
        number = _number(asked.path["number"])
        for one in reversed(self._sandbox.requests):
            if one.number == number:
                return views.recorded(one, whole=True)
        raise KeyError(f"request {number}; older ones are forgotten")

    async def _forget_requests(self, _: _Asked) -> Any:
        self._sandbox.requests.clear()
        self._events.changed("reset")
        return {"kept": 0}

    async def _throttle(self, _: _Asked) -> Any:
        return views.throttle(self._sandbox)

    async def _set_throttle(self, asked: _Asked) -> Any:
        self._sandbox.set_throttle(asked.body["limit"], asked.body.get("period", 60.0))
        self._events.changed("throttle")
        return views.throttle(self._sandbox)

    async def _reset_throttle(self, _: _Asked) -> Any:
        if self._sandbox.throttle is not None:
            self._sandbox.throttle.reset()
        self._events.changed("throttle")
        return views.throttle(self._sandbox)

    async def _faults(self, _: _Asked) -> Any:
        known = [{"name": name, "text": text} for name, (text, _) in NAMED.items()]
        return {"items": [views.fault(entry) for entry in self._sandbox.faults.pending()], "known": known}

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
        number = self._sandbox.faults.add(
            str(said.get("method", "*")), str(said.get("path", "*")), made, times, after, name
        )
        self._events.changed("fault")
        return {"number": number}

    async def _clear_faults(self, _: _Asked) -> Any:
        self._sandbox.clear_faults()
        self._events.changed("fault")
        return {"items": []}

    async def _remove_fault(self, asked: _Asked) -> Any:
        number = _number(asked.path["number"])
        if not self._sandbox.faults.remove(number):
            raise KeyError(f"fault {number}")
        self._events.changed("fault")
        return await self._faults(asked)

    async def _quirks(self, _: _Asked) -> Any:
        return {"values": attrs.asdict(self._sandbox.quirks), "known": Quirks.describe()}

    async def _set_quirks(self, asked: _Asked) -> Any:
        self._sandbox.quirks.update(asked.body)
        self._events.changed("quirk")
        return await self._quirks(asked)

    async def _orders(self, asked: _Asked) -> Any:
        return views.orders(self._sandbox.world, _window(asked, "desc", ("status",)))

    async def _order(self, asked: _Asked) -> Any:
        return views.whole_order(self._sandbox.world, self._known(self._sandbox.world.orders, asked))

    async def _place_order(self, asked: _Asked) -> Any:
        world = self._sandbox.world
        lines = asked.body.get("lines")
        webshop = 0
        if uuid := asked.body.get("webshopUuid"):
            found = world.webshops.find(str(uuid))
            if found is None:
                raise KeyError(f"webshop {uuid}")
            webshop = found
        if lines is not None and not (
            isinstance(lines, list) and lines and all(isinstance(line, dict) for line in lines)
        ):
            raise ValueError("lines must be a list of objects with sku and quantity")
        pairs = None if lines is None else [(str(line.get("sku")), _whole(line.get("quantity", 1))) for line in lines]
        number = {} if asked.body.get("orderId") is None else _named(str(asked.body["orderId"]))
        row = world.place_order(pairs, webshop=webshop, **number)
        return views.whole_order(world, self._index(world.orders, str(row["uuid"])))

    async def _act(self, asked: _Asked) -> Any:
        world = self._sandbox.world
        index = self._known(world.orders, asked)
        world.act(asked.path["uuid"], asked.path["action"])
        return views.whole_order(world, index)

    async def _set_status(self, asked: _Asked) -> Any:
        world = self._sandbox.world
        index = self._known(world.orders, asked)
        world.set_order_status(asked.path["uuid"], str(asked.body["status"]))
        return views.whole_order(world, index)

    async def _track(self, asked: _Asked) -> Any:
        self._known(self._sandbox.world.shipments, asked)
        return self._sandbox.world.track(asked.path["uuid"], str(asked.body["status"]))

    async def _products(self, asked: _Asked) -> Any:
        return views.products(self._sandbox.world, _window(asked, "asc", ()))

    async def _product(self, asked: _Asked) -> Any:
        return views.whole_product(self._sandbox.world, self._known(self._sandbox.world.products, asked))

    async def _stock(self, asked: _Asked) -> Any:
        world, body = self._sandbox.world, asked.body
        product, location = self._known(world.products, asked), None
        if (uuid := body.get("pickLocationUuid")) is not None:
            location = self._index(world.pick_locations, str(uuid))
        if ("mutation" in body) == ("quantity" in body):
            raise ValueError("pass either mutation (a change) or quantity (the new stock)")
        if "mutation" in body:
            world.inventory.mutate(product, _whole(body["mutation"]), location)
        else:
            ranked = sorted(world.inventory.stock(product).locations, key=lambda place: place.priority)
            first = ranked[0].location if ranked else 0
            world.inventory.set(product, first if location is None else location, _whole(body["quantity"]))
        return views.whole_product(world, product)

    async def _webhooks(self, _: _Asked) -> Any:
        disabled = self._sandbox.deliveries.disabled
        rows = [{**row, "disabled": row["webhookUuid"] in disabled} for row in self._sandbox.world.webhooks]
        return {"items": rows, "total": len(rows)}

    async def _subscribe(self, asked: _Asked) -> Any:
        world, event, url = self._sandbox.world, str(asked.body["webhookEvent"]), str(asked.body["targetUrl"])
        if not re.fullmatch(r"[a-z]+\.[a-z][A-Za-z]*", event):
            raise ValueError(f"webhookEvent is a name such as order.statusChanged, not {event!r}")
        if not re.match(r"https?://[^/\s]+", url):
            raise ValueError(f"targetUrl is an http or https URL, not {url!r}")
        uuid = asked.body.get("webshopUuid")
        return world.add_webhook(0 if uuid is None else self._index(world.webshops, str(uuid)), event, url)

    async def _unsubscribe(self, asked: _Asked) -> Any:
        world = self._sandbox.world
        world.webhooks.delete(self._known(world.webhooks, asked))
        self._events.changed("webhook")
        return await self._webhooks(asked)

    async def _enable(self, asked: _Asked) -> Any:
        self._known(self._sandbox.world.webhooks, asked)
        self._sandbox.deliveries.enable(asked.path["uuid"])
        self._events.changed("webhook")
        return await self._webhooks(asked)

    async def _deliveries(self, asked: _Asked) -> Any:
        return _window(asked, "desc", ()).of(self._sandbox.deliveries, views.delivery)

    async def _delivery(self, asked: _Asked) -> Any:
        return views.delivery(self._find_delivery(asked), whole=True)

    async def _resend(self, asked: _Asked) -> Any:
        return views.delivery(self._sandbox.deliveries.resend(self._find_delivery(asked)), whole=True)

    async def _forget_deliveries(self, _: _Asked) -> Any:
        self._sandbox.deliveries.clear()
        self._events.changed("delivery")
        return {"total": 0}

    async def _wait(self, asked: _Asked) -> Any:
        try:
            timeout = min(60.0, max(0.0, float(asked.query.get("timeout", "10"))))
        except ValueError:
            raise ValueError("timeout must be a number of seconds") from None
        settled = await self._events.until(self._sandbox.deliveries.settled(), timeout)
        return {"settled": settled, "total": len(self._sandbox.deliveries)}

    # Finding

    def _known(self, table: Table, asked: _Asked) -> int:
        return self._index(table, asked.path["uuid"])

    def _index(self, table: Table, uuid: str) -> int:
        index = table.find(uuid)
        if index is None:
            raise KeyError(f"{table.kind} {uuid[:64]}")
        return index

    def _find_delivery(self, asked: _Asked) -> Any:
        number = _number(asked.path["number"])
        for one in self._sandbox.deliveries:
            if one.number == number:
                return one
        raise KeyError(f"delivery {number}")

    def _table(self) -> list[_Operation]:
        sizes = dict.fromkeys(("orders", "products", "shipments", "webshops", "pick_locations", "seed"), _INTEGER)
        quirks = {one["name"]: _schema_of(one) for one in Quirks.describe()}
        fault: dict[str, dict[str, Any]] = {
            "fault": {"type": "string", "description": "A status from 300 to 599, or: " + "; ".join(
                f"`{name}`: {text}" for name, (text, _) in NAMED.items())},
            "method": {**_TEXT, "default": "*"},
            "path": {**_TEXT, "default": "*", "description": "Below the API's base, with * as a wildcard."},
            "times": {"type": ["integer", "null"], "default": 1, "description": "null for all requests."},
            "after": {**_INTEGER, "default": 0, "description": "The number of matching requests that pass before."},
            "every": {**_INTEGER, "default": 1, "description": "Only every n-th."},
            "seconds": {"type": "number", "default": 1.0, "description": "The delay of `slow` in seconds."},
        }  # fmt: skip
        line = {"type": "object", "properties": {"sku": _TEXT, "quantity": _INTEGER}, "required": ["sku"]}
        place: dict[str, dict[str, Any]] = {
            "lines": {"type": "array", "items": line},
            "webshopUuid": _TEXT,
            "orderId": _TEXT,
        }
        stock = {"mutation": _INTEGER, "quantity": _INTEGER, "pickLocationUuid": _TEXT}
        hook = {"webhookEvent": _TEXT, "targetUrl": _TEXT, "webshopUuid": _TEXT}
        actions = "; ".join(f"`{name}`: {text}" for name, text in ACTIONS.items())
        one = _Operation
        return [
            one(method="GET", path="", text="A summary of the state.", do=self._state),
            one(method="GET", path="/health", text="Whether the sandbox is ready.", do=self._health),
            one(method="GET", path="/openapi.json", text="This API, as OpenAPI 3.1.", do=self._document),
            one(method="POST", path="/reset", text="Reset the sandbox, with other sizes or another seed if given.",
                do=self._reset, body={**sizes, "oddities": {"type": "boolean"}}),
            one(method="PUT", path="/lively", text="Make events happen automatically; null ends it.", do=self._lively,
                body={"per_minute": {"type": ["number", "null"]}}, required=("per_minute",)),
            one(method="GET", path="/requests", text="The requests that arrived at the API, newest first.",
                do=self._requests, query=(*_PAGING, "method", "path", "status", "after")),
            one(method="DELETE", path="/requests", text="Forget the requests.", do=self._forget_requests),
            one(method="GET", path="/requests/{number}", text="One request, with headers and body, without its key.",
                do=self._request),
            one(method="GET", path="/throttle", text="The rate limiter and its open windows.", do=self._throttle),
            one(method="PUT", path="/throttle", text="Set another rate limit; null switches it off.",
                do=self._set_throttle, body={"limit": {"type": ["integer", "null"]}, "period": {"type": "number"}},
                required=("limit",)),
            one(method="POST", path="/throttle/reset", text="Reset the counters.", do=self._reset_throttle),
            one(method="GET", path="/faults", text="The planned faults, and all available faults.", do=self._faults),
            one(method="POST", path="/faults", text="Add a fault for the next requests.", do=self._add_fault,
                body=fault, required=("fault",)),
            one(method="DELETE", path="/faults", text="Remove all planned faults.", do=self._clear_faults),
            one(method="DELETE", path="/faults/{number}", text="Forget one.", do=self._remove_fault),
            one(method="GET", path="/quirks", text="The quirks and their meaning.", do=self._quirks),
            one(method="PATCH", path="/quirks", text="Set quirks.", do=self._set_quirks, body=quirks),
            one(method="GET", path="/orders", text="Orders, newest first, with their stage and possible actions.",
                do=self._orders, query=(*_PAGING, "status")),
            one(method="POST", path="/orders", text="Create an order; without lines it gets made-up lines.",
                do=self._place_order, body=place),
            one(method="GET", path="/orders/{uuid}", text="One order, its missing stock, and the possible actions.",
                do=self._order),
            one(method="PUT", path="/orders/{uuid}/status", text="Set any status, without other effects.", do=self._set_status,
                body={"status": _TEXT}, required=("status",)),
            one(method="POST", path="/orders/{uuid}/{action}", text=f"Run an action on an order. {actions}", do=self._act),
            one(method="PUT", path="/shipments/{uuid}/status", text="Give a shipment a status.", do=self._track,
                body={"status": _TEXT}, required=("status",)),
            one(method="GET", path="/products", text="Products with their stock.", do=self._products, query=_PAGING),
            one(method="GET", path="/products/{uuid}", text="One product, with its locations and reservations.",
                do=self._product),
            one(method="POST", path="/products/{uuid}/stock", text="Change or set its stock, like a warehouse worker.",
                do=self._stock, body=stock),
            one(method="GET", path="/webhooks", text="The subscriptions, with their secrets.", do=self._webhooks),
            one(method="POST", path="/webhooks", text="Subscribe.", do=self._subscribe, body=hook,
                required=("webhookEvent", "targetUrl")),
            one(method="DELETE", path="/webhooks/{uuid}", text="End a subscription.", do=self._unsubscribe),
            one(method="POST", path="/webhooks/{uuid}/enable", text="Enable it again.", do=self._enable),
            one(method="GET", path="/deliveries", text="The deliveries, newest first.", do=self._deliveries,
                query=_PAGING),
            one(method="DELETE", path="/deliveries", text="Forget them.", do=self._forget_deliveries),
            one(method="POST", path="/deliveries/wait", text="Wait until no delivery is in progress.", do=self._wait,
                query=("timeout",)),
            one(method="GET", path="/deliveries/{number}", text="One delivery, with body and signature.", do=self._delivery),
            one(method="POST", path="/deliveries/{number}/resend", text="Deliver it once more.", do=self._resend),
        ]  # fmt: skip


async def _json(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.json_response(value, status=status, headers={**_HEADERS, **(headers or {})})


async def _file(request: web.BaseRequest, name: str) -> web.Response:
    if request.method not in {"GET", "HEAD"}:
        return await _json({"message": "a page is read with GET"}, 405, {"Allow": "GET"})
    found = resources.files("goedgepickt_async.sandbox.control") / "page" / name
    if not re.fullmatch(r"[a-z]+\.(html|css|js|svg)", name) or not found.is_file():
        return await _json({"message": f"there is no page {name[:64]}"}, 404)
    kind = {"js": "text/javascript"}.get(name.rpartition(".")[2]) or mimetypes.guess_type(name)[0] or "text/plain"
    return web.Response(body=found.read_bytes(), content_type=kind, charset="utf-8", headers=_HEADERS)


async def _body(request: web.BaseRequest, operation: _Operation) -> dict[str, Any]:
    raw = await request.content.read(_BODY_AT_MOST + 1)
    while chunk := await request.content.read(_BODY_AT_MOST):
        if len(raw) > _BODY_AT_MOST:
            raise _ControlError(413, "the body is larger than 1 MiB")
        raw += chunk
    if not raw.strip():
        data: Any = {}
    else:
        try:
            data = json.loads(raw)
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


def _named(number: str) -> dict[str, str]:
    return {"orderId": number, "orderNumber": number, "externalDisplayId": number}


def _schema_of(quirk: Mapping[str, Any]) -> dict[str, Any]:
    kinds: dict[str, dict[str, Any]] = {
        "boolean": {"type": "boolean"},
        "integer": {"type": ["integer", "null"]},
        "choice": {"enum": quirk["choices"]},
    }
    return {**kinds[quirk["kind"]], "default": quirk["default"], "description": quirk["text"]}


def _openapi(operations: list[_Operation]) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
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
