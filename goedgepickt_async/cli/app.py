"""The commands and their help. Most options are in `options`.

The code of a command is in another module, which is imported when the command runs, so that `--help` does not import
aiohttp.
"""

from __future__ import annotations

import sys
from datetime import date
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from cyclopts import App, Group, Parameter

from goedgepickt_async import __version__
from goedgepickt_async.cli.common import MOST_PORTS, read_day, read_ids, whole, write_utf8
from goedgepickt_async.cli.formats import FORMATS
from goedgepickt_async.cli.options import (
    DEFAULT_PORT,
    FAULT_NAMES,
    ApplyOptions,
    ExportOptions,
    ListenOptions,
    RowOptions,
    SandboxOptions,
    SendOptions,
    ServerOptions,
    one_of,
)
from goedgepickt_async.cli.resources import RESOURCES

__all__ = ["app"]

if TYPE_CHECKING:
    Resource: TypeAlias = str
else:  # the choices come from the table
    Resource = Literal[tuple(RESOURCES)]

Json: TypeAlias = Annotated[bool, Parameter(name="--json")]
Output: TypeAlias = Annotated[Path | None, Parameter(name=["--output", "-o"])]

_EXPORT, _ROWS, _APPLY = ExportOptions(), RowOptions(), ApplyOptions()
_SERVER, _SANDBOX = ServerOptions(), SandboxOptions()
_SENDING, _LISTENING = SendOptions(), ListenOptions()

app: App = App(
    name="goedgepickt",
    help="""The GoedGepickt warehouse API on the command line, under its rate limit.

The API key comes from GOEDGEPICKT_API_KEY, or from a tenant of your configuration (--tenant). Without one, --sandbox runs a
command against a built-in test server with made-up data.

```text
  goedgepickt doctor
  goedgepickt get orders 10001
  goedgepickt export orders -o orders.xlsx
  goedgepickt plan stock stock.csv
```

Exit codes: 0 done, 1 failed or something left out, 2 usage, 3 key refused, 4 stopped part-way and resumable.""",
    help_format="markdown",
    version=__version__,
    default_parameter=Parameter(negative=(), show_default=False),
    result_action="return_value",
)


async def export(resource: Resource, /, *, options: ExportOptions = _EXPORT, server: ServerOptions = _SERVER) -> int:
    """Export a whole list.

    Args:
        resource: What to export.
    """
    from goedgepickt_async.cli.export import export as work  # noqa: PLC0415

    return await work(resource, options, server)


_FORMAT_LINES = "\n".join(f"- **{name}** {' '.join(each.suffixes)}: {each.summary}." for name, each in FORMATS.items())

app.command(
    export,
    group_parameters=Group("Export", sort_key=1),
    help=f"""Export a whole list. Data goes to stdout or a file, messages to stderr.

```text
  goedgepickt export orders -o orders.csv
  goedgepickt export orders -o new.jsonl --since-last
  goedgepickt export products -o products.xlsx --fields sku,name,price
```

{_FORMAT_LINES}

In CSV, text that a spreadsheet would run as a formula gets an apostrophe. Secrets of webhooks are masked. A new file of
orders or shipments has mode 600.

An existing file is overwritten when the first page has arrived. After Ctrl-C the file has whole rows, and the command that
continues is printed.""",
)


@app.command
async def plan(
    kind: Literal["products", "stock", "orders"],
    file: Path,
    /,
    *,
    json: Json = False,
    output: Output = None,
    rows: RowOptions = _ROWS,
    server: ServerOptions = _SERVER,
) -> int:
    """Show the changes that a file of rows would cause (dry run).

    ```text
      goedgepickt plan products catalogue.csv
      goedgepickt plan stock stock.xlsx --webshop "Bloemwinkel 1"
      goedgepickt plan orders orders.csv -o plan.json
    ```

    The file is CSV with a header, JSON Lines or Excel. Columns are detected by their names in exports of common shops
    and by plain Dutch and English names, or given by --column. Exit code: 0, or 1 for bad rows or conflicts.

    Args:
        kind: The kind of rows.
        file: The file of rows.
        json: Print the plan as JSON.
        output: Save the plan to this file, for `goedgepickt apply`. A plan of orders holds personal data.
    """
    from goedgepickt_async.cli.plan import plan as work  # noqa: PLC0415

    return await work(kind, file, rows, server, as_json=json, output=output)


