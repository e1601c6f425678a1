"""The commands, their options and their help.

The code of a command is in the module with its name, which is imported when it runs, so that `--help` does not import
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
from goedgepickt_async.cli.common import UsageError, read_day, whole
from goedgepickt_async.cli.connect import RowOptions, ServerOptions
from goedgepickt_async.cli.formats import FORMATS
from goedgepickt_async.cli.resources import RESOURCES, parse_fields
from goedgepickt_async.cli.sandbox import DEFAULT_PORT, FAULT_NAMES, SandboxOptions

__all__ = ["app"]

if TYPE_CHECKING:
    Resource: TypeAlias = str
    Format: TypeAlias = str
else:  # the choices come from the tables
    Resource = Literal[tuple(RESOURCES)]
    Format = Literal[tuple(FORMATS)]

Day: TypeAlias = Annotated[date, Parameter(converter=read_day)]

_ANY_SERVER = ServerOptions()
_ANY_ROWS = RowOptions()
_ANY_SANDBOX = SandboxOptions()
_EXPORT = Group("Export", sort_key=1)
_NAMES = "\n".join(f"  {name:<16} {text}" for name, text in FAULT_NAMES.items())

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
app.command("goedgepickt_async.cli.webhooks:webhooks", name="webhooks")


async def export(
    resource: Resource,
    /,
    *,
    format: Annotated[Format | None, Parameter(name="--format")] = None,  # noqa: A002
    output: Annotated[str, Parameter(name=["--output", "-o"])] = "-",
    created_after: Day | None = None,
    status: str | None = None,
    webshop: str | None = None,
    limit: Annotated[int | None, Parameter(converter=whole(1))] = None,
    fields: str | None = None,
    lines: bool = False,
    excel_csv: bool = False,
    resume: Path | None = None,
    since_last: bool = False,
    checkpoint: Path | None = None,
    skip_unreadable: bool = False,
    background: bool = False,
    server: ServerOptions = _ANY_SERVER,
) -> int:
    """Export a whole list.

    Args:
        resource: What to export.
        format: Default: the file name's ending, else jsonl.
        output: A file, or - for stdout.
        created_after: Only rows created on or after this day, YYYY-MM-DD (orders, shipments).
        status: Only rows with this status (orders, shipments).
        webshop: Only rows of this webshop, by its uuid or name (orders, products).
        limit: The maximum number of rows.
        fields: Only these columns, separated by commas, such as uuid,status,shipping.city.
        lines: A row for each line of an order, with the order's columns repeated (orders; CSV and Excel).
        excel_csv: The same as --format excel-csv: a CSV file for a Dutch spreadsheet.
        resume: A small file with the progress of the export. If it exists, the export continues from it, also after a
            crash, and each row is in the output once. It is removed at the end. With stdout, the output continues after
            the last whole page.
        since_last: Only rows that are new since the last export with the same filters (orders, shipments). The first
            export reads all rows. A later one appends new rows to the file, or writes them to another --output. After a
            stop or crash the same command continues; no row is lost or repeated. Changes of older rows are not read.
        checkpoint: The file in which --since-last records its progress. Default: one for each resource, server, key and
            set of filters, in the user's state directory (~/.local/state/goedgepickt, or below $XDG_STATE_HOME).
        skip_unreadable: Write rows that cannot be read to FILE.unreadable.jsonl, and continue; the exit code is then 1.
            Without it, such a row stops the export.
        background: Use the bulk lane: all other requests have priority.
        server: The server.
    """
    from goedgepickt_async.cli.export import ExportPlan  # noqa: PLC0415
    from goedgepickt_async.cli.export import export as work  # noqa: PLC0415

    if excel_csv and format not in {None, "csv", "excel-csv"}:
        raise UsageError(f"--excel-csv and --format {format} cannot be combined: pass one of them")
    plan = ExportPlan(
        resource=resource,
        format="excel-csv" if excel_csv else format,
        output=output,
        created_after=created_after,
        status=status,
        webshop=webshop,
        limit=limit,
        lines=lines,
        fields=parse_fields(fields),
        resume=resume,
        since_last=since_last,
        checkpoint=checkpoint,
        skip_unreadable=skip_unreadable,
    )
    return await work(plan, server, background=background)


_FORMAT_LINES = "\n".join(f"- **{name}** {' '.join(each.suffixes)}: {each.summary}." for name, each in FORMATS.items())

app.command(
    export,
    group_parameters=_EXPORT,
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
    json: Annotated[bool, Parameter(name="--json")] = False,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    rows: RowOptions = _ANY_ROWS,
    server: ServerOptions = _ANY_SERVER,
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
        rows: How to read and compare the rows.
        server: The server.
    """
    from goedgepickt_async.cli.plan import PlanTask  # noqa: PLC0415
    from goedgepickt_async.cli.plan import plan as work  # noqa: PLC0415

    return await work(PlanTask(kind=kind, file=file, options=rows), server, as_json=json, output=output)


