"""The commands, their options and their help.

What a command does is in the module of its name, imported when it runs: `--help` must not wait for aiohttp.
"""

from __future__ import annotations

import sys
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

from cyclopts import App, Group, Parameter

from goedgepickt_async import __version__
from goedgepickt_async.cli.connect import RowOptions, ServerOptions, read_day
from goedgepickt_async.cli.errors import UsageError
from goedgepickt_async.cli.export.formats import FORMATS, RESOURCES, parse_fields
from goedgepickt_async.cli.sandbox import DEFAULT_PORT, FAULT_NAMES, SandboxOptions

__all__ = ["app"]

if TYPE_CHECKING:
    Resource: TypeAlias = str
    Format: TypeAlias = str
else:  # the choices are those of the tables
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
  goedgepickt get orders S-1001
  goedgepickt export orders -o orders.xlsx
  goedgepickt plan stock stock.csv
```

Exit codes: 0 done, 1 failed or something left out, 2 usage, 3 key refused, 4 stopped part-way and resumable.""",
    help_format="markdown",
    version=__version__,
    default_parameter=Parameter(negative=(), show_default=False),
    result_action="return_value",
)
app.command("goedgepickt_async.cli.webhooks.app:webhooks", name="webhooks")


async def export(
    resource: Resource,
    /,
    *,
    format: Annotated[Format | None, Parameter(name="--format")] = None,  # noqa: A002
    output: Annotated[str, Parameter(name=["--output", "-o"])] = "-",
    created_after: Day | None = None,
    status: str | None = None,
    webshop: str | None = None,
    limit: int | None = None,
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
        format: By default what the file's ending says, else jsonl.
        output: A file, or - for stdout.
        created_after: Only what was created from that day on, YYYY-MM-DD (orders, shipments).
        status: Only what has this status (orders, shipments).
        webshop: Only what is of this webshop, by its uuid or name (orders, products).
        limit: The maximum number of rows.
        fields: Only these columns, with commas between them, such as uuid,status,shipping.city.
        lines: A row for each line of an order, with the order's columns repeated (orders; CSV and Excel).
        excel_csv: The same as --format excel-csv: a CSV file for a Dutch spreadsheet.
        resume: A small file that keeps how far the export came, after each page. If it is there, the export goes on
            from it, also after a crash, and each row is in the output once. It is removed at the end. To stdout, the
            rows that follow the last whole page are written.
        since_last: Only what is new since the last export with the same filters: the first one brings all, a later one
            reads on from a day before the newest row and adds what it does not know to the file (or makes a new one,
            if another --output is given). Stopped or killed, the same command goes on, and no row is lost or comes
            twice. New rows alone: what changes in older ones does not come again (orders, shipments).
        checkpoint: The file that --since-last keeps what it knows in. By default one for each resource, server, key and
            set of filters, in the user's state directory (~/.local/state/goedgepickt, or below $XDG_STATE_HOME).
        skip_unreadable: Set rows that cannot be read aside, in FILE.unreadable.jsonl, and go on; the exit code is then 1.
            Without it, such a row stops the export.
        background: Go behind all other work on the same rate limit, and leave room for it.
        server: Where from.
    """
    from goedgepickt_async.cli.export.command import ExportPlan  # noqa: PLC0415
    from goedgepickt_async.cli.export.command import export as work  # noqa: PLC0415

    if excel_csv and format not in {None, "csv", "excel-csv"}:
        raise UsageError(f"--excel-csv and --format {format} both say the format; give one of them")
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
    help=f"""Export a whole list: the data to stdout or a file, everything else to stderr.

```text
  goedgepickt export orders -o orders.csv
  goedgepickt export orders -o new.jsonl --since-last
  goedgepickt export products -o products.xlsx --fields sku,name,price,stock.free_stock
