"""The `webhooks` commands, their options and their help; what each does is in the module of its name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from goedgepickt_async.cli.connect import ServerOptions
from goedgepickt_async.cli.webhooks.options import SendOptions

__all__ = ["webhooks"]

_ANY_SERVER = ServerOptions()
_AS_THE_SERVICE = SendOptions()

webhooks: App = App(
    name="webhooks",
    help="Subscriptions to live updates, and what is delivered: list, ensure, listen, trigger, send, replay, failed.\n\n"
    "The secrets that deliveries are signed with come from GOEDGEPICKT_WEBHOOK_SECRETS, with commas between them; "
    "`ensure --show-secrets` prints them.",
    default_parameter=Parameter(negative=(), show_default=False),
)


@webhooks.command(name="list")
async def list_(*, json: Annotated[bool, Parameter(name="--json")] = False, server: ServerOptions = _ANY_SERVER) -> int:
    """List all subscriptions of the account, with their secrets masked.

    ```text
      goedgepickt webhooks list --json
    ```

    Args:
        json: As JSON, one subscription a line, instead of a table.
        server: Which ones.
    """
    from goedgepickt_async.cli.export.command import ExportPlan  # noqa: PLC0415
    from goedgepickt_async.cli.export.command import export as work  # noqa: PLC0415

    plan = ExportPlan(resource="webhooks", format="jsonl" if json else "table", output="-")
    return await work(plan, server, background=False)


@webhooks.command
async def ensure(
    url: str,
    /,
    *,
    event: list[str],
    webshop: list[str] | None = None,
    show_secrets: bool = False,
    json: Annotated[bool, Parameter(name="--json")] = False,
    server: ServerOptions = _ANY_SERVER,
) -> int:
    r"""Subscribe a URL to what it is not subscribed to yet, and leave the rest: twice is once.

    A subscription cannot be taken back through the API. Says what was made, what was there, and what points elsewhere.

    ```text
      goedgepickt webhooks ensure https://shop.example.test/hooks \
        --event order.statusChanged
    ```

    Args:
        url: Where deliveries are to go.
        event: What to report, order.statusChanged or product.stockChanged; can be given several times.
        webshop: The uuid of a webshop; can be given several times. All of the account by default.
        show_secrets: Print what deliveries are signed with. Every program that has it can sign deliveries.
        json: As JSON, one subscription a line.
        server: The account.
    """
    from goedgepickt_async.cli.webhooks.ensure import ensure as work  # noqa: PLC0415

    return await work(url, event, webshop, server, show_secrets=show_secrets, as_json=json)


@webhooks.command
async def listen(
    *,
    host: Annotated[str, Parameter(show_default=True)] = "127.0.0.1",
    port: Annotated[int, Parameter(show_default=True)] = 8642,
    forward_to: str | None = None,
    record: Path | None = None,
    count: int | None = None,
    json: Annotated[bool | None, Parameter(name="--json")] = None,
    server: ServerOptions = _ANY_SERVER,
) -> int:
    """Receive deliveries until Ctrl-C: verify each, print it, and answer 200.

    On a terminal each delivery is a line for people; otherwise, and with --json, it is a line of JSON. A delivery with
    a bad signature is answered 401 and reported on stderr. With --sandbox there is something to see immediately: orders and
    stock change in a sandbox that delivers to this listener.

    ```text
      goedgepickt webhooks listen --sandbox
      goedgepickt webhooks listen --forward-to http://127.0.0.1:8000/webhooks
    ```

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 takes a free one.
        forward_to: The URL of your application. It gets each verified delivery with the original bytes and headers, and
            its status is shown and passed on.
        record: A file that verified deliveries are added to, byte for byte, for `replay`; readable for its owner alone.
        count: End after so many verified deliveries.
        json: Print JSON, also on a terminal.
        server: The sandbox, if there is one.
    """
    from goedgepickt_async.cli.webhooks.listen import ListenOptions  # noqa: PLC0415
    from goedgepickt_async.cli.webhooks.listen import listen as work  # noqa: PLC0415

    options = ListenOptions(host=host, port=port, forward_to=forward_to, record=record, count=count, as_json=json)
    return await work(options, server)


@webhooks.command
async def trigger(event: str, /, *, to: str | None = None, server: ServerOptions = _ANY_SERVER) -> int:
    r"""Make a sandbox report an event: it changes an order or a product, and delivers what follows from that.

    With --sandbox, an embedded sandbox delivers to the URL --to, signed with the first of GOEDGEPICKT_WEBHOOK_SECRETS.
    Without, the sandbox at --base-url delivers to its subscriptions.

    ```text
      goedgepickt webhooks trigger stockUpdated --sandbox \
        --to http://127.0.0.1:8080/webhooks
      goedgepickt webhooks trigger orderStatusChanged \
        --base-url http://127.0.0.1:8474/api/v1
    ```

    Args:
        event: What a delivery calls itself: orderStatusChanged, stockUpdated, compoundProductStockUpdated.
        to: Where the embedded sandbox delivers: a URL of this machine.
        server: Which sandbox.
    """
    from goedgepickt_async.cli.webhooks.send import trigger as work  # noqa: PLC0415

    return await work(event, to, server)


@webhooks.command
async def failed(
    ids: list[int] | None = None,
    /,
    *,
    inbox: Path | None = None,
    port: Annotated[int, Parameter(show_default=True)] = 8080,
    retry: bool = False,
    drop: bool = False,
    json: Annotated[bool, Parameter(name="--json")] = False,
) -> int:
    """List the deliveries whose handlers failed for the last time; put them back with --retry, or delete with --drop.

    ```text
      goedgepickt webhooks failed --inbox webhooks.sqlite3
      goedgepickt webhooks failed 12 13 --retry
    ```

    Args:
        ids: The numbers of some of them; by default all.
        inbox: The file of the inbox; by default the file of a receiver without `inbox=`.
        port: The port of that receiver.
        retry: Put them back into the inbox, with all their attempts. The receiver may be running.
        drop: Delete them.
        json: As JSON, one a line.
    """
    from goedgepickt_async.cli.webhooks.failed import failed as work  # noqa: PLC0415

    return await work(ids or [], inbox, port, retry=retry, drop=drop, as_json=json)


@webhooks.command
async def send(
    url: str,
    event: str | None = None,
    /,
    *,
    field: list[str] | None = None,
    body: str | None = None,
    options: SendOptions = _AS_THE_SERVICE,
) -> int:
    r"""Deliver a signed event, as the service does: ten attempts with growing pauses, success is exactly 200.

    It is signed with the first of GOEDGEPICKT_WEBHOOK_SECRETS. Each attempt is a line of JSON on stdout. Exit code: 0
    if it was delivered, 1 if not.

    ```text
      goedgepickt webhooks send http://127.0.0.1:8080/hooks orderStatusChanged \
        --field newStatus=completed
    ```

    Args:
        url: Where to.
        event: What a delivery calls itself: orderStatusChanged, stockUpdated, compoundProductStockUpdated, or anything.
        field: A field of the event, as name=value, such as newStatus=completed; can be given several times. The rest of
            a known event is made up.
        body: Instead of an event: what is sent, as it stands; or @FILE, or - for stdin.
        options: How stubbornly.
    """
    from goedgepickt_async.cli.webhooks.send import send as work  # noqa: PLC0415

    return await work(url, event, field or [], body, options)


@webhooks.command
async def replay(
    file: Path,
    url: str,
    /,
    *,
    from_line: int = 1,
    sign_again: bool = False,
    options: SendOptions = _AS_THE_SERVICE,
) -> int:
    """Send what `listen --record` recorded again: the same bytes with the same signatures, in the same order.

    It stops at the first delivery that does not get there, and says how to continue (exit code 4).

    ```text
      goedgepickt webhooks replay recording.jsonl http://127.0.0.1:8080/webhooks
    ```

    Args:
        file: The recording.
        url: Where to.
        from_line: The line to begin with.
        sign_again: Sign with the first of GOEDGEPICKT_WEBHOOK_SECRETS instead of sending the signature that was recorded.
        options: How stubbornly.
    """
    from goedgepickt_async.cli.webhooks.send import replay as work  # noqa: PLC0415

    return await work(file, url, options, from_line=from_line, sign_again=sign_again)
