"""Options that most commands share, and the client made from them."""

from __future__ import annotations

import dataclasses
import os
import shlex
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs
from cyclopts import Group, Parameter

from goedgepickt_async.cli.errors import UsageError
from goedgepickt_async.cli.sandbox import PlannedFault, Rate, arm, parse_faults, parse_rate
from goedgepickt_async.cli.values import read_day, seconds, whole
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
    "read_tenant",
]

NO_KEY = (
    "there is no API key: set GOEDGEPICKT_API_KEY. Make a key in GoedGepickt, under Settings → GoedGepickt API. "
    "Or name a tenant of your configuration (--tenant), or try the command without a key (--sandbox)"
)

_UNLIMITED = 10_000_000


@attrs.frozen(kw_only=True)
class Connection:
    """An open client.

    Attributes:
        client: The client.
        source: What it reads from, in words that are the same in the next run: the address, or the sandbox's data.
    """

    client: GoedGepickt
    source: str


@asynccontextmanager
async def connect(
    options: ServerOptions, hooks: Hooks | None = None, *, lane: str = "normal"
) -> AsyncIterator[Connection]:
    """A client as the options ask for, open for as long as the context.

    Args:
        options: Checked ones.
        hooks: For the client.
        lane: Whose turn it is: `normal` or `bulk`.

    Raises:
        UsageError: There is no key.
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
        raise UsageError(NO_KEY)
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
    """The uuid of a webshop that is named by its uuid, or by its name in any case.

    Raises:
        UsageError: No object has that name, or several have it.
    """
    return _only("--webshop", "webshop", text, [(shop.uuid, shop.name) async for shop in client.webshops.list()])


async def find_location(client: GoedGepickt, text: str) -> str:
    """The uuid of a pick location that is named by its uuid, or by its name in any case.

    Raises:
        UsageError: No object has that name, or several have it.
    """
    places = [(place.uuid, place.name) async for place in client.pick_locations.list()]
    return _only("--location", "pick location", text, places)


_SHOWN = 20


def _only(option: str, noun: str, text: str, there: list[tuple[str, str | None]]) -> str:
    """The one that is meant."""
    if any(uuid == text for uuid, _ in there):
        return text
    wanted = text.strip().casefold()
    found = [uuid for uuid, name in there if uuid.casefold() == wanted or (name or "").strip().casefold() == wanted]
    if len(found) == 1:
        return found[0]
    names = ", ".join(printable(f"{uuid} ({name})") for uuid, name in there[:_SHOWN])
    more = f" and {len(there) - _SHOWN:,} more" if len(there) > _SHOWN else ""
    if found:
        raise UsageError(f"{option} {text}: {len(found)} {noun}s have that name; give the uuid: {', '.join(found)}")
    raise UsageError(f"{option} {text}: there is no {noun} of that uuid or name; there are: {names or 'none'}{more}")


def _or(given: int | None, default: int) -> int:
    return default if given is None else given


def _budget(rate: Rate) -> LocalBudget:
    """A budget as large as the sandbox's throttle allows."""
    from goedgepickt_async import LocalBudget  # noqa: PLC0415

    if rate.limit is None:
        return LocalBudget(_UNLIMITED, 1.0)
    # The sandbox counts on this machine's clock, to the microsecond: it needs no second of safety.
    return LocalBudget(rate.limit, rate.period, safety_margin=min(1.0, rate.period / 60))


