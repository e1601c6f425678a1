"""The only addresses that a sandbox calls: this machine's own."""

from __future__ import annotations

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

__all__ = ["OwnMachine", "host_of", "is_loopback"]


def host_of(url: str) -> str:
    """Return the host of a URL as the sender reads it; empty if there is none."""
    try:
        return URL(url).host or ""
    except ValueError:
        return ""


def is_loopback(url: str) -> bool:
    """Whether a URL is of this machine: `localhost` or a loopback address."""
    host = host_of(url)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class OwnMachine(AbstractResolver):
    """Knows `localhost` and no other name, whatever the system's name service says."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the loopback addresses.

        Raises:
            OSError: It is another name.
        """
        if host != "localhost":
            raise OSError(None, "a sandbox calls nobody but this machine")
        known = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in known
            if family in {kind, socket.AF_UNSPEC}
        ]

    async def close(self) -> None:
        """Nothing is open."""
