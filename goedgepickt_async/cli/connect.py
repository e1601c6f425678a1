"""Common options of commands, and the client for them."""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs
from cyclopts import Group, Parameter

from goedgepickt_async.cli.common import UsageError, read_day, seconds, sentences, whole
from goedgepickt_async.cli.sandbox import PlannedFault, Rate, arm, parse_faults, parse_rate
from goedgepickt_async.paths import config_dir
from goedgepickt_async.text import printable

if TYPE_CHECKING:
    from goedgepickt_async import Budget, GoedGepickt, Hooks, LocalBudget, Settings
    from goedgepickt_async.cli.sandbox import Rate

__all__ = [
    "NO_KEY",
    "Connection",
    "RowOptions",
    "ServerOptions",
    "Tenant",
    "connect",
    "find_location",
    "find_webshop",
    "misspelt_variables",
    "read_tenant",
]

NO_KEY = (
    "the API key is missing: set GOEDGEPICKT_API_KEY. Create a key in GoedGepickt, under Settings → GoedGepickt API. "
    "Or pass a tenant of your configuration (--tenant), or try the command without a key (--sandbox)"
)

_VARIABLES = ("API_KEY", "API", "BASE_URL", "WEBSHOP_UUID", "BUDGET", "TENANT", "WEBHOOK_SECRETS")
_PREFIX = "GOEDGEPICKT_"
_UNLIMITED = 10_000_000


def misspelt_variables() -> list[str]:
    """Return a sentence for each environment variable that looks like a misspelt variable of this package."""
    found = []
    for name in sorted(os.environ):
        known = name.removeprefix(_PREFIX)
        if not name.upper().startswith("GOEDGEP") or (name != known and known in _VARIABLES) or name == _PREFIX:
            continue
        close = get_close_matches(name.upper(), [_PREFIX + each for each in _VARIABLES], n=1, cutoff=0.8)
        if close:
            found.append(f"the variable {printable(name)} is set; did you mean {close[0]}?")
    return found


@attrs.frozen(kw_only=True)
class Connection:
    """An open client.

    Attributes:
        client: The client.
        source: The source, as a text that is the same in the next run: the address, or the data of the sandbox.
    """

    client: GoedGepickt
    source: str


@asynccontextmanager
async def connect(
    options: ServerOptions, hooks: Hooks | None = None, *, lane: str = "normal"
) -> AsyncIterator[Connection]:
    """A context with an open client for the options.

    Args:
        options: The checked options.
        hooks: The hooks of the client.
        lane: The lane: `normal` or `bulk`.

    Raises:
        UsageError: The API key is missing.
    """
    from goedgepickt_async import GoedGepickt  # noqa: PLC0415  `--help` must not wait for aiohttp

    chosen = {"timeout": options.timeout, "max_wait": options.max_wait}
    settings: dict[str, Any] = {name: value for name, value in chosen.items() if value is not None}
    settings |= {"hooks": hooks, "lane": lane}
    if options.sandbox:
        async with _sandboxed(options, settings) as connection:
            yield connection
        return
    settings |= options.where()
    if not (settings.get("api_key") or os.environ.get("GOEDGEPICKT_API_KEY", "")).strip():
        raise UsageError(sentences(NO_KEY, *misspelt_variables()))
    if options.budget is not None:
        settings["budget"] = _chosen_budget(options.budget, GoedGepickt(**settings).settings)
    async with GoedGepickt(**settings) as client:
        yield Connection(client=client, source=client.settings.base_url)


def _chosen_budget(choice: str, settings: Settings) -> Budget:
    from goedgepickt_async.budget.selection import select_budget  # noqa: PLC0415

    return select_budget(choice, server=settings.base_url, is_loopback=settings.is_local)


