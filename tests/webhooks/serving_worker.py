"""A receiver in a process of its own, for tests that end it: `serving_worker.py INBOX HANDLED HANDLER_SECONDS [PORT]`.

It prints its URL, and writes the product of each delivery it has handled as a line to the file HANDLED.
"""

import asyncio
import os
import sys

from goedgepickt_async.webhooks import SqliteInbox, StockUpdated, WebhookReceiver

INBOX, HANDLED, SECONDS = sys.argv[1:4]


async def main() -> None:
    receiver = WebhookReceiver("geheim", inbox=SqliteInbox(INBOX, poll=0.02), lease=1.0, dedup_window=0.0)
    handled = os.open(HANDLED, os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    @receiver.on(StockUpdated)
    async def handle(event: StockUpdated) -> None:
        await asyncio.sleep(float(SECONDS))
        os.write(handled, f"{event.product_uuid}\n".encode())

    await receiver.run(port=0, path="/hook", ready=lambda url: print(url, flush=True))  # noqa: T201
    print(f"stopped: {receiver.snapshot().running} running", flush=True)  # noqa: T201


asyncio.run(main())