_SERVER = Group("Server", sort_key=10)
_SANDBOX = Group("Embedded sandbox", sort_key=20)


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerOptions:
    """Which server to talk to, and how. The key comes from `GOEDGEPICKT_API_KEY`, never from an option."""

    api: Annotated[Literal["account", "fulfilment"] | None, Parameter(group=_SERVER)] = None
    """Which of the two APIs the key is for; else `GOEDGEPICKT_API`, else fulfilment."""
    base_url: Annotated[str | None, Parameter(group=_SERVER)] = None
    """The API's address, for a proxy or a sandbox; else `GOEDGEPICKT_BASE_URL`."""
    tenant: Annotated[str | None, Parameter(group=_SERVER)] = None
    """A tenant of your configuration, which says where its key comes from; else `GOEDGEPICKT_TENANT`."""
    budget: Annotated[str | None, Parameter(group=_SERVER)] = None
    """Which budget the requests come from: host, host:/path, local, redis://… or rediss://…; else `GOEDGEPICKT_BUDGET`."""
    timeout: Annotated[float | None, Parameter(group=_SERVER, converter=seconds(more_than_none=True))] = None
    """Seconds that one attempt may take (30)."""
    max_wait: Annotated[float | None, Parameter(group=_SERVER, converter=seconds())] = None
    """Longest wait for the rate limit, in seconds; a longer one fails immediately. Default: no limit."""
    debug: Annotated[bool, Parameter(group=_SERVER)] = False
    """Show the traceback of an error."""

    sandbox: Annotated[bool, Parameter(group=_SANDBOX)] = False
    """Run against a seeded GoedGepickt inside this process: no key, no network."""
    sandbox_orders: Annotated[int | None, Parameter(group=_SANDBOX, converter=whole())] = None
    """How many orders it has (5000)."""
    sandbox_products: Annotated[int | None, Parameter(group=_SANDBOX, converter=whole())] = None
    """How many products it has (500)."""
    sandbox_seed: Annotated[int | None, Parameter(group=_SANDBOX, converter=whole(None))] = None
    """What its data is made from (1): the same seed, the same data."""
    sandbox_rate: Annotated[str | None, Parameter(group=_SANDBOX)] = None
    """Its rate limit, as requests/seconds (150/60), or off."""
    sandbox_faults: Annotated[list[str] | None, Parameter(group=_SANDBOX)] = None
    """What goes wrong in it; see `goedgepickt sandbox --help`."""

    def check(self) -> None:
        """Refuse what makes no sense together, before anything is opened.

        Raises:
            UsageError: It says which options.
        """
        given = [name for name in _SANDBOX_OPTIONS if getattr(self, name) is not None]
        if given and not self.sandbox:
            raise UsageError(f"{_option(given[0])} is for --sandbox, which is not there")
        if self.sandbox and self.base_url is not None:
            raise UsageError("--sandbox starts its own server: leave out --base-url")
        if self.api is not None and self.base_url is not None:
            raise UsageError("--api and --base-url exclude each other: give one of them")
        if self.sandbox and self.budget is not None:
            raise UsageError("--sandbox has its own budget: leave out --budget")
        if self.sandbox and self.tenant is not None:
            raise UsageError("--sandbox needs no tenant: leave out --tenant")
        _ = self.rate, self.faults

    def where(self) -> dict[str, Any]:
        """The client's settings that say where to go, and with which key.

        Raises:
            UsageError: There is no such tenant, or its key does not come.
        """
        name = self.tenant or os.environ.get("GOEDGEPICKT_TENANT", "").strip()
        settings = read_tenant(name).settings() if name else {}
        if self.api is not None or self.base_url is not None:
            settings |= {"api": self.api, "base_url": self.base_url}
        return settings

    @property
    def rate(self) -> Rate:
        """The embedded sandbox's rate limit."""
        return Rate() if self.sandbox_rate is None else parse_rate(self.sandbox_rate)

    @property
    def faults(self) -> list[PlannedFault]:
        """What goes wrong in the embedded sandbox."""
        return parse_faults(self.sandbox_faults or [])


# -- tenants --------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Tenant:
    """One tenant of the configuration file: which account, and where its key comes from. The file holds no key.

    Attributes:
        name: Its name.
        key_env: The environment variable that holds the key.
        key_command: Or the command that prints it, such as `pass show goedgepickt/shop`.
        api: `account` or `fulfilment`.
        base_url: Instead of that, the API's address.
        webshop: The uuid of its webshop.
    """

    name: str
    key_env: str | None = None
    key_command: str | None = None
    api: str | None = None
    base_url: str | None = None
    webshop: str | None = None

    def settings(self) -> dict[str, Any]:
        """The client's settings.

        Raises:
            UsageError: The key does not come.
        """
        settings: dict[str, Any] = {"api_key": self._key()}
        if self.api is not None or self.base_url is not None:
            settings |= {"api": self.api, "base_url": self.base_url}
        return settings | ({} if self.webshop is None else {"webshop_uuid": self.webshop})

    def _key(self) -> str:
        if self.key_env is not None:
            key = os.environ.get(self.key_env, "").strip()
            if not key:
                raise UsageError(f"tenant {self.name}: the environment variable {self.key_env} holds no key")
            return key
        try:
            words = shlex.split(self.key_command or "")
            ran = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=_KEY_TIMEOUT)  # noqa: S603  the user's own
            key = ran.stdout.decode().strip()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise UsageError(f"tenant {self.name}: key_command did not print a key ({why})") from None
        if not key:
            raise UsageError(f"tenant {self.name}: key_command printed nothing")
        return key


_KEY_TIMEOUT = 60.0
_TENANT_FIELDS = ("key_env", "key_command", "api", "base_url", "webshop")


