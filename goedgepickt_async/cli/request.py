"""The `request` command: one raw call, under the same budget, retries and errors as all others."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goedgepickt_async import APIError, GoedGepicktError
from goedgepickt_async.cli.connect import ServerOptions, connect
from goedgepickt_async.cli.errors import CommandError, Exit, UsageError, info

__all__ = ["parse_query", "read_body", "request"]


async def request(
    method: str, path: str, query: Sequence[str], body: str | None, server: ServerOptions, *, idempotent: bool
) -> int:
    """Send it, and print what comes.

    Args:
        method: The HTTP method.
        path: Below the API's base.
        query: Parameters, as `name=value`.
        body: JSON, `@FILE`, or `-` for stdin; None is no body.
        server: Where to.
        idempotent: Whether sending it twice does what sending it once does.

    Returns:
        The exit code.

    Raises:
        CommandError: The input is not what it should be.
        GoedGepicktError: The call failed; what the server answered is on stdout all the same.
    """
    server.check()
    sent = {"query": parse_query(query), **({} if body is None else {"json": read_body(body)})}
    async with connect(server) as connection:
        try:
            response = await connection.client.request(method, path, idempotent=idempotent or None, **sent)
        except GoedGepicktError as error:
            if isinstance(error, APIError) and error.body:
                _print(error.body)
            if error.attempts:
                _tell(error.status if isinstance(error, APIError) else None, error.attempts)
            raise
    _print(response.json)
    _tell(response.status, response.attempts)
    return Exit.DONE


def parse_query(pairs: Sequence[str]) -> dict[str, str]:
    """Parameters out of `name=value`.

    Raises:
        UsageError: One has no name, or the name of another.
    """
    query: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--query wants name=value, not {pair!r}")
        if name in query:
            raise UsageError(f"--query {name} is given twice")
        query[name] = value
    return query


def read_body(text: str) -> Any:
    """The JSON that `--json` names.

    Raises:
        CommandError: The file cannot be read.
        UsageError: It is no JSON.
    """
    where = "--json"
    try:
        if text == "-":
            where = "stdin"
            text = sys.stdin.buffer.read().decode()
        elif text.startswith("@"):
            where = text[1:]
            text = Path(where).read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{where} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{where} is not UTF-8") from None
    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(f"{where} is no JSON: {error}") from None


def _print(data: Any) -> None:
    text = data if isinstance(data, str) else json.dumps(data, indent=2, ensure_ascii=False)
    sys.stdout.buffer.write(f"{text}\n".encode(errors="backslashreplace"))
    sys.stdout.buffer.flush()


def _tell(status: int | None, attempts: int) -> None:
    tries = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    info(f"HTTP {status}, {tries}" if status else f"no answer, {tries}")
