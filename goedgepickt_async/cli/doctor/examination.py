"""Finds out: one request if all is well, two if the key is refused."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

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
from goedgepickt_async.cli.doctor.findings import Budget, Clock, Findings, Probe, Shop
from goedgepickt_async.cli.messages import describe

__all__ = ["clock_of", "examine", "other_api", "versions"]

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
    if not isinstance(rows, list):
        return None
    return tuple(Shop(uuid=str(row.get("uuid")), name=row.get("name")) for row in rows if isinstance(row, Mapping))


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
        server_limit=_number(response.headers.get("X-RateLimit-Limit")),
        server_remaining=_number(response.headers.get("X-RateLimit-Remaining")),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() else None
