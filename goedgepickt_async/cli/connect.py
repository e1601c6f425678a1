"""The client of a command: for a server, a tenant of the configuration file, or an embedded sandbox."""

from __future__ import annotations

import os
import shlex
import subprocess
import tomllib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from goedgepickt_async import GoedGepickt, Hooks, LocalBudget
from goedgepickt_async.budget.selection import select_budget
from goedgepickt_async.cli.common import UsageError, sentences
from goedgepickt_async.cli.options import PlannedFault, Rate, ServerOptions
from goedgepickt_async.paths import config_dir
from goedgepickt_async.text import printable

if TYPE_CHECKING:
    from goedgepickt_async.sandbox import Sandbox

__all__ = [
    "add_faults",
    "connect",
    "connect_sandbox",
    "find_location",
    "find_webshop",
    "misspelt_variables",
    "source_of",
]

_NO_KEY = (
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


@asynccontextmanager
async def connect(
    options: ServerOptions, hooks: Hooks | None = None, *, lane: str = "normal"
) -> AsyncIterator[GoedGepickt]:
    """A context with an open client for checked options."""
    settings = _limits(options) | {"hooks": hooks, "lane": lane}
    if options.sandbox:
        async with connect_sandbox(options, hooks=hooks, lane=lane) as (client, _):
            yield client
        return
    settings |= _key_and_address(options)
    if not (settings.get("api_key") or os.environ.get("GOEDGEPICKT_API_KEY", "")).strip():
        raise UsageError(sentences(_NO_KEY, *misspelt_variables()))
    if options.budget is not None:
        known = GoedGepickt(**settings).settings
        settings["budget"] = select_budget(options.budget, server=known.base_url, is_loopback=known.is_local)
    async with GoedGepickt(**settings) as client:
        yield client


@asynccontextmanager
async def connect_sandbox(options: ServerOptions, **settings: Any) -> AsyncIterator[tuple[GoedGepickt, Sandbox]]:
    """A context with an embedded sandbox and an open client for it."""
    from goedgepickt_async.sandbox import Sandbox  # noqa: PLC0415  only with --sandbox

    rate = options.rate
    orders, products, seed = _size(options)
    async with Sandbox(orders=orders, products=products, seed=seed, limit=rate.limit, period=rate.period) as sandbox:
        add_faults(sandbox, options.faults)
        account = options.api == "account"
        key, url = (sandbox.account_key, sandbox.account_url) if account else (sandbox.api_key, sandbox.url)
        async with GoedGepickt(key, base_url=url, budget=_budget(rate), **_limits(options), **settings) as client:
            yield client, sandbox


def _limits(options: ServerOptions) -> dict[str, Any]:
    chosen = {"timeout": options.timeout, "max_wait": options.max_wait}
    return {name: value for name, value in chosen.items() if value is not None}


def source_of(options: ServerOptions, client: GoedGepickt) -> str:
    """Return the source of the data, as a text that is the same in the next run."""
    if not options.sandbox:
        return client.settings.base_url
    orders, products, seed = _size(options)
    return f"a sandbox of {orders} orders and {products} products, seed {seed}"


def _size(options: ServerOptions) -> tuple[int, int, int]:
    """The numbers of orders and products of the embedded sandbox, and its seed."""
    orders = 5000 if options.sandbox_orders is None else options.sandbox_orders
    products = 500 if options.sandbox_products is None else options.sandbox_products
    seed = 1 if options.sandbox_seed is None else options.sandbox_seed
    return orders, products, seed


def _budget(rate: Rate) -> LocalBudget:
    if rate.limit is None:
        return LocalBudget(_UNLIMITED, 1.0)
    # The sandbox uses this machine's clock with microseconds, so it needs no safety margin.
    return LocalBudget(rate.limit, rate.period, safety_margin=min(1.0, rate.period / 60))


def add_faults(sandbox: Any, planned: Sequence[PlannedFault]) -> None:
    """Add faults to a `Sandbox`. Faults without an end are last, because they would hide the others."""
    from goedgepickt_async.sandbox.faults import named_fault  # noqa: PLC0415  only with a sandbox

    for fault in sorted(planned, key=lambda fault: fault.times is None):
        made = named_fault(fault.what, seconds=fault.seconds, every=fault.every)
        sandbox.faults.add(fault.method, fault.path, made, fault.times, fault.after, fault.what)


# -- tenants --------------------------------------------------------------------------------------------------------

_KEY_TIMEOUT = 60.0
_TENANT_FIELDS = ("key_env", "key_command", "api", "base_url", "webshop")


def _key_and_address(options: ServerOptions) -> dict[str, Any]:
    """Return the settings of the tenant and the options. The options have priority."""
    name = options.tenant or os.environ.get("GOEDGEPICKT_TENANT", "").strip()
    tenant = _read_tenant(name) if name else {}
    settings: dict[str, Any] = {"api_key": _key(name, tenant)} if name else {}
    if "webshop" in tenant:
        settings["webshop_uuid"] = tenant["webshop"]
    if options.api is not None or options.base_url is not None:
        return settings | {"api": options.api, "base_url": options.base_url}
    return settings | {field: tenant[field] for field in ("api", "base_url") if field in tenant}


def _read_tenant(name: str) -> dict[str, str]:
    """Return a tenant of the configuration file: its account and the source of its key, but no key."""
    path = config_dir() / "config.toml"
    try:
        tenants = tomllib.loads(path.read_text(encoding="utf-8")).get("tenants", {})
    except FileNotFoundError:
        raise UsageError(f"there is no tenant {printable(name)}: there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {printable(str(error))}") from None
    tenant: Any = tenants.get(name) if isinstance(tenants, dict) else None
    if not isinstance(tenant, dict):
        known = ", ".join(sorted(tenants)) if isinstance(tenants, dict) and tenants else "none; write [tenants.NAME]"
        raise UsageError(f"there is no tenant {printable(name)} in {path}; there are: {known}")
    wrong = [field for field, value in tenant.items() if field not in _TENANT_FIELDS or not isinstance(value, str)]
    problem = None
    if "key" in wrong:
        problem = " contains a key; use an environment variable (key_env) or a command (key_command) instead"
    elif wrong:
        problem = f".{wrong[0]} is unknown or not text; there are {', '.join(_TENANT_FIELDS)}"
    elif ("key_env" in tenant) == ("key_command" in tenant):
        problem = " needs one of key_env and key_command"
    elif "api" in tenant and "base_url" in tenant:
        problem = ": api and base_url cannot be combined: keep one of them"
    elif tenant.get("api", "account") not in {"account", "fulfilment"}:
        problem = ".api is account or fulfilment"
    if problem is not None:
        raise UsageError(f"{path}: tenants.{name}{problem}")
    return tenant


def _key(name: str, tenant: dict[str, str]) -> str:
    if "key_env" in tenant:
        key = os.environ.get(tenant["key_env"], "").strip()
        if not key:
            raise UsageError(f"tenant {name}: the environment variable {tenant['key_env']} is not set or empty")
        return key
    try:
        words = shlex.split(tenant["key_command"]) or ["(empty)"]
        ran = subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=_KEY_TIMEOUT)  # noqa: S603  the user's own
        key = ran.stdout.decode().strip()
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise UsageError(
            f"tenant {name}: key_command did not print a key ({why}); run the command by itself to see why"
        ) from None
    if not key:
        raise UsageError(f"tenant {name}: key_command printed nothing")
    return key


