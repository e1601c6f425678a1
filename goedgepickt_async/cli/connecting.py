"""From the options to an open client, with a sandbox around it if one is asked for."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs

from goedgepickt_async.cli.fault_grammar import arm
from goedgepickt_async.cli.outcome import UsageError

if TYPE_CHECKING:
    from goedgepickt_async import GoedGepickt, Hooks, LocalBudget
    from goedgepickt_async.cli.options import ServerOptions
    from goedgepickt_async.cli.sandbox_rate import Rate

__all__ = ["NO_KEY", "Connection", "connect"]

NO_KEY = (
    "there is no API key: set GOEDGEPICKT_API_KEY to one made in GoedGepickt under Settings → GoedGepickt API, "
    "or try the same command without one: --sandbox"
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
    if not os.environ.get("GOEDGEPICKT_API_KEY", "").strip():
        raise UsageError(NO_KEY)
    async with GoedGepickt(api=options.api, base_url=options.base_url, **settings) as client:
        yield Connection(client=client, source=client.settings.base_url)


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


def _or(given: int | None, default: int) -> int:
    return default if given is None else given


def _budget(rate: Rate) -> LocalBudget:
    """A budget as large as the sandbox's throttle allows."""
    from goedgepickt_async import LocalBudget  # noqa: PLC0415

    if rate.limit is None:
        return LocalBudget(_UNLIMITED, 1.0)
    # The sandbox counts on this machine's clock, to the microsecond: it needs no second of safety.
    return LocalBudget(rate.limit, rate.period, safety_margin=min(1.0, rate.period / 60))
