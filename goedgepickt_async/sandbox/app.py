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
from typing import Any, Final, Literal, get_args, get_type_hints

import attrs

from goedgepickt_async.sandbox.requests import Incoming

__all__ = [
    "Answer",
    "Application",
    "CacheFlavour",
    "Controller",
    "Outcome",
    "Quirks",
    "Refusal",
    "Router",
    "Throttle",
    "encode_json",
    "error",
    "json_answer",
    "make_key",
    "validation_error",
]

_PAGE: Final = (
    '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title></head>\n'
    '<body class="antialiased"><div class="flex-center"><div class="code">{status}</div>'
    '<div class="message">{title}</div></div></body>\n</html>\n'
)
_ESCAPED_DELETE: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u007f")


@attrs.frozen
class Answer:
    """A response: status, headers and the bytes of the body."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = attrs.field(factory=dict)

    def with_headers(self, headers: dict[str, str]) -> Answer:
        """Return the same answer with more headers."""
        return attrs.evolve(self, headers={**self.headers, **headers})

    def absolute(self, origin: str) -> Answer:
        """Return the same answer; a redirect to a path of this server leads to a whole URL, as Laravel writes it."""
        path = self.headers.get("Location", "")
        return _redirect(origin + path) if path.startswith("/") else self


class Refusal(Exception):  # noqa: N818 - it is no error of ours
    """Raised in a controller to end the request with an error response."""

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
    return Answer(
        status, encode_json(value), {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
    )


def error(status: int, message: str, *, wants_json: bool, pretty: bool = True, key: str = "message") -> Answer:
    """Return an error as Laravel's exception handler renders it.

    Args:
        status: The HTTP status.
        message: The text of the exception.
        wants_json: Whether the client requested JSON. Otherwise it gets a web page, and a 401 redirects to the login
            page.
        pretty: Laravel indents the errors of its exception handler, but not the ones that it made itself (401).
        key: The key of the text.
    """
    if wants_json:
        text = json.dumps({key: message}, indent=4) if pretty else encode_json({key: message}).decode()
        headers = {"Content-Type": "application/json", "Cache-Control": "no-cache, private"}
        return Answer(status, text.encode(), headers)
    if status == 401:
        return _redirect("/login")
    title = html.escape(HTTPStatus(status).phrase)
    page = _PAGE.format(status=status, title=title)
    return Answer(status, page.encode(), {"Content-Type": "text/html; charset=UTF-8"})


def validation_error(errors: dict[str, list[str]], *, wants_json: bool, previous: str = "/") -> Answer:
    """Return Laravel's answer to input that does not validate: 422 in JSON, a way back to a browser."""
    if not wants_json:
        return _redirect(previous)
    texts = [text for field in errors.values() for text in field]
    more = len(texts) - 1
    suffix = f" (en {more} andere foutmelding{'en' if more > 1 else ''})" if more else ""
    return json_answer({"message": texts[0] + suffix, "errors": errors}, 422)


def _redirect(url: str) -> Answer:
    safe = html.escape(url)
    page = f'<!DOCTYPE html>\n<html><head><meta http-equiv="refresh" content="0;url=\'{safe}\'" /></head></html>\n'
    return Answer(302, page.encode(), {"Content-Type": "text/html; charset=UTF-8", "Location": url})


CacheFlavour = Literal["redis", "file", "memcached"]
"""The cache for Laravel's counters. Caches differ in the time when an entry expires.

`redis`: exactly after the period. `file`: in whole seconds, so up to one second early. `memcached`: in whole seconds
of a separate clock, so up to one second early or late.
"""

_KEY: Final = re.compile(r"[!-~]{8,4096}")
_MEMCACHED_PHASE: Final = 0.37
"""How far memcached's clock ticks behind the second; any fraction will do."""


@attrs.define
class _Entry:
    value: int
    expires: float


class _Cache:
    """The three operations that the throttle needs of Laravel's cache."""

    def __init__(self, flavour: CacheFlavour) -> None:
        self._flavour = flavour
        self._entries: dict[str, _Entry] = {}

    def get(self, now: float, key: str) -> int | None:
        entry = self._entries.get(key)
        if entry is None or self._tick(now) >= entry.expires:
            self._entries.pop(key, None)
            return None
        return entry.value

    def add(self, now: float, key: str, value: int, ttl: float) -> None:
        """Put a value unless one is alive."""
        if self.get(now, key) is None:
            start = now if self._flavour == "redis" else math.floor(now)
            self._entries[key] = _Entry(value, start + ttl)

    def increment(self, key: str) -> None:
        """Add one to a value that is there; how long it lives does not change."""
        self._entries[key].value += 1

    def forget(self, key: str) -> None:
        self._entries.pop(key, None)

    def clear(self) -> None:
        self._entries.clear()

    def alive(self, now: float) -> list[tuple[str, int]]:
        """Return the keys and values that live."""
        return [(key, value) for key in list(self._entries) if (value := self.get(now, key)) is not None]

    def _tick(self, now: float) -> float:
        if self._flavour == "redis":
            return now
        return math.floor(now - _MEMCACHED_PHASE) if self._flavour == "memcached" else math.floor(now)


