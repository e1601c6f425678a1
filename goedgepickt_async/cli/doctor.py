"""`goedgepickt doctor` checks key, server, limit and settings; `goedgepickt probe` checks what is known of the API."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
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
from goedgepickt_async.cli.common import CommandError, Exit, check_writable, describe, info, refuse_same_file
from goedgepickt_async.cli.connect import connect, misspelt_variables
from goedgepickt_async.cli.options import ServerOptions
from goedgepickt_async.contract import Probe
from goedgepickt_async.paths import write_private
from goedgepickt_async.settings import environment_proxy, shown_proxy
from goedgepickt_async.text import printable

__all__ = ["Findings", "as_text", "clock_of", "doctor", "examine", "other_api", "probe"]

# -- findings: their attributes are the keys of --json -----------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Shop:
    """A webshop of the key."""

    uuid: str
    name: str | None


@attrs.frozen(kw_only=True)
class Clock:
    """The comparison of the server's clock with ours, in seconds.

    Attributes:
        ahead: How much the server's clock is ahead of ours; negative if it is behind.
        uncertainty: The possible error, because the header has whole seconds.
    """

    ahead: float
    uncertainty: float


@attrs.frozen(kw_only=True)
class Budget:
    """The state of the rate limit: of `BudgetSnapshot`, with a description, and the counter in the response."""

    limit: int
    period: float
    used: int
    free: int
    next_free_in: float | None
    foreign_traffic: bool
    kind: str
    place: str
    share: int | None
    sharers: int
    description: str
    server_limit: int | None
    server_remaining: int | None


@attrs.frozen(kw_only=True)
class ApiCheck:
    """The result of one request to an API.

    Attributes:
        api: `account`, `fulfilment`, or None for another address.
        error: The reason of a failure, or a wrong setting although the key was accepted, in one line.
        refused: Whether it refused the key.
        webshops: The first hundred webshops of the key.
        webshops_in_all: The number of webshops in the response's pageInfo.
        round_trip: Seconds from request to response, including the connection.
        clock: None if the response had no date.
        proxy: The proxy without its password; None without a proxy.
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

    @property
    def number_of_webshops(self) -> int:
        """The number of webshops, as far as the response has it."""
        return max(len(self.webshops), self.webshops_in_all or 0)


@attrs.frozen(kw_only=True)
class Findings:
    """The report of `doctor`.

    Attributes:
        key: `present` or `missing`.
        configured: The result of the configured API; None without a key.
        other: The result of the other API, if the key was refused.
    """

    versions: dict[str, str]
    key: str
    configured: ApiCheck | None = None
    other: ApiCheck | None = None


# -- checks -----------------------------------------------------------------------------------------------------------

_ENDINGS = {"fulfilment": "/api/fulfilment/v1", "account": "/api/v1"}


async def examine(client: GoedGepickt) -> Findings:
    """Send a request to the configured API, and to the other API if the key is refused."""
    configured = await _check(client)
    other = None
    url = other_api(client.settings.base_url)
    if configured.refused and url is not None:
        settings = client.settings
        async with GoedGepickt(
            settings.api_key, base_url=url, budget=client.budget, timeout=settings.timeout, max_wait=settings.max_wait
        ) as elsewhere:
            other = await _check(elsewhere)
    return Findings(versions=_versions(), key="present", configured=configured, other=other)


def _versions() -> dict[str, str]:
    found = {"goedgepickt-async": __version__, "Python": platform.python_version(), "aiohttp": version("aiohttp")}
    try:
        found["orjson"] = version("orjson")
    except PackageNotFoundError:
        found["orjson"] = "not installed (optional: the `speed` extra)"
    return found


def other_api(base_url: str) -> str | None:
    """Return the URL of the other API on the same server; None for an unknown URL."""
    kind = _kind(base_url)
    if kind is None:
        return None
    other = next(name for name in _ENDINGS if name != kind)
    return base_url.removesuffix(_ENDINGS[kind]) + _ENDINGS[other]


