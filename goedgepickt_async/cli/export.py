"""`goedgepickt export`: checks the options and runs the export."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs

from goedgepickt_async import DecodeError, GoedGepickt, GoedGepicktError, OrderStatus, Page, UnreadableRow
from goedgepickt_async.cli.checkpoint import (
    Checkpoint,
    Mark,
    SinceLast,
    State,
    Watermark,
    fingerprint,
    load_checkpoint,
    refuse_difference,
    save_checkpoint,
)
from goedgepickt_async.cli.common import (
    CommandError,
    Exit,
    UsageError,
    describe,
    info,
    refuse_same_file,
    report,
    sentences,
)
from goedgepickt_async.cli.connect import connect, find_webshop, source_of
from goedgepickt_async.cli.formats import FORMATS, Encoder, ExportFormat, OutputKind, format_for, print_table
from goedgepickt_async.cli.options import ExportOptions, ServerOptions
from goedgepickt_async.cli.output import AtomicFile, FileOutput, Output, open_output, temporary
from goedgepickt_async.cli.progress import ExportProgress, RequestCounter, count
from goedgepickt_async.cli.resources import DUTCH, RESOURCES, ResourceSpec, Selection, parse_fields
from goedgepickt_async.paths import make_private_file

__all__ = ["ExportJob", "ExportPlan", "add_unreadable", "command_again", "export"]


@attrs.frozen
class ExportPlan:
    """A resource, the options of its export, and the source of its data when that is known."""

    spec: ResourceSpec
    options: ExportOptions
    source: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns; empty for all."""
        return parse_fields(self.options.fields)

    @property
    def selection(self) -> Selection:
        """The part of the resource that is written."""
        return Selection(spec=self.spec, lines=self.options.lines, fields=self.fields)

    @property
    def format_name(self) -> str:
        """The name of the format: the given one, or by the file's ending, or JSON Lines."""
        name = "excel-csv" if self.options.excel_csv else self.options.format
        return format_for(name, self.options.output)

    @property
    def format(self) -> ExportFormat:
        """The format."""
        return FORMATS[self.format_name]

    @property
    def filters(self) -> dict[str, Any]:
        """The given filters, with the names of `list`."""
        options = self.options
        # A member of the enumeration does not warn; the command prints its own warning.
        status = None if options.status is None else OrderStatus(options.status)
        given = {"created_after": options.created_after, "status": status, "webshop_uuid": options.webshop}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def selecting_options(self) -> dict[str, str]:
        """All options that select rows, for the resume file."""
        chosen = {_option(name): str(value) for name, value in self.filters.items()}
        chosen |= {} if self.options.limit is None else {"--limit": str(self.options.limit)}
        chosen |= {"--fields": ",".join(self.fields)} if self.fields else {}
        return chosen | ({"--lines": "given"} if self.options.lines else {})

    def set_aside(self, output: Path) -> Path:
        """The private file next to the output, for rows that cannot be read."""
        return output.with_name(output.name + ".unreadable.jsonl")

    def check(self) -> None:
        """Refuse options that cannot be combined."""
        if self.options.excel_csv and self.options.format not in {None, "csv", "excel-csv"}:
            raise UsageError(f"--excel-csv and --format {self.options.format} cannot be combined: pass one of them")
        for name in self.filters.keys() - self.spec.filters:
            known = ", ".join(each for each, spec in RESOURCES.items() if name in spec.filters)
            raise UsageError(f"{_option(name)} is not available for {self.spec.name}; it is available for {known}")
        self._check_columns()
        self._check_output()
        self._check_files()
        extra = self.format.extra
        if extra is not None and find_spec(extra[0]) is None:
            raise UsageError(f"{self.format_name} needs an extra: pip install 'goedgepickt-async[{extra[1]}]'")
        self._check_since_last()

    def _check_columns(self) -> None:
        if self.options.lines and self.spec.details.lines is None:
            known = ", ".join(each for each, spec in RESOURCES.items() if spec.details.lines)
            raise UsageError(f"--lines is not available for {self.spec.name}; only {known} have lines")
        if self.options.lines and not self.format.has_lines:
            names = ", ".join(name for name, each in FORMATS.items() if each.has_lines)
            raise UsageError(
                f"--lines writes a row for each line: add --format csv ({names} can; JSON Lines has the lines inside "
                "each order)"
            )
        if self.fields and not self.format.has_fields:
            raise UsageError(f"--fields: a {self.format_name} file has a fixed schema; pass another --format")
        self.selection.check()

    def _check_output(self) -> None:
        to_stdout, resumes = self.options.output == "-", self.options.resume is not None
        if self.options.skip_unreadable and (to_stdout or self.format.output is OutputKind.TERMINAL):
            raise UsageError(
                "--skip-unreadable needs --output FILE: rows that cannot be read are written to a file next to it"
            )
        match self.format.output:
            case OutputKind.TERMINAL if resumes or not to_stdout:
                raise UsageError(
                    "a table is for the terminal: leave out --output and --resume, or pass --format csv or jsonl"
                )
            case OutputKind.WHOLE if to_stdout:
                raise UsageError(
                    f"a {self.format_name} file has its index at the end, so it cannot be a stream: add --output "
                    f"FILE{self.format.suffixes[0]}"
                )
            case OutputKind.WHOLE if resumes:
                raise UsageError(
                    f"a {self.format_name} file is written only when it is complete, so --resume cannot continue it"
                )

    def _check_files(self) -> None:
        """Refuse a file of the user that has the name of a file that the export makes by itself."""
        options = self.options
        made: dict[str, Path | str | None] = {}
        if options.output != "-":
            output = Path(options.output).absolute()
            if options.skip_unreadable:
                made["the file of --skip-unreadable"] = self.set_aside(output)
            if self.format.output is OutputKind.WHOLE:
                made["the temporary file of --output"] = temporary(output.resolve())
            if options.checkpoint is not None:
                made["the resume file of --output"] = output.with_name(output.name + ".resume")
        refuse_same_file(
            {**made, "--output": options.output, "--resume": options.resume, "--checkpoint": options.checkpoint}
        )

    def _check_since_last(self) -> None:
        options = self.options
        if options.checkpoint is not None and not options.since_last:
            raise UsageError("--checkpoint needs --since-last")
        if not options.since_last:
            return
        if "created_after" not in self.spec.filters:
            known = ", ".join(name for name, spec in RESOURCES.items() if "created_after" in spec.filters)
            raise UsageError(
                f"--since-last is not available for {self.spec.name}: the API has no creation date for them; it is "
                f"available for {known}. Export the whole list, with one request per 100 rows"
            )
        if options.output == "-" or self.format.output is OutputKind.TERMINAL:
            raise UsageError(
                "--since-last needs --output FILE: rows in a pipe can be lost, and they would not be exported again"
            )
        if options.resume is not None:
            raise UsageError("--since-last records its progress in a checkpoint: leave out --resume")
        if options.limit is not None:
            raise UsageError("--since-last exports all new rows: leave out --limit")

    def warn(self) -> None:
        """Warn about a filter that finds nothing: a day in the future, or an unknown status, which may be misspelt."""
        day, status, known = self.options.created_after, self.options.status, self.spec.statuses
        if day is not None and day > datetime.now(DUTCH).date():
            info(f"--created-after {day}: that day is in the future")
        if status is not None and known and status not in known:
            close = get_close_matches(status.lower(), known, n=1)
            guess = f"; did you mean {close[0]}?" if close else "."
            info(
                f"--status {status}: unknown status of {self.spec.name}{guess} Known: {', '.join(filter(None, known))}"
            )


