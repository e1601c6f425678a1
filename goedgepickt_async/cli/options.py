"""The options of the commands, as classes that cyclopts reads, and the faults and rate limits in them.

`--help` imports this module, so it imports neither aiohttp nor cattrs. It has no `from __future__ import annotations`: cyclopts would compile each annotation several
times for each command.
"""

import dataclasses
import math
import re
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import attrs
from cyclopts import Group, Parameter

from goedgepickt_async.cli.common import MOST_PORTS, UsageError, read_day, seconds, whole
from goedgepickt_async.cli.formats import FORMATS

__all__ = [
    "DEFAULT_PORT",
    "FAULT_NAMES",
    "ApplyOptions",
    "ExportOptions",
    "ListenOptions",
    "PlannedFault",
    "Rate",
    "RowOptions",
    "SandboxOptions",
    "SendOptions",
    "ServerOptions",
    "given",
    "one_of",
    "parse_faults",
    "parse_rate",
]

if TYPE_CHECKING:
    Format: TypeAlias = str
else:  # the choices come from the table
    Format = Literal[tuple(FORMATS)]

# -- faults and rate limits of a sandbox ------------------------------------------------------------------------------

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
    """A fault for every n-th of the requests with a method and a path, after some that pass.

    Attributes:
        what: A status, or one of `FAULT_NAMES`.
        seconds: The delay of `slow`.
        times: The number of requests with the fault; None for all.
    """

    method: str
    path: str
    what: str
    seconds: float = 0.0
    times: int | None = 1
    every: int = 1
    after: int = 0


def parse_faults(specs: Sequence[str]) -> list[PlannedFault]:
    """Parse the values of `--faults`."""
    return [_fault(part) for spec in specs for part in spec.split(",") if part]


def _fault(text: str) -> PlannedFault:
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
        seconds=float(match["seconds"] or 0),
        times=None if match["every"] else int(match["times"] or 1),
        every=int(match["every"] or 1),
        after=int(match["after"] or 0),
    )


_RATE = re.compile(r"(\d+)/(\d+(?:\.\d+)?)")


@attrs.frozen
class Rate:
    """The requests in a period of seconds; a limit of None is no limit."""

    limit: int | None = 150
    period: float = 60.0


def parse_rate(text: str) -> Rate:
    """Parse `150/60` or `off`."""
    if text == "off":
        return Rate(None)
    match = _RATE.fullmatch(text)
    rate = Rate(int(match[1]), float(match[2])) if match else Rate(0)
    if not rate.limit or not 0 < rate.period < math.inf:
        raise UsageError(f"a rate limit must be requests/seconds, such as 150/60, or off, not {text!r}")
    return rate


# -- server ------------------------------------------------------------------------------------------------------------

