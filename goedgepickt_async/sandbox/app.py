"""The application of the sandbox, in the way of Laravel: routes, keys, rate limiter, responses; and its quirks.

No socket, no aiohttp.
"""

from __future__ import annotations

import functools
import hmac
import html
import inspect
import json
import math
import re
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from hashlib import shake_256
from http import HTTPStatus
from types import NoneType
from typing import Any, Final, Literal, get_args, get_type_hints

import attrs

from goedgepickt_async.sandbox.requests import Incoming

_JSON: Final = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
_PAGE: Final = (
    '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>\n'
    '<body class="antialiased"><div class="flex-center"><div class="code">{status}</div>'
    '<div class="message">{title}</div></div></body>\n</html>\n'
)
_ESCAPED_DELETE: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u007f")


@attrs.frozen
class Answer:
    """A response: status, body and headers.

    Attributes:
        throttled: Whether the rate limiter refused the request.
        applied: Whether the controller ran successfully.
    """

    status: int
    body: bytes = b""
    headers: dict[str, str] = attrs.field(factory=dict)
    throttled: bool = attrs.field(default=False, kw_only=True)
    applied: bool = attrs.field(default=False, kw_only=True)

    def with_headers(self, headers: Mapping[str, str]) -> Answer:
        return attrs.evolve(self, headers={**self.headers, **headers})


class Refusal(Exception):  # noqa: N818 - it is no error of ours
    """Raised to end the request with an error response."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.status)
        self.answer = answer


def encode_json(value: Any) -> bytes:
    """Write JSON as PHP does: without spaces, slashes and everything but ASCII escaped."""
    # JSON has slashes only inside texts, so they can be escaped afterwards.
    text = json.dumps(value, separators=(",", ":")).replace("/", "\\/")
    if "\\u007f" in text:  # which is ASCII to PHP, and a control character to Python
        text = _ESCAPED_DELETE.sub("\\1\x7f", text)
    return text.encode()


def json_answer(value: Any, status: int = 200) -> Answer:
    return Answer(status, encode_json(value), _JSON)


def error(request: Incoming, status: int, message: str, *, pretty: bool = True, key: str = "message") -> Answer:
    """Return an error as Laravel's exception handler renders it.

    A client that did not ask for JSON gets a web page, and is redirected to the login page with a 401. Laravel indents
    the errors of its exception handler (`pretty`), but not the ones that it made itself (401).
    """
    if request.wants_json:
        return Answer(
            status, json.dumps({key: message}, indent=4).encode() if pretty else encode_json({key: message}), _JSON
        )
    if status == 401:
        return _redirect(request, "/login")
    page = _PAGE.format(status=status, title=html.escape(HTTPStatus(status).phrase))
    return Answer(status, page.encode(), {"Content-Type": "text/html; charset=UTF-8"})


def invalid(request: Incoming, errors: dict[str, list[str]]) -> Refusal:
    """Return Laravel's answer to input that does not validate, to be raised: 422 in JSON, a way back to a browser."""
    if not request.wants_json:
        return Refusal(_redirect(request, request.referer))
    texts = [text for field in errors.values() for text in field]
    more = len(texts) - 1
    suffix = f" (en {more} andere foutmelding{'en' if more > 1 else ''})" if more else ""
    return Refusal(json_answer({"message": texts[0] + suffix, "errors": errors}, 422))


def _redirect(request: Incoming, url: str) -> Answer:
    if url.startswith("/"):  # Laravel writes whole URLs
        url = request.origin + url
    safe = html.escape(url)
    page = f'<!DOCTYPE html>\n<html><head><meta http-equiv="refresh" content="0;url=\'{safe}\'" /></head></html>\n'
    return Answer(302, page.encode(), {"Content-Type": "text/html; charset=UTF-8", "Location": url})


CacheFlavour = Literal["redis", "file", "memcached"]
"""The cache for Laravel's counters. Caches differ in the time when an entry expires.

`redis`: exactly after the period. `file`: in whole seconds, so up to one second early. `memcached`: in whole seconds
of a separate clock, so up to one second early or late.
"""

_MEMCACHED_PHASE: Final = 0.37
"""How far memcached's clock ticks behind the second; any fraction will do."""


