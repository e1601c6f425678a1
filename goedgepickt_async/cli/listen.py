"""Deliveries that arrive: `webhooks listen` with its recording, and `webhooks failed`.

A recording has a line of JSON for each delivery: `{"at": "2026-11-25T12:00:00+00:00", "signature": "5d41…", "body": "…"}`.
`at` is the time of arrival, and `signature` the header. A body that is not UTF-8 is in `body_base64` instead.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import os
import re
import stat
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import aiohttp
import attrs

from goedgepickt_async import (
    Address,
    ConfigurationError,
    DecodeError,
    GoedGepickt,
    NewOrder,
    NewOrderLine,
    Secret,
    WebhookEvent,
)
from goedgepickt_async.cli.common import CommandError, Exit, UsageError, info, write_all, write_utf8
from goedgepickt_async.cli.connect import connect
from goedgepickt_async.cli.options import ListenOptions, ServerOptions, given
from goedgepickt_async.convert import to_plain
from goedgepickt_async.text import printable
from goedgepickt_async.webhooks import (
    DeliveryEndpoint,
    FailedEntry,
    ReceivedDelivery,
    RejectionLog,
    SqliteInbox,
    UnknownEvent,
    WebhookResponse,
    default_inbox_path,
    parse,
)

__all__ = [
    "SECRETS",
    "Recorded",
    "Recorder",
    "as_line",
    "as_row",
    "checked_url",
    "demo_order",
    "failed",
    "listen",
    "read_recording",
    "signing_secrets",
]

_ACCEPTED: Final = WebhookResponse(200, "accepted")
_UNAVAILABLE: Final = WebhookResponse(503, "try again later")
_FORWARD_TIMEOUT: Final = 30.0
_LONGEST_LINE: Final = 400
_PER_CONNECTION: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "keep-alive", "expect", "upgrade", "te", "trailer"}
)


SECRETS = "GOEDGEPICKT_WEBHOOK_SECRETS"


def signing_secrets() -> list[Secret]:
    """Return the secrets from the environment variable, separated by commas or spaces, without duplicates."""
    texts = [text for text in re.split(r"[,\s]+", os.environ.get(SECRETS, "")) if text]
    if not texts:
        raise UsageError(
            f"the webhook secret is missing: set {SECRETS} to the secrets of your subscriptions, separated by commas "
            "(`goedgepickt webhooks ensure URL --event … --show-secrets` prints them)"
        )
    return [Secret(text) for text in dict.fromkeys(texts)]


def checked_url(url: str) -> str:
    """Check the URL of a receiver. A wrong URL is not shown, because it may contain credentials."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        usable = False
    if not usable:
        raise UsageError("the URL must be an http or https URL, such as http://127.0.0.1:8642/hooks")
    return url


async def listen(options: ListenOptions, server: ServerOptions) -> int:
    """Listen until stopped, or until the number of deliveries is reached."""
    server.check()
    if options.forward_to is not None:
        checked_url(options.forward_to)
    of_requests = [option for option in given(server) if option != "--debug"]
    if of_requests and not server.sandbox:
        raise UsageError(f"listen sends no API requests: pass {of_requests[0]} only with --sandbox")
    secrets = [] if server.sandbox else signing_secrets()
    recorder = None if options.record is None else Recorder(options.record)
    try:
        async with _forwarder(options.forward_to) as forward:
            await _listen(_Listener(options, secrets, recorder, forward), options, server)
    finally:
        if recorder is not None:
            recorder.close()
    return Exit.DONE


def as_row(body: bytes) -> dict[str, Any]:
    """Return a verified delivery as JSON: the event and its fields, with Python names."""
    try:
        event = parse(body)
    except DecodeError:
        return {"event": None, "body": body.decode(errors="backslashreplace")}
    if isinstance(event, UnknownEvent):
        return {"event": event.name, "data": event.data}
    return {"event": event.wire_name, **to_plain(event)}


