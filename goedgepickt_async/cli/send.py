"""The `webhooks ensure`, `send`, `replay` and `trigger` commands."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from goedgepickt_async import GoedGepickt, ProductType, Secret, ValidationError, Webhook
from goedgepickt_async.cli.common import CommandError, Exit, UsageError, info, name_values, read_input, write_utf8
from goedgepickt_async.cli.connect import connect, connect_sandbox
from goedgepickt_async.cli.listen import SECRETS, Recorded, checked_url, demo_order, read_recording, signing_secrets
from goedgepickt_async.cli.options import SendOptions, ServerOptions
from goedgepickt_async.convert import to_plain
from goedgepickt_async.sandbox.deliveries import Attempt, WebhookSender, pauses, php_json, sign
from goedgepickt_async.text import printable
from goedgepickt_async.webhooks import EVENTS

__all__ = ["ensure", "example_payload", "replay", "send", "trigger"]


async def ensure(
    url: str,
    events: Sequence[str],
    webshops: Sequence[str] | None,
    server: ServerOptions,
    *,
    show_secrets: bool,
    as_json: bool,
) -> int:
    """Create missing subscriptions, and print them and the existing ones."""
    server.check()
    async with connect(server) as client:
        try:
            done = await client.webhooks.ensure(url, events, webshops=webshops)
        except ValidationError as error:
            if error.status is None:
                raise UsageError(error.message) from None
            raise
    rows = [(state, hook) for state in ("created", "existing", "other_target") for hook in getattr(done, state)]
    if as_json:
        lines = [json.dumps(_subscription(*row, show_secrets=show_secrets), ensure_ascii=False) for row in rows]
    else:
        lines = _aligned(rows)
        if show_secrets:
            secrets = ",".join(secret.reveal() for secret in done.secrets)
            lines.append(f"export {SECRETS}={shlex.quote(secrets)}")
    write_utf8("".join(f"{line}\n" for line in lines))
    info(f"{len(done.created)} made, {len(done.existing)} there already, {len(done.other_target)} to another URL")
    return Exit.DONE


def _subscription(state: str, hook: Webhook, *, show_secrets: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"state": state, **to_plain(hook)}
    if show_secrets and state != "other_target":
        row["secret"] = None if hook.secret is None else hook.secret.reveal()
    return row


def _aligned(rows: Sequence[tuple[str, Webhook]]) -> list[str]:
    shown = [
        [
            state,
            printable(str(hook.event or "")),
            printable(hook.webshop_name or hook.webshop_uuid or ""),
            printable(hook.uuid),
            printable(hook.target_url or "") if state == "other_target" else "",
        ]
        for state, hook in rows
    ]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in shown]


# -- sending ---------------------------------------------------------------------------------------------------------


async def send(url: str, event: str | None, fields: Sequence[str], body: str | None, options: SendOptions) -> int:
    """Send an event, and print each attempt."""
    return await _send(checked_url(url), signing_secrets()[0], _body(event, fields, body), options)


async def _send(url: str, secret: Secret, body: bytes, options: SendOptions) -> int:
    async with WebhookSender(timeout=options.timeout) as sender:
        attempts = await _deliver(sender, url, body, sign(body, secret.reveal()), options, tell=_print_attempt)
    tries = "1 attempt" if len(attempts) == 1 else f"{len(attempts)} attempts"
    if not attempts[-1].succeeded:
        raise CommandError(f"not delivered after {tries}: {_outcome(attempts[-1])}")
    info(f"delivered, {tries}")
    return Exit.DONE


def example_payload(event: str) -> dict[str, Any]:
    """Return the body of an example delivery. A known event has the fields of the reference."""
    cls = EVENTS.get(event)
    return {"event": event} if cls is None else {"event": event, **cls.example}


def _body(event: str | None, fields: Sequence[str], body: str | None) -> bytes:
    if body is not None:
        if event is not None or fields:
            raise UsageError("--body is the whole body: leave out the event and --field")
        return read_input(body)
    if not event:
        raise UsageError("pass an event, such as orderStatusChanged or stockUpdated, or --body")
    if event not in EVENTS:
        info(f"warning: {printable(event)} is no known event; known events: {', '.join(EVENTS)}")
    return php_json(example_payload(event) | name_values("--field", fields))


def _print_attempt(number: int, attempt: Attempt) -> None:
    _print_row(
        attempt=number,
        status=attempt.status,
        problem=attempt.problem,
        seconds=round(attempt.seconds, 4),
        delivered=attempt.succeeded,
    )


def _print_row(**row: Any) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


async def replay(file: Path, url: str, options: SendOptions, *, from_line: int, sign_again: bool) -> int:
    """Send a recording, one delivery after the other."""
    target = checked_url(url)
    secret = signing_secrets()[0] if sign_again else None
    recorded = [delivery for delivery in read_recording(file) if delivery.line >= from_line]
    async with WebhookSender(timeout=options.timeout) as sender:
        for number, delivery in enumerate(recorded):
            signature = delivery.signature if secret is None else sign(delivery.body, secret.reveal())
            try:
                attempts = await _deliver(sender, target, delivery.body, signature, options)
            except asyncio.CancelledError:
                raise _stopped("stopped", number, delivery) from None
            last = attempts[-1]
            _print_row(line=delivery.line, status=last.status, problem=last.problem, attempts=len(attempts))
            if not last.succeeded:
                raise _stopped(f"line {delivery.line} was not delivered: {_outcome(last)}", number, delivery)
    info(f"{len(recorded)} delivered")
    return Exit.DONE


def _stopped(why: str, done: int, delivery: Recorded) -> CommandError:
    return CommandError(f"{why}; {done} delivered. To continue: --from-line {delivery.line}", Exit.RESUMABLE)


async def _deliver(
    sender: WebhookSender,
    url: str,
    body: bytes,
    signature: str,
    options: SendOptions,
    *,
    tell: Callable[[int, Attempt], None] | None = None,
) -> list[Attempt]:
    """Repeat attempts as often as the options allow. The last one succeeded, or all failed."""
    attempts: list[Attempt] = []
    for pause in pauses(options.attempts, options.first_pause):
        if attempts:
            info(f"{_outcome(attempts[-1])}; again in {pause:g} s")
        await asyncio.sleep(pause)
        attempts.append(await sender.attempt(url, body, signature))
        if tell is not None:
            tell(len(attempts), attempts[-1])
        if attempts[-1].succeeded:
            break
    return attempts


def _outcome(attempt: Attempt) -> str:
    return f"HTTP {attempt.status}" if attempt.problem is None else attempt.problem


# -- trigger -----------------------------------------------------------------------------------------------------------

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


async def trigger(event: str, url: str | None, server: ServerOptions) -> int:
    """Change an order or a product in a sandbox."""
    server.check()
    if event not in EVENTS:
        raise UsageError(f"unknown event {event!r}; the events are {', '.join(EVENTS)}")
    if server.sandbox:
        if url is None:
            raise UsageError("--sandbox needs --to, the URL of the receiver, such as http://127.0.0.1:8080/webhooks")
        return await _in_an_embedded_sandbox(event, checked_url(url), server)
    if url is not None:
        raise UsageError("--to needs --sandbox; a running sandbox delivers to its subscriptions")
    async with connect(server) as client:
        base_url = client.settings.base_url
        if urlsplit(base_url).hostname not in _LOOPBACK:
            raise UsageError("trigger changes orders and stock, so it needs a sandbox on this machine: pass --base-url")
        info(f"{await _change(client, event)}; the sandbox delivers it to its subscriptions")
    return Exit.DONE


async def _in_an_embedded_sandbox(event: str, url: str, server: ServerOptions) -> int:
    """The sandbox makes the body.

    The command sends it itself, because the receiver does not have the sandbox's secrets.
    """
    secret = signing_secrets()[0]
    given = {name: value for name, value in vars(server).items() if value is not None}
    small = ServerOptions(**{"sandbox_orders": 10, "sandbox_products": 100, **given})
    async with connect_sandbox(small) as (client, sandbox):
        sandbox.deliveries.hold()
        subscription = EVENTS[event].subscription
        assert subscription is not None, "all known events can be subscribed to"
        await client.webhooks.ensure(url, subscription)
        info(await _change(client, event))
        body = next(delivery.body for delivery in sandbox.deliveries if delivery.event == event)
    return await _send(url, secret, body, SendOptions())


async def _change(client: GoedGepickt, event: str) -> str:
    """Change the order or product of the event. Return a description of the change."""
    if EVENTS[event].resource == "order":
        webshop = await client.webshops.list().first()
        if webshop is None:
            raise CommandError("the sandbox has no webshop")
        order = await client.orders.create(demo_order(f"TRIGGER-{uuid.uuid4().hex[:8]}", webshop.uuid))
        return f"order {order.order_id or order.uuid} was created"
    wanted = ProductType.PARENT if event.startswith("compound") else ProductType.NORMAL
    async for product in client.products.list():
        if product.type == wanted:
            await client.stock.mutate(product.uuid, 1, reason="trigger")
            return f"the stock of product {product.sku} changed by 1"
    raise CommandError(f"the sandbox has no product of the type {wanted}")
