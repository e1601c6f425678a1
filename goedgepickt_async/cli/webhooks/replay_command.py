"""The `webhooks replay` command."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from goedgepickt_async import Secret
from goedgepickt_async.cli.messages import note
from goedgepickt_async.cli.outcome import CommandError, Exit, UsageError
from goedgepickt_async.cli.webhooks.options import SendOptions, checked_url
from goedgepickt_async.cli.webhooks.recording import Recorded, read_recording
from goedgepickt_async.cli.webhooks.sending import deliver, outcome_of
from goedgepickt_async.cli.webhooks.signing_secrets import signing_secrets
from goedgepickt_async.sandbox.deliveries import WebhookSender, sign

__all__ = ["replay"]


async def replay(file: Path, url: str, options: SendOptions, *, from_line: int, sign_again: bool) -> int:
    """Send a recording, in its order, one after another.

    Args:
        file: The recording.
        url: Where to.
        options: How stubbornly.
        from_line: The line of the file to begin with, from 1.
        sign_again: Whether each is signed anew.

    Returns:
        The exit code.

    Raises:
        CommandError: One did not get there, or the recording cannot be read; stopped part-way, it says how to go on.
    """
    options.check()
    if from_line < 1:
        raise UsageError("--from-line counts from 1")
    target = checked_url(url)
    secret = signing_secrets()[0] if sign_again else None
    recorded = [delivery for delivery in read_recording(file) if delivery.line >= from_line]
    async with WebhookSender(timeout=options.timeout) as sender:
        await _send_all(sender, target, recorded, secret, options)
    note(f"{len(recorded)} delivered")
    return Exit.DONE


async def _send_all(
    sender: WebhookSender, target: str, recorded: Sequence[Recorded], secret: Secret | None, options: SendOptions
) -> None:
    for number, delivery in enumerate(recorded):
        signature = delivery.signature if secret is None else sign(delivery.body, secret.reveal())
        try:
            attempts = await deliver(sender, target, delivery.body, signature, options)
        except asyncio.CancelledError:
            raise _stopped("stopped", number, delivery) from None
        last = attempts[-1]
        row = {"line": delivery.line, "status": last.status, "problem": last.problem, "attempts": len(attempts)}
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()
        if not last.succeeded:
            raise _stopped(f"line {delivery.line} did not get there: {outcome_of(last)}", number, delivery)


def _stopped(why: str, done: int, delivery: Recorded) -> CommandError:
    return CommandError(f"{why}; {done} delivered. To go on: --from-line {delivery.line}", Exit.RESUMABLE)