class Throttle:
    """The rate limiter: counts the requests of each client (IP address) and refuses requests above the limit.

    Args:
        limit: The number of requests in one window.
        period: The length of a window in seconds. A fraction is allowed; headers have whole seconds.
        flavour: The cache for the counters.

    Attributes:
        refused: The number of refused requests.
    """

    def __init__(self, limit: int, period: float, flavour: CacheFlavour = "redis") -> None:
        self.limit = limit
        self.period = period
        self.refused: int = 0
        self._cache = _Cache(flavour)

    def used(self, now: float) -> dict[str, tuple[int, int]]:
        """Return, for each client with an open window, how many requests it used and in how many seconds that ends."""
        return {
            client: (count, max(0, (self._cache.get(now, f"{client}:timer") or math.floor(now)) - math.floor(now)))
            for client, count in self._cache.alive(now)
            if not client.endswith(":timer")
        }

    def reset(self) -> None:
        """Reset all counters."""
        self._cache.clear()

    def arrive(self, now: float, client: str) -> dict[str, str] | None:
        """Count a request before the controller runs.

        Args:
            now: The server's clock, in Unix seconds.
            client: The IP address of the client.

        Returns:
            None if the request is allowed and counted; otherwise the headers of the refusal, and the request is not
            counted.
        """
        timer_key = f"{client}:timer"
        if (self._cache.get(now, client) or 0) >= self.limit:
            timer = self._cache.get(now, timer_key)
            if timer is not None:
                self.refused += 1
                return self._refusal(now, timer)
            self._cache.forget(client)
        self._cache.add(now, timer_key, int(math.floor(now) + self.period), self.period)
        self._cache.add(now, client, 0, self.period)
        self._cache.increment(client)
        return None

    def leave(self, now: float, client: str) -> dict[str, str]:
        """Return the headers of an admitted request's answer, as they are after the controller ran."""
        count = self._cache.get(now, client) or 0
        return {"X-RateLimit-Limit": str(self.limit), "X-RateLimit-Remaining": str(max(0, self.limit - count))}

    def _refusal(self, now: float, timer: int) -> dict[str, str]:
        retry_after = max(0, timer - math.floor(now))
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": "0",
            "Retry-After": str(retry_after),
            "X-RateLimit-Reset": str(math.floor(now) + retry_after),
        }


@attrs.frozen(kw_only=True)
class Keys:
    """The keys of the two APIs.

    Attributes:
        fulfilment: The key of the fulfilment API.
        account: The key of the account API. If both are equal, one key is valid for both APIs.
        any: Whether both APIs accept any other well-formed key: 8 to 4096 visible ASCII characters.
    """

    fulfilment: str
    account: str
    any: bool = False

    def of(self, base: str) -> str:
        """Return the key of an API: `fulfilment` or `account`."""
        return self.account if base == "account" else self.fulfilment

    def opens(self, token: str | None, base: str) -> bool:
        if token is None:
            return False
        return hmac.compare_digest(token.encode(), self.of(base).encode()) or (self.any and is_well_formed(token))

    def knows(self, token: str | None) -> bool:
        """Whether a token is the key of either API."""
        return token in {self.fulfilment, self.account}


def is_well_formed(key: str) -> bool:
    """Whether a text can be a key: 8 to 4096 visible ASCII characters."""
    return _KEY.fullmatch(key) is not None


def make_key(seed: int, kind: str) -> str:
    """Return the key of one kind: in form a long JSON Web Token, as the real service gives (over 255 characters).

    The same seed gives the same key, so that what was printed once stays valid after a restart. It has no valid signature
    and opens a sandbox only.
    """
    jti = shake_256(f"jti:{seed}:{kind}".encode()).hexdigest(40)
    signature = shake_256(f"signature:{seed}:{kind}".encode()).digest(256)
    payload = {"aud": "1", "jti": jti, "iat": 1_767_225_600, "sub": "1", "scopes": [kind]}
    parts = (_json({"typ": "JWT", "alg": "RS256"}), _json(payload), signature)
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


Controller = Callable[[Incoming], Answer]
"""Answers one request; raises `Refusal` to end it otherwise."""