_SERVER = Group("Server", sort_key=10)
_SANDBOX = Group("Embedded sandbox", sort_key=20)


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """The server and the connection. The key comes from `GOEDGEPICKT_API_KEY`, never from an option."""

    api: Annotated[Literal["account", "fulfilment"] | None, Parameter(group=_SERVER)] = None
    """The API of the key. Default: `GOEDGEPICKT_API`, or else fulfilment."""
    base_url: Annotated[str | None, Parameter(group=_SERVER)] = None
    """The URL of a proxy or a sandbox. Default: `GOEDGEPICKT_BASE_URL`."""
    tenant: Annotated[str | None, Parameter(group=_SERVER)] = None
    """A tenant in your configuration file, with the source of its key. Default: `GOEDGEPICKT_TENANT`."""
    budget: Annotated[str | None, Parameter(group=_SERVER)] = None
    """The budget for the rate limit: host, host:/path, local, redis://… or rediss://…. Default: `GOEDGEPICKT_BUDGET`."""
    timeout: Annotated[float | None, Parameter(group=_SERVER, converter=seconds(more_than_none=True))] = None
    """Seconds that one attempt may take (30)."""
    max_wait: Annotated[float | None, Parameter(group=_SERVER, converter=seconds())] = None
    """Longest wait for the rate limit, in seconds; a longer one fails immediately. Default: no limit."""
    debug: Annotated[bool, Parameter(group=_SERVER)] = False
    """Show the traceback of an error."""

    sandbox: Annotated[bool, Parameter(group=_SANDBOX)] = False
    """Use a built-in test server with made-up data, without key and network."""
    sandbox_orders: Annotated[int | None, Parameter(group=_SANDBOX, converter=whole())] = None
    """The number of orders in the sandbox (5000)."""
    sandbox_products: Annotated[int | None, Parameter(group=_SANDBOX, converter=whole())] = None
    """The number of products in the sandbox (500)."""
    sandbox_seed: Annotated[int | None, Parameter(group=_SANDBOX, converter=whole(None))] = None
    """The seed of the sandbox's data (1). The same seed makes the same data."""
    sandbox_rate: Annotated[str | None, Parameter(group=_SANDBOX)] = None
    """The rate limit of the sandbox, as requests/seconds (150/60), or off."""
    sandbox_faults: Annotated[list[str] | None, Parameter(group=_SANDBOX)] = None
    """Faults of the sandbox; see `goedgepickt sandbox --help`."""

    def check(self) -> None:
        """Refuse options that cannot be combined, before files or connections are opened."""
        of_sandbox = [option for option in given(self) if option.startswith("--sandbox-")]
        if of_sandbox and not self.sandbox:
            raise UsageError(f"{of_sandbox[0]} needs --sandbox")
        if self.sandbox and self.base_url is not None:
            raise UsageError("--sandbox starts its own server: leave out --base-url")
        if self.api is not None and self.base_url is not None:
            raise UsageError("--api and --base-url cannot be combined: pass one of them")
        if self.sandbox and self.budget is not None:
            raise UsageError("--sandbox has its own budget: leave out --budget")
        if self.sandbox and self.tenant is not None:
            raise UsageError("--sandbox needs no tenant: leave out --tenant")
        _ = self.rate, self.faults

    @property
    def rate(self) -> Rate:
        """The rate limit of the embedded sandbox."""
        return Rate() if self.sandbox_rate is None else parse_rate(self.sandbox_rate)

    @property
    def faults(self) -> list[PlannedFault]:
        """The faults of the embedded sandbox."""
        return parse_faults(self.sandbox_faults or [])


# -- rows --------------------------------------------------------------------------------------------------------------

_ROWS = Group("Rows", sort_key=2)
_COMPARING = Group("Comparing", sort_key=3)


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class RowOptions:
    """The options for reading rows and comparing them."""

    column: Annotated[list[str] | None, Parameter(group=_ROWS)] = None
    """The column of a field, as FIELD=COLUMN (sku=Artikelnr); FIELD= leaves the field out. Can be given several times."""
    set_: Annotated[list[str] | None, Parameter(name="--set", group=_ROWS)] = None
    """A value for all rows, instead of a column, as FIELD=VALUE (status=open). Can be given several times."""
    profile: Annotated[str | None, Parameter(group=_ROWS)] = None
    """The program that made the file, such as woocommerce or shopify, or none. Default: detected by its columns."""
    sheet: Annotated[str | None, Parameter(group=_ROWS)] = None
    """The sheet of a workbook. Default: the only sheet that is not empty."""
    delimiter: Annotated[str | None, Parameter(group=_ROWS)] = None
    """The character between cells, or tab. Default: detected by the header."""
    encoding: Annotated[str | None, Parameter(group=_ROWS)] = None
    """The encoding. Default: UTF-8, or else Windows-1252."""
    decimal: Annotated[Literal[",", "."] | None, Parameter(group=_ROWS)] = None
    """The decimal sign. Without it, ambiguous numbers such as 1.234 are refused."""
    dates: Annotated[Literal["dmy", "mdy"] | None, Parameter(group=_ROWS)] = None
    """Whether the day or the month comes first. Without it, 12/01/2026 is refused."""
    skip_bad: Annotated[bool, Parameter(group=_ROWS)] = False
    """Continue without bad rows and conflicts; the exit code is still 1."""
    key: Annotated[Literal["sku", "product_id"] | None, Parameter(group=_COMPARING)] = None
    """The field that identifies a product. Default: sku (products)."""
    update_pictures: Annotated[bool, Parameter(group=_COMPARING)] = False
    """Replace existing pictures (products)."""
    existing_only: Annotated[bool, Parameter(group=_COMPARING)] = False
    """Create no products; a missing product is a conflict (products)."""
    create_in: Annotated[str | None, Parameter(group=_COMPARING)] = None
    """Create products in this webshop (uuid or name) even if they exist in another webshop; by default they are
    conflicts (products)."""
    allow_similar: Annotated[bool, Parameter(group=_COMPARING)] = False
    """Create products whose SKU differs from an existing SKU only by case, leading zeros, blanks or invisible
    characters (products)."""
    mode: Annotated[Literal["free", "set"] | None, Parameter(group=_COMPARING)] = None
    """Set the free stock (free, the default) or the stock at --location (set) (stock)."""
    location: Annotated[str | None, Parameter(group=_COMPARING)] = None
    """A pick location, by its uuid or name (stock)."""
    one_location: Annotated[bool, Parameter(group=_COMPARING)] = False
    """These products are at --location only. This saves one request per product (stock)."""
    since: Annotated[date | None, Parameter(group=_COMPARING, converter=read_day)] = None
    """Only compare with orders created on or after this day, YYYY-MM-DD (orders)."""
    webshop: Annotated[str | None, Parameter(group=_COMPARING)] = None
    """The uuid or name of the webshop. Default: `GOEDGEPICKT_WEBSHOP_UUID`, or else the only webshop of the account."""


