"""The `get` and `request` commands: one object by its id, and one raw request."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Sequence
from contextlib import aclosing
from datetime import date
from typing import Any

from goedgepickt_async import APIError, DecodeError, GoedGepickt, GoedGepicktError, NotFoundError, OutcomeUnknownError
from goedgepickt_async.cli.common import CommandError, Exit, UsageError, info, name_values, read_input
from goedgepickt_async.cli.connect import connect
from goedgepickt_async.cli.formats import JsonLinesEncoder
from goedgepickt_async.cli.options import ServerOptions
from goedgepickt_async.cli.resources import RESOURCES, ResourceSpec, Selection, parse_fields
from goedgepickt_async.endpoints import ENDPOINTS
from goedgepickt_async.text import for_terminal, printable

__all__ = ["get", "read_body", "request"]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


async def get(
    resource: str, text: str, server: ServerOptions, *, fields: str | None, created_after: date | None
) -> int:
    """Run `goedgepickt get`. The exit code is 1 if no object or several were found."""
    server.check()
    spec = RESOURCES[resource]
    selection = Selection(spec=spec, fields=parse_fields(fields))
    selection.check()
    if created_after is not None and "created_after" not in spec.filters:
        raise UsageError(f"--created-after is not available for {resource}")
    if not text.strip():
        raise UsageError("the id is empty")
    filters = {} if created_after is None else {"created_after": created_after}
    async with connect(server) as client:
        found = await _find(client, spec, text, filters)
    for item in found:
        data = next(JsonLinesEncoder(selection).objects([item]))
        _print(data if len(found) == 1 else json.dumps(data, ensure_ascii=False, separators=(",", ":")))
    if not found:
        since = "" if created_after is None else f" created on or after {created_after}"
        names = "uuid or SKU" if spec.name == "products" else "uuid, id or name"
        raise CommandError(
            f"there is nothing among the {resource}{since} with the {names} {printable(text)!r}; `goedgepickt export "
            f"{resource}` lists them"
        )
    if len(found) > 1:
        raise CommandError(f"{len(found)} {resource} have the id {printable(text)!r}; ask for one by its uuid")
    return Exit.DONE


async def _find(client: GoedGepickt, spec: ResourceSpec, text: str, filters: dict[str, Any]) -> list[Any]:
    """Find it by its uuid, or else by the quickest search for its name."""
    named = getattr(client, spec.endpoint.resource)
    if _UUID.fullmatch(text) and f"{spec.endpoint.resource}.get" in ENDPOINTS:
        with contextlib.suppress(NotFoundError):
            return [await named.get(text)]
    if spec.name == "products":
        return list(await named.find_all_by_sku(text))
    wanted = text.strip().lstrip("#").casefold()
    names = [name for name in _NAMES if name in spec.columns()]
    found = []
    async with aclosing(spec.paginator(client, **filters).pages()) as pages:
        async for page in pages:
            found += [
                row
                for row in page.items
                if wanted in {str(getattr(row, name) or "").lstrip("#").casefold() for name in names}
            ]
    return found


_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
# The fields with the names of an object.
_NAMES = ("uuid", "order_id", "display_id", "order_number", "name", "track_trace_code", "external_id")


async def request(
    method: str, path: str, query: Sequence[str], body: str | None, server: ServerOptions, *, idempotent: bool
) -> int:
    """Run `goedgepickt request`. The response to a failed call is printed to stdout, too."""
    server.check()
    if method.upper() not in _METHODS:
        raise UsageError(f"there is no HTTP method {printable(method)}; there are {', '.join(_METHODS)}")
    sent = {"query": name_values("--query", query), **({} if body is None else {"json": read_body(body)})}
    async with connect(server) as client:
        try:
            response = await client.request(method, path, idempotent=idempotent or None, **sent)
        except GoedGepicktError as error:
            last = error.__cause__ if isinstance(error, OutcomeUnknownError) else error
            if isinstance(last, APIError) and last.body:
                _print(last.body)
            if error.attempts:
                kind = "an unreadable answer" if isinstance(last, DecodeError) else "no answer"
                _tell(f"HTTP {last.status}" if isinstance(last, APIError) else kind, error.attempts)
            raise
    _print(response.json)
    _tell(f"HTTP {response.status}", response.attempts)
    return Exit.DONE


def read_body(text: str) -> Any:
    """Read the JSON of `--json`."""
    where = "stdin" if text == "-" else text[1:] if text.startswith("@") else "--json"
    try:
        return json.loads(read_input(text).decode())
    except UnicodeDecodeError:
        raise UsageError(f"{where} is not UTF-8") from None
    except ValueError as error:
        raise UsageError(f"{where} is not JSON: {error}") from None


def _print(data: Any) -> None:
    text = data if isinstance(data, str) else json.dumps(data, indent=2, ensure_ascii=False)
    if sys.stdout.isatty():
        text = for_terminal(text)
    sys.stdout.buffer.write(f"{text}\n".encode(errors="backslashreplace"))
    sys.stdout.buffer.flush()


def _tell(answer: str, attempts: int) -> None:
    tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    info(f"{answer}, {tries}")
