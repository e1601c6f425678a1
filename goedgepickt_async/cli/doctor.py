"""`goedgepickt doctor`: checks key, server, limit and settings, and prints a report."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import attrs

from goedgepickt_async import (
    APIError,
    AuthenticationError,
    GoedGepickt,
    GoedGepicktError,
    NotFoundError,
    PermissionDeniedError,
    Response,
    __version__,
)
from goedgepickt_async.budget.selection import describe_budget
from goedgepickt_async.cli.connect import ServerOptions, connect
from goedgepickt_async.cli.errors import Exit, describe
from goedgepickt_async.settings import environment_proxy, shown_proxy
from goedgepickt_async.text import printable

__all__ = [
    "Budget",
    "Clock",
    "Findings",
    "Probe",
    "Shop",
    "as_text",
    "clock_of",
    "doctor",
    "examine",
    "other_api",
    "versions",
]


@attrs.frozen(kw_only=True)
class Shop:
    """A webshop that the key covers."""

    uuid: str
    name: str | None


@attrs.frozen(kw_only=True)
class Clock:
    """The server's clock against ours.

    Attributes:
        ahead: Seconds that the server's is ahead of ours; negative if behind.
        uncertainty: The possible error in seconds: the header has whole seconds.
    """

    ahead: float
    uncertainty: float


@attrs.frozen(kw_only=True)
class Budget:
    """Requests that may be made.

    Attributes:
        limit: In a period, by our own count.
        period: In seconds.
        used: On the wire, or not long ago, by any process that shares the budget.
        free: That may go now.
        next_free_in: Seconds until the next one may go; None if only an answer can tell.
        foreign_traffic: Whether the server counts requests of other clients on this IP.
        kind: `local`, `host` or `redis`.
        place: Where its state is.
        share: How many of the limit this budget may use; None: all.
        sharers: How many processes use it.
        description: All that in words.
        server_limit: The server's limit; None if it is not in the response.
        server_remaining: Likewise.
    """

    limit: int
    period: float
    used: int
    free: int
    next_free_in: float | None
    foreign_traffic: bool
    kind: str = ""
    place: str = ""
    share: int | None = None
    sharers: int | None = None
    description: str = ""
    server_limit: int | None = None
    server_remaining: int | None = None


@attrs.frozen(kw_only=True)
class Probe:
    """One API, asked once.

    Attributes:
        api: `account`, `fulfilment`, or None for an address that is neither's.
        base_url: Its address.
        accepted: Whether it takes the key.
        error: Why not, in one line.
        refused: Whether it was the key that it did not take.
        webshops: Those that the key covers, the first hundred.
        webshops_in_all: The number of webshops in the response's pageInfo.
        round_trip: Seconds from request to response, including the connection.
        clock: None if the response had no date.
        budget: Requests that may be made there.
        proxy: The proxy that requests go through, without its password; None: none.
    """

    api: str | None
    base_url: str
    accepted: bool
    error: str | None = None
    refused: bool = False
    webshops: tuple[Shop, ...] = ()
    webshops_in_all: int | None = None
    round_trip: float | None = None
    clock: Clock | None = None
    budget: Budget | None = None
    proxy: str | None = None


@attrs.frozen(kw_only=True)
class Findings:
    """All of it.

    Attributes:
        versions: By what.
        key: `present` or `missing`.
        configured: The API that is set; None without a key.
        other: The other one, if the key was refused.
    """

    versions: dict[str, str]
    key: str
    configured: Probe | None = None
    other: Probe | None = None


_ENDINGS = {"fulfilment": "/api/fulfilment/v1", "account": "/api/v1"}


async def examine(client: GoedGepickt) -> Findings:
    """Ask the configured API, and the other one with the same key if it is refused there."""
    configured = await _probe(client)
    other = None
    url = other_api(client.settings.base_url)
    if configured.refused and url is not None:
        settings = client.settings
        async with GoedGepickt(
            settings.api_key, base_url=url, budget=client.budget, timeout=settings.timeout, max_wait=settings.max_wait
        ) as elsewhere:
            other = await _probe(elsewhere)
    return Findings(versions=versions(), key="present", configured=configured, other=other)


def versions() -> dict[str, str]:
    """Of what matters when something is wrong."""
    found = {"goedgepickt-async": __version__, "Python": platform.python_version(), "aiohttp": version("aiohttp")}
    try:
        found["orjson"] = version("orjson")
    except PackageNotFoundError:
        found["orjson"] = "not installed (optional: the `speed` extra)"
    return found


def other_api(base_url: str) -> str | None:
    """The address of the other API on the same server; None if this one is neither's."""
    kind = _kind(base_url)
    if kind is None:
        return None
    other = next(name for name in _ENDINGS if name != kind)
    return base_url.removesuffix(_ENDINGS[kind]) + _ENDINGS[other]


