"""Prints `inbox_v1.sql`, the content of an inbox of schema version 1: `PYTHONPATH=. python tests/webhooks/make_inbox_v1.py`.

Run it with the package as it was at commit 8d4cbf5, the last one that wrote version 1. The inbox has an entry that waits
for its delay, a line of two entries, and one that a killed process had claimed. One more was just handled, and
one was given up.
"""

import asyncio
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any


async def fill(path: Path) -> None:
    from goedgepickt_async import webhooks  # noqa: PLC0415

    entry: Any = webhooks.Entry  # its name in that version
    inbox: Any = webhooks.SqliteInbox(path, clock=lambda: 1_764_000_000.0)

    def one(topic: str, key: str, delay: float = 0.0) -> Any:
        body = f'{{"event":"stockUpdated","productUuid":"{topic}","newStock":"{key}"}}'.encode()
        return entry(route="StockUpdated:stock", topic=f"product:{topic}", key=key, body=body, delay=delay)

    async def claim() -> Any:
        (found,) = await inbox.claim(["StockUpdated:stock"], limit=1, lease=60, wait=0)
        return found

    await inbox.put([one("given-up", "1")])
    await inbox.give_up(await claim(), reason="ValueError")
    await inbox.put([one("handled", "1")])
    await inbox.finish(await claim(), remember=2.0)
    await inbox.put([one("in-hand", "1")])
    await claim()
    await inbox.put([one("line", "1"), one("line", "2"), one("delayed", "1", 5.0), one("handled", "1")])
    await inbox.close()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "inbox"
        asyncio.run(fill(file))
        connection = sqlite3.connect(file)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        sys.stdout.write("\n".join([*connection.iterdump(), f"PRAGMA user_version = {version};", ""]))
        connection.close()