@app.command
async def apply(
    file: Path,
    /,
    *,
    options: ApplyOptions = _APPLY,
    rows: RowOptions = _ROWS,
    server: ServerOptions = _SERVER,
) -> int:
    """Apply a saved plan, or plan a file of rows and apply it. Only necessary writes are sent, each of them once.

    ```text
      goedgepickt apply catalogue.csv --kind products --dry-run
      goedgepickt apply catalogue.csv --kind products --max-changes 10%
      goedgepickt apply plan.json --yes
    ```

    The command shows the plan first. On a terminal, it then asks for confirmation. Elsewhere, a likely mistake (such as
    all prices times 100) needs --yes. With bad rows or conflicts nothing is sent, unless you pass --skip-bad. Then the
    exit code is 1.

    Each write is recorded before it is sent. After Ctrl-C or a crash (exit code 4), apply the same file again to
    continue; no write is sent twice. Until then, another file for the same webshop is refused. With --continue, the
    interrupted run is finished first; --look-up looks up its open writes, and --drop drops it. `goedgepickt runs` lists
    runs and what they changed.

    Args:
        file: A plan that `goedgepickt plan --output` saved, or a file of rows (with --kind), or - for rows on stdin.
    """
    from goedgepickt_async.cli.plan import apply as work  # noqa: PLC0415

    return await work(file, options, rows, server)


@app.command
async def runs(
    id: str | None = None,  # noqa: A002
    /,
    *,
    continue_: Annotated[bool, Parameter(name="--continue")] = False,
    look_up: bool = False,
    drop: bool = False,
    json: Json = False,
    server: ServerOptions = _SERVER,
) -> int:
    """List the runs of `apply` on this machine, or show the changes of one run with old and new values.

    ```text
      goedgepickt runs
      goedgepickt runs 20261128-101500-3fa9
      goedgepickt runs 20261128-101500-3fa9 --continue
    ```

    Records of ended runs are kept for six weeks. Changes of orders are not kept, because they contain addresses.

    Args:
        id: The id of a run, or its first characters.
        continue_: Finish the interrupted run.
        look_up: Look up the open writes of the interrupted run, and drop it.
        drop: Drop the interrupted run; its writes stay.
        json: Print JSON, one line for each run or change.
    """
    from goedgepickt_async.cli.plan import runs as work  # noqa: PLC0415

    unfinished = one_of(continue_=continue_, look_up=look_up, drop=drop)
    return await work(id, server, unfinished=unfinished, as_json=json)


@app.command
async def get(
    resource: Resource,
    id: str,  # noqa: A002
    /,
    *,
    fields: str | None = None,
    created_after: Annotated[date | None, Parameter(converter=read_day)] = None,
    server: ServerOptions = _SERVER,
) -> int:
    """Print one order, product or other object as JSON.

    ```text
      goedgepickt get orders 10001
      goedgepickt get products SB-00002 --fields sku,name,stock.free_stock
      goedgepickt get webshops "Bloemwinkel 1"
    ```

    A uuid or a SKU needs one request. For an order id or number, the whole list of orders is read; --created-after
    makes it shorter. If several products have the SKU, all are printed, one per line. Exit code: 1 if no object or
    several were found.

    Args:
        resource: The kind of object.
        id: Its uuid, an order's id or number, a product's SKU, or a name.
        fields: Only these fields, separated by commas.
        created_after: Only search objects created on or after this day, YYYY-MM-DD (orders, shipments).
    """
    from goedgepickt_async.cli.request import get as work  # noqa: PLC0415

    return await work(resource, id, server, fields=fields, created_after=created_after)


@app.command
async def doctor(
    *,
    json: Json = False,
    anonymous: bool = False,
    server: ServerOptions = _SERVER,
) -> int:
    """Check the key, its API, the webshops, the rate limit, the proxy, the clock and the versions.

    ```text
      goedgepickt doctor
      goedgepickt doctor --api account --json
      goedgepickt doctor --sandbox
    ```

    It sends one request. If the API refuses the key, the command tries the other API, too. Exit code: 0 if the API
    accepts the key, 3 if it refuses the key, 1 otherwise.

    Args:
        json: Report as JSON.
        anonymous: Leave out names and uuids of webshops, to paste the report into an issue.
    """
    from goedgepickt_async.cli.doctor import doctor as work  # noqa: PLC0415

    return await work(server, as_json=json, anonymous=anonymous)