def as_line(body: bytes) -> str:
    """Return a verified delivery as a readable line: the event and its fields, with the API's names."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return printable(body.decode(errors="backslashreplace"))[:_LONGEST_LINE]
    event = said.pop("event", None)
    texts = (value if isinstance(value, str) else json.dumps(value) for value in said.values())
    fields = [f"{printable(name)}={printable(text)}" for name, text in zip(said, texts, strict=True)]
    return "  ".join([f"{printable(str(event or '(no event)')):<20}", *fields])[:_LONGEST_LINE]


Forward: TypeAlias = Callable[[ReceivedDelivery], Awaitable[dict[str, Any]]]


class _Listener:
    """Records, forwards and prints each verified delivery before the response."""

    def __init__(
        self, options: ListenOptions, secrets: list[Secret], recorder: Recorder | None, forward: Forward | None
    ) -> None:
        self.secrets = secrets
        self.taken = 0
        self.endpoint = DeliveryEndpoint(lambda: self.secrets, self._accept, log=RejectionLog(emit=_print_refused))
        self._options = options
        self._as_json = options.json if options.json is not None else not sys.stdout.isatty()
        self._recorder = recorder
        self._forward = forward
        self.enough: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Its result is set after the last delivery; its exception if one could not be recorded or printed."""

    async def _accept(self, delivery: ReceivedDelivery) -> WebhookResponse:
        if self.enough.done():
            return _UNAVAILABLE
        try:
            response = await self._take(delivery)
        except (CommandError, OSError) as error:
            if not self.enough.done():
                self.enough.set_exception(error)
            return _UNAVAILABLE  # it is not stored here, so the service must send it again
        self.taken += 1
        if self.taken == self._options.count and not self.enough.done():
            self.enough.set_result(None)
        return response

    async def _take(self, delivery: ReceivedDelivery) -> WebhookResponse:
        at = datetime.now(UTC)
        if self._recorder is not None:
            self._recorder.add(at, delivery.signature, delivery.raw_body)
        answered = None if self._forward is None else await self._forward(delivery)
        if self._as_json:
            row = {"at": at.isoformat(timespec="milliseconds"), **as_row(delivery.body)}
            _write(json.dumps(row | ({} if answered is None else {"forwarded": answered}), ensure_ascii=False))
        else:
            told = "" if answered is None else f"  → {answered['status'] or answered['problem']}"
            _write(f"{at.astimezone():%H:%M:%S}  {as_line(delivery.body)}{told}")
        if answered is None:
            return _ACCEPTED
        return _ACCEPTED if answered["status"] == 200 else WebhookResponse(answered["status"] or 503, "forwarded")


@asynccontextmanager
async def _forwarder(url: str | None) -> AsyncIterator[Forward | None]:
    """A function that delivers to an application: the original bytes and headers."""
    if url is None:
        yield None
        return
    timeout = aiohttp.ClientTimeout(total=_FORWARD_TIMEOUT)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        yield lambda delivery: _forward(session, url, delivery)


async def _forward(session: aiohttp.ClientSession, url: str, delivery: ReceivedDelivery) -> dict[str, Any]:
    headers = [(name, value) for name, value in delivery.headers.items() if name.lower() not in _PER_CONNECTION]
    try:
        async with session.post(url, data=delivery.raw_body, headers=headers, allow_redirects=False) as response:
            return {"status": response.status, "problem": None}
    except TimeoutError:
        return {"status": None, "problem": f"no response within {_FORWARD_TIMEOUT:g} s"}
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return {"status": None, "problem": f"not delivered: {type(error).__name__}"}


async def _listen(listener: _Listener, options: ListenOptions, server: ServerOptions) -> None:
    try:
        async with listener.endpoint.server(options.host, options.port, path=None) as serving:
            if server.sandbox:
                await _with_a_sandbox(listener, serving.url, server)
            else:
                number = len(listener.secrets)
                _greet(serving.url, "1 secret" if number == 1 else f"{number} secrets")
                await listener.enough
    except ConfigurationError as error:
        raise CommandError(error.message) from None
    except asyncio.CancelledError:
        pass  # that is how it ends
    counts = listener.endpoint.stats.refused
    refused = sum(number for status, number in counts.items() if status != _UNAVAILABLE.status)
    info(f"{listener.taken} verified, {refused} refused")


async def _with_a_sandbox(listener: _Listener, url: str, server: ServerOptions) -> None:
    async with connect(server) as client:
        done = await client.webhooks.ensure(url, list(WebhookEvent))
        listener.secrets = list(done.secrets)
        _greet(url, "the sandbox's secrets")
        try:
            async with asyncio.TaskGroup() as group:
                traffic = group.create_task(_demo_traffic(client))
                await listener.enough
                traffic.cancel()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None


def _greet(url: str, secrets: str) -> None:
    info(f"listening on {url} with {secrets}; Ctrl-C ends it")


def _print_refused(count: int, kind: str, status: int, why: str) -> None:
    which = "" if (count, kind) == (1, "deliveries") else f"{count} {kind} "
    info(f"{which}refused with {status}: {why}")


def _write(line: str) -> None:
    write_utf8(f"{line}\n")


# -- something to receive -------------------------------------------------------------------------------------------

_DEMO_INTERVAL: Final = 0.5
"""Seconds; half of what the rate limit allows."""


async def _demo_traffic(client: GoedGepickt) -> None:
    """Change an order or product twice per second. Only for a sandbox, because these are real writes."""
    products = await client.products.list().collect(limit=20)
    webshops = await client.webshops.list().collect()
    for number in itertools.count(1):
        if number % 3 and products:
            product = products[number % len(products)]
            await client.stock.mutate(product.uuid, number % 5 - 6, reason="demo")
        else:
            await client.orders.create(demo_order(f"DEMO-{number}", webshops[number % len(webshops)].uuid))
        await asyncio.sleep(_DEMO_INTERVAL)


def demo_order(order_id: str, webshop_uuid: str) -> NewOrder:
    """Return a new order for a sandbox."""
    return NewOrder(
        webshop_uuid=webshop_uuid,
        order_id=order_id,
        status="open",
        shipping=Address(first_name="Sien", last_name="Voorbeeld", house_number="12", city="Utrecht", country="NL"),
        lines=[NewOrderLine(sku="SB-00000", product_name="Mok", quantity=1, tax_rate="21")],
    )