```

{_FORMAT_LINES}

In CSV, text that a spreadsheet would run as a formula has an apostrophe before it. Secrets of webhooks are masked. A new
file of orders or shipments is for its owner alone (mode 600).

An output file is written over, once the first page is there. Ctrl-C leaves whole rows and says how to go on.""",
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
    """Compare a file of desired rows with what is there, and show what would be written (dry run).

    ```text
      goedgepickt plan products catalogue.csv
      goedgepickt plan stock stock.xlsx --webshop "My webshop"
      goedgepickt plan orders orders.csv -o plan.json
    ```

    The file is CSV with a head, or JSON Lines. Columns are known by their names in exports of common shops, by plain
    Dutch and English names, or by --column. Exit code: 0, or 1 if there are bad rows or conflicts.

    Args:
        kind: What the rows are.
        file: Of rows.
        json: The plan as JSON.
        output: Save the plan there, for `goedgepickt apply`. That of orders holds personal data.
        rows: How to read and compare them.
        server: Which one.
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
    """Do what a saved plan says, or plan a file of rows and do that: only the writes that are needed, each once.

    ```text
      goedgepickt apply catalogue.csv --kind products --dry-run
      goedgepickt apply catalogue.csv --kind products --max-changes 10%
      goedgepickt apply plan.json --yes
    ```

    The plan is shown first. On a terminal you are asked; elsewhere, what looks like a mistake (such as all prices times
    100) needs --yes. If there are bad rows or conflicts nothing is sent, unless --skip-bad: then the exit code is 1.

    What was sent is written down first. Ctrl-C or a crash leaves it resumable (exit code 4): the same file, under any
    name, goes on, and does nothing twice. Another file for the same webshop is refused until you --continue, --look-up
    or --drop what was interrupted. `goedgepickt runs` lists runs and what they changed.

    Args:
        file: A plan that `goedgepickt plan --output` saved, or rows, or - for rows on stdin; for rows, --kind says of what.
        kind: What the rows are.
        max_changes: Send nothing if there are more writes than this number, or than this share of the rows (10%).
        yes: Ask no question, and go on beside what looks like a mistake.
        dry_run: Send nothing but reads, and show what would be done.
        continue_: First finish what was interrupted for the same webshop.
        look_up: First find out what became of the open writes of what was interrupted, and give it up.
        drop: First give up what was interrupted for the same webshop; what it did stays done.
        journal: A file that remembers what was sent, instead of the record of the run.
        json: Print what became of all rows as JSON.
        rows: How to read and compare rows.
        server: Where to.
    """
    from goedgepickt_async.cli.plan import ApplyOptions, PlanTask, one_of, task_for  # noqa: PLC0415
    from goedgepickt_async.cli.plan import apply as work  # noqa: PLC0415

    found = task_for(kind, file)
    given = [option for option in rows.given() if option != "--skip-bad"]
    if found is None and given:
        raise UsageError(f"{given[0]} is for rows, and {file.name} is a saved plan, which has its own options")
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
    """List the runs of `apply` on this machine, or show what one changed, from what to what.

    ```text
      goedgepickt runs
      goedgepickt runs 20261128-101500-3fa9
      goedgepickt runs 20261128-101500-3fa9 --continue
    ```

    Records of ended runs are kept for six weeks. Changes of orders are not kept: they hold addresses.

    Args:
        id: Of one run, or the beginning of it.
        continue_: Finish it, if it was interrupted.
        look_up: Find out what became of its open writes, and give it up, if it was interrupted.
        drop: Give it up, if it was interrupted; what it did stays done.
        json: As JSON, one run or change a line.
        server: Where it is finished.
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
    """Print one order, product or other thing as JSON.

    ```text
      goedgepickt get orders S-1001
      goedgepickt get products 0012 --fields sku,name,stock.free_stock
      goedgepickt get webshops "My webshop"
    ```

    By its uuid it takes one request. By the shop's own order id or an order's number, the list of orders is read until its
    end: --created-after makes that shorter. By a SKU it takes one request; several products may have it, and all are
    printed, one a line, with exit code 1. Exit code 1 also if there is none.

    Args:
        resource: What it is.
        id: Its uuid, an order's id or number, a product's SKU, or a name.
        fields: Only these fields, with commas between them.
        created_after: Only look among those created from that day on, YYYY-MM-DD (orders, shipments).
        server: Where from.
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

    It costs one request, or two if the key is refused: then the other API is asked with the same key. Exit code: 0 if
    the configured API takes the key, 3 if it refuses it, 1 otherwise.

    Args:
        json: Report as JSON.
        anonymous: Leave out names and uuids of webshops, to paste the report into an issue.
        server: Which one.
    """
    from goedgepickt_async.cli.doctor import doctor as work  # noqa: PLC0415

    return await work(server, as_json=json, anonymous=anonymous)


@app.command
def openapi() -> int:
    """Print the OpenAPI 3.1 document of the API, with how sure each part is; it needs no key.

    Example: `goedgepickt openapi > goedgepickt.json`
    """
    from goedgepickt_async.cli.contract import print_openapi  # noqa: PLC0415

    return print_openapi()


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
    """Check what is not sure about the API with your key: by reads alone, at most 100 requests, within the rate limit.

    It says first what it will ask. The report holds facts alone, no values, names or ids: paste it into an issue.
    Exit code: 0 if all was asked, whatever the answers; 1 otherwise.

    Example: `goedgepickt probe --resume probe.state --output probe.md`

    Args:
        json: Report as JSON.
        output: Write the report there instead of to stdout.
        diff: Report what it would change in the tables.
        resume: A small file that keeps how far it came. If it is there, the probe goes on from it; removed at the end.
        dry_run: Say what it would ask, and ask nothing.
        server: Which one.
    """
    from goedgepickt_async.cli.contract import probe as work  # noqa: PLC0415

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
    """Call what has no command: the answer as JSON on stdout, status and attempts on stderr.

    ```text
      goedgepickt request GET /webshops
      goedgepickt request GET /orders --query perPage=2 --query page=3
      goedgepickt request POST /webhooks --json @body.json
    ```

    Args:
        method: GET, POST, PUT, ...
        path: Below the API's base, such as /webshops.
        query: A parameter, as name=value; can be given several times.
        json: The body: JSON, or @FILE, or - for stdin.
        idempotent: Sending it twice does what sending it once does, so it may be sent again when its outcome is unknown.
            Anything but GET and HEAD is otherwise never blindly sent again.
        server: Where to.
    """
    from goedgepickt_async.cli.request import request as work  # noqa: PLC0415

    return await work(method, path, query or [], json, server, idempotent=idempotent)


@app.command
def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Print the script that lets a shell complete commands, options and their values with Tab.

    ```text
      goedgepickt completion bash > ~/.local/share/bash-completion/completions/goedgepickt
      goedgepickt completion fish > ~/.config/fish/completions/goedgepickt.fish
      goedgepickt completion zsh > ~/.zfunc/_goedgepickt     (a folder of $fpath)
    ```

    New shells know it.

    Args:
        shell: Which one it is for.
    """
    sys.stdout.write(app.generate_completion(shell=shell))
    return 0


async def sandbox(
    *command: Annotated[str, Parameter(show_default=False)],
    options: SandboxOptions = _ANY_SANDBOX,
) -> int:
    """Serve a seeded GoedGepickt until Ctrl-C, and say how to use it.

    Args:
        command: A command to run beside it, after --: its environment has GOEDGEPICKT_API_KEY and GOEDGEPICKT_BASE_URL, and
            the sandbox ends with it, with its exit code.
        options: Of the sandbox.
    """
    from goedgepickt_async.cli.serve import serve  # noqa: PLC0415

    return await serve(options, command)


app.command(
    sandbox,
    default_parameter=Parameter(show_default=True),
    help=f"""Serve a seeded GoedGepickt until Ctrl-C, and say how to use it: two APIs, and a page to look at and to click.

```text
  goedgepickt sandbox                              on port {DEFAULT_PORT}, its history ends today
  goedgepickt sandbox -- python app.py             run a command with its key and URL in the environment
  goedgepickt sandbox --env dotenv > .env          print nothing but what to put into a file
  goedgepickt sandbox --lively 30 --orders 300000  a busy and large account
```

What goes wrong in it is METHOD:PATH:WHAT, several with commas between them.

```text
  GET:/orders:500x3     the first three reads of /orders answer 500
  GET:/orders:429+20    the 21st is refused, as by the rate limit
  *:*:drop%2            every second request of any kind is hung up on
  POST:/orders:drop-applied,GET:/orders:500x2

  METHOD  GET, POST, PUT, or *
  PATH    below the API's base; * stands for anything
  WHAT    a status, or a name below, and then
          x3  three times (once, if nothing is said)
          %2  every second one, for ever
          +5  after the first five, which go unharmed

{_NAMES}
```""",
)