@asynccontextmanager
async def _sandboxed(options: ServerOptions, settings: dict[str, Any]) -> AsyncIterator[Connection]:
    from goedgepickt_async import GoedGepickt  # noqa: PLC0415
    from goedgepickt_async.sandbox import Sandbox  # noqa: PLC0415

    rate = options.rate
    orders = _or(options.sandbox_orders, 5000)
    products = _or(options.sandbox_products, 500)
    seed = _or(options.sandbox_seed, 1)
    source = f"a sandbox of {orders} orders and {products} products, seed {seed}"
    async with Sandbox(orders=orders, products=products, seed=seed, limit=rate.limit, period=rate.period) as sandbox:
        arm(sandbox, options.faults)
        account = options.api == "account"
        key, url = (sandbox.account_key, sandbox.account_url) if account else (sandbox.api_key, sandbox.url)
        async with GoedGepickt(key, base_url=url, budget=_budget(rate), **settings) as client:
            yield Connection(client=client, source=source)


async def find_webshop(client: GoedGepickt, text: str) -> str:
    """Return the uuid of a webshop from its uuid, or from its name in upper or lower case.

    Raises:
        UsageError: No object or several objects have this name.
    """
    return _only("--webshop", "webshop", text, [(shop.uuid, shop.name) async for shop in client.webshops.list()])


async def find_location(client: GoedGepickt, text: str) -> str:
    """Return the uuid of a pick location from its uuid, or from its name in upper or lower case.

    Raises:
        UsageError: No object or several objects have this name.
    """
    places = [(place.uuid, place.name) async for place in client.pick_locations.list()]
    return _only("--location", "pick location", text, places)


_SHOWN = 20


def _only(option: str, noun: str, text: str, there: list[tuple[str, str | None]]) -> str:
    if any(uuid == text for uuid, _ in there):
        return text
    wanted = text.strip().casefold()
    found = [uuid for uuid, name in there if uuid.casefold() == wanted or (name or "").strip().casefold() == wanted]
    if len(found) == 1:
        return found[0]
    names = ", ".join(printable(f"{uuid} ({name})") for uuid, name in there[:_SHOWN])
    more = f" and {len(there) - _SHOWN:,} more" if len(there) > _SHOWN else ""
    if found:
        raise UsageError(f"{option} {text}: {len(found)} {noun}s have this name; pass the uuid: {', '.join(found)}")
    raise UsageError(f"{option} {text}: there is no {noun} with this uuid or name; there are: {names or 'none'}{more}")


def _or(given: int | None, default: int) -> int:
    return default if given is None else given


def _budget(rate: Rate) -> LocalBudget:
    from goedgepickt_async import LocalBudget  # noqa: PLC0415

    if rate.limit is None:
        return LocalBudget(_UNLIMITED, 1.0)
    # The sandbox uses this machine's clock with microseconds, so it needs no safety margin.
    return LocalBudget(rate.limit, rate.period, safety_margin=min(1.0, rate.period / 60))


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
        """Refuse options that cannot be combined, before files or connections are opened.

        Raises:
            UsageError: It says which options.
        """
        given = [name for name in _SANDBOX_OPTIONS if getattr(self, name) is not None]
        if given and not self.sandbox:
            raise UsageError(f"{_option(given[0])} needs --sandbox")
        if self.sandbox and self.base_url is not None:
            raise UsageError("--sandbox starts its own server: leave out --base-url")
        if self.api is not None and self.base_url is not None:
            raise UsageError("--api and --base-url cannot be combined: pass one of them")
        if self.sandbox and self.budget is not None:
            raise UsageError("--sandbox has its own budget: leave out --budget")
        if self.sandbox and self.tenant is not None:
            raise UsageError("--sandbox needs no tenant: leave out --tenant")
        _ = self.rate, self.faults

    def where(self) -> dict[str, Any]:
        """Return the client's settings for server and key.

        Raises:
            UsageError: The tenant does not exist, or its key is missing.
        """
        name = self.tenant or os.environ.get("GOEDGEPICKT_TENANT", "").strip()
        settings = read_tenant(name).settings() if name else {}
        if self.api is not None or self.base_url is not None:
            settings |= {"api": self.api, "base_url": self.base_url}
        return settings

    @property
    def rate(self) -> Rate:
        """The rate limit of the embedded sandbox."""
        return Rate() if self.sandbox_rate is None else parse_rate(self.sandbox_rate)

    @property
    def faults(self) -> list[PlannedFault]:
        """The faults of the embedded sandbox."""
        return parse_faults(self.sandbox_faults or [])