def clock_of(date_header: str | None, asked: float, answered: float) -> Clock | None:
    """The server's clock against ours, out of a `Date` header (whole seconds, rounded down).

    Args:
        date_header: The header.
        asked: When the request went, in Unix seconds of our clock.
        answered: When the answer came.
    """
    try:
        said = parsedate_to_datetime(date_header or "")
    except ValueError:
        return None
    server = (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp() + 0.5
    half = (answered - asked) / 2
    return Clock(ahead=server - (asked + half), uncertainty=half + 0.5)


async def _probe(client: GoedGepickt) -> Probe:
    """Ask it once, through the proxy that is set for it, if any."""
    proxy = environment_proxy(client.settings.base_url)
    probe = await _ask(client)
    return attrs.evolve(probe, proxy=None if proxy is None else shown_proxy(proxy))


async def _ask(client: GoedGepickt) -> Probe:
    url = client.settings.base_url
    began, asked = time.perf_counter(), time.time()
    try:
        response = await client.request("GET", "/webshops", query={"perPage": 100})
    except GoedGepicktError as error:
        refused = _is_of_key(error)
        return Probe(api=_kind(url), base_url=url, accepted=False, refused=refused, error=_why(error, refused=refused))
    took = time.perf_counter() - began
    shops = _shops(response.json)
    if shops is None:
        return Probe(api=_kind(url), base_url=url, accepted=False, error="it answers, but not as GoedGepickt does")
    return Probe(
        api=_kind(url),
        base_url=url,
        accepted=True,
        webshops=shops,
        webshops_in_all=_in_all(response.json),
        round_trip=took,
        clock=clock_of(response.headers.get("Date"), asked, asked + took),
        budget=_budget(client, response),
    )


def _is_of_key(error: GoedGepicktError) -> bool:
    """Whether it was the key. Some servers hide what a key may not see behind a 404, but in JSON, as the API does."""
    if isinstance(error, NotFoundError):
        return isinstance(error.body, Mapping)
    return isinstance(error, AuthenticationError | PermissionDeniedError)


def _why(error: GoedGepicktError, *, refused: bool) -> str:
    if isinstance(error, APIError) and refused:
        return f"refused (HTTP {error.status})"
    if isinstance(error, NotFoundError):
        return "no GoedGepickt API is at this address (HTTP 404, and not in JSON): is it right (--base-url)?"
    return describe(error)[0]


def _kind(base_url: str) -> str | None:
    return next((name for name, ending in _ENDINGS.items() if base_url.endswith(ending)), None)


def _shops(data: Any) -> tuple[Shop, ...] | None:
    rows = data.get("items") if isinstance(data, Mapping) else None
    if isinstance(rows, Mapping) and all(str(key).isdecimal() for key in rows):  # a list with holes, as PHP writes it
        rows = list(rows.values())
    if not isinstance(rows, list):
        return None
    shops = (row for row in rows if isinstance(row, Mapping))
    return tuple(Shop(uuid=str(row.get("uuid")), name=_name(row.get("name"))) for row in shops)


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _in_all(data: Any) -> int | None:
    info = data.get("pageInfo")
    total = info.get("totalItems") if isinstance(info, Mapping) else None
    return total if isinstance(total, int) else None


def _budget(client: GoedGepickt, response: Response) -> Budget:
    snapshot = client.budget.snapshot()
    return Budget(
        limit=snapshot.limit,
        period=snapshot.period,
        used=snapshot.used,
        free=snapshot.free,
        next_free_in=snapshot.next_free_in,
        foreign_traffic=snapshot.foreign_traffic,
        kind=snapshot.kind,
        place=snapshot.place,
        share=snapshot.share,
        sharers=snapshot.sharers,
        description=describe_budget(client.budget),
        server_limit=_number(response.headers.get("X-RateLimit-Limit")),
        server_remaining=_number(response.headers.get("X-RateLimit-Remaining")),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None


_WIDTH = 12
_SHOPS = 10
_NOTABLE_SKEW = 5.0


def as_text(findings: Findings) -> str:
    """The report."""
    return "\n".join(f"{title:<{_WIDTH}} {text}".rstrip() for title, text in _lines(findings)) + "\n"


def _lines(findings: Findings) -> Iterator[tuple[str, str]]:
    yield "versions", ", ".join(f"{name} {said}" for name, said in findings.versions.items())
    if findings.configured is None:
        yield "key", "missing: set GOEDGEPICKT_API_KEY to one made in GoedGepickt under Settings → GoedGepickt API"
        yield "advice", "without a key, the same command tries a built-in test server: goedgepickt doctor --sandbox"
        return
    yield from _of_probe(findings.configured, "API")
    if findings.other is not None:
        yield from _of_probe(findings.other, "other API")
        yield "advice", _advice(findings.other)


def _advice(other: Probe) -> str:
    if other.accepted and other.api:
        return f"the key is one of the {other.api} API: use --api {other.api}, or set GOEDGEPICKT_API={other.api}"
    return "neither API takes the key: was it copied whole, and does it still exist in GoedGepickt?"


def _of_probe(probe: Probe, title: str) -> Iterator[tuple[str, str]]:
    yield title, f"{probe.api or 'of another address'} ({probe.base_url})"
    if probe.proxy is not None:
        yield "proxy", printable(probe.proxy)
    if not probe.accepted:
        yield ("key" if probe.refused else "problem"), probe.error or ""
        return
    yield "key", "accepted"
    yield from _of_shops(probe)
    if probe.budget is not None:
        yield "budget", printable(probe.budget.description)
        yield "requests", _of_budget(probe.budget)
    if probe.round_trip is not None:
        yield "round trip", f"{probe.round_trip * 1000:.0f} ms, the connection's set-up included"
    yield "clock", _of_clock(probe.clock)


def _of_shops(probe: Probe) -> Iterator[tuple[str, str]]:
    number = max(len(probe.webshops), probe.webshops_in_all or 0)
    yield "webshops", str(number)
    for shop in probe.webshops[:_SHOPS]:
        yield "", f"{printable(shop.uuid)}  {printable(shop.name or '(no name)')}"
    if probe.webshops and number > _SHOPS:
        yield "", f"… and {number - _SHOPS} more: goedgepickt export webshops"


def _of_budget(budget: Budget) -> str:
    ours = f"{budget.used} of {budget.limit} requests used, {budget.free} free now, per {budget.period:g} s"
    if not budget.free and budget.next_free_in is not None:
        ours += f"; the next in {budget.next_free_in:.0f} s"
    told = budget.server_limit is not None and budget.server_remaining is not None
    theirs = (
        f"the server reports {budget.server_remaining} of {budget.server_limit} left"
        if told
        else "the server reports no counter"
    )
    others = "other clients send from this IP too" if budget.foreign_traffic else "no other clients seen on this IP"
    return f"{ours}; {theirs}; {others}"


def _of_clock(clock: Clock | None) -> str:
    if clock is None:
        return "the server sends no date"
    if abs(clock.ahead) <= clock.uncertainty:
        return f"agrees with the server's within {clock.uncertainty:.1f} s"
    side = "ahead of" if clock.ahead > 0 else "behind"
    warning = "; is this machine's clock right?" if abs(clock.ahead) > _NOTABLE_SKEW else ""
    return f"the server's is {abs(clock.ahead):.1f} s {side} ours (±{clock.uncertainty:.1f} s){warning}"


async def doctor(server: ServerOptions, *, as_json: bool, anonymous: bool = False) -> int:
    """Examine and report.

    Args:
        server: Which API is configured, and how.
        as_json: Whether the report is JSON.
        anonymous: Whether names and uuids of webshops are left out.

    Returns:
        0 if the configured API takes the key, 3 if it refuses it, 1 otherwise.
    """
    server.check()
    findings = await _findings(server)
    if anonymous:
        findings = _anonymous(findings)
    text = json.dumps(attrs.asdict(findings), indent=2, ensure_ascii=False) + "\n" if as_json else as_text(findings)
    sys.stdout.write(text)
    return _code(findings)


async def _findings(server: ServerOptions) -> Findings:
    tenant = server.tenant or os.environ.get("GOEDGEPICKT_TENANT", "").strip()
    if not server.sandbox and not tenant and not os.environ.get("GOEDGEPICKT_API_KEY", "").strip():
        return Findings(versions=versions(), key="missing")
    async with connect(server) as connection:
        return await examine(connection.client)


def _anonymous(findings: Findings) -> Findings:
    """The same without what tells whose report it is."""
    return attrs.evolve(findings, configured=_without_shops(findings.configured), other=_without_shops(findings.other))


def _without_shops(probe: Probe | None) -> Probe | None:
    return None if probe is None else attrs.evolve(probe, webshops=(), webshops_in_all=_shops_in_all(probe))


def _shops_in_all(probe: Probe) -> int | None:
    return max(len(probe.webshops), probe.webshops_in_all or 0) if probe.accepted else None


def _code(findings: Findings) -> Exit:
    if findings.configured is None:
        return Exit.FAILED
    if findings.configured.accepted:
        return Exit.DONE
    return Exit.KEY_REFUSED if findings.configured.refused else Exit.FAILED
