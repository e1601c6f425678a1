"""A receiver in a separate process, for tests that end it: `serving_worker.py INBOX HANDLED HANDLER_SECONDS LEASE`.

It prints its URL. It writes the product of each delivery as a line to the file HANDLED.begun. When it has handled the
delivery, it writes the same line to the file HANDLED.
"""

import asyncio
import os
import sys

from goedgepickt_async.webhooks import SqliteInbox, StockUpdated, WebhookReceiver

INBOX, HANDLED, SECONDS, LEASE = sys.argv[1:5]


async def main() -> None:
    inbox = SqliteInbox(INBOX, poll=0.02)
    receiver = WebhookReceiver("geheim", inbox=inbox, lease=float(LEASE), dedup_window=0.0, grace=3600)
    begun, handled = (os.open(f"{HANDLED}{end}", os.O_CREAT | os.O_APPEND | os.O_WRONLY) for end in (".begun", ""))

    @receiver.on(StockUpdated)
    async def handle(event: StockUpdated) -> None:
        os.write(begun, f"{event.product_uuid}\n".encode())
        await asyncio.sleep(float(SECONDS))
        os.write(handled, f"{event.product_uuid}\n".encode())

    await receiver.run(port=0, path="/hook", ready=lambda url: print(url, flush=True))  # noqa: T201
    print(f"stopped: {receiver.snapshot().running} running", flush=True)  # noqa: T201


asyncio.run(main())
