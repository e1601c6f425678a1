"""The `sandbox` command: a GoedGepickt to develop against, until Ctrl-C."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from goedgepickt_async.cli.errors import CommandError, Exit
from goedgepickt_async.cli.fault_grammar import arm, parse_faults
from goedgepickt_async.cli.sandbox_rate import Rate, parse_rate

if TYPE_CHECKING:
    from goedgepickt_async.sandbox import Sandbox

__all__ = ["serve"]


async def serve(
    *, seed: int, orders: int, products: int, rate: str, faults: Sequence[str], host: str, port: int
) -> int:
    """Serve until stopped.

    Raises:
        CommandError: It cannot listen there.
        UsageError: The rate or a fault cannot be read.
    """
    from goedgepickt_async.sandbox import Sandbox  # noqa: PLC0415  aiohttp comes with it

    throttle, planned = parse_rate(rate), parse_faults(faults)
    sandbox = Sandbox(
        orders=orders, products=products, seed=seed, limit=throttle.limit, period=throttle.period, host=host, port=port
    )
    arm(sandbox, planned)
    try:
        await sandbox.start()
    except OSError as error:
        raise CommandError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    try:
        sys.stdout.write(_greeting(sandbox, throttle, orders, products))
        sys.stdout.flush()
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return Exit.DONE
    finally:
        await sandbox.close()
    return Exit.DONE


def _greeting(sandbox: Sandbox, rate: Rate, orders: int, products: int) -> str:
    limit = "no rate limit" if rate.limit is None else f"{rate.limit} requests per {rate.period:g} s"
    return f"""\
A GoedGepickt sandbox with {orders:,} orders and {products:,} products; {limit}. Ctrl-C ends it.

fulfilment API  {sandbox.url}
key             {sandbox.api_key}
account API     {sandbox.account_url}
key             {sandbox.account_key}

To use it from another terminal:
export GOEDGEPICKT_API_KEY={sandbox.api_key} GOEDGEPICKT_BASE_URL={sandbox.url}
"""