@app.command
async def apply(
    file: Path,
    /,
    *,
    kind: Literal["products", "stock", "orders"] | None = None,
    max_changes: str | None = None,
    yes: Annotated[bool, Parameter(name=["--yes", "-y"])] = False,
    dry_run: bool = False,
    continue_: Annotated[bool, Parameter(name="--continue")] = False,
    look_up: bool = False,
    drop: bool = False,
    journal: Path | None = None,
    json: Annotated[bool, Parameter(name="--json")] = False,
    rows: RowOptions = _ANY_ROWS,
    server: ServerOptions = _ANY_SERVER,
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
        kind: The kind of rows.
        max_changes: Send nothing if there are more writes than this number, or than this share of the rows (10%).
        yes: Do not ask, and continue with likely mistakes.
        dry_run: Only read, and show the planned writes.
        continue_: First finish the interrupted run of the same webshop.
        look_up: First look up the open writes of the interrupted run, and drop it.
        drop: First drop the interrupted run of the same webshop; its writes stay.
        journal: A file that records the writes, instead of the record of the run.
        json: Print the result of all rows as JSON.
        rows: How to read and compare the rows.
        server: The server.
    """
    from goedgepickt_async.cli.plan import ApplyOptions, PlanTask, one_of, task_for  # noqa: PLC0415
    from goedgepickt_async.cli.plan import apply as work  # noqa: PLC0415

    found = task_for(kind, file)
    given = [option for option in rows.given() if option != "--skip-bad"]
    if found is None and given:
        raise UsageError(f"{given[0]} is for rows, but {file.name} is a saved plan: leave it out")
    task = None if found is None else PlanTask(kind=found, file=file, options=rows)
    options = ApplyOptions(
        journal=journal,
        dry_run=dry_run,
        skip_bad=rows.skip_bad,
        max_changes=max_changes,
        yes=yes,
        unfinished=one_of(continue_=continue_, look_up=look_up, drop=drop),
        as_json=json,
    )
    return await work(file, task, server, options)


@app.command
async def runs(
    id: str | None = None,  # noqa: A002
    /,
    *,
    continue_: Annotated[bool, Parameter(name="--continue")] = False,
    look_up: bool = False,
    drop: bool = False,
    json: Annotated[bool, Parameter(name="--json")] = False,
    server: ServerOptions = _ANY_SERVER,
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
        server: The server.
    """
    from goedgepickt_async.cli.plan import one_of  # noqa: PLC0415
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
    created_after: Day | None = None,
    server: ServerOptions = _ANY_SERVER,
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
        server: The server.
    """
    from goedgepickt_async.cli.request import get as work  # noqa: PLC0415

    return await work(resource, id, server, fields=fields, created_after=created_after)


@app.command
async def doctor(
    *,
    json: Annotated[bool, Parameter(name="--json")] = False,
    anonymous: bool = False,
    server: ServerOptions = _ANY_SERVER,
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
        server: The server.
    """
    from goedgepickt_async.cli.doctor import doctor as work  # noqa: PLC0415

    return await work(server, as_json=json, anonymous=anonymous)


@app.command
def openapi() -> int:
    """Print the OpenAPI 3.1 document of the API, with the confidence of each part; no key is needed.

    Example: `goedgepickt openapi > goedgepickt.json`
    """
    from goedgepickt_async.contract import openapi as document  # noqa: PLC0415

    sys.stdout.write(dumps(document(), indent=2, ensure_ascii=False) + "\n")
    return 0


@app.command
async def probe(
    *,
    json: Annotated[bool, Parameter(name="--json")] = False,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    diff: bool = False,
    resume: Path | None = None,
    dry_run: bool = False,
    server: ServerOptions = _ANY_SERVER,
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
        server: The server.
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
    server: ServerOptions = _ANY_SERVER,
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
        server: The server.
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


async def sandbox(
    *command: Annotated[str, Parameter(show_default=False)],
    options: SandboxOptions = _ANY_SANDBOX,
) -> int:
    """Serve a test server with made-up data until Ctrl-C.

    Args:
        command: A command to run, after --. Its environment has GOEDGEPICKT_API_KEY and GOEDGEPICKT_BASE_URL. The sandbox
            ends with it, with its exit code.
        options: The options of the sandbox.
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

{_NAMES}
```""",
)
