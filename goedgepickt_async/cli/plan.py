"""`goedgepickt plan`, `apply` and `runs`."""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import attrs

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
from goedgepickt_async.bulk import (
    Plan,
    Run,
    RunRecord,
    UnfinishedRunError,
    drop_run,
    find_run,
    list_runs,
    read_changes,
    unfinished_runs,
)
from goedgepickt_async.bulk.files import FileRows, read_bytes
from goedgepickt_async.cli.common import (
    CommandError,
    Exit,
    UsageError,
    check_writable,
    describe,
    info,
    name_values,
    refuse_same_file,
    report,
    sentences,
    write_utf8,
)
from goedgepickt_async.cli.connect import connect, find_location
from goedgepickt_async.cli.options import ApplyOptions, RowOptions, ServerOptions, given
from goedgepickt_async.cli.progress import showing_writes
from goedgepickt_async.paths import state_dir, write_private
from goedgepickt_async.text import printable

__all__ = ["PlanTask", "apply", "parse_limit", "plan", "runs"]

_SHOWN = 20
_OPTIONS_OF = {
    "products": ("key", "update_pictures", "existing_only", "create_in", "allow_similar"),
    "stock": ("mode", "location", "one_location"),
    "orders": ("since",),
}


@attrs.frozen(kw_only=True)
class PlanTask:
    """A file of products, stock or orders (`-` for stdin), and the options for reading and comparing its rows."""

    kind: str
    file: Path
    options: RowOptions

    def check(self) -> None:
        """Refuse options that cannot be combined."""
        for kind, names in _OPTIONS_OF.items():
            for name in names:
                if getattr(self.options, name) and kind != self.kind:
                    raise UsageError(f"--{name.replace('_', '-')} is for {kind}, not for {self.kind}")
        if self.options.mode == "set" and self.options.location is None:
            raise UsageError("--mode set needs --location, the uuid or name of a pick location")
        if self.options.one_location and self.options.mode != "set":
            raise UsageError("--one-location is for --mode set")
        if self.options.existing_only and self.options.create_in:
            raise UsageError("--existing-only and --create-in cannot be combined; pass one of them")
        if self.options.webshop and self.options.create_in:
            raise UsageError("--create-in has the webshop; leave out --webshop")
        name_values("--column", self.options.column, "FIELD=COLUMN, such as sku=Artikelnr")
        name_values("--set", self.options.set_, "FIELD=VALUE, such as status=open")

    @property
    def name(self) -> str:
        """The name of the file, for messages."""
        return "stdin" if self.file == Path("-") else self.file.name

    def read(self) -> FileRows:
        """Read the rows, with the problems of rows that cannot be read."""
        data = _bytes_of(self.file)
        options = self.options
        delimiter = "\t" if options.delimiter in {"tab", "\\t"} else options.delimiter
        as_json = True if self.file.suffix.lower() in {".jsonl", ".ndjson"} else None
        try:
            rows = read_bytes(
                data,
                self.kind,
                name=self.name,
                columns=name_values("--column", options.column),
                constants=name_values("--set", options.set_),
                profile=options.profile,
                sheet=options.sheet,
                dates=options.dates,
                delimiter=delimiter,
                encoding=options.encoding,
                decimal=options.decimal,
                as_json=as_json,
            )
        except InputFileError as error:
            raise CommandError(printable(error.message)) from None
        if rows.columns:
            info("reads " + ", ".join(f"{field} from {printable(name)!r}" for field, name in rows.columns.items()))
        for note in rows.notes:
            info(printable(note))
        return rows

    async def plan(self, client: GoedGepickt, rows: FileRows) -> Plan:
        """Compare the rows with the present state."""
        made = await _PLANNERS[self.kind](self.options, client, [row.values for row in rows.rows])
        return made.with_source(rows.source)


async def _products(options: RowOptions, client: GoedGepickt, rows: list[Any]) -> Plan:
    return await client.products.plan(
        rows,
        key=options.key or "sku",
        webshop_uuid=options.create_in or options.webshop,
        update_pictures=options.update_pictures,
        existing_only=options.existing_only,
        create_elsewhere=options.create_in is not None,
        allow_similar=options.allow_similar,
    )