class Router:
    """A table of routes; `{}` in a path matches one segment, a positional argument of the controller."""

    def __init__(self) -> None:
        self._routes: list[tuple[re.Pattern[str], dict[str, Callable[..., Answer]]]] = []

    def add(self, path: str, **methods: Callable[..., Answer]) -> None:
        """Add the controllers of a path by HTTP method (`get=…`, `post=…`, `put=…`)."""
        pattern = re.compile(re.escape(path).replace(r"\{\}", "([^/]+)"))
        self._routes.append((pattern, {name.upper(): controller for name, controller in methods.items()}))

    def find(self, request: Incoming) -> Controller | Answer:
        """Return the controller of a request, or the answer to a request that has none."""
        for pattern, methods in self._routes:
            match = pattern.fullmatch(request.path)
            if match and request.base:
                return self._pick(methods, match.groups(), request)
        return self.not_found(request)

    def not_found(self, request: Incoming) -> Answer:
        """Return Laravel's answer to a path that it has no route for."""
        route = f"{_PREFIXES.get(request.base, '')}{request.path}".strip("/")
        return error(404, f"The route {route} could not be found.", wants_json=request.wants_json)

    def _pick(
        self, methods: dict[str, Callable[..., Answer]], segments: tuple[str, ...], request: Incoming
    ) -> Controller | Answer:
        controller = methods.get("GET" if request.method == "HEAD" else request.method)
        if controller is not None:
            return lambda incoming: controller(incoming, *segments)
        allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
        route = f"{_PREFIXES[request.base]}{request.path}".strip("/")
        text = f"The {request.method} method is not supported for route {route}. Supported methods: {allowed}."
        return error(405, text, wants_json=request.wants_json).with_headers({"Allow": allowed})


_PREFIXES = {"fulfilment": "/api/fulfilment/v1", "account": "/api/v1"}


@attrs.frozen
class Outcome:
    """An answer, and how it came to be."""

    answer: Answer
    throttled: bool = False
    applied: bool = False


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

    async def answer(self, request: Incoming, latency: Callable[[], Awaitable[None]]) -> Outcome:
        """Answer a request; `latency` is waited for between the throttle's count and the controller."""
        controller = self._router.find(request)
        if isinstance(controller, Answer):
            return Outcome(controller)
        refused = self._refuse(request)
        if refused is not None:
            return refused
        await latency()
        return self._control(controller, request)

    def admit(self, request: Incoming) -> Outcome | None:
        """Do all that comes before the controller; None if it would run now."""
        controller = self._router.find(request)
        return Outcome(controller) if isinstance(controller, Answer) else self._refuse(request)

    def rate_headers(self, request: Incoming) -> dict[str, str]:
        """Return the headers that an admitted request's answer carries now."""
        return {} if self.throttle is None else self.throttle.leave(self._clock(), request.client)

    def _refuse(self, request: Incoming) -> Outcome | None:
        unauthenticated = self._check_key(request)
        if unauthenticated is not None:
            return Outcome(unauthenticated.absolute(request.origin))
        headers = None if self.throttle is None else self.throttle.arrive(self._clock(), request.client)
        if headers is None:
            return None
        answer = error(429, "Too Many Attempts.", wants_json=request.wants_json)
        return Outcome(answer.with_headers(headers), throttled=True)

    def _control(self, controller: Controller, request: Incoming) -> Outcome:
        try:
            answer, applied = controller(request), True
        except Refusal as refusal:
            answer, applied = refusal.answer.absolute(request.origin), False
        return Outcome(answer.with_headers(self.rate_headers(request)), applied=applied)

    def _check_key(self, request: Incoming) -> Answer | None:
        if self._keys.opens(request.token, request.base):
            return None
        if self._keys.knows(request.token):
            return self._wrong_kind(request)
        return error(401, "Unauthenticated.", wants_json=request.wants_json, pretty=False, key=self._quirks.error_key)

    def _wrong_kind(self, request: Incoming) -> Answer:
        status = self._quirks.wrong_kind_status
        if status == 404:
            return self._router.not_found(request)
        text = "Unauthenticated." if status == 401 else "This action is unauthorized."
        key = self._quirks.error_key
        return error(status, text, wants_json=request.wants_json, pretty=status != 401, key=key)


# -- quirks: variants of the behaviour, for wrong data and for open questions about the real service ------------------


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
                "kind": _kind(field.name),
                "choices": list(_choices(field.name)),
                "default": field.default,
                "text": " ".join(said.get(field.name, "").split()),
            }
            for field in attrs.fields(cls)
        ]


@functools.cache
def _hints() -> dict[str, Any]:
    """The types of the quirks; every sandbox asks for each several times."""
    return get_type_hints(Quirks)


def _choices(name: str) -> tuple[Any, ...]:
    hint = _hints()[name]
    return get_args(hint) if _kind(name) == "choice" else ()


def _kind(name: str) -> str:
    hint = _hints()[name]
    return "boolean" if hint is bool else "integer" if type(None) in get_args(hint) else "choice"


def _check(name: str, value: Any) -> None:
    names = [field.name for field in attrs.fields(Quirks)]
    if name not in names:
        raise ValueError(f"unknown quirk {name!r}; the quirks are {', '.join(names)}")
    kind = _kind(name)
    if kind == "boolean" and not isinstance(value, bool):
        raise ValueError(f"{name} is true or false, not {value!r}")
    if kind == "integer" and value is not None and (type(value) is not int or value < 0):
        raise ValueError(f"{name} is a whole number, at least 0, or null; not {value!r}")
    if kind == "choice" and (isinstance(value, bool) or value not in _choices(name)):
        raise ValueError(f"{name} is one of {', '.join(map(str, _choices(name)))}; not {value!r}")
