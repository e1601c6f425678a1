"""`goedgepickt sandbox`, and the options of a sandbox as text: faults (`GET:/orders:500x3`) and throttle (`150/60`).

SPEC   = FAULT ["," FAULT ...]
FAULT  = METHOD ":" PATH ":" WHAT ["=" SECONDS] ["x" TIMES | "%" N] ["+" AFTER]
METHOD = GET, POST, PUT, ... or *
PATH   = below the API's base, with * as a wildcard: /orders, /products/*, *
WHAT   = a status (500; 429 is a refusal by the throttle), or a name below
x3     = three times (once, if nothing is said); %2 = every second one; +5 = the first five pass
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs
from cyclopts import Group, Parameter

from goedgepickt_async.cli.common import (
    MOST_PORTS,
    CommandError,
    Exit,
    UsageError,
    check_writable,
    info,
    read_day,
    seconds,
    whole,
)
from goedgepickt_async.paths import write_private

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
    "serve",
]

# -- faults -----------------------------------------------------------------------------------------------------------

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


# -- throttle and quirks ----------------------------------------------------------------------------------------------

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


# -- options ----------------------------------------------------------------------------------------------------------

_WORLD = Group("World", sort_key=1)
_SERVER = Group("Server", sort_key=2)
_LISTS = Group("Lists and throttle", sort_key=3)
_TROUBLE = Group("What goes wrong", sort_key=4)
_OUTPUT = Group("Output", sort_key=5)

DEFAULT_PORT = 8474
"""The default port of `goedgepickt sandbox`, so that the URL is the same at each start."""


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


# -- serving ----------------------------------------------------------------------------------------------------------

_ENDS_IN = 5.0
"""The seconds until a command that does not end is killed."""


async def serve(options: SandboxOptions, command: Sequence[str]) -> int:
    """Run the sandbox until it is stopped, or until the command has ended.

    Returns:
        The exit code of the command, if there is one.

    Raises:
        CommandError: The port cannot be used, or the command cannot be run.
        UsageError: An option cannot be read.
    """
    sandbox = _made(options)
    try:
        await sandbox.start()
    except OSError as error:
        hint = "; --port 0 selects a free port" if options.port else ""
        raise CommandError(f"cannot listen on {options.host}:{options.port}: {error.strerror or error}{hint}") from None
    try:
        environment = {"GOEDGEPICKT_API_KEY": sandbox.api_key, "GOEDGEPICKT_BASE_URL": sandbox.url}
        if options.write_env is not None:
            write_private(options.write_env, _written(environment, "dotenv"))
        if command:
            info(f"a sandbox serves {sandbox.page_url} while this runs: {command[0]}")
            return await _run(command, environment)
        text = _written(environment, options.env) if options.env else _greeting(sandbox, environment)
        if options.env:
            info(f"a sandbox serves {sandbox.page_url} until Ctrl-C")
        sys.stdout.write(text)
        sys.stdout.flush()
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return Exit.DONE
    finally:
        await sandbox.close()
    return Exit.DONE


def _made(options: SandboxOptions) -> Sandbox:
    from goedgepickt_async.contract import openapi  # noqa: PLC0415  `--help` must not wait for it
    from goedgepickt_async.sandbox import Sandbox  # noqa: PLC0415  aiohttp comes with it

    if options.write_env is not None:
        check_writable(options.write_env, "--write-env")
    throttle, planned, lively = parse_rate(options.rate), parse_faults(options.faults or []), options.events_a_minute
    quirks = parse_quirks(options.quirk or [])
    try:
        sandbox = Sandbox(
            orders=options.orders,
            products=options.products,
            shipments=options.shipments,
            webshops=options.webshops,
            pick_locations=options.pick_locations,
            seed=options.seed,
            limit=throttle.limit,
            period=throttle.period,
            cache=options.cache,
            per_page_default=options.per_page_default,
            per_page_max=options.per_page_max,
            page_reach=options.page_reach,
            cursor=options.cursor,
            latency=options.latency,
            host=options.host,
            port=options.port,
            hosts=options.allow_host or (),
            oddities=options.oddities,
            today=options.today,
            key=options.key or f"sandbox-{os.urandom(12).hex()}",
            account_key=options.account_key,
            any_key=options.any_key,
            strict=options.strict,
            lively=lively,
            recorded=options.recorded,
            openapi=options.openapi or openapi(server="/api/fulfilment/v1"),
            delivery_pace=options.delivery_pace,
            delivery_timeout=options.delivery_timeout,
        )
        sandbox.quirks.update(quirks)
    except json.JSONDecodeError as error:
        raise UsageError(f"--openapi {options.openapi} is not JSON: {error}") from None
    except ValueError as error:
        raise UsageError(str(error.args[0])) from None
    arm(sandbox, planned)
    return sandbox


async def _run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    try:
        process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **environment})
    except OSError as error:
        raise CommandError(f"cannot run {command[0]}: {error.strerror or error}") from None
    try:
        code = await process.wait()
    except asyncio.CancelledError:  # Ctrl-C reaches the command too; SIGTERM does not
        code = await _end(process)
    return 128 - code if code < 0 else code


async def _end(process: asyncio.subprocess.Process) -> int:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(_ENDS_IN):
            return await process.wait()
    except TimeoutError:
        process.kill()
        return await process.wait()


def _written(environment: Mapping[str, str], form: str) -> str:
    return "".join(f"{_line(name, value, form)}\n" for name, value in environment.items())


def _line(name: str, value: str, form: str) -> str:
    if form == "powershell":
        return f"$env:{name} = '{value.replace(chr(39), chr(39) * 2)}'"
    if form == "shell":
        return f"export {name}={shlex.quote(value)}"
    if not set(value) & set(" #\"'\\$`"):
        return f"{name}={value}"
    if "'" not in value:
        return f"{name}='{value}'"
    return f'{name}="' + re.sub(r"([\\\"$`])", r"\\\1", value) + '"'


def _greeting(sandbox: Sandbox, environment: Mapping[str, str]) -> str:
    world, throttle = sandbox.world, sandbox.throttle
    limit = "no rate limit" if throttle is None else f"{throttle.limit} requests per {throttle.period:g} s"
    keys = f"key             {sandbox.api_key}"
    if sandbox.account_key != sandbox.api_key:
        keys += f"\naccount key     {sandbox.account_key}"
    return f"""\
A GoedGepickt sandbox with {len(world.orders):,} orders and {len(world.products):,} products; {limit}. Ctrl-C ends it.

page            {sandbox.page_url}
fulfilment API  {sandbox.url}
account API     {sandbox.account_url}
{keys}

For another terminal (--env powershell and --env dotenv write it in other forms):
export {" ".join(f"{name}={shlex.quote(value)}" for name, value in environment.items())}
"""
