"""The `webhooks send` command."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from goedgepickt_async.cli.messages import note
from goedgepickt_async.cli.outcome import CommandError, Exit, UsageError
from goedgepickt_async.cli.webhooks.options import SendOptions, checked_url
from goedgepickt_async.cli.webhooks.sending import deliver, outcome_of
from goedgepickt_async.cli.webhooks.signing_secrets import signing_secrets
from goedgepickt_async.sandbox.deliveries import Attempt, WebhookSender, php_json, sign

__all__ = ["made_up", "send"]


async def send(url: str, event: str | None, fields: Sequence[str], body: str | None, options: SendOptions) -> int:
    """Deliver it, and print each attempt.

    Args:
        url: Where to.
        event: What the delivery calls itself.
        fields: Its fields, as `name=value`; known events have others besides.
        body: Instead of an event: the body's text, `@FILE`, or `-` for stdin.
        options: How stubbornly.

    Returns:
        The exit code.

    Raises:
        CommandError: The input is not what it should be.
    """
    options.check()
    target, secret = checked_url(url), signing_secrets()[0]
    sent = _body(event, fields, body)
    async with WebhookSender(timeout=options.timeout) as sender:
        attempts = await deliver(sender, target, sent, sign(sent, secret.reveal()), options, tell=_print)
    return _end(attempts)


def made_up(event: str) -> dict[str, Any]:
    """What is said of an event that nobody said anything of: the known ones have their fields (reference section 6)."""
    some = str(uuid.uuid4())
    order = {"newStatus": "ready_for_picking", "orderNumber": "1001", "orderUuid": some}
    stock = {"newStock": "7", "productSku": "SB-00000", "productUuid": some}
    known = {"orderStatusChanged": order, "stockUpdated": stock, "compoundProductStockUpdated": stock}
    return {"event": event, **known.get(event, {})}


def _body(event: str | None, fields: Sequence[str], body: str | None) -> bytes:
    if body is not None:
        if event is not None or fields:
            raise UsageError("--body is the whole delivery; leave out the event and --field")
        return _raw_body(body)
    if not event:
        raise UsageError("say which event, such as orderStatusChanged or stockUpdated; or give a --body")
    return php_json(made_up(event) | dict(map(_field, fields)))


def _field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise UsageError(f"--field wants name=value, not {text!r}")
    return name, value


def _raw_body(text: str) -> bytes:
    if text == "-":
        return sys.stdin.buffer.read()
    if not text.startswith("@"):
        return text.encode(errors="surrogateescape")
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise CommandError(f"{text[1:]} cannot be read: {error.strerror}") from None


def _print(number: int, attempt: Attempt) -> None:
    row = {
        "attempt": number,
        "status": attempt.status,
        "problem": attempt.problem,
        "seconds": round(attempt.seconds, 4),
        "delivered": attempt.succeeded,
    }
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()


def _end(attempts: Sequence[Attempt]) -> Exit:
    tries = "1 attempt" if len(attempts) == 1 else f"{len(attempts)} attempts"
    if attempts[-1].succeeded:
        note(f"delivered, {tries}")
        return Exit.DONE
    raise CommandError(f"not delivered after {tries}: {outcome_of(attempts[-1])}")