def clock_of(date_header: str | None, asked: float, answered: float) -> Clock | None:
    """Compare the server's clock with ours, by a `Date` header (whole seconds, rounded down).

    Args:
        date_header: The value of the header.
        asked: The time of the request, in Unix seconds of our clock.
        answered: The time of the response.
    """
    try:
        said = parsedate_to_datetime(date_header or "")
    except ValueError:
        return None
    server = (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp() + 0.5
    half = (answered - asked) / 2
    return Clock(ahead=server - (asked + half), uncertainty=half + 0.5)


async def _check(client: GoedGepickt) -> ApiCheck:
    """Send one request, through the configured proxy if there is one."""
    url = client.settings.base_url
    proxy = environment_proxy(url)
    check = ApiCheck(api=_kind(url), base_url=url, accepted=False, proxy=None if proxy is None else shown_proxy(proxy))
    began, asked = time.perf_counter(), time.time()
    try:
        response = await client.request("GET", "/webshops", query={"perPage": 100})
    except GoedGepicktError as error:
        refused = _is_of_key(error, check.api)
        return attrs.evolve(check, refused=refused, error=_why(error, refused=refused))
    took = time.perf_counter() - began
    shops = _shops(response.json)
    if shops is None:
        return attrs.evolve(check, error="the response is not from GoedGepickt")
    return attrs.evolve(
        check,
        accepted=True,
        error=_wrong_setting(client, shops, _in_all(response.json)),
        webshops=shops,
        webshops_in_all=_in_all(response.json),
        round_trip=took,
        clock=clock_of(response.headers.get("Date"), asked, asked + took),
        budget=_budget(client, response),
    )


def _wrong_setting(client: GoedGepickt, shops: tuple[Shop, ...], in_all: int | None) -> str | None:
    """What does not work although the key was accepted, without ids."""
    webshop = (client.settings.webshop_uuid or "").lower()
    is_complete = in_all is not None and in_all <= len(shops)
    if webshop and is_complete and webshop not in {shop.uuid.lower() for shop in shops}:
        return "GOEDGEPICKT_WEBSHOP_UUID is no webshop of this key"
    return "the request budget cannot be used: see above" if client.budget.snapshot().problem else None


def _is_of_key(error: GoedGepicktError, api: str | None) -> bool:
    """Whether the API refused the key. A 404 in JSON can mean this too, because servers can hide objects from a key.

    At an address that does not end as the two APIs do, a 404 means that the address is wrong.
    """
    if isinstance(error, NotFoundError):
        return api is not None and isinstance(error.body, Mapping)
    return isinstance(error, AuthenticationError | PermissionDeniedError)


def _why(error: GoedGepicktError, *, refused: bool) -> str:
    if isinstance(error, APIError) and refused:
        return f"refused (HTTP {error.status})"
    if isinstance(error, NotFoundError):
        endings = " or ".join(_ENDINGS.values())
        return f"this address has no GoedGepickt API (HTTP 404): check --base-url, which ends with {endings}"
    return describe(error)[0]


def _kind(base_url: str) -> str | None:
    return next((name for name, ending in _ENDINGS.items() if base_url.endswith(ending)), None)


def _shops(data: Any) -> tuple[Shop, ...] | None:
    rows = data.get("items") if isinstance(data, Mapping) else None
    if isinstance(rows, Mapping) and all(str(key).isdecimal() for key in rows):  # a list with gaps, as PHP writes it
        rows = list(rows.values())
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) and row.get("uuid") for row in rows):
        return None
    names = [row.get("name") for row in rows]
    return tuple(
        Shop(uuid=str(row["uuid"]), name=name if isinstance(name, str) else None)
        for row, name in zip(rows, names, strict=True)
    )


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


# -- the report -------------------------------------------------------------------------------------------------------

_WIDTH = 12
_SHOPS = 10
_NOTABLE_SKEW = 5.0


def as_text(findings: Findings) -> str:
    """Return the report as text."""
    return "\n".join(f"{title:<{_WIDTH}} {text}".rstrip() for title, text in _lines(findings)) + "\n"


def _lines(findings: Findings) -> Iterator[tuple[str, str]]:
    yield "versions", ", ".join(f"{name} {said}" for name, said in findings.versions.items())
    for sentence in misspelt_variables():
        yield "environment", sentence
    if findings.configured is None:
        yield "key", "missing: set GOEDGEPICKT_API_KEY to a key from GoedGepickt, Settings → GoedGepickt API"
        yield "advice", "to check a built-in test server without a key: goedgepickt doctor --sandbox"
        return
    yield from _of_check(findings.configured, "API")
    if findings.other is not None:
        yield from _of_check(findings.other, "other API")
        yield "advice", _advice(findings.other)


def _advice(other: ApiCheck) -> str:
    if other.accepted and other.api:
        return f"the key belongs to the {other.api} API: use --api {other.api}, or set GOEDGEPICKT_API={other.api}"
    return "neither API accepts the key: copy the whole key, and check that it still exists in GoedGepickt"


def _of_check(check: ApiCheck, title: str) -> Iterator[tuple[str, str]]:
    yield title, f"{check.api or 'of another address'} ({check.base_url})"
    if check.proxy is not None:
        yield "proxy", printable(check.proxy)
    if not check.accepted:
        yield ("key" if check.refused else "problem"), check.error or ""
        return
    yield "key", "accepted"
    yield from _of_shops(check)
    if check.budget is not None:
        yield "budget", printable(check.budget.description)
        yield "requests", _of_budget(check.budget)
    if check.round_trip is not None:
        yield "round trip", f"{check.round_trip * 1000:.0f} ms, including the connection"
    yield "clock", _of_clock(check.clock)
    if check.error is not None:
        yield "problem", check.error


def _of_shops(check: ApiCheck) -> Iterator[tuple[str, str]]:
    number = check.number_of_webshops
    yield "webshops", str(number)
    for shop in check.webshops[:_SHOPS]:
        yield "", f"{printable(shop.uuid)}  {printable(shop.name or '(no name)')}"
    if check.webshops and number > _SHOPS:
        yield "", f"… and {number - _SHOPS} more: goedgepickt export webshops"