async def _stock(options: RowOptions, client: GoedGepickt, rows: list[Any]) -> Plan:
    location = None if options.location is None else await find_location(client, options.location)
    levels: list[Any] = [(row["sku"], row["level"], row.get("uuid")) for row in rows]
    return await client.stock.plan(
        levels,
        mode=options.mode or "free",
        location=location,
        one_location=options.one_location,
        webshop_uuid=options.webshop,
    )


async def _orders(options: RowOptions, client: GoedGepickt, rows: list[Any]) -> Plan:
    return await client.orders.plan(rows, since=options.since, webshop_uuid=options.webshop)


_PLANNERS: dict[str, Callable[..., Awaitable[Plan]]] = {"products": _products, "stock": _stock, "orders": _orders}


def _bytes_of(file: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == Path("-") else file.read_bytes()
    except FileNotFoundError:
        raise CommandError(f"there is no file {file}") from None
    except OSError as error:
        if file.is_dir():
            raise CommandError(f"{file} is a directory; pass a file") from None
        raise CommandError(f"{file} cannot be read: {printable(str(error.strerror or error))}") from None


# -- plan -----------------------------------------------------------------------------------------------------------


async def plan(
    kind: str, file: Path, options: RowOptions, server: ServerOptions, *, as_json: bool, output: Path | None
) -> int:
    """Run `goedgepickt plan`. The exit code is 1 for bad rows or conflicts."""
    task = PlanTask(kind=kind, file=file, options=options)
    task.check()
    server.check()
    refuse_same_file({"FILE": file, "--output": output})
    if output is not None:
        check_writable(output)
    rows = task.read()
    async with connect(server) as client:
        made = await task.plan(client, rows)
    if output is not None:
        write_private(output.resolve(), made.to_json())  # noqa: ASYNC240  nothing else runs
        info(f"the plan is in {output}: goedgepickt apply {output}")
    _print_plan(made, as_json=as_json)
    return _left_out(made)


def _print_plan(plan: Plan, *, as_json: bool) -> None:
    if as_json:
        write_utf8(plan.to_json())
    else:
        sys.stdout.write(plan.render())


def _left_out(plan: Plan) -> Exit:
    """Print the rows that are left out, and return the exit code."""
    if not plan.left_out:
        return Exit.DONE
    parts = [
        f"{number:,} {noun}"
        for number, noun in ((len(plan.bad_rows), "that cannot be read"), (plan.rows_in_conflict, "in conflict"))
        if number
    ]
    report(f"{_count(plan.left_out, plan.rows, _noun(plan))} left out: {', '.join(parts)}")
    return Exit.FAILED


def _noun(plan: Plan) -> str:
    return "order" if plan.kind == "orders" else "row"


def _count(number: int, of: int, noun: str) -> str:
    """Such as `1 of 3 rows is`, or `2 of 3 rows are`."""
    return f"{number:,} of {of:,} {noun}{'' if of == 1 else 's'} {'is' if number == 1 else 'are'}"


# -- apply ----------------------------------------------------------------------------------------------------------

_SHOWN_FAILURES = 20
_HOPELESS = (TransportError, ServerError, PermissionDeniedError)
_HOPELESS_IN_A_ROW = 10
"""The number of consecutive failures after which the command stops, because all other writes would fail too."""
_LIMIT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(%?)")


def parse_limit(text: str, rows: int) -> int:
    """Return the number of writes that `--max-changes` allows.

    Args:
        text: A number, or a share such as `10%`.
        rows: The number of rows.
    """
    match = _LIMIT.fullmatch(text.strip())
    if match is None or (match[2] and float(match[1]) > 100) or (not match[2] and "." in match[1]):
        raise UsageError(f"--max-changes must be a number of writes or a share of the rows such as 10%, not {text!r}")
    return math.floor(rows * float(match[1]) / 100) if match[2] else int(match[1])


async def apply(file: Path, options: ApplyOptions, row_options: RowOptions, server: ServerOptions) -> int:
    """Run `goedgepickt apply`. The exit code is 1 if rows were left out or writes failed."""
    task = _task(file, options.kind, row_options)
    server.check()
    _ = options.unfinished  # refuses several choices
    refuse_same_file({"FILE": file, "--journal": options.journal})
    if options.journal == Path("-"):
        raise UsageError("--journal needs a file, and - is none")
    if options.max_changes is not None:
        parse_limit(options.max_changes, 0)
    if task is not None:
        task.check()
    make = _saved(file) if task is None else _planned(task)
    try:
        async with connect(server, lane="bulk") as client:
            return await _apply(client, make, options, skip_bad=row_options.skip_bad)
    except asyncio.CancelledError:  # after the first write, the result is printed at the end
        report(f"stopped. Nothing from {'stdin' if file == Path('-') else file.name} was sent")
        return Exit.FAILED


_Make: TypeAlias = Callable[[GoedGepickt], Awaitable[Plan]]


def _saved(file: Path) -> _Make:
    saved = _bytes_of(file)

    async def make(client: GoedGepickt) -> Plan:
        return client.bulk.load_plan(saved)

    return make


def _planned(task: PlanTask) -> _Make:
    rows = task.read()
    return lambda client: task.plan(client, rows)


async def _apply(client: GoedGepickt, make: _Make, options: ApplyOptions, *, skip_bad: bool) -> int:
    made = await make(client)
    if options.unfinished is not None and not options.dry_run:
        code = await _settle_unfinished(client, made, options)
        if code is not None:
            return code
        made = await make(client)  # it may have changed the state
    run: Run | Path | None = options.journal
    tally = _Tally(made, run)
    try:
        _refuse(made, options, skip_bad=skip_bad)
        if run is None and not options.dry_run:
            run = await _start(client, made)
            tally = _Tally(run.plan, run)
    except CommandError as error:
        if options.json:
            _print_json(tally.as_dict(made, refused=str(error)))
        raise
    if options.dry_run:
        for record in unfinished_runs(made.target):
            info(f"not finished: {printable(str(record))}. Before another one is applied, it is finished or dropped")
        _print_plan(made, as_json=options.json)
        await _carry_out(made.apply(dry_run=True, max_age=0), _Tally(made, None))
        return _left_out(made)
    code = await _carry_out(run.apply() if isinstance(run, Run) else made.apply(journal=run), tally)
    left_out = _left_out(made) if code in {Exit.DONE, Exit.FAILED} else Exit.DONE
    if options.json:
        _print_json(tally.as_dict(made))
    return code if code is not Exit.DONE else left_out


def _print_json(value: object) -> None:
    write_utf8(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def _refuse(plan: Plan, options: ApplyOptions, *, skip_bad: bool) -> None:
    """Show the plan and check it before anything is sent."""
    if not options.dry_run:
        info(plan.render(limit=_SHOWN).rstrip())
    if plan.left_out and not skip_bad and not options.dry_run:
        raise CommandError(
            f"{_count(plan.left_out, plan.rows, _noun(plan))} bad or in conflict; nothing was sent. --skip-bad leaves "
            "them out"
        )
    if options.max_changes is not None and plan.requests > parse_limit(options.max_changes, plan.rows):
        raise CommandError(
            f"the plan has {plan.requests:,} writes for {plan.rows:,} rows, more than --max-changes "
            f"{options.max_changes} allows; nothing was sent"
        )
    if options.dry_run or options.yes or not plan.requests:
        return
    if sys.stdin.isatty() and sys.stderr.isatty():
        sys.stderr.write(f"Send {plan.requests:,} writes? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in {"y", "yes", "j", "ja"}:
            raise CommandError("nothing was sent")
    elif plan.notices:
        raise CommandError(
            sentences(*map(printable, plan.notices), "Nothing was sent. If the changes are correct, pass --yes")
        )


async def _start(client: GoedGepickt, plan: Plan) -> Run:
    try:
        run = await client.bulk.start_run(plan)
    except UnfinishedRunError as error:
        raise CommandError(
            f"nothing was sent, because another run for the same webshop was interrupted: {printable(str(error.run))}. "
            "To finish that run first, run the command again with --continue. With --look-up it looks up its open "
            f"writes and drops it; with --drop it drops it. `goedgepickt runs {error.run.id}` shows it"
        ) from None
    if run.is_resumed:
        info(f"goes on with {printable(str(run.record))}")
    return run


async def _settle_unfinished(client: GoedGepickt, plan: Plan, options: ApplyOptions) -> Exit | None:
    """Finish or drop an interrupted run of this target; None if no run is left."""
    for record in unfinished_runs(plan.target):
        if options.unfinished == "drop":
            drop_run(record.id)
            info(f"dropped {printable(str(record))}")
            continue
        if options.unfinished == "look-up":
            await _look_up(client, record.id)
            continue
        if record.content == plan.content:
            continue  # it is the same content, so it is continued anyway
        code = await _resume(client, record.id)
        if code is not Exit.DONE:
            return code
    return None


async def _resume(client: GoedGepickt, run_id: str) -> Exit:
    """Continue an interrupted run to its end."""
    run = await client.bulk.resume_run(run_id)
    info(f"goes on with {printable(str(run.record))}")
    return await _carry_out(run.apply(), _Tally(run.plan, run))


async def _look_up(client: GoedGepickt, run_id: str) -> Exit:
    """Look up the open writes of an interrupted run, and drop it."""
    run = await client.bulk.resume_run(run_id)
    ended = await run.look_up()
    info(f"looked up {printable(str(ended))}")
    return Exit.FAILED if ended.counts.get("unknown") else Exit.DONE


class _Tally:
    """The results of the writes of a plan, counted by their kind."""

    def __init__(self, plan: Plan, remembers: Run | Path | None) -> None:
        self.plan = plan
        self.remembers = remembers
        self.counts: Counter[str] = Counter()
        self.failures: list[tuple[str, str]] = []

    @property
    def done(self) -> int:
        return sum(number for name, number in self.counts.items() if name != "failed")

    def summary(self) -> str:
        """Return the last line. For an empty plan it says that nothing was planned."""
        words = {"dry_run": "would be sent", "journal": "sent before", "found": "found to be done"}
        counts = ", ".join(
            f"{number:,} {words.get(name, name)}" for name, number in sorted(self.counts.items()) if number
        )
        total, right = self.plan.requests, len(self.plan.unchanged)
        before = f"{right:,} {_noun(self.plan)}{' was' if right == 1 else 's were'} right already"
        if not total:
            return f"nothing to send: {before}"
        if self.counts == {"journal": total}:
            return (
                f"nothing was sent: this plan was carried out before, with all of its {total:,} writes. What changed "
                "since then was not compared; make a new plan for that"
            )
        done = "" if "dry_run" in self.counts else f" {'is' if self.done == 1 else 'are'} done"
        head = f"{self.done:,} of {total:,} {'write' if total == 1 else 'writes'}" if done else f"{total:,} writes"
        where = f" in {printable(self.plan.scope.webshop_text)}" if done else ""
        shown = f". `goedgepickt runs {self.remembers.record.id}` shows them" if isinstance(self.remembers, Run) else ""
        return f"{head}{done}{where}: {counts}; {before}{shown}"

    def as_dict(self, plan: Plan, *, refused: str | None = None) -> dict[str, Any]:
        """Return the results of all rows; `refused` is the reason if nothing was sent."""
        source = plan.source
        return {
            "run": self.remembers.record.id if isinstance(self.remembers, Run) and self.plan.requests else None,
            "refused": refused,
            "rows": plan.rows,
            "writes": self.plan.requests,
            "counts": dict(self.counts),
            "unchanged": len(plan.unchanged),
            "left_out": plan.left_out,
            "bad_rows": list(plan.bad_rows),
            "conflicts": [
                {
                    "where": [source.where(index) if source else f"row {index + 1}" for index in conflict.indexes],
                    "key": conflict.key,
                    "reason": conflict.reason,
                }
                for conflict in plan.conflicts
            ],
            "failures": [{"key": key, "reason": reason} for key, reason in self.failures],
        }


async def _carry_out(stream: Any, tally: _Tally) -> Exit:
    """Apply with a progress bar, and print the result."""
    hopeless = 0
    try:
        with showing_writes(tally.plan.requests) as show:
            async with stream:
                async for outcome in stream:
                    show(stream.progress)
                    if outcome.ok:
                        tally.counts[str(outcome.unwrap().via)] += 1
                        hopeless = 0
                        continue
                    tally.counts["failed"] += 1
                    reason = describe(outcome.error)[0]
                    tally.failures.append((outcome.item.key, reason))
                    if tally.counts["failed"] <= _SHOWN_FAILURES:
                        key = printable(outcome.item.key)
                        info(reason if reason.startswith(f"{key}: ") else f"{key}: {reason}")
                    hopeless = hopeless + 1 if isinstance(outcome.error, _HOPELESS) else 0
                    if hopeless == _HOPELESS_IN_A_ROW:
                        break
    except asyncio.CancelledError:
        return _stopped("stopped", tally)
    except BulkStoppedError as error:
        return _stopped(printable(str(error)), tally)
    except GoedGepicktError as error:
        line, code = describe(error)
        if code is not Exit.FAILED or (isinstance(error, JournalError) and not tally.counts):
            raise  # there is nothing to resume
        return _stopped(line, tally)
    if hopeless == _HOPELESS_IN_A_ROW:
        return _stopped(f"stopped: {hopeless} writes in a row failed", tally)
    return _ended(tally)


def _ended(tally: _Tally) -> Exit:
    if not tally.counts["failed"]:
        info(tally.summary())
        return Exit.DONE
    report(sentences(tally.summary(), "Run the command again to repeat the failed writes"))
    return Exit.FAILED


def _stopped(reason: str, tally: _Tally) -> Exit:
    if tally.remembers is None:
        report(sentences(reason, "Nothing was sent"))
        return Exit.FAILED
    where, done, unknown = f"{tally.remembers}", tally.done, 0
    if isinstance(tally.remembers, Run):
        record = find_run(tally.remembers.record.id)  # it includes the writes in progress at the stop
        where, done, unknown = f"run {record.id}", record.done, record.counts.get("unknown", 0)
    parts = f"{done:,} of {tally.plan.requests:,} writes are done"
    if unknown:
        parts += f", {unknown:,} {'was' if unknown == 1 else 'were'} in progress and will be looked up"
    report(sentences(reason, f"{parts}; {where} has recorded them. Run the command again for the others"))
    return Exit.RESUMABLE


def _task(file: Path, kind: str | None, options: RowOptions) -> PlanTask | None:
    """Return the task for a file of rows; None for a saved plan."""
    if kind is not None:
        return PlanTask(kind=kind, file=file, options=options)
    if file == Path("-"):
        raise UsageError("pass the kind of the rows on stdin: --kind products, stock or orders")
    head = _bytes_of(file)[:4096] if file.suffix.lower() != ".json" else b""
    if file.suffix.lower() != ".json" and b'"goedgepickt-async plan"' not in head:
        raise UsageError(
            f"{file.name} is not a saved plan; pass the kind of its rows: --kind products, stock or orders"
        )
    if of_rows := [option for option in given(options) if option != "--skip-bad"]:
        raise UsageError(f"{of_rows[0]} is for rows, but {file.name} is a saved plan: leave it out")
    return None


# -- runs -----------------------------------------------------------------------------------------------------------


async def runs(run_id: str | None, server: ServerOptions, *, unfinished: str | None, as_json: bool) -> int:
    """List the runs, or show, finish, look up or drop one run."""
    server.check()
    if run_id is None:
        if unfinished is not None:
            raise UsageError(f"pass the id of a run: goedgepickt runs ID --{unfinished}")
        damaged: list[JournalError] = []
        records = list_runs(on_damaged=damaged.append)
        for record in records:
            sys.stdout.write(f"{json.dumps(_row(record)) if as_json else printable(str(record))}\n")
        for error in damaged:
            report(printable(str(error)))
        if not records and not damaged:
            info(f"no runs of apply are recorded in {state_dir() / 'runs'}")
        return Exit.FAILED if damaged else Exit.DONE
    if unfinished == "drop":
        info(f"dropped {printable(str(drop_run(run_id)))}")
        return Exit.DONE
    if unfinished is not None:
        async with connect(server, lane="bulk") as client:
            return await (_resume if unfinished == "continue" else _look_up)(client, run_id)
    record = find_run(run_id)
    if not as_json:
        sys.stdout.write(f"{printable(str(record))}\n")
    for change in read_changes(record):
        sys.stdout.write(f"{json.dumps(change) if as_json else _change(change)}\n")
    return Exit.DONE


def _row(record: RunRecord) -> dict[str, Any]:
    values = attrs.asdict(
        record, value_serializer=lambda _, __, value: str(value) if hasattr(value, "isoformat") else value
    )
    return {name: value for name, value in values.items() if name != "content"} | {"done": record.done}


def _change(change: dict[str, Any]) -> str:
    parts = [
        f"{each.get('field')}: {json.dumps(each.get('before'), ensure_ascii=False)} → "
        f"{json.dumps(each.get('after'), ensure_ascii=False)}"
        for each in change["changes"]
    ]
    return printable(f"{change['state']:<7} {change['action']:<7} {change['key']}  {', '.join(parts)}").rstrip()