@attrs.define
class _Window:
    """Laravel's counter and its timer: two cache entries that begin and expire together."""

    timer: int
    expires: float
    used: int = 0


class Throttle:
    """The rate limiter: counts the requests of each client (IP address) and refuses requests above the limit.

    `limit` requests fit in a window of `period` seconds; headers have whole seconds. `refused` counts refusals.
    """

    def __init__(self, limit: int, period: float, flavour: CacheFlavour = "redis") -> None:
        self.limit = limit
        self.period = period
        self.refused: int = 0
        self._flavour = flavour
        self._windows: dict[str, _Window] = {}

    def used(self, now: float) -> dict[str, tuple[int, int]]:
        """Return, for each client with an open window, how many requests it used and in how many seconds that ends."""
        return {
            client: (window.used, max(0, window.timer - math.floor(now)))
            for client in self._windows
            if (window := self._open(now, client)) is not None
        }

    def reset(self) -> None:
        """Reset all counters."""
        self._windows.clear()

    def arrive(self, now: float, client: str) -> dict[str, str] | None:
        """Count a request before the controller runs, at a Unix second.

        Returns None if the request is allowed; otherwise the headers of the refusal, and the request is not counted.
        """
        second = math.floor(now)
        window = self._open(now, client)
        if window is not None and window.used >= self.limit:
            self.refused += 1
            retry_after = max(0, window.timer - second)
            more = {"Retry-After": str(retry_after), "X-RateLimit-Reset": str(second + retry_after)}
            return self.leave(now, client) | more
        if window is None:
            start = now if self._flavour == "redis" else second
            window = self._windows[client] = _Window(int(second + self.period), start + self.period)
        window.used += 1
        return None

    def leave(self, now: float, client: str) -> dict[str, str]:
        """Return the headers of an admitted request's answer, as they are after the controller ran."""
        window = self._open(now, client)
        left = self.limit - (0 if window is None else window.used)
        return {"X-RateLimit-Limit": str(self.limit), "X-RateLimit-Remaining": str(max(0, left))}

    def _open(self, now: float, client: str) -> _Window | None:
        tick = {"redis": now, "file": math.floor(now), "memcached": math.floor(now - _MEMCACHED_PHASE)}[self._flavour]
        window = self._windows.get(client)
        return None if window is None or tick >= window.expires else window


@attrs.frozen(kw_only=True)
class Keys:
    """The keys of the two APIs, which can be equal; with `any`, both accept every other well-formed key too."""

    fulfilment: str
    account: str
    any: bool = False

    def opens(self, token: str | None, base: str) -> bool:
        if token is None:
            return False
        key = self.account if base == "account" else self.fulfilment
        return hmac.compare_digest(token.encode(errors="surrogateescape"), key.encode()) or (
            self.any and is_well_formed(token)
        )


def is_well_formed(key: str) -> bool:
    """Whether a text can be a key: 8 to 4096 visible ASCII characters."""
    return re.fullmatch(r"[!-~]{8,4096}", key) is not None


def make_key(seed: int, kind: str) -> str:
    """Return the key of one kind: in form a long JSON Web Token, as the real service gives (over 255 characters).

    The same seed gives the same key, so that what was printed once stays valid after a restart. It has no valid signature
    and opens a sandbox only.
    """
    jti = shake_256(f"jti:{seed}:{kind}".encode()).hexdigest(40)
    signature = shake_256(f"signature:{seed}:{kind}".encode()).digest(256)
    payload = {"aud": "1", "jti": jti, "iat": 1_767_225_600, "sub": "1", "scopes": [kind]}
    parts = (encode_json({"typ": "JWT", "alg": "RS256"}), encode_json(payload), signature)
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


Controller = Callable[[Incoming], Answer]
"""Answers one request; raises `Refusal` to end it otherwise."""