def _of_budget(budget: Budget) -> str:
    ours = f"{budget.used} of {budget.limit} requests used, {budget.free} free now, per {budget.period:g} s"
    if not budget.free and budget.next_free_in is not None:
        ours += f"; the next in {budget.next_free_in:.0f} s"
    theirs, others = "the server reports no counter", "no other clients were seen on this IP address"
    if budget.server_limit is not None and budget.server_remaining is not None:
        theirs = f"the server reports {budget.server_remaining} of {budget.server_limit} left"
    if budget.foreign_traffic:
        others = "other clients use this IP address too"
    return f"{ours}; {theirs}; {others}"


def _of_clock(clock: Clock | None) -> str:
    if clock is None:
        return "the server sends no date"
    if abs(clock.ahead) <= clock.uncertainty:
        return f"agrees with the server's within {clock.uncertainty:.1f} s"
    side = "ahead of" if clock.ahead > 0 else "behind"
    warning = "; check the clock of this machine" if abs(clock.ahead) > _NOTABLE_SKEW else ""
    return f"the server's is {abs(clock.ahead):.1f} s {side} ours (±{clock.uncertainty:.1f} s){warning}"


async def doctor(server: ServerOptions, *, as_json: bool, anonymous: bool = False) -> int:
    """Run `goedgepickt doctor`.

    Returns:
        0 if the configured API accepts the key and all settings work, 3 if it refuses the key, 1 otherwise.
    """
    server.check()
    tenant = server.tenant or os.environ.get("GOEDGEPICKT_TENANT", "").strip()
    if not server.sandbox and not tenant and not os.environ.get("GOEDGEPICKT_API_KEY", "").strip():
        findings = Findings(versions=_versions(), key="missing")
    else:
        async with connect(server) as client:
            findings = await examine(client)
    configured = findings.configured
    if anonymous:
        findings = attrs.evolve(findings, configured=_without_shops(configured), other=_without_shops(findings.other))
    text = json.dumps(attrs.asdict(findings), indent=2) + "\n" if as_json else as_text(findings)
    sys.stdout.write(text)
    if configured is None:
        return Exit.FAILED
    if configured.accepted:
        return Exit.DONE if configured.error is None else Exit.FAILED
    return Exit.KEY_REFUSED if configured.refused else Exit.FAILED


def _without_shops(check: ApiCheck | None) -> ApiCheck | None:
    if check is None or not check.accepted:
        return check
    return attrs.evolve(check, webshops=(), webshops_in_all=check.number_of_webshops)


# -- probe --------------------------------------------------------------------------------------------------------------


async def probe(
    server: ServerOptions, *, as_json: bool, output: Path | None, diff: bool, resume: Path | None, dry_run: bool
) -> int:
    """Run `goedgepickt probe`."""
    server.check()
    refuse_same_file({"--output": output, "--resume": resume})
    for option, file in (("--output", output), ("--resume", resume)):
        if file is not None:
            check_writable(file, option)
    async with connect(server, lane="bulk") as client:
        asked = _resumed(client, resume)
        _announce(asked)
        if dry_run:
            return Exit.DONE
        finished = False
        try:
            async for step in asked.run():
                if resume is not None:
                    with _writing(resume):
                        write_private(resume, json.dumps(asked.state()))
                info(f"{step.name}: done, {asked.collector.requests} requests so far")
            finished = not asked.steps
        finally:
            if not finished and resume is not None:
                info(f"the probe is not complete; run the same command again to continue from {resume}")
        report = asked.report()
        whole = json.dumps(report.to_dict(), indent=2) + "\n" if as_json else report.to_markdown()
        text = report.diff() if diff else whole
        if output is None:
            sys.stdout.write(text)
        else:
            with _writing(output):
                output.write_text(text, encoding="utf-8")  # noqa: ASYNC240  nothing else runs by now
    if resume is not None and finished:
        resume.unlink(missing_ok=True)  # noqa: ASYNC240  nothing else runs by now
    return Exit.DONE if finished else Exit.FAILED


def _announce(asked: Probe) -> None:
    """Print the requests before they are sent."""
    at_most = sum(step.requests for step in asked.steps)
    info(f"This command only reads. It sends at most {min(at_most, 100)} requests, within the rate limit:")
    for step in asked.steps:
        info(f"  {step.name:<12} {step.asks} ({step.requests} at most)")
    info("The report has facts about the API, without values, names or ids.")


def _resumed(client: Any, resume: Path | None) -> Probe:
    try:
        state = json.loads(resume.read_text(encoding="utf-8")) if resume is not None and resume.exists() else None
        return Probe(client, state)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        or_delete = ", or delete the file" if resume is not None and resume.is_file() else ""  # not /dev/null
        raise CommandError(
            f"{resume} is not the state of a probe; pass another file with --resume{or_delete}"
        ) from None


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from None