def _option(name: str) -> str:
    return "--" + name.removesuffix("_uuid").replace("_", "-")


class ExportJob:
    """A run of an export to a file or stream; close it at the end.

    Attributes:
        state: The progress.
        state_path: The resume file; None without one, or with a checkpoint.
        since: The checkpoint of `--since-last`, or None.
        remark: A note that is printed at the end.
    """

    def __init__(self, plan: ExportPlan, output: Output, client: GoedGepickt, counter: RequestCounter) -> None:
        self._plan, self._output, self._client = plan, output, client
        skips = plan.options.skip_unreadable and output.path is not None
        self._set_aside = plan.set_aside(output.path) if skips and output.path else None
        self._account = fingerprint(client.settings.api_key)
        self._open = False
        self.remark: str | None = None
        self.since: SinceLast | None = None
        self.state_path: Path | None = None
        self.state: State = State(
            resource=plan.spec.name,
            source=plan.source,
            filters=plan.selecting_options,
            format=plan.format_name,
            output="-" if output.path is None else str(output.path),
        )
        if plan.options.since_last:
            self.since = SinceLast(self.state, self._account, plan.options.checkpoint, grows=output.grows)
            self.state, self.remark = self.since.state, self.since.remark
        else:
            self.state_path = plan.options.resume or _beside(output)
            self._go_on_from(plan.options.resume)
        make = plan.format.encoder
        assert make is not None
        self._encoder: Encoder = make(plan.selection)
        self.progress: ExportProgress = ExportProgress(
            plan.spec.title,
            client.budget,
            counter,
            rows=self.state.rows,
            read=self.state.read,
            limit=plan.options.limit,
            visible=not output.is_terminal,
        )

    def _go_on_from(self, resume: Path | None) -> None:
        before = None if resume is None else load_checkpoint(resume)
        if before is None:
            return
        if before.running is None:
            raise UsageError(f"{resume} is a checkpoint of --since-last, not a resume file")
        refuse_difference(before.running.state, self.state)
        if before.account != self._account:
            raise UsageError(f"{resume} belongs to an export with another API key; start again without it")
        self.state = before.running.state

    @property
    def begun(self) -> bool:
        """Whether complete pages were written, in this or an earlier run."""
        return self.state.token is not None

    @property
    def keeps_rows(self) -> bool:
        """Whether the written rows are kept if the export stops."""
        return self._output.grows

    @property
    def nothing_written(self) -> str:
        """Return a message that no rows were written."""
        if not self._open or not isinstance(self._output, FileOutput) or not self._output.grows:
            return "Nothing was written"
        holds = "only its header" if self._output.offset else "nothing"
        gone = "; its old content was overwritten" if self._output.replaced else ""
        return f"No rows were written: {self._output.path.name} holds {holds}{gone}"

    async def run(self) -> None:
        """Export the remaining rows. Afterwards the output is complete and the resume file is removed."""
        if self.begun or self.state.tail is not None:
            self._open_output()
        with self.progress.showing():
            async with aclosing(self._list().pages(resume=self.state.token)) as pages:
                async for page in pages:
                    self._write(page)
        self._open_output()  # an empty list also makes a file
        for piece in self._encoder.foot():
            self._output.append(piece)
        self._finish()
        self.remark = ". ".join(filter(None, (self.remark, self._encoder.remark))) or None

    def close(self) -> None:
        """Release the checkpoint."""
        self._encoder.close()
        if self.since is not None:
            self.since.close()

    def save(self) -> None:
        """Save the progress for `--resume`.

        Raises:
            OSError: The file cannot be written.
        """
        if self.state_path is not None:
            running = Mark(self.state, Watermark())
            save_checkpoint(Checkpoint(account=self._account, running=running), self.state_path)

    def _list(self) -> Any:
        filters, limit = self._plan.filters, self._plan.options.limit
        if self.since is not None and self.since.since is not None:
            filters["created_after"] = max(self.since.since, filters.get("created_after", self.since.since))
        if self._set_aside is not None:
            filters["on_unreadable"] = "skip"
        paginator = self._plan.spec.paginator(self._client, **filters)
        return paginator if limit is None else paginator.limit(max(0, limit - self.state.rows))

    def _open_output(self) -> None:
        """Open the output at the start or at the progress. Only now is an old file overwritten."""
        if self._open:
            return
        self._open = True
        if self.state.tail is not None or self.state.offset:
            self._output.begin(self.state.offset, self.state.tail)
            return
        self._output.begin(None, None)
        if self._set_aside is not None and self.since is None:
            self._set_aside.unlink(missing_ok=True)
        self._drop_old_state()  # only now, because it may belong to a running export, which `begin` refuses
        self._output.append(self._encoder.head)

    def _drop_old_state(self) -> None:
        """Remove the resume file of a stopped export whose output is overwritten."""
        path = _beside(self._output)
        try:
            old = None if path is None else load_checkpoint(path)
        except UsageError:
            return  # it is another file
        if path is not None and old is not None and old.running and old.running.state.output == str(self._output.path):
            path.unlink()
            self.remark = f"started again: the resume file {path.name} of a stopped export was removed"

    def _write(self, page: Page[Any]) -> None:
        self._open_output()
        read, page = page, page if self.since is None else self.since.new_of(page)
        if self._set_aside is not None:
            add_unreadable(self._set_aside, page.unreadable)
        self._output.append(self._encoder.encode(page.items))
        self.state = attrs.evolve(
            self.state,
            offset=self._output.offset,
            tail=self._output.tail(),
            token=page.resume,
            rows=self.state.rows + len(page.items),
            read=self.state.read + len(page.items) + page.filtered + len(page.unreadable),
            unreadable=self.state.unreadable + len(page.unreadable),
        )
        if self.since is not None:
            self.since.saw(read)
            if self._output.grows:
                self._output.fsync()  # a power failure must not remove rows that are in the checkpoint
                self.since.keep(self.state)
        elif self._plan.options.resume is not None:
            self.save()
        self.progress.saw(page)

    def _finish(self) -> None:
        if self.since is None:
            self._output.finish()
            if self._plan.options.resume is not None:
                self._plan.options.resume.unlink(missing_ok=True)
            return
        self._output.fsync()
        ended = attrs.evolve(self.state, offset=self._output.offset, tail=self._output.tail())
        if isinstance(self._output, AtomicFile):
            self.since.intend(ended, self._output.temp_path)
        self._output.finish()
        self.since.finish(ended)