# -- export and apply --------------------------------------------------------------------------------------------------


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """The options of `export`."""

    format: Annotated[Format | None, Parameter(name="--format")] = None
    """Default: the file name's ending, else jsonl."""
    output: Annotated[str, Parameter(name=["--output", "-o"])] = "-"
    """A file, or - for stdout."""
    created_after: Annotated[date | None, Parameter(converter=read_day)] = None
    """Only rows created on or after this day, YYYY-MM-DD (orders, shipments)."""
    status: str | None = None
    """Only rows with this status (orders, shipments)."""
    webshop: str | None = None
    """Only rows of this webshop, by its uuid or name (orders, products)."""
    limit: Annotated[int | None, Parameter(converter=whole(1))] = None
    """The maximum number of rows."""
    fields: str | None = None
    """Only these columns, separated by commas, such as uuid,status,shipping.city."""
    lines: bool = False
    """A row for each line of an order, with the order's columns repeated (orders; CSV and Excel)."""
    excel_csv: bool = False
    """The same as --format excel-csv: a CSV file for a Dutch spreadsheet."""
    resume: Path | None = None
    """A small file with the progress of the export. If it exists, the export continues from it, also after a crash, and
    each row is in the output once. It is removed at the end. With stdout, the output continues after the last whole
    page."""
    since_last: bool = False
    """Only rows that are new since the last export with the same filters (orders, shipments). The first export reads all
    rows. A later one appends new rows to the file, or writes them to another --output. After a stop or crash the same
    command continues; no row is lost or repeated. Changes of older rows are not read."""
    checkpoint: Path | None = None
    """The file in which --since-last records its progress. Default: one for each resource, server, key and set of filters,
    in the user's state directory (~/.local/state/goedgepickt, or below $XDG_STATE_HOME)."""
    skip_unreadable: bool = False
    """Write rows that cannot be read to FILE.unreadable.jsonl, and continue; the exit code is then 1. Without it, such a
    row stops the export."""
    background: bool = False
    """Use the bulk lane: all other requests have priority."""


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ApplyOptions:
    """The options of `apply`."""

    kind: Literal["products", "stock", "orders"] | None = None
    """The kind of rows."""
    max_changes: str | None = None
    """Send nothing if there are more writes than this number, or than this share of the rows (10%)."""
    yes: Annotated[bool, Parameter(name=["--yes", "-y"])] = False
    """Do not ask, and continue with likely mistakes."""
    dry_run: bool = False
    """Only read, and show the planned writes."""
    continue_: Annotated[bool, Parameter(name="--continue")] = False
    """First finish the interrupted run of the same webshop."""
    look_up: bool = False
    """First look up the open writes of the interrupted run, and drop it."""
    drop: bool = False
    """First drop the interrupted run of the same webshop; its writes stay."""
    journal: Path | None = None
    """A file that records the writes, instead of the record of the run."""
    json: Annotated[bool, Parameter(name="--json")] = False
    """Print the result of all rows as JSON."""

    @property
    def unfinished(self) -> str | None:
        """The choice for an interrupted run of the same target; None refuses this run."""
        return one_of(continue_=self.continue_, look_up=self.look_up, drop=self.drop)


