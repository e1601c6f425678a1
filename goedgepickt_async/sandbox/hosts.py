"""To which host names and web origins a sandbox answers, so that no web page can drive it (DNS rebinding, forged forms)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

__all__ = ["HostGuard"]

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class HostGuard:
    """Refuses requests whose `Host` is not the sandbox's own, and changes that come from another web origin.

    Args:
        listening: The address that the sandbox listens on.
        names: Further names that it answers to; `*` is any.
    """

    def __init__(self, listening: str, names: Iterable[str]) -> None:
        self._listening = listening
        self._names = frozenset(name.lower().rstrip(".") for name in names) | {"localhost", listening.lower()}
        address = _address(listening)
        self._everywhere = listening == "" or (address is not None and address.is_unspecified)

    @property
    def own_name(self) -> str:
        """The host name in the sandbox's own URLs."""
        if self._everywhere:
            return "127.0.0.1"
        return f"[{self._listening}]" if ":" in self._listening else self._listening

    def is_own(self, host: str) -> bool:
        """Whether a `Host` header, with or without a port, names this sandbox."""
        name = _name_of(host)
        if name is None:
            return False
        if "*" in self._names or name in self._names:
            return True
        address = _address(name)
        # No DNS name leads to an address that is written as one, so a web page elsewhere cannot have this Host.
        return address is not None and (address.is_loopback or self._everywhere)

    def refuse(self, request: web.BaseRequest) -> web.Response | None:
        """Return the answer to a request that must not be served; None if it may be."""
        host = request.headers.get("Host", "")
        if not self.is_own(host):
            return _refusal(
                421,
                f"this sandbox does not answer to the host {host[:200]!r}: use its own address, or start it with "
                "--allow-host NAME (Sandbox(hosts=[NAME]))",
            )
        if request.method in _SAFE:
            return None
        origin = request.headers.get("Origin")
        foreign = origin is not None and origin.partition("://")[2] != host
        if foreign or request.headers.get("Sec-Fetch-Site", "none") in {"cross-site", "same-site"}:
            return _refusal(
                403, "this request comes from another web page's origin: a sandbox takes changes from its own"
            )
        return None


def _refusal(status: int, text: str) -> web.Response:
    return web.json_response({"message": text}, status=status)


def _name_of(host: str) -> str | None:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.username is not None or parts.path or parts.query or parts.fragment or not parts.hostname:
        return None
    return parts.hostname.rstrip(".")


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None
