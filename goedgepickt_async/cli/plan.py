"""`goedgepickt plan` and `goedgepickt apply`."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import date
from pathlib import Path
from typing import Any

import attrs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from goedgepickt_async import (
    BulkStoppedError,
    GoedGepickt,
    GoedGepicktError,
    InputFileError,
    JournalError,
    PermissionDeniedError,
    ServerError,
    TransportError,
)
from goedgepickt_async.bulk import Plan
from goedgepickt_async.bulk.files import FileRows, read_bytes
from goedgepickt_async.cli.connect import ServerOptions, connect
from goedgepickt_async.cli.errors import CommandError, Exit, UsageError, describe, info, report, sanitize
from goedgepickt_async.cli.export.progress import clock
from goedgepickt_async.paths import lock_file, write_private

__all__ = ["PlanTask", "apply", "plan", "shown", "task_for"]

_SHOWN_PROBLEMS = 20


@attrs.frozen(kw_only=True)
class PlanTask:
    """One file and what its rows mean.

    Attributes:
        kind: `products`, `stock` or `orders`.
        file: Of rows.
        columns: `field=column`, as given.
        delimiter: Between cells, as given; so are `encoding` and `decimal`.
        skip_bad: Whether the good rows are wanted without the bad ones.
        mode: Of a stock plan; so are `location` and `one_location`.
        key: Of a product plan; so is `update_pictures`.
        since: Of an order plan.
        webshop: Its uuid; None: the client's own, or the only one.
    """

    kind: str
    file: Path
    columns: list[str] = attrs.field(factory=list)
    delimiter: str | None = None
    encoding: str | None = None
    decimal: str | None = None
    skip_bad: bool = False
    mode: str = "free"
    location: str | None = None
    one_location: bool = False
    key: str = "sku"
    update_pictures: bool = False
    since: date | None = None
    webshop: str | None = None

    def check(self) -> None:
        """Refuse what makes no sense together.

        Raises:
            UsageError: It says which option.
        """
        if self.kind == "stock" and self.mode == "set" and self.location is None:
            raise UsageError("--mode set needs --location UUID: the place whose quantity is set")
        for pair in self.columns:
            if "=" not in pair:
                raise UsageError(f"--column {pair}: it is FIELD=COLUMN, such as sku=Artikelnr")

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        try:
            return self.file.read_bytes()
        except OSError as error:
            raise CommandError(f"{self.file}: {error.strerror or 'cannot be read'}") from None

    @property
    def digest(self) -> str:
        """Tells whether the rows and what they mean are still the same."""
        said = repr(attrs.astuple(attrs.evolve(self, file=Path(self.file.name), skip_bad=False)))
        return hashlib.sha256(said.encode() + self.data).hexdigest()[:8]

    def read(self) -> FileRows:
        """The rows; bad ones are told, and refused unless they are to be skipped.

        Raises:
            CommandError: There are bad rows, or the file cannot be read.
        """
        columns = dict(pair.split("=", 1) for pair in self.columns)
        delimiter = "\t" if self.delimiter in {"tab", "\\t"} else self.delimiter
        options = {"delimiter": delimiter, "encoding": self.encoding, "decimal": self.decimal}
        as_json = True if self.file.suffix.lower() in {".jsonl", ".ndjson"} else None
        try:
            rows = read_bytes(self.data, self.kind, name=self.file.name, columns=columns, as_json=as_json, **options)
        except InputFileError as error:
            raise CommandError(sanitize(error.message)) from None
        for problem in rows.problems[:_SHOWN_PROBLEMS]:
            info(sanitize(problem))
        bad = len(rows.problems)
        if bad > _SHOWN_PROBLEMS:
            info(f"and {bad - _SHOWN_PROBLEMS:,} more")
        if bad and not self.skip_bad:
            raise CommandError(f"{bad:,} bad cells or rows; nothing was sent. --skip-bad goes on with the others")
        if rows.columns:
            info("reads " + ", ".join(f"{field} from {sanitize(name)!r}" for field, name in rows.columns.items()))
        return rows

    async def plan(self, client: GoedGepickt, rows: FileRows, *, sandbox: bool) -> Plan:
        """Compare the rows with what is there; `sandbox`: in one that is inside this process."""
        values = [row.values for row in rows.rows]
        webshop = self.webshop or client.settings.webshop_uuid or await _only_webshop(client, sandbox=sandbox)
        made: Plan = await _PLANNERS[self.kind](self, client, values, webshop)
        return made


def shown(plan: Any, rows: FileRows) -> str:
    """A plan for people, its rows named by file and line."""
    return str(plan.render(where=rows.where))


async def _only_webshop(client: GoedGepickt, *, sandbox: bool) -> str:
    """The account's only webshop; of a sandbox in this process, where nothing is at stake, the first.

    Raises:
        UsageError: There are several, or none.
    """
    shops = await client.webshops.list().collect(limit=_SHOWN_PROBLEMS)
    if len(shops) == 1 or (shops and sandbox):
        return shops[0].uuid
    there = ", ".join(sanitize(f"{shop.uuid} ({shop.name})") for shop in shops)
    number = f"several webshops: {there}" if shops else "no webshop that is shown"
    raise UsageError(f"the account has {number}; say which with --webshop UUID, or GOEDGEPICKT_WEBSHOP_UUID")


async def _products(task: PlanTask, client: Any, rows: list[Any], webshop: str) -> Plan:
    plan: Plan = await client.products.plan(
        rows, key=task.key, webshop_uuid=webshop, update_pictures=task.update_pictures
    )
    return plan


async def _stock(task: PlanTask, client: Any, rows: list[Any], webshop: str) -> Plan:
    plan: Plan = await client.stock.plan(
        [(row["sku"], row["level"]) for row in rows],
        mode=task.mode,
        location=task.location,
        one_location=task.one_location,
        webshop_uuid=webshop,
    )
    return plan


async def _orders(task: PlanTask, client: Any, rows: list[Any], webshop: str) -> Plan:
    plan: Plan = await client.orders.plan(rows, since=task.since, webshop_uuid=webshop)
    return plan


_PLANNERS: dict[str, Callable[..., Any]] = {"products": _products, "stock": _stock, "orders": _orders}


_SHOWN_FAILURES = 20
_HOPELESS = (TransportError, ServerError, PermissionDeniedError)
_HOPELESS_IN_A_ROW = 10
"""So many writes behind each other that failed like that: the others would fail too, each after all its attempts."""


async def apply(
    file: Path,
    task: PlanTask | None,
    server: ServerOptions,
    *,
    journal: Path | None,
    dry_run: bool,
    skip_bad: bool = False,
) -> int:
    """Run it.

    Args:
        file: A saved plan, or rows.
        task: How rows are to be read; None: it is a plan.
        server: Where to.
        journal: What remembers what was sent; None: a file beside the other.
        dry_run: Send nothing but reads.
        skip_bad: Go on without what is in conflict.

    Returns:
        The exit code.

    Raises:
        CommandError: It cannot begin; or there are bad rows or conflicts, and nothing was sent.
    """
    server.check()
    with nullcontext() if dry_run else _alone(file):
        saved = file if task is None else file.with_name(f"{file.name}.{task.digest}.plan.json")
        kept = journal or file.with_name(f"{saved.name.removesuffix('.plan.json')}.journal")
        async with connect(server, lane="bulk") as connection:
            plan = await _plan(connection.client, task, saved, skip_bad=skip_bad, sandbox=server.sandbox)
            if dry_run:
                sys.stdout.write(f"{plan}\n")
            elif task is not None:
                write_private(saved, plan.to_json() + "\n")  # what is begun is gone on with, not planned anew
            code = await _run(plan, None if dry_run else kept, dry_run=dry_run)
        if task is not None and not dry_run and code is not Exit.RESUMABLE:
            _tidy(saved, kept if code is Exit.DONE and journal is None else None)
    return code


def _tidy(saved: Path, journal: Path | None) -> None:
    """A plan that came to its end is old: what failed, such as a stock that moved, is planned anew the next time.

    The journal stays until all is done: of what is unknown, it tells the next plan.
    """
    saved.unlink(missing_ok=True)
    if journal is not None:
        for end in ("", "-journal"):
            journal.with_name(journal.name + end).unlink(missing_ok=True)


@contextlib.contextmanager
def _alone(file: Path) -> Iterator[None]:
    """One process at a time, from before it reads what is there: two that plan the same mutation would make both."""
    try:
        stream = file.open("rb")
    except OSError as error:
        raise _unreadable(file, error) from None
    with stream:
        if not lock_file(stream.fileno()):
            raise CommandError(f"another process is applying {file}; wait for its end")
        yield


async def _plan(client: GoedGepickt, task: PlanTask | None, saved: Path, *, skip_bad: bool, sandbox: bool) -> Plan:
    bulk: Any = client.bulk
    text = _saved(saved, must=task is None)
    if text is not None:
        plan: Plan = bulk.load_plan(text)
        info(f"goes on with the plan in {saved}" if task is not None else f"the plan in {saved}")
        shown = plan.render(limit=_SHOWN_FAILURES)
    else:
        assert task is not None
        task.check()
        rows = task.read()
        plan = await task.plan(client, rows, sandbox=sandbox)
        shown = plan.render(limit=_SHOWN_FAILURES, where=rows.where)
    if plan.conflicts and not skip_bad:
        info(shown)
        raise CommandError(
            f"{len(plan.conflicts):,} conflicts; nothing was sent. --skip-bad goes on without those rows"
        )
    return plan


def _saved(path: Path, *, must: bool) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        if not must:
            return None
        raise CommandError(f"there is no file {path}") from None
    except OSError as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> CommandError:
    return CommandError(f"{path}: {error.strerror or 'cannot be read'}")


async def _run(plan: Plan, journal: Path | None, *, dry_run: bool) -> Exit:
    told: Counter[str] = Counter()
    hopeless = 0
    stream: Any = plan.apply(journal=journal, dry_run=dry_run)
    try:
        with _bar(plan.requests) as bar:
            async with stream:
                async for outcome in stream:
                    bar(stream.progress)
                    if outcome.ok:
                        told[str(outcome.unwrap().via)] += 1
                        hopeless = 0
                        continue
                    told["failed"] += 1
                    if told["failed"] <= _SHOWN_FAILURES:
                        info(f"{sanitize(outcome.item.key)}: {describe(outcome.error)[0]}")
                    hopeless = hopeless + 1 if isinstance(outcome.error, _HOPELESS) else 0
                    if hopeless == _HOPELESS_IN_A_ROW:
                        return _stopped(f"stopped: {hopeless} writes in a row failed like that", told, journal)
    except asyncio.CancelledError:
        return _stopped("stopped", told, journal)
    except BulkStoppedError as error:
        return _stopped(sanitize(str(error)), told, journal)
    except GoedGepicktError as error:
        line, code = describe(error)
        if code is not Exit.FAILED or (isinstance(error, JournalError) and not told):
            raise  # there is nothing to go on with
        return _stopped(line, told, journal)
    info(_summary(told, plan))
    return Exit.FAILED if told["failed"] else Exit.DONE


def _stopped(reason: str, told: Counter[str], journal: Path | None) -> Exit:
    done = sum(told.values()) - told["failed"]
    if journal is None:
        report(f"{reason}. Nothing was sent")
        return Exit.FAILED
    report(f"{reason}. {done:,} writes are done, and {journal} remembers them: the same command does what is left")
    return Exit.RESUMABLE


def _summary(told: Counter[str], plan: Plan) -> str:
    done = ", ".join(f"{number:,} {name}" for name, number in sorted(told.items()) if number)
    return f"{plan.requests:,} writes: {done or 'nothing to do'}; {len(plan.unchanged):,} rows were right already"


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Any]:
    """A progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (TextColumn("writes"), BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("{task.fields[left]}"))
    with Progress(*columns, console=Console(stderr=True), transient=True, expand=True) as progress:
        task = progress.add_task("writes", total=total, left="")

        def show(seen: Any) -> None:
            left = "ETA -:--" if seen.eta is None else f"ETA {clock(seen.eta)}"
            progress.update(task, completed=seen.done, left=left)

        yield show


