"""The `webhooks` commands, their options and their help. The code of a command is in the module with its name."""

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
    help="Webhook subscriptions and deliveries: list, ensure, listen, trigger, send, replay, failed.\n\n"
    "The secrets come from GOEDGEPICKT_WEBHOOK_SECRETS, separated by commas; "
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
        json: Print JSON, one subscription per line, instead of a table.
        server: The options for the server.
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
    r"""Create the missing subscriptions of a URL, and keep the existing ones. You can repeat it.

    The API cannot delete a subscription. The command prints new and existing subscriptions, and those with another URL.

    ```text
      goedgepickt webhooks ensure https://shop.example.test/hooks \
        --event order.statusChanged
    ```

    Args:
        url: The URL for the deliveries.
        event: The event, order.statusChanged or product.stockChanged; can be given several times.
        webshop: The uuid of a webshop; can be given several times. Default: all webshops of the account.
        show_secrets: Print the secrets that sign the deliveries. Every program with a secret can sign deliveries.
        json: Print JSON, one subscription per line.
        server: The options for the server.
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

    On a terminal each delivery is a readable line; otherwise, and with --json, it is a line of JSON. A delivery with a
    wrong signature gets status 401 and is reported on stderr. With --sandbox, a sandbox changes orders and stock, and
    delivers to this listener.

    ```text
      goedgepickt webhooks listen --sandbox
      goedgepickt webhooks listen --forward-to http://127.0.0.1:8000/webhooks
    ```

    Args:
        host: The address to listen on.
        port: The port to listen on; 0 selects a free port.
        forward_to: The URL of your application. It gets each verified delivery with the original bytes and headers, and
            its status is shown and returned.
        record: A private file for verified deliveries, byte for byte, for `replay`.
        count: End after this number of verified deliveries.
        json: Print JSON, even on a terminal.
        server: The options for a sandbox.
    """
    from goedgepickt_async.cli.webhooks.listen import ListenOptions  # noqa: PLC0415
    from goedgepickt_async.cli.webhooks.listen import listen as work  # noqa: PLC0415

    options = ListenOptions(host=host, port=port, forward_to=forward_to, record=record, count=count, as_json=json)
    return await work(options, server)


@webhooks.command
async def trigger(event: str, /, *, to: str | None = None, server: ServerOptions = _ANY_SERVER) -> int:
    r"""Make a sandbox send an event: it changes an order or a product, and delivers the webhooks for the change.

    With --sandbox, an embedded sandbox delivers to the URL --to, signed with the first of GOEDGEPICKT_WEBHOOK_SECRETS.
    Without, the sandbox at --base-url delivers to its subscriptions.

    ```text
      goedgepickt webhooks trigger stockUpdated --sandbox \
        --to http://127.0.0.1:8080/webhooks
      goedgepickt webhooks trigger orderStatusChanged \
        --base-url http://127.0.0.1:8474/api/v1
    ```

    Args:
        event: The event name in deliveries: orderStatusChanged, stockUpdated, compoundProductStockUpdated.
        to: The URL for the embedded sandbox, on this machine.
        server: The options for the sandbox.
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
        ids: The numbers of deliveries. Default: all.
        inbox: The file of the inbox; by default the file of a receiver without `inbox=`.
        port: The port of that receiver.
        retry: Put them back into the inbox, with all their attempts. The receiver may be running.
        drop: Delete them.
        json: Print JSON, one delivery per line.
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
    r"""Send a signed event like the service: ten attempts with growing pauses, and success is exactly 200.

    It is signed with the first of GOEDGEPICKT_WEBHOOK_SECRETS. Each attempt is a line of JSON on stdout. Exit code: 0
    if it was delivered, 1 if not.

    ```text
      goedgepickt webhooks send http://127.0.0.1:8080/hooks orderStatusChanged \
        --field newStatus=completed
    ```

    Args:
        url: The URL of the receiver.
        event: The event name in deliveries: orderStatusChanged, stockUpdated, compoundProductStockUpdated, or any text.
        field: A field of the event, as name=value, such as newStatus=completed; can be given several times. Other
            fields of a known event get made-up values.
        body: The body to send, instead of an event; or @FILE, or - for stdin.
        options: The options for attempts.
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
    """Send the recording of `listen --record`: the same bytes with the same signatures, in the same order.

    It stops at the first delivery that fails, and prints how to continue (exit code 4).

    ```text
      goedgepickt webhooks replay recording.jsonl http://127.0.0.1:8080/webhooks
    ```

    Args:
        file: The recording.
        url: The URL of the receiver.
        from_line: The first line to send.
        sign_again: Sign with the first of GOEDGEPICKT_WEBHOOK_SECRETS instead of sending the recorded signature.
        options: The options for attempts.
    """
    from goedgepickt_async.cli.webhooks.send import replay as work  # noqa: PLC0415

    return await work(file, url, options, from_line=from_line, sign_again=sign_again)