def add_unreadable(path: Path, rows: Sequence[UnreadableRow]) -> None:
    """Add rows as JSON Lines, each row once: a resumed run may read some rows again."""
    if not rows:
        return
    make_private_file(path)
    there = set(path.read_bytes().splitlines())
    lines = [_as_line(row) for row in rows]
    with path.open("ab") as file:
        file.writelines(line + b"\n" for line in lines if line not in there)
        file.flush()
        os.fsync(file.fileno())


def _as_line(row: UnreadableRow) -> bytes:
    try:
        return json.dumps(attrs.asdict(row, recurse=False), ensure_ascii=True, default=str).encode()
    except RecursionError:  # nested too deep, as `problems` says
        return _as_line(attrs.evolve(row, row=None))


def _beside(output: Output) -> Path | None:
    if output.path is None or not isinstance(output, FileOutput) or not output.grows:
        return None
    return output.path.with_name(output.path.name + ".resume")


def _stop_part_way(job: ExportJob, reason: str, code: Exit, *, keeps_state: bool) -> Exit:
    """Save the progress, print how to continue, and return the exit code.

    Args:
        job: The export, whose written rows are complete.
        reason: The reason of the stop.
        code: The exit code, if it cannot be resumed.
        keeps_state: Whether a resume file was requested.
    """
    if code is Exit.USAGE:
        report(reason)
        return code
    if not job.begun or not job.keeps_rows:
        report(sentences(reason, job.nothing_written if code is not Exit.KEY_REFUSED else ""))
        return Exit.RESUMABLE if keeps_state and job.keeps_rows and code is not Exit.KEY_REFUSED else code
    done = f"{count(job.state.rows, job.progress.noun)} are written completely"
    if job.since is not None:
        report(sentences(reason, f"{done}. Run the same command again to continue"))
        return code if code is Exit.KEY_REFUSED else Exit.RESUMABLE
    if job.state_path is None:
        report(sentences(reason, f"{done}, but a stream can only be continued with --resume FILE"))
        return code
    try:
        job.save()
    except OSError as error:
        report(sentences(reason, f"{done}, but {job.state_path} cannot be written: {error.strerror}"))
        return code
    report(sentences(reason, f"{done}. To continue:\n{command_again(sys.argv, job.state_path)}"))
    return code if code is Exit.KEY_REFUSED else Exit.RESUMABLE