def task_for(kind: str | None, file: Path) -> str | None:
    """The kind that a file of rows needs; None for a saved plan.

    Raises:
        UsageError: It is a file of rows, and nobody says of what.
    """
    if kind is not None:
        return kind
    try:
        with file.open("rb") as stream:
            head = stream.read(4096)
    except OSError as error:
        raise _unreadable(file, error) from None
    if file.suffix.lower() == ".json" or b'"goedgepickt-async plan"' in head:
        return None
    raise UsageError(f"{file.name} is no saved plan; say what its rows are with --kind products, stock or orders")


async def plan(task: PlanTask, server: ServerOptions, *, as_json: bool, output: Path | None) -> int:
    """Run it.

    Returns:
        The exit code: 1 if there are conflicts.

    Raises:
        CommandError: It cannot begin, or there are bad rows.
    """
    task.check()
    server.check()
    rows = task.read()
    async with connect(server) as connection:
        made = await task.plan(connection.client, rows, sandbox=server.sandbox)
    if output is not None:
        write_private(output, made.to_json() + "\n")
        info(f"the plan is in {output}: goedgepickt apply {output}")
    sys.stdout.write(made.to_json() + "\n" if as_json else shown(made, rows) + "\n")
    if made.conflicts:
        report(f"{len(made.conflicts):,} conflicts: for those rows nothing can safely be done")
        return Exit.FAILED
    return Exit.DONE