class Router:
    """A table of routes; `{}` in a path matches one segment, a positional argument of the controller."""

    def __init__(self) -> None:
        self._routes: dict[re.Pattern[str], dict[str, Callable[..., Answer]]] = {}

    def add(self, path: str, **methods: Callable[..., Answer]) -> None:
        """Add the controllers of a path by HTTP method (`get=…`, `post=…`, `put=…`)."""
        pattern = re.compile(re.escape(path).replace(r"\{\}", "([^/]+)"))
        self._routes.setdefault(pattern, {}).update({name.upper(): how for name, how in methods.items()})

    def find(self, request: Incoming) -> Controller:
        """Return the controller of a request.

        Raises:
            Refusal: 404 or 405, in Laravel's words.
        """
        for pattern, methods in self._routes.items():
            match = pattern.fullmatch(request.path)
            if not match or not request.base:
                continue
            controller = methods.get("GET" if request.method == "HEAD" else request.method)
            if controller is None:
                allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
                text = f"The {request.method} method is not supported for route {request.route}. Supported methods: {allowed}."
                raise Refusal(error(request, 405, text).with_headers({"Allow": allowed}))
            return functools.partial(_call, controller, match.groups())
        raise Refusal(self.not_found(request))

    def not_found(self, request: Incoming) -> Answer:
        """Return Laravel's answer to a path that it has no route for."""
        return error(request, 404, f"The route {request.route} could not be found.")


def _call(controller: Callable[..., Answer], segments: tuple[str, ...], request: Incoming) -> Answer:
    return controller(request, *segments)


class Application:
    """Answers requests in the order of Laravel's pipeline.

    An unknown path is answered before anything else, a bad key before the throttle: both are not counted and carry no
    rate headers. What the controller says, errors too, leaves through the throttle and gets its headers.
    """

    def __init__(
        self, router: Router, throttle: Throttle | None, quirks: Quirks, keys: Keys, *, clock: Callable[[], float]
    ) -> None:
        self._router = router
        self.throttle = throttle
        self._keys = keys
        self._quirks = quirks
        self._clock = clock

    async def answer(self, request: Incoming, latency: Callable[[], Awaitable[None]]) -> Answer:
        """Answer a request; `latency` is waited for between the throttle's count and the controller."""
        try:
            controller = self.admit(request)
        except Refusal as refusal:
            return refusal.answer
        await latency()
        try:
            answer = attrs.evolve(controller(request), applied=True)
        except Refusal as refusal:
            answer = refusal.answer
        return answer.with_headers(self.rate_headers(request))

    def admit(self, request: Incoming) -> Controller:
        """Do all that comes before the controller.

        Raises:
            Refusal: The route, the key or the throttle refuses the request.
        """
        controller = self._router.find(request)
        if not self._keys.opens(request.token, request.base):
            raise Refusal(self._wrong_key(request))
        headers = None if self.throttle is None else self.throttle.arrive(self._clock(), request.client)
        if headers is not None:
            answer = error(request, 429, "Too Many Attempts.").with_headers(headers)
            raise Refusal(attrs.evolve(answer, throttled=True))
        return controller

    def rate_headers(self, request: Incoming) -> dict[str, str]:
        """Return the headers that an admitted request's answer carries now."""
        return {} if self.throttle is None else self.throttle.leave(self._clock(), request.client)

    def _wrong_key(self, request: Incoming) -> Answer:
        is_of_other_api = request.token in {self._keys.fulfilment, self._keys.account}
        status = self._quirks.wrong_kind_status if is_of_other_api else 401
        if status == 404:
            return self._router.not_found(request)
        text = "Unauthenticated." if status == 401 else "This action is unauthorized."
        return error(request, status, text, pretty=status != 401, key=self._quirks.error_key)


