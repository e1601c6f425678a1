"""One delivery, attempted until it gets there or the attempts are used up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from goedgepickt_async.cli.messages import note
from goedgepickt_async.cli.webhooks.options import SendOptions
from goedgepickt_async.sandbox.deliveries import Attempt, WebhookSender, pauses

__all__ = ["deliver", "outcome_of"]


async def deliver(
    sender: WebhookSender,
    url: str,
    body: bytes,
    signature: str,
    options: SendOptions,
    *,
    tell: Callable[[int, Attempt], None] = lambda number, attempt: None,  # noqa: ARG005
) -> list[Attempt]:
    """Try as often as the options say.

    Args:
        sender: What carries it.
        url: Where to.
        body: What is sent.
        signature: Its header.
        options: How often.
        tell: Called with each attempt, as it ends, and its number.

    Returns:
        What was tried; the last one succeeded, or all failed.
    """
    attempts: list[Attempt] = []
    for pause in pauses(options.attempts, options.first_pause):
        if attempts:
            note(f"{outcome_of(attempts[-1])}; again in {pause:g} s")
        await asyncio.sleep(pause)
        attempts.append(await sender.attempt(url, body, signature))
        tell(len(attempts), attempts[-1])
        if attempts[-1].succeeded:
            break
    return attempts


def outcome_of(attempt: Attempt) -> str:
    """What became of an attempt, in words."""
    return f"HTTP {attempt.status}" if attempt.problem is None else attempt.problem