# -- tenants --------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Tenant:
    """A tenant of the configuration file: its account and the source of its key. The file contains no key.

    Attributes:
        name: The name of the tenant.
        key_env: The environment variable with the key.
        key_command: A command that prints the key, such as `pass show goedgepickt/shop`.
        api: `account` or `fulfilment`.
        base_url: The URL of the API, instead of `api`.
        webshop: The uuid of its webshop.
    """

    name: str
    key_env: str | None = None
    key_command: str | None = None
    api: str | None = None
    base_url: str | None = None
    webshop: str | None = None

    def settings(self) -> dict[str, Any]:
        """Return the client's settings.

        Raises:
            UsageError: The key is missing.
        """
        settings: dict[str, Any] = {"api_key": self._key()}
        if self.api is not None or self.base_url is not None:
            settings |= {"api": self.api, "base_url": self.base_url}
        return settings | ({} if self.webshop is None else {"webshop_uuid": self.webshop})

    def _key(self) -> str:
        if self.key_env is not None:
            key = os.environ.get(self.key_env, "").strip()
            if not key:
                raise UsageError(f"tenant {self.name}: the environment variable {self.key_env} is not set or empty")
            return key
        try:
            words = shlex.split(self.key_command or "") or ["(empty)"]
            ran = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=_KEY_TIMEOUT)  # noqa: S603  the user's own
            key = ran.stdout.decode().strip()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise UsageError(
                f"tenant {self.name}: key_command did not print a key ({why}); run the command by itself to see why"
            ) from None
        if not key:
            raise UsageError(f"tenant {self.name}: key_command printed nothing")
        return key


_KEY_TIMEOUT = 60.0
_TENANT_FIELDS = ("key_env", "key_command", "api", "base_url", "webshop")


def read_tenant(name: str) -> Tenant:
    """Return a tenant of the configuration file.

    Raises:
        UsageError: The file is not valid, or has no tenant with this name.
    """
    import tomllib  # noqa: PLC0415  only with tenants

    path = config_dir() / "config.toml"
    try:
        tenants = tomllib.loads(path.read_text(encoding="utf-8")).get("tenants", {})
    except FileNotFoundError:
        raise UsageError(f"there is no tenant {printable(name)}: there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {printable(str(error))}") from None
    values = tenants.get(name) if isinstance(tenants, dict) else None
    if not isinstance(values, dict):
        known = ", ".join(sorted(tenants)) if isinstance(tenants, dict) and tenants else "none; write [tenants.NAME]"
        raise UsageError(f"there is no tenant {printable(name)} in {path}; there are: {known}")
    wrong = [key for key, value in values.items() if key not in _TENANT_FIELDS or not isinstance(value, str)]
    if "key" in wrong:
        raise UsageError(
            f"{path}: tenants.{name} contains a key; use an environment variable (key_env) or a command (key_command) "
            "instead"
        )
    if wrong:
        raise UsageError(
            f"{path}: tenants.{name}.{wrong[0]} is unknown or not text; there are {', '.join(_TENANT_FIELDS)}"
        )
    if ("key_env" in values) == ("key_command" in values):
        raise UsageError(f"{path}: tenants.{name} needs one of key_env and key_command")
    if "api" in values and "base_url" in values:
        raise UsageError(f"{path}: tenants.{name}: api and base_url cannot be combined: keep one of them")
    if values.get("api", "account") not in {"account", "fulfilment"}:
        raise UsageError(f"{path}: tenants.{name}.api is account or fulfilment")
    return Tenant(name=name, **values)


# -- rows ----------------------------------------------------------------------------------------------------------------

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

    def given(self) -> list[str]:
        """Return the options that were passed."""
        return [_option(field.name.rstrip("_")) for field in dataclasses.fields(self) if getattr(self, field.name)]


_SANDBOX_OPTIONS = [field.name for field in dataclasses.fields(ServerOptions) if field.name.startswith("sandbox_")]


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