@attrs.define(kw_only=True)
class Quirks:
    """Settings that can be changed at any time. The defaults follow the reference, or its most likely meaning.

    Attributes:
        total_items: A wrong value for `pageInfo.totalItems`.
        last_page: A wrong value for `pageInfo.lastPage`.
        last_page_for: Another page size for the calculation of `lastPage`.
        freeze_page_info: Whether each list repeats the totals of its first reading, like a cache.
        drop_page_info: Whether lists have no `pageInfo`.
        ignore_per_page: Whether `perPage` is ignored and the default page size is used.
        hide_clamp: Whether `pageInfo.itemsPerPage` has the requested size instead of the used size.
        repeat_last_page: Whether a page after the end is the last page again instead of an empty page.
        drop_empty_items: Whether an empty page has no key `items`.
        repeat_cursor: Whether a cursor page repeats its own cursor, so that the list never ends.
        orderstatus_leaks: Whether the `orderstatus` filter also returns orders that once had the status and now have
            another, as two of the service's users have seen (B).
        date_style: How lists write dates: `space` (`2026-11-01 09:30:00`), `T`, `Z` (in UTC, with fractions), or `mixed`
            (another form in each row, which no service does within one list).
        strict: Whether searches without public evidence are refused with 422: `searchAttribute` other
            than `status` (orders), `sku` and `supplierUuid` (products).
        order_answer: The form of the response to a new order.
        product_answer: The form of the response to a new or changed product.
        duplicate_order: The response to a second order with the same webshop and `orderId`: a second order, 422, or the
            first order.
        unknown_sku: The effect of a line with an unknown SKU: the order is put on hold, or refused with 422.
        wrong_kind_status: The status for a key of one API at the path of the other API.
        error_key: The key under which the service's own errors (not Laravel's) give their text. With `message` there is
            also `errors` where a field is to blame. Clients in production look for `errorMessage` before `message` (A).
    """

    total_items: int | None = None
    last_page: int | None = None
    last_page_for: int | None = None
    freeze_page_info: bool = False
    drop_page_info: bool = False
    ignore_per_page: bool = False
    hide_clamp: bool = False
    repeat_last_page: bool = False
    drop_empty_items: bool = False
    repeat_cursor: bool = False
    orderstatus_leaks: bool = True
    date_style: Literal["space", "T", "Z", "mixed"] = "space"
    strict: bool = False
    order_answer: Literal["orderUuid", "uuid", "order.uuid", "data.uuid", "empty"] = "orderUuid"
    product_answer: Literal["items", "bare", "empty_items"] = "items"
    duplicate_order: Literal["create", "refuse", "return_first"] = "create"
    unknown_sku: Literal["hold", "refuse"] = "hold"
    wrong_kind_status: Literal[401, 403, 404] = 401
    error_key: Literal["message", "error", "errorMessage"] = "errorMessage"

    def update(self, values: Mapping[str, Any]) -> None:
        """Set several quirks together; nothing is set if one of them is wrong.

        Args:
            values: Names and values, as JSON has them.

        Raises:
            ValueError: The quirk does not exist or cannot have this value; the message has the possible values.
        """
        for name, value in values.items():
            _check(name, value)
        for name, value in values.items():
            setattr(self, name, value)

    @classmethod
    def describe(cls) -> list[dict[str, Any]]:
        """Return name, kind (`boolean`, `integer` or `choice`), choices, default and meaning of each quirk."""
        said = dict(
            re.findall(r"^    (\w+): (.+?)(?=^    \w+: |\Z)", inspect.getdoc(cls) or "", re.DOTALL | re.MULTILINE)
        )
        return [
            {
                "name": field.name,
                "kind": kind,
                "choices": list(choices),
                "default": field.default,
                "text": " ".join(said.get(field.name, "").split()),
            }
            for field, (kind, choices) in zip(attrs.fields(cls), _kinds().values(), strict=True)
        ]


@functools.cache
def _kinds() -> dict[str, tuple[str, tuple[Any, ...]]]:
    """Return the kind and the choices of each quirk, by name."""

    def kind(hint: Any) -> tuple[str, tuple[Any, ...]]:
        if hint is bool:
            return "boolean", ()
        return ("integer", ()) if NoneType in get_args(hint) else ("choice", get_args(hint))

    return {name: kind(hint) for name, hint in get_type_hints(Quirks).items()}


def _check(name: str, value: Any) -> None:
    if name not in _kinds():
        raise ValueError(f"unknown quirk {name!r}; the quirks are {', '.join(_kinds())}")
    kind, choices = _kinds()[name]
    if kind == "boolean" and not isinstance(value, bool):
        raise ValueError(f"{name} is true or false, not {value!r}")
    if kind == "integer" and value is not None and (type(value) is not int or value < 0):
        raise ValueError(f"{name} is a whole number, at least 0, or null; not {value!r}")
    if kind == "choice" and (isinstance(value, bool) or value not in choices):
        raise ValueError(f"{name} is one of {', '.join(map(str, choices))}; not {value!r}")