def read_tenant(name: str) -> Tenant:
    """A tenant of the configuration file.

    Raises:
        UsageError: The file is wrong, or has no tenant of that name.
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
        known = ", ".join(sorted(tenants)) if isinstance(tenants, dict) and tenants else "none"
        raise UsageError(f"there is no tenant {printable(name)} in {path}; there are: {known}")
    wrong = [key for key, value in values.items() if key not in _TENANT_FIELDS or not isinstance(value, str)]
    if "key" in wrong:
        raise UsageError(
            f"{path}: tenants.{name} holds a key; name an environment variable (key_env) or a command (key_command)"
        )
    if wrong:
        raise UsageError(
            f"{path}: tenants.{name}.{wrong[0]} is not known, or no text; there are {', '.join(_TENANT_FIELDS)}"
        )
    if ("key_env" in values) == ("key_command" in values):
        raise UsageError(f"{path}: tenants.{name} needs one of key_env and key_command")
    if "api" in values and "base_url" in values:
        raise UsageError(f"{path}: tenants.{name}: api and base_url both say where to go; give one of them")
    if values.get("api", "account") not in {"account", "fulfilment"}:
        raise UsageError(f"{path}: tenants.{name}.api is account or fulfilment")
    return Tenant(name=name, **values)


# -- rows ----------------------------------------------------------------------------------------------------------------

_ROWS = Group("Rows", sort_key=2)
_COMPARING = Group("Comparing", sort_key=3)


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class RowOptions:
    """How a file of rows is read, and compared with what is there."""

    column: Annotated[list[str] | None, Parameter(group=_ROWS)] = None
    """Which column holds a field, as FIELD=COLUMN (sku=Artikelnr); FIELD= leaves it out. Can be given several times."""
    set_: Annotated[list[str] | None, Parameter(name="--set", group=_ROWS)] = None
    """A value for all rows, instead of a column, as FIELD=VALUE (status=open). Can be given several times."""
    profile: Annotated[str | None, Parameter(group=_ROWS)] = None
    """The program that made the file, such as woocommerce or shopify, or none. Default: detected by its columns."""
    sheet: Annotated[str | None, Parameter(group=_ROWS)] = None
    """The sheet of a workbook. Default: the only sheet that is not empty."""
    delimiter: Annotated[str | None, Parameter(group=_ROWS)] = None
    """The character between cells, or tab. Default: detected by the header."""
    encoding: Annotated[str | None, Parameter(group=_ROWS)] = None
    """By default UTF-8, else Windows-1252."""
    decimal: Annotated[Literal[",", "."] | None, Parameter(group=_ROWS)] = None
    """The decimal sign. Without it, ambiguous numbers such as 1.234 are refused."""
    dates: Annotated[Literal["dmy", "mdy"] | None, Parameter(group=_ROWS)] = None
    """Whether the day or the month comes first. Without it, 12/01/2026 is refused."""
    skip_bad: Annotated[bool, Parameter(group=_ROWS)] = False
    """Continue without bad rows and conflicts; the exit code is still 1."""
    key: Annotated[Literal["sku", "product_id"] | None, Parameter(group=_COMPARING)] = None
    """The field that identifies a product. Default: sku (products)."""
    update_pictures: Annotated[bool, Parameter(group=_COMPARING)] = False
    """Send pictures also where there is one already (products)."""
    existing_only: Annotated[bool, Parameter(group=_COMPARING)] = False
    """Create nothing: what is not there is in conflict (products)."""
    create_in: Annotated[str | None, Parameter(group=_COMPARING)] = None
    """Create in this webshop, by its uuid or name, also what exists in another one; else that is in conflict (products)."""
    allow_similar: Annotated[bool, Parameter(group=_COMPARING)] = False
    """Create also what differs from an existing SKU only by case, leading zeros, blanks or invisible characters (products)."""
    mode: Annotated[Literal["free", "set"] | None, Parameter(group=_COMPARING)] = None
    """Set the free stock (free, the default), or the stock at --location (set) (stock)."""
    location: Annotated[str | None, Parameter(group=_COMPARING)] = None
    """A pick location, by its uuid or name (stock)."""
    one_location: Annotated[bool, Parameter(group=_COMPARING)] = False
    """These products are at --location only, which saves one request for each of them (stock)."""
    since: Annotated[date | None, Parameter(group=_COMPARING, converter=read_day)] = None
    """Only look for existing orders created on or after this day, YYYY-MM-DD (orders)."""
    webshop: Annotated[str | None, Parameter(group=_COMPARING)] = None
    """The webshop, by its uuid or name; else `GOEDGEPICKT_WEBSHOP_UUID`, else the account's only one."""

    def given(self) -> list[str]:
        """The options that were given."""
        return [_option(field.name.rstrip("_")) for field in dataclasses.fields(self) if getattr(self, field.name)]


_SANDBOX_OPTIONS = [field.name for field in dataclasses.fields(ServerOptions) if field.name.startswith("sandbox_")]


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")