# -- recordings -------------------------------------------------------------------------------------------------------

_SIGNATURE = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


@attrs.frozen(kw_only=True)
class Recorded:
    """A recorded delivery, and its line in the file."""

    line: int
    body: bytes
    signature: str


class Recorder:
    """Appends deliveries to a private file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
            self._prepare()
        except OSError as error:
            raise CommandError(f"--record {path} cannot be written: {error.strerror}") from None

    def add(self, at: datetime, signature: str, body: bytes) -> None:
        """Append a delivery."""
        row = {"at": at.isoformat(), "signature": signature, **_body_fields(body)}
        try:
            write_all(self._file, json.dumps(row).encode() + b"\n")
        except OSError as error:
            raise CommandError(f"--record {self.path} cannot be written: {error.strerror}") from None

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _prepare(self) -> None:
        """Make an older file private too, and end an incomplete last line."""
        status = os.fstat(self._file)
        if not stat.S_ISREG(status.st_mode):
            return
        if status.st_mode & 0o077 and hasattr(os, "fchmod"):
            os.fchmod(self._file, 0o600)
        if status.st_size and not self.path.read_bytes().endswith(b"\n"):
            os.write(self._file, b"\n")


def read_recording(path: Path) -> list[Recorded]:
    """Return all deliveries of a recording; empty lines are skipped."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None
    return [_read_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]


def _read_line(path: Path, number: int, line: bytes) -> Recorded:
    try:
        row = json.loads(line)
        signature, body = _SIGNATURE.fullmatch(row["signature"]), _body_of(row)
    except (ValueError, KeyError, TypeError, RecursionError):
        signature, body = None, b""
    if signature is None:
        raise UsageError(f"{path}, line {number}, is not a recorded delivery; nothing was sent")
    return Recorded(line=number, signature=signature[0], body=body)


def _body_fields(body: bytes) -> dict[str, str]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}


def _body_of(row: dict[str, Any]) -> bytes:
    text = row.get("body")
    return base64.b64decode(row["body_base64"], validate=True) if text is None else str.encode(text)


# -- webhooks failed --------------------------------------------------------------------------------------------------

_LISTED = 1000
_DATABASE = b"SQLite format 3\0"


async def failed(ids: Sequence[int], inbox: Path | None, port: int, *, retry: bool, drop: bool, as_json: bool) -> int:
    """List, retry or drop failed deliveries."""
    if retry and drop:
        raise UsageError("--retry puts them back and --drop deletes them: pass one of both")
    path = inbox or default_inbox_path(port)
    if not path.is_file():
        raise UsageError(f"there is no inbox {path}; --inbox names another file, or --port another receiver")
    with path.open("rb") as file:
        if not _may_be_inbox(file.read(4096)):  # opening it makes it private, and sets a damaged one aside
            raise UsageError(f"{path} is no inbox; --inbox names another file")
    opened = SqliteInbox(path)
    try:
        chosen = await _chosen(opened, ids)
        if retry:
            info(f"{await opened.requeue_failed([one.id for one in chosen])} put back into the inbox")
        elif drop:
            info(f"{await opened.drop_failed([one.id for one in chosen])} deleted")
        else:
            _print(chosen, as_json=as_json)
            status = await opened.status()
            info(f"{status.failed} failed, {status.waiting} waiting, the oldest for {status.oldest_age:.0f} s")
    finally:
        await opened.close()
    return Exit.DONE


def _may_be_inbox(page: bytes) -> bool:
    has_no_table = page[103:105] == b"\0\0"
    return not page or (page.startswith(_DATABASE) and (b"entries" in page or has_no_table))


async def _chosen(inbox: SqliteInbox, ids: Sequence[int]) -> list[FailedEntry]:
    limit = (await inbox.status()).failed
    found = await inbox.failed(limit=max(limit, _LISTED))
    chosen = [one for one in found if not ids or one.id in ids]
    missing = set(ids) - {one.id for one in chosen}
    if missing:
        raise CommandError(f"there is no failed delivery {', '.join(map(str, sorted(missing)))}; nothing was changed")
    return chosen


def _print(entries: Iterable[FailedEntry], *, as_json: bool) -> None:
    lines = (json.dumps(_row(one), ensure_ascii=False) if as_json else _line(one) for one in entries)
    write_utf8("".join(f"{line}\n" for line in lines))


def _row(one: FailedEntry) -> dict[str, Any]:
    return {
        "id": one.id,
        "failed_at": datetime.fromtimestamp(one.failed_at, UTC).isoformat(timespec="seconds"),
        "handler": one.entry.handler,
        "attempts": one.attempts,
        "reason": one.reason,
        **as_row(one.entry.body),
    }


def _line(one: FailedEntry) -> str:
    at = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.failed_at))
    return f"{one.id:>5}  {at}  {printable(one.reason):<20}  {printable(one.entry.handler)}  {as_line(one.entry.body)}"
