"""The receiver of webhooks: `python receiver.py`."""

import asyncio
import os

from goedgepickt_async import GoedGepickt, Order
from goedgepickt_async.webhooks import SqliteInbox, WebhookReceiver


async def main() -> None:
    secrets = os.environ["GOEDGEPICKT_WEBHOOK_SECRETS"].split(",")
    inbox = SqliteInbox(os.environ.get("INBOX", "/data/webhooks.sqlite3"))
    async with GoedGepickt() as gg:
        receiver = WebhookReceiver(secrets, inbox=inbox, client=gg)

        @receiver.on_order_changed
        async def changed(order: Order) -> None:
            print(order.uuid, "is", order.status, flush=True)  # replace this with your code

        host, port = os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "8080"))
        await receiver.run(host, port, path="/webhooks")


if __name__ == "__main__":
    asyncio.run(main())
