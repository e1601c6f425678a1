"""Options of a sandbox as text: its faults (`GET:/orders:500x3`) and its throttle (`150/60`, or `off`).

SPEC   = FAULT ["," FAULT ...]
FAULT  = METHOD ":" PATH ":" WHAT ["=" SECONDS] ["x" TIMES | "%" N] ["+" AFTER]
METHOD = GET, POST, PUT, ... or *
PATH   = below the API's base, with * as a wildcard: /orders, /products/*, *
WHAT   = a status (500; 429 is a refusal by the throttle), or a name below
x3     = three times (once, if nothing is said); %2 = every second one; +5 = the first five pass
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs
from cyclopts import Group, Parameter

from goedgepickt_async.cli.errors import UsageError
from goedgepickt_async.cli.values import MOST_PORTS, read_day, seconds, whole

if TYPE_CHECKING:
    from goedgepickt_async.sandbox import Sandbox

__all__ = [
    "DEFAULT_PORT",
    "FAULT_NAMES",
    "PlannedFault",
    "Rate",
    "SandboxOptions",
    "arm",
    "parse_faults",
    "parse_quirks",
    "parse_rate",
]

DEFAULT_PORT = 8474
"""The default port of `goedgepickt sandbox`, so that the URL is the same at each start."""

FAULT_NAMES = {
    "drop": "close the connection without a response",
    "drop-applied": "carry it out, then close the connection without a response",
    "kept-alive-drop": "respond, then close the connection at its next request",
    "cut": "close the connection in the middle of the response",
    "slow": "respond late: slow=2 is two seconds",
    "never": "never respond",
    "garbage": "respond with something that is not HTTP",
    "bad-utf": "respond with bytes that are not UTF-8",
    "html": "answer 200 with an HTML page",
    "empty": "answer 200 with nothing",
    "redirect": "answer 302 to another host",
}
"""The names of faults. A status from 300 to 599 is a fault, too."""

_WHAT = "|".join(sorted(FAULT_NAMES, key=len, reverse=True))
_FAULT = re.compile(
    rf"(?P<method>[A-Za-z]+|\*):(?P<path>/[^:,]*|\*):(?P<what>[345]\d\d|{_WHAT})"
    r"(?:=(?P<seconds>\d+(?:\.\d+)?))?(?:x(?P<times>[1-9]\d*)|%(?P<every>[1-9]\d*))?(?:\+(?P<after>\d+))?"
)


@attrs.frozen(kw_only=True)
class PlannedFault:
    """A fault from the command line.

    Attributes:
        method: The HTTP method of the requests; `*` for any.
        path: A pattern for the paths of the requests.
        what: A status, or one of `FAULT_NAMES`.
        seconds: The delay in seconds; None without a delay.
        times: The number of requests; None for all.
        every: The interval: only every n-th request has the fault.
        after: The number of requests that pass before.
    """

    method: str
    path: str
    what: str
    seconds: float | None = None
    times: int | None = 1
    every: int = 1
    after: int = 0


def parse_faults(specs: Sequence[str]) -> list[PlannedFault]:
    """Parse the value of `--faults`.

    Raises:
        UsageError: A fault is not valid.
    """
    return [_parse(part) for spec in specs for part in spec.split(",") if part]


def arm(sandbox: Sandbox, planned: Sequence[PlannedFault]) -> None:
    """Add the faults to the sandbox. Faults without an end are last, because they would hide the others."""
    from goedgepickt_async.sandbox.faults import named_fault  # noqa: PLC0415  aiohttp comes with it

    for fault in sorted(planned, key=lambda fault: fault.times is None):
        made = named_fault(fault.what, seconds=fault.seconds or 0.0, every=fault.every)
        sandbox.faults.add(fault.method, fault.path, made, fault.times, fault.after, fault.what)


def _parse(text: str) -> PlannedFault:
    match = _FAULT.fullmatch(text)
    if match is None:
        raise UsageError(
            f"not a valid fault: {text!r}; write METHOD:PATH:WHAT, such as GET:/orders:500x3 or '*:*:drop%2'; "
            f"WHAT is a status or one of {', '.join(FAULT_NAMES)}"
        )
    if (match["what"] == "slow") != (match["seconds"] is not None):
        raise UsageError(f"only the fault slow has seconds, such as slow=2: {text!r}")
    return PlannedFault(
        method=match["method"].upper(),
        path=match["path"],
        what=match["what"],
        seconds=float(match["seconds"]) if match["seconds"] else None,
        times=None if match["every"] else int(match["times"] or 1),
        every=int(match["every"] or 1),
        after=int(match["after"] or 0),
    )


_RATE = re.compile(r"(\d+)/(\d+(?:\.\d+)?)")


@attrs.frozen
class Rate:
    """A rate limit: a number of requests and of seconds; None for no limit."""

    limit: int | None = 150
    period: float = 60.0


def parse_rate(text: str) -> Rate:
    """Parse `150/60` or `off`.

    Raises:
        UsageError: The text is neither.
    """
    if text == "off":
        return Rate(None)
    match = _RATE.fullmatch(text)
    rate = Rate(int(match[1]), float(match[2])) if match else Rate(0)
    if not rate.limit or not 0 < rate.period < math.inf:
        raise UsageError(f"a rate limit must be requests/seconds, such as 150/60, or off, not {text!r}")
    return rate


def parse_quirks(specs: Sequence[str]) -> dict[str, Any]:
    """Parse `--quirk NAME=VALUE`. The sandbox checks name and value.

    Raises:
        UsageError: A quirk has no value.
    """
    words: dict[str, Any] = {"true": True, "false": False, "null": None}
    found: dict[str, Any] = {}
    for spec in specs:
        name, equals, value = spec.partition("=")
        if not equals:
            raise UsageError(f"a quirk must be NAME=VALUE, such as error_key=message; not {spec!r}")
        found[name] = words.get(value, int(value) if value.isascii() and value.isdigit() else value)
    return found


_WORLD = Group("World", sort_key=1)
_SERVER = Group("Server", sort_key=2)
_LISTS = Group("Lists and throttle", sort_key=3)
_TROUBLE = Group("What goes wrong", sort_key=4)
_OUTPUT = Group("Output", sort_key=5)


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SandboxOptions:
    """The options of the sandbox."""

    seed: Annotated[int, Parameter(group=_WORLD, converter=whole(None))] = 1
    """The seed of the data. The same seed makes the same data."""
    orders: Annotated[int, Parameter(group=_WORLD, converter=whole())] = 5000
    """The number of orders."""
    products: Annotated[int, Parameter(group=_WORLD, converter=whole())] = 500
    """The number of products."""
    shipments: Annotated[int | None, Parameter(group=_WORLD, converter=whole())] = None
    """The number of shipments. Default: one for each completed order."""
    webshops: Annotated[int, Parameter(group=_WORLD, converter=whole(1, 250))] = 2
    """The number of webshops, 1 to 250."""
    pick_locations: Annotated[int, Parameter(group=_WORLD, converter=whole())] = 20
    """The number of pick locations."""
    today: Annotated[date | None, Parameter(group=_WORLD, converter=read_day)] = None
    """The last day of the data, YYYY-MM-DD, which ends at noon. Default: it ends now."""
    oddities: Annotated[bool, Parameter(group=_WORLD, negative="--no-oddities")] = True
    """Use irregular data, like the data of the real service."""
    lively: Annotated[str | None, Parameter(group=_WORLD)] = None
    """Make orders arrive, move and leave automatically, with this number of events per minute: 30 or 30/minute."""
    host: Annotated[str, Parameter(group=_SERVER)] = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Parameter(group=_SERVER, converter=whole(0, MOST_PORTS))] = DEFAULT_PORT
    """The port to listen on; 0 takes a free one."""
    allow_host: Annotated[list[str] | None, Parameter(group=_SERVER, show_default=False)] = None
    """A further host name, such as the name of a container; * allows any name. Can be given several times."""
    key: Annotated[str | None, Parameter(group=_SERVER)] = None
    """The API key of both APIs; by default a random one."""
    account_key: Annotated[str | None, Parameter(group=_SERVER)] = None
    """The API key of the account API, if it differs."""
    any_key: Annotated[bool, Parameter(group=_SERVER)] = False
    """Accept any other well-formed key too."""
    latency: Annotated[float, Parameter(group=_SERVER, converter=seconds())] = 0.0
    """The seconds that each request takes."""
    openapi: Annotated[Path | None, Parameter(group=_SERVER)] = None
    """An OpenAPI document in JSON for /openapi.json. Default: the document of `goedgepickt openapi`."""
    recorded: Annotated[int, Parameter(group=_SERVER, converter=whole())] = 5000
    """The smallest number of requests that the page shows."""
    delivery_pace: Annotated[float, Parameter(group=_SERVER)] = 1.0
    """The factor for the pauses between attempts of a webhook delivery."""
    delivery_timeout: Annotated[float, Parameter(group=_SERVER, converter=seconds(more_than_none=True))] = 10.0
    """Seconds that a webhook receiver may take for an attempt."""
    rate: Annotated[str, Parameter(group=_LISTS)] = "150/60"
    """The rate limit, as requests/seconds, or off."""
    cache: Annotated[Literal["redis", "file", "memcached"], Parameter(group=_LISTS)] = "redis"
    """The cache for the counters of the rate limit: redis is exact, the others use whole seconds."""
    per_page_default: Annotated[int, Parameter(group=_LISTS, converter=whole(1))] = 15
    """The page size of lists without perPage."""
    per_page_max: Annotated[int, Parameter(group=_LISTS, converter=whole(1))] = 100
    """The largest page size."""
    page_reach: Annotated[int, Parameter(group=_LISTS, converter=whole(1))] = 10_000
    """The number of rows that page numbers reach."""
    cursor: Annotated[bool, Parameter(group=_LISTS, negative="--no-cursor")] = True
    """Send cursors in lists."""
    faults: Annotated[list[str] | None, Parameter(group=_TROUBLE, show_default=False)] = None
    """Faults; see above. Can be given several times."""
    quirk: Annotated[list[str] | None, Parameter(group=_TROUBLE, show_default=False)] = None
    """Another variant of the service's behaviour, as NAME=VALUE: error_key=message. Can be given several times."""
    strict: Annotated[bool, Parameter(group=_TROUBLE)] = False
    """Refuse searches without public evidence."""
    env: Annotated[Literal["shell", "powershell", "dotenv"] | None, Parameter(group=_OUTPUT)] = None
    """Print only the environment for a client to stdout, in the form of a shell, PowerShell or a .env file."""
    write_env: Annotated[Path | None, Parameter(group=_OUTPUT)] = None
    """Write the environment for a client to a .env file, before a command is run or anything is printed."""
    debug: Annotated[bool, Parameter(group=_OUTPUT, show_default=False)] = False
    """Show the traceback of an error."""

    @property
    def events_a_minute(self) -> float | None:
        """Parse the value of `--lively`.

        Raises:
            UsageError: The text is not a rate.
        """
        if self.lively is None:
            return None
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/(?:m|min|minute))?", self.lively)
        rate = float(match[1]) if match else 0.0
        if not 0 < rate <= 6000:
            raise UsageError(
                f"--lively must be a number of events per minute, such as 30/minute, at most 6000, not {self.lively!r}"
            )
        return rate