def one_of(*, continue_: bool, look_up: bool, drop: bool) -> str | None:
    """Return the choice for an interrupted run: `continue`, `look-up`, `drop` or None."""
    given = [name for name, is_given in (("continue", continue_), ("look-up", look_up), ("drop", drop)) if is_given]
    if len(given) > 1:
        raise UsageError(f"--{given[0]} and --{given[1]} cannot be combined; pass one of them")
    return given[0] if given else None


# -- webhooks ----------------------------------------------------------------------------------------------------------


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ListenOptions:
    """The options of `webhooks listen`."""

    host: Annotated[str, Parameter(show_default=True)] = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Parameter(show_default=True, converter=whole(0, MOST_PORTS))] = 8642
    """The port to listen on; 0 selects a free port."""
    forward_to: str | None = None
    """The URL of your application. It gets each verified delivery with the original bytes and headers, and its status is
    shown and returned."""
    record: Path | None = None
    """A private file for verified deliveries, byte for byte, for `replay`."""
    count: Annotated[int | None, Parameter(converter=whole(1))] = None
    """End after this number of verified deliveries."""
    json: Annotated[bool | None, Parameter(name="--json")] = None
    """Print JSON, even on a terminal."""


_SENDING = Group("Sending", sort_key=10)
_A_DAY = 86_400


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SendOptions:
    """The options for attempts."""

    attempts: Annotated[int, Parameter(group=_SENDING, converter=whole(1, 20))] = 10
    """The number of attempts (10, like the service)."""
    first_pause: Annotated[float, Parameter(group=_SENDING, converter=seconds(most=_A_DAY))] = 1.0
    """Seconds before the second attempt (1); each further pause is twice as long. The pauses of the service are unknown."""
    timeout: Annotated[float, Parameter(group=_SENDING, converter=seconds(more_than_none=True, most=_A_DAY))] = 10.0
    """The longest time of an attempt in seconds (10)."""
    debug: Annotated[bool, Parameter(group=_SENDING)] = False
    """Show the traceback of an error."""


# -- sandbox -----------------------------------------------------------------------------------------------------------

_WORLD = Group("World", sort_key=1)
_ADDRESS = Group("Server", sort_key=2)
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
    host: Annotated[str, Parameter(group=_ADDRESS)] = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, Parameter(group=_ADDRESS, converter=whole(0, MOST_PORTS))] = DEFAULT_PORT
    """The port to listen on; 0 takes a free one."""
    allow_host: Annotated[list[str] | None, Parameter(group=_ADDRESS, show_default=False)] = None
    """A further host name, such as the name of a container; * allows any name. Can be given several times."""
    key: Annotated[str | None, Parameter(group=_ADDRESS)] = None
    """The API key of both APIs; by default a random one."""
    account_key: Annotated[str | None, Parameter(group=_ADDRESS)] = None
    """The API key of the account API, if it differs."""
    any_key: Annotated[bool, Parameter(group=_ADDRESS)] = False
    """Accept any other well-formed key too."""
    latency: Annotated[float, Parameter(group=_ADDRESS, converter=seconds())] = 0.0
    """The seconds that each request takes."""
    openapi: Annotated[Path | None, Parameter(group=_ADDRESS)] = None
    """An OpenAPI document in JSON for /openapi.json. Default: the document of `goedgepickt openapi`."""
    recorded: Annotated[int, Parameter(group=_ADDRESS, converter=whole())] = 5000
    """The smallest number of requests that the page shows."""
    delivery_pace: Annotated[float, Parameter(group=_ADDRESS)] = 1.0
    """The factor for the pauses between attempts of a webhook delivery."""
    delivery_timeout: Annotated[float, Parameter(group=_ADDRESS, converter=seconds(more_than_none=True))] = 10.0
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
        """Parse the value of `--lively`."""
        if self.lively is None:
            return None
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(?:/(?:m|min|minute))?", self.lively)
        rate = float(match[1]) if match else 0.0
        if not 0 < rate <= 6000:
            raise UsageError(
                f"--lively must be a number of events per minute, such as 30/minute, at most 6000, not {self.lively!r}"
            )
        return rate


def given(options: ServerOptions | RowOptions) -> list[str]:
    """Return the options that were passed."""
    chosen = [name for name, value in vars(options).items() if value is not None and value is not False]
    return ["--" + name.rstrip("_").replace("_", "-") for name in chosen]