def command_again(argv: list[str], state: Path) -> str:
    """Return the command that continues from a resume file."""
    program, *arguments = argv
    name = Path(program).name
    words = [sys.executable, "-m", "goedgepickt_async"] if name == "__main__.py" else [name]
    words += arguments
    if not any(word == "--resume" or word.startswith("--resume=") for word in arguments):
        words += ["--resume", _short(state)]
    return shlex.join(words)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


async def export(resource: str, options: ExportOptions, server: ServerOptions) -> int:
    """Run `goedgepickt export`."""
    plan = ExportPlan(RESOURCES[resource], options)
    plan.check()
    server.check()
    plan.warn()
    if options.resume is not None and not options.resume.absolute().parent.is_dir():
        raise CommandError(f"there is no directory {options.resume.absolute().parent} for the resume file")
    counter = RequestCounter()
    async with connect(server, counter.hooks, lane="bulk" if options.background else "normal") as client:
        if options.webshop is not None:
            options = dataclasses.replace(options, webshop=await find_webshop(client, options.webshop))
        plan = ExportPlan(plan.spec, options, source_of(server, client))
        if plan.format.output is OutputKind.TERMINAL:
            return await _as_table(plan, client, counter)
        return await _as_file(plan, client, counter)


async def _as_file(plan: ExportPlan, client: GoedGepickt, counter: RequestCounter) -> int:
    whole = plan.format.output is OutputKind.WHOLE
    output = open_output(plan.options.output, whole=whole, is_personal=plan.spec.details.is_personal)
    if plan.options.since_last and not isinstance(output, FileOutput):
        raise UsageError("--since-last needs --output FILE, a regular file: rows in a device or a pipe can be lost")
    job = ExportJob(plan, output, client, counter)
    keeps_state = plan.options.resume is not None or plan.options.since_last
    try:
        await job.run()
    except asyncio.CancelledError:
        return _stop_part_way(job, "stopped", Exit.FAILED, keeps_state=keeps_state)
    except BrokenPipeError:
        raise
    except (GoedGepicktError, OSError) as error:
        reason, code = describe(error)
        if isinstance(error, DecodeError) and error.resume_after is not None:
            reason = sentences(reason, "--skip-unreadable skips such rows and continues")
        if isinstance(error, OSError) and not error.filename:
            reason = f"cannot write to {'stdout' if plan.options.output == '-' else plan.options.output}: {reason}"
        return _stop_part_way(job, reason, code, keeps_state=keeps_state)
    finally:
        output.close()
        job.close()
    if job.remark is not None:
        info(job.remark)
    info(job.progress.summary())
    if job.state.unreadable:
        report(
            f"{count(job.state.unreadable, 'rows')} could not be read and are not in the output: see "
            f"{Path(plan.options.output).name}.unreadable.jsonl"
        )
        return Exit.FAILED
    return Exit.DONE


async def _as_table(plan: ExportPlan, client: GoedGepickt, counter: RequestCounter) -> int:
    limit = plan.options.limit
    paginator = plan.spec.paginator(client, **plan.filters)
    if limit is not None:
        paginator = paginator.limit(limit)
    items: list[Any] = []
    progress = ExportProgress(plan.spec.title, client.budget, counter, limit=limit)
    try:
        with progress.showing():
            async with aclosing(paginator.pages()) as pages:
                async for page in pages:
                    items += page.items
                    progress.saw(page)
    except asyncio.CancelledError:
        print_table(plan.selection, items)
        report(f"stopped; these are the first {len(items):,}")
        return Exit.FAILED
    print_table(plan.selection, items)
    info(progress.summary())
    return Exit.DONE
