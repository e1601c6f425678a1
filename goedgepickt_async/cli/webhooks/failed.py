"""The `webhooks failed` command: the deliveries whose handlers failed for the last time."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from goedgepickt_async.cli.errors import CommandError, Exit, UsageError, info
from goedgepickt_async.cli.webhooks.listen import as_line, as_row
from goedgepickt_async.text import for_terminal, printable
from goedgepickt_async.webhooks import FailedEntry, SqliteInbox, default_inbox_path

__all__ = ["failed"]

_LISTED = 1000
_DATABASE = b"SQLite format 3\0"


async def failed(ids: Sequence[int], inbox: Path | None, port: int, *, retry: bool, drop: bool, as_json: bool) -> int:
    """List, retry or drop failed deliveries.

    Args:
        ids: The numbers of deliveries; empty for all.
        inbox: The file of the inbox; None for the default file of a receiver on the port.
        port: The port of the receiver.
        retry: Whether to put them back into the inbox.
        drop: Whether to delete them.
        as_json: Whether to list them as JSON.

    Returns:
        The exit code.

    Raises:
        CommandError: A delivery does not exist.
        UsageError: The inbox does not exist.
        InboxError: The inbox cannot be used.
    """
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
    sys.stdout.buffer.write("".join(f"{for_terminal(line)}\n" for line in lines).encode())
    sys.stdout.buffer.flush()


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
