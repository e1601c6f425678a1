"""Requests: recorded, as the application sees them, bodies as PHP reads them, and from which hosts they may come."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import attrs
from aiohttp import web
from multidict import MultiDict

BASES: Final = {"fulfilment": "/api/fulfilment/v1", "account": "/api/v1"}
"""The base paths of the two APIs."""


@attrs.define(kw_only=True)
class RecordedRequest:
    """One request that arrived.

    Attributes:
        number: The number of the request, from 1.
        at: The time when its headers were read, by the sandbox's clock (Unix seconds).
        method: The HTTP method.
        path: The path below the base path, without the query: `/orders`. The whole path if it is below neither base.
        base: The API: `fulfilment`, `account`, or an empty text for neither.
        query: The query parameters.
        headers: The headers; the key in `Authorization` is masked.
        raw: The body's bytes.
        body: The parsed body (JSON or form), None without a body.
        connection: The number of the TCP connection, from 1.
        status: The status of the response; None while it is in progress and without a response.
        throttled: Whether the rate limiter refused it (and not a fault).
        applied: Whether its controller ran successfully, even if the client got no response.
        fault: The name of the fault that was played on it, if any.
        seconds: The seconds until the response; None while it is in progress.
    """

    number: int = 0
    at: float
    method: str
    path: str
    base: str
    query: MultiDict[str]
    headers: MultiDict[str]
    raw: bytes = b""
    body: Any = None
    connection: int
    status: int | None = None
    throttled: bool = False
    applied: bool = False
    fault: str | None = None
    seconds: float | None = None


@attrs.frozen(kw_only=True)
class Incoming:
    """One request.

    Attributes:
        method: The HTTP method, after Laravel's own overriding of it by forms.
        base: The API: `fulfilment`, `account`, or an empty text.
        path: The path below the base path.
        query: The query parameters.
        data: The body's fields after parsing; empty without a body.
        is_unreadable: Whether there is a body and it has no fields: no JSON object and no form.
        token: The bearer token, or None.
        wants_json: Whether the `Accept` header asks for JSON before anything else.
        referer: The URL to which a browser would be redirected.
        origin: Scheme, host and port of the request's URL: redirects are absolute.
        client: The client's IP address.
    """

    method: str
    base: str
    path: str
    query: MultiDict[str]
    data: dict[str, Any]
    is_unreadable: bool = False
    token: str | None
    wants_json: bool
    referer: str
    origin: str
    client: str

    @property
    def route(self) -> str:
        """The whole path, as Laravel's messages write it."""
        return f"{BASES.get(self.base, '')}{self.path}".strip("/")


_BRACKETS = re.compile(r"\[([^\]]*)\]")


def parse_body(raw: bytes, content_type: str, method: str = "POST") -> Any:
    """Parse a request body as PHP does, which reads `multipart/form-data` of a POST only.

    Forms give nested dicts and lists of text. An empty body, JSON that does not parse and any other content are None:
    Laravel treats these as no input.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if not raw:
        return None
    if kind.endswith(("/json", "+json")):
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            return None
    if kind == "application/x-www-form-urlencoded":
        return _nest(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    if kind == "multipart/form-data" and method == "POST":
        return _nest(_parse_multipart(raw, content_type))
    return None


def clean_input(data: Any) -> Any:
    """Trim texts and turn empty ones into None, as two of Laravel's middlewares do to all input."""
    if isinstance(data, dict):
        return {key: clean_input(value) for key, value in data.items()}
    if isinstance(data, list):
        return [clean_input(value) for value in data]
    if isinstance(data, str):
        return data.strip() or None
    return data


def _parse_multipart(raw: bytes, content_type: str) -> list[tuple[str, str]]:
    head = b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n"
    message = BytesParser(policy=HTTP).parsebytes(head + raw)
    fields: list[tuple[str, str]] = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        # Uploaded files are no input fields; the API takes none.
        if isinstance(name, str) and isinstance(payload, bytes) and part.get_filename() is None:
            fields.append((name, payload.decode("utf-8", "replace")))
    return fields


def _nest(fields: list[tuple[str, str]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in fields:
        head = name.partition("[")[0]
        if head:
            _plant(tree, [head, *_BRACKETS.findall(name[len(head) :])], value)
    return {key: _listify(value) for key, value in tree.items()}


def _plant(tree: dict[str, Any], path: list[str], value: str) -> None:
    for step in path[:-1]:
        # `a[][b]` starts a new element, and a text that turns out to be an array is replaced: both as in PHP.
        name = step or str(_next_number(tree))
        branch = tree.get(name)
        if not isinstance(branch, dict):
            branch = tree[name] = {}
        tree = branch
    tree[path[-1] or str(_next_number(tree))] = value


def _next_number(tree: dict[str, Any]) -> int:
    return max((int(key) for key in tree if key.isdigit()), default=-1) + 1


def _listify(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    values = {key: _listify(item) for key, item in value.items()}
    if list(values) == [str(number) for number in range(len(values))]:
        return list(values.values())
    return values


class HostGuard:
    """Refuses requests whose `Host` is not the sandbox's own, and changes that come from another web origin.

    Args:
        listening: The address of the sandbox.
        names: Further accepted host names; `*` for any.
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
        """Return the refusal of a request; None if the request is allowed."""
        host = request.headers.get("Host", "")
        if not self.is_own(host):
            return _refusal(
                421,
                f"this sandbox does not accept the host {host[:200]!r}: use its own address, or start it with "
                "--allow-host NAME (Sandbox(hosts=[NAME]))",
            )
        if request.method in {"GET", "HEAD", "OPTIONS"}:
            return None
        origin = request.headers.get("Origin")
        foreign = origin is not None and origin.partition("://")[2] != host
        if foreign or request.headers.get("Sec-Fetch-Site", "none") in {"cross-site", "same-site"}:
            return _refusal(
                403,
                "this request comes from another web page's origin: a sandbox accepts changes only from its own origin",
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