@app.command
def openapi() -> int:
    """Print the OpenAPI 3.1 document of the API, with the confidence of each part; no key is needed.

    Example: `goedgepickt openapi > goedgepickt.json`
    """
    from goedgepickt_async.contract import openapi as document  # noqa: PLC0415

    write_utf8(dumps(document(), indent=2, ensure_ascii=False) + "\n")
    return 0


@app.command
async def probe(
    *,
    json: Json = False,
    output: Output = None,
    diff: bool = False,
    resume: Path | None = None,
    dry_run: bool = False,
    server: ServerOptions = _SERVER,
) -> int:
    """Check open facts about the API with your key. It only reads, with at most 100 requests, within the rate limit.

    It first prints its requests. The report has no values, names or ids: paste it into an issue. Exit code: 0 if
    everything was requested, 1 otherwise.

    Example: `goedgepickt probe --resume probe.state --output probe.md`

    Args:
        json: Report as JSON.
        output: Write the report to this file. Default: stdout.
        diff: Print the differences to the tables of this version.
        resume: A small file with the progress. If it exists, the probe continues from it. It is removed at the end.
        dry_run: Print the planned requests, and send nothing.
    """
    from goedgepickt_async.cli.doctor import probe as work  # noqa: PLC0415

    return await work(server, as_json=json, output=output, diff=diff, resume=resume, dry_run=dry_run)


@app.command
async def request(
    method: str,
    path: str,
    /,
    *,
    query: list[str] | None = None,
    json: Annotated[str | None, Parameter(name="--json")] = None,
    idempotent: bool = False,
    server: ServerOptions = _SERVER,
) -> int:
    """Send one request to any path. The response goes to stdout as JSON, status and attempts to stderr.

    ```text
      goedgepickt request GET /webshops
      goedgepickt request GET /orders --query perPage=2 --query page=3
      goedgepickt request POST /webhooks --json @body.json
    ```

    Args:
        method: GET, POST, PUT, ...
        path: The path below the API's base, such as /webshops.
        query: A parameter, as name=value; can be given several times.
        json: The body: JSON, or @FILE, or - for stdin.
        idempotent: Retry the request if its outcome is unknown, because sending it twice is harmless. By default only
            GET and HEAD are retried.
    """
    from goedgepickt_async.cli.request import request as work  # noqa: PLC0415

    return await work(method, path, query or [], json, server, idempotent=idempotent)


@app.command
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the completion script for a shell.

    ```text
      goedgepickt completion bash >> ~/.bash_completion
      goedgepickt completion fish > ~/.config/fish/completions/goedgepickt.fish
      goedgepickt completion zsh > ~/.zfunc/_goedgepickt
    ```

    It takes effect in new shells.

    Args:
        shell: The shell.
    """
    sys.stdout.write(app.generate_completion(shell=shell))
    return 0


_FAULT_LINES = "\n".join(f"  {name:<16} {text}" for name, text in FAULT_NAMES.items())


async def sandbox(
    *command: Annotated[str, Parameter(show_default=False)],
    options: SandboxOptions = _SANDBOX,
) -> int:
    """Serve a test server with made-up data until Ctrl-C.

    Args:
        command: A command to run, after --. Its environment has GOEDGEPICKT_API_KEY and GOEDGEPICKT_BASE_URL. The sandbox
            ends with it, with its exit code.
    """
    from goedgepickt_async.cli.sandbox import serve  # noqa: PLC0415

    return await serve(options, command)


app.command(
    sandbox,
    default_parameter=Parameter(show_default=True),
    help=f"""Serve a test server with made-up data until Ctrl-C: two APIs, and a page in the browser.

```text
  goedgepickt sandbox                              # on port {DEFAULT_PORT}
  goedgepickt sandbox -- python app.py             # runs a program with it
  goedgepickt sandbox --env dotenv > .env          # writes a .env file
  goedgepickt sandbox --lively 30 --orders 300000  # busy and large
```

