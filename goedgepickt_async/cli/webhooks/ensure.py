"""The `webhooks ensure` command."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from goedgepickt_async import EnsuredWebhooks, ValidationError, Webhook
from goedgepickt_async.cli.connect import ServerOptions, connect
from goedgepickt_async.cli.errors import Exit, UsageError, info
from goedgepickt_async.cli.webhooks.recording import VARIABLE
from goedgepickt_async.convert import to_plain
from goedgepickt_async.text import printable

__all__ = ["ensure"]


async def ensure(
    url: str,
    events: Sequence[str],
    webshops: Sequence[str] | None,
    server: ServerOptions,
    *,
    show_secrets: bool,
    as_json: bool,
) -> int:
    """Create missing subscriptions, and print the result.

    Args:
        url: The URL for the deliveries.
        events: The events.
        webshops: The uuids of the webshops; None for all.
        server: The options for the server.
        show_secrets: Whether secrets are printed.
        as_json: Whether to print JSON Lines.

    Returns:
        The exit code.

    Raises:
        UsageError: An argument is not valid.
        GoedGepicktError: The API refuses a request or cannot be reached. Earlier subscriptions stay.
    """
    server.check()
    async with connect(server) as connection:
        try:
            done = await connection.client.webhooks.ensure(url, events, webshops=webshops)
        except ValidationError as error:
            if error.status is None:
                raise UsageError(error.message) from None
            raise
    lines = _as_json(done, show_secrets=show_secrets) if as_json else _as_text(done, show_secrets=show_secrets)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    info(f"{len(done.created)} made, {len(done.existing)} there already, {len(done.other_target)} to another URL")
    return Exit.DONE


def _by_state(done: EnsuredWebhooks) -> Iterator[tuple[str, Webhook]]:
    for state in ("created", "existing", "other_target"):
        for hook in getattr(done, state):
            yield state, hook


def _as_json(done: EnsuredWebhooks, *, show_secrets: bool) -> Iterator[str]:
    for state, hook in _by_state(done):
        row: dict[str, Any] = {"state": state, **to_plain(hook)}
        if show_secrets and state != "other_target":
            row["secret"] = None if hook.secret is None else hook.secret.reveal()
        yield json.dumps(row, ensure_ascii=False)


def _as_text(done: EnsuredWebhooks, *, show_secrets: bool) -> Iterator[str]:
    rows = [
        (state, str(hook.event or ""), hook.webshop_name or hook.webshop_uuid or "", hook.uuid, _where(state, hook))
        for state, hook in _by_state(done)
    ]
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if show_secrets:
        secrets = ",".join(secret.reveal() for secret in done.secrets)
        yield f"export {VARIABLE}={shlex.quote(secrets)}"


def _where(state: str, hook: Webhook) -> str:
    return hook.target_url or "" if state == "other_target" else ""
