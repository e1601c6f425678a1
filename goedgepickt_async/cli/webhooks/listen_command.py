"""The `webhooks listen` command."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from goedgepickt_async import DecodeError, WebhookEvent
from goedgepickt_async.cli.connecting import connect
from goedgepickt_async.cli.messages import note
from goedgepickt_async.cli.options import ServerOptions
from goedgepickt_async.cli.outcome import Exit, UsageError
from goedgepickt_async.cli.webhooks.commotion import make_commotion
from goedgepickt_async.cli.webhooks.listener import Listener
from goedgepickt_async.cli.webhooks.recording import Recorder
from goedgepickt_async.cli.webhooks.signing_secrets import signing_secrets
from goedgepickt_async.convert import to_plain
from goedgepickt_async.webhooks import UnknownEvent, parse

__all__ = ["as_row", "listen"]


async def listen(host: str, port: int, record: Path | None, count: int | None, server: ServerOptions) -> int:
    """Listen until stopped, or until enough came.

    Args:
        host: The address to listen on.
        port: The port.
        record: Where to record to; None is nowhere.
        count: How many verified deliveries are enough; None is never.
        server: With its sandbox, there is something to hear.

    Returns:
        The exit code.

    Raises:
        CommandError: It cannot listen there, or cannot record.
        UsageError: There is no secret, or an option makes no sense.
    """
    _check(port, count, server)
    secrets = [] if server.sandbox else signing_secrets()
    recorder = None if record is None else Recorder(record)

    def take(at: datetime, signature: str, body: bytes) -> None:
        if recorder is not None:
            recorder.add(at, signature, body)
        _print({"at": at.isoformat(timespec="milliseconds"), **as_row(body)})

    try:
        async with Listener(host, port, take) as listener:
            listener.secrets = secrets
            await _listen(listener, count, server)
    finally:
        if recorder is not None:
            recorder.close()
    return Exit.DONE


def as_row(body: bytes) -> dict[str, Any]:
    """A verified delivery as it is printed: its event and that one's fields, by their Python names."""
    try:
        event = parse(body)
    except DecodeError:
        return {"event": None, "body": body.decode(errors="backslashreplace")}
    if isinstance(event, UnknownEvent):
        return {"event": event.name, "data": event.data}
    return {"event": event.wire_name, **to_plain(event)}


def _check(port: int, count: int | None, server: ServerOptions) -> None:
    server.check()
    if not 0 <= port <= 65_535:
        raise UsageError("--port is a number from 0 to 65535")
    if count is not None and count < 1:
        raise UsageError("--count is at least 1")
    if not server.sandbox and (server.api or server.base_url):
        raise UsageError("listening asks no API; --api and --base-url are for --sandbox and for the other commands")


async def _listen(listener: Listener, count: int | None, server: ServerOptions) -> None:
    try:
        if server.sandbox:
            await _listen_to_a_sandbox(listener, count, server)
        else:
            number = len(listener.secrets)
            _greet(listener, "1 secret" if number == 1 else f"{number} secrets")
            await listener.wait(count)
    except asyncio.CancelledError:
        pass  # that is how it ends
    note(f"{listener.taken} verified, {listener.refused} refused")


async def _listen_to_a_sandbox(listener: Listener, count: int | None, server: ServerOptions) -> None:
    async with connect(server) as connection:
        done = await connection.client.webhooks.ensure(listener.url, list(WebhookEvent))
        listener.secrets = list(done.secrets)
        _greet(listener, "the sandbox's secrets")
        try:
            async with asyncio.TaskGroup() as group:
                commotion = group.create_task(make_commotion(connection.client))
                await listener.wait(count)
                commotion.cancel()
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None


def _greet(listener: Listener, secrets: str) -> None:
    note(f"listening on {listener.url} with {secrets}; Ctrl-C ends it")


def _print(row: dict[str, Any]) -> None:
    sys.stdout.buffer.write(f"{json.dumps(row, ensure_ascii=False)}\n".encode(errors="backslashreplace"))
    sys.stdout.buffer.flush()