A fault is METHOD:PATH:WHAT. Separate several faults by commas.

```text
  GET:/orders:500x3     the first three reads of /orders get status 500
  GET:/orders:429+20    the 21st read is refused with 429
  *:*:drop%2            the connection is closed at every second request
  POST:/orders:drop-applied,GET:/orders:500x2

  METHOD  GET, POST, PUT, or *
  PATH    below the API's base; * matches anything
  WHAT    a status, or a name below, then optionally
          x3  three times (default: once)
          %2  every second one, always
          +5  after the first five, which pass normally

{_FAULT_LINES}
```""",
)


# -- webhooks ---------------------------------------------------------------------------------------------------------

webhooks: App = App(
    name="webhooks",
    help="Webhook subscriptions and deliveries: list, ensure, listen, trigger, send, replay, failed.\n\n"
    "The secrets come from GOEDGEPICKT_WEBHOOK_SECRETS, separated by commas; `ensure --show-secrets` prints them.",
    default_parameter=Parameter(negative=(), show_default=False),
)
app.command(webhooks)


@webhooks.command(name="list")
async def list_(*, json: Json = False, server: ServerOptions = _SERVER) -> int:
    """List all subscriptions of the account, with their secrets masked.

    ```text
      goedgepickt webhooks list --json
    ```

    Args:
        json: Print JSON, one subscription per line, instead of a table.
    """
    return await export("webhooks", options=ExportOptions(format="jsonl" if json else "table"), server=server)


@webhooks.command
async def ensure(
    url: str,
    /,
    *,
    event: list[str],
    webshop: list[str] | None = None,
    show_secrets: bool = False,
    json: Json = False,
    server: ServerOptions = _SERVER,
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
    """
    from goedgepickt_async.cli.send import ensure as work  # noqa: PLC0415

    return await work(url, event, webshop, server, show_secrets=show_secrets, as_json=json)


@webhooks.command
async def listen(*, options: ListenOptions = _LISTENING, server: ServerOptions = _SERVER) -> int:
    """Receive deliveries until Ctrl-C: verify each, print it, and answer 200.

    On a terminal each delivery is a readable line; otherwise, and with --json, it is a line of JSON. A delivery with a
    wrong signature gets status 401 and is reported on stderr. With --sandbox, a sandbox changes orders and stock, and
    delivers to this listener.

    ```text
      goedgepickt webhooks listen --sandbox
      goedgepickt webhooks listen --forward-to http://127.0.0.1:8000/webhooks
    ```
    """
    from goedgepickt_async.cli.listen import listen as work  # noqa: PLC0415

    return await work(options, server)


@webhooks.command
async def trigger(event: str, /, *, to: str | None = None, server: ServerOptions = _SERVER) -> int:
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
    """
    from goedgepickt_async.cli.send import trigger as work  # noqa: PLC0415

    return await work(event, to, server)


@webhooks.command
async def failed(
    ids: Annotated[list[int] | None, Parameter(converter=read_ids)] = None,
    /,
    *,
    inbox: Path | None = None,
    port: Annotated[int, Parameter(show_default=True, converter=whole(0, MOST_PORTS))] = 8080,
    retry: bool = False,
    drop: bool = False,
    json: Json = False,
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
    from goedgepickt_async.cli.listen import failed as work  # noqa: PLC0415

    return await work(ids or [], inbox, port, retry=retry, drop=drop, as_json=json)


@webhooks.command
async def send(
    url: str,
    event: str | None = None,
    /,
    *,
    field: list[str] | None = None,
    body: str | None = None,
    options: SendOptions = _SENDING,
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
    """
    from goedgepickt_async.cli.send import send as work  # noqa: PLC0415

    return await work(url, event, field or [], body, options)


@webhooks.command
async def replay(
    file: Path,
    url: str,
    /,
    *,
    from_line: Annotated[int, Parameter(converter=whole(1))] = 1,
    sign_again: bool = False,
    options: SendOptions = _SENDING,
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
    """
    from goedgepickt_async.cli.send import replay as work  # noqa: PLC0415

    return await work(file, url, options, from_line=from_line, sign_again=sign_again)
