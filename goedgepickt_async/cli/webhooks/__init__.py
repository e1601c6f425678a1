"""The `webhooks` commands: their options and their help, and the work of `list` and `ensure`.

The work of the others is in `listen` (`listen`, `failed`) and in `send` (`send`, `replay`, `trigger`).
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import sys
from collections.abc import Iterator
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from cyclopts import App, Group, Parameter

from goedgepickt_async import Secret, ValidationError
from goedgepickt_async.cli.common import MOST_PORTS, Exit, UsageError, info, seconds, whole
from goedgepickt_async.cli.connect import ServerOptions, connect
from goedgepickt_async.text import printable

if TYPE_CHECKING:
    from goedgepickt_async import EnsuredWebhooks, Webhook

__all__ = ["SendOptions", "checked_url", "signing_secrets", "webhooks"]

# -- options ----------------------------------------------------------------------------------------------------------

_SECRETS = "GOEDGEPICKT_WEBHOOK_SECRETS"


def signing_secrets() -> list[Secret]:
    """Return the secrets from the environment variable, separated by commas or spaces, without duplicates.

    Raises:
        UsageError: The variable has no secrets.
    """
    texts = [text for text in re.split(r"[,\s]+", os.environ.get(_SECRETS, "")) if text]
    if not texts:
        raise UsageError(
            f"the webhook secret is missing: set {_SECRETS} to the secrets of your subscriptions, separated by commas "
            "(`goedgepickt webhooks ensure URL --event … --show-secrets` prints them)"
        )
    return [Secret(text) for text in dict.fromkeys(texts)]


_SENDING = Group("Sending", sort_key=10)
_A_DAY = 86_400


@Parameter(name="*")
@dataclasses.dataclass(frozen=True, kw_only=True)
class SendOptions:
    """The options for attempts."""

    attempts: Annotated[int, Parameter(group=_SENDING, converter=whole(1, 20))] = 10
    """The number of attempts (10, like the service)."""
    first_pause: Annotated[float, Parameter(group=_SENDING, converter=seconds(most=_A_DAY))] = 1.0
    """Seconds before the second attempt (1); each further pause is twice as long. The pauses of the service are unknown."""
    timeout: Annotated[float, Parameter(group=_SENDING, converter=seconds(more_than_none=True, most=_A_DAY))] = 10.0
    """The longest time of an attempt in seconds (10)."""
    debug: Annotated[bool, Parameter(group=_SENDING)] = False
    """Show the traceback of an error."""


def checked_url(url: str) -> str:
    """Check the URL of a receiver. A wrong URL is not shown, because it may contain credentials.

    Raises:
        UsageError: The text is not an http or https URL.
    """
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and url.isprintable()
    except ValueError:
        usable = False
    if not usable:
        raise UsageError("the URL must be an http or https URL, such as http://127.0.0.1:8642/hooks")
    return url


# -- commands ---------------------------------------------------------------------------------------------------------

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
    from goedgepickt_async.cli.export import ExportPlan  # noqa: PLC0415
    from goedgepickt_async.cli.export import export as work  # noqa: PLC0415

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
    server.check()
    async with connect(server) as connection:
        try:
            done = await connection.client.webhooks.ensure(url, event, webshops=webshop)
        except ValidationError as error:
            if error.status is None:
                raise UsageError(error.message) from None
            raise
    lines = (_as_json if json else _as_text)(done, show_secrets=show_secrets)
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    info(f"{len(done.created)} made, {len(done.existing)} there already, {len(done.other_target)} to another URL")
    return Exit.DONE


def _by_state(done: EnsuredWebhooks) -> Iterator[tuple[str, Webhook]]:
    for state in ("created", "existing", "other_target"):
        for hook in getattr(done, state):
            yield state, hook


def _as_json(done: EnsuredWebhooks, *, show_secrets: bool) -> Iterator[str]:
    from goedgepickt_async.convert import to_plain  # noqa: PLC0415  `--help` must not wait for cattrs

    for state, hook in _by_state(done):
        row: dict[str, Any] = {"state": state, **to_plain(hook)}
        if show_secrets and state != "other_target":
            row["secret"] = None if hook.secret is None else hook.secret.reveal()
        yield dumps(row, ensure_ascii=False)


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
        yield f"export {_SECRETS}={shlex.quote(secrets)}"


def _where(state: str, hook: Webhook) -> str:
    return hook.target_url or "" if state == "other_target" else ""


@webhooks.command
async def listen(
    *,
    host: Annotated[str, Parameter(show_default=True)] = "127.0.0.1",
    port: Annotated[int, Parameter(show_default=True, converter=whole(0, MOST_PORTS))] = 8642,
    forward_to: str | None = None,
    record: Path | None = None,
    count: Annotated[int | None, Parameter(converter=whole(1))] = None,
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
    port: Annotated[int, Parameter(show_default=True, converter=whole(0, MOST_PORTS))] = 8080,
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
    from goedgepickt_async.cli.webhooks.listen import failed as work  # noqa: PLC0415

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
    from_line: Annotated[int, Parameter(converter=whole(1))] = 1,
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