# -- names of webshops and pick locations ---------------------------------------------------------------------------

_SHOWN = 20


async def find_webshop(client: GoedGepickt, text: str) -> str:
    """Return the uuid of a webshop from its uuid, or from its name in upper or lower case."""
    return _only("--webshop", "webshop", text, [(shop.uuid, shop.name) async for shop in client.webshops.list()])


async def find_location(client: GoedGepickt, text: str) -> str:
    """Return the uuid of a pick location, like `find_webshop`."""
    places = [(place.uuid, place.name) async for place in client.pick_locations.list()]
    return _only("--location", "pick location", text, places)


def _only(option: str, noun: str, text: str, there: list[tuple[str, str | None]]) -> str:
    if any(uuid == text for uuid, _ in there):
        return text
    wanted = text.strip().casefold()
    found = [uuid for uuid, name in there if uuid.casefold() == wanted or (name or "").strip().casefold() == wanted]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{option} {text}: {len(found)} {noun}s have this name; pass the uuid: {', '.join(found)}")
    names = ", ".join(printable(f"{uuid} ({name})") for uuid, name in there[:_SHOWN])
    more = f" and {len(there) - _SHOWN:,} more" if len(there) > _SHOWN else ""
    raise UsageError(f"{option} {text}: there is no {noun} with this uuid or name; there are: {names or 'none'}{more}")
