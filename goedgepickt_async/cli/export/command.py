"""`goedgepickt export`: checks the options and runs the export."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import aclosing
from datetime import date, datetime
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from goedgepickt_async import DecodeError, GoedGepicktError, OrderStatus, Page, UnreadableRow
from goedgepickt_async.cli.connect import Connection, ServerOptions, connect, find_webshop
from goedgepickt_async.cli.errors import CommandError, Exit, UsageError, describe, info, report, sentences
from goedgepickt_async.cli.export.checkpoint import (
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
from goedgepickt_async.cli.export.formats import (
    DUTCH,
    FORMATS,
    RESOURCES,
    Encoder,
    ExportFormat,
    OutputKind,
    ResourceSpec,
    Selection,
    format_for,
    print_table,
)
from goedgepickt_async.cli.export.output import AtomicFile, FileOutput, StreamOutput, open_output
from goedgepickt_async.cli.export.progress import ExportProgress, RequestCounter, count
from goedgepickt_async.paths import make_private_file

__all__ = ["ExportJob", "ExportPlan", "Output", "command_again", "export", "stop_part_way"]


@attrs.frozen(kw_only=True)
class ExportPlan:
    """One export.

    Attributes:
        resource: The name of what is exported.
        format: The format, as given.
        output: A path, or `-` for stdout.
        created_after: A filter of the list; so are `status` and `webshop`, a uuid or a name.
        limit: Rows at most.
        lines: Whether each line of an order is a row.
        fields: The columns; empty: all.
        resume: The file that keeps how far it came.
        since_last: Whether only what is new since the last export is wanted.
        checkpoint: The file that keeps what the last export brought.
        skip_unreadable: Whether rows that cannot be read are set aside, in a file beside the output.
    """

    resource: str
    format: str | None = None
    output: str = "-"
    created_after: date | None = None
    status: str | None = None
    webshop: str | None = None
    limit: int | None = None
    lines: bool = False
    fields: tuple[str, ...] = ()
    resume: Path | None = None
    since_last: bool = False
    checkpoint: Path | None = None
    skip_unreadable: bool = False

    @property
    def spec(self) -> ResourceSpec:
        """The resource."""
        return RESOURCES[self.resource]

    @property
    def selection(self) -> Selection:
        """What of it is written."""
        return Selection(spec=self.spec, lines=self.lines, fields=self.fields)

    @property
    def format_name(self) -> str:
        """The format: as given, else by the file's ending, else JSON Lines."""
        return format_for(self.format, self.output)

    @property
    def chosen_format(self) -> ExportFormat:
        """The format."""
        return FORMATS[self.format_name]

    @property
    def filters(self) -> dict[str, Any]:
        """The filters of the list that were given, by the names that `list` knows them under."""
        # An open value does not warn in the library: the command says it in its own words.
        status = None if self.status is None else OrderStatus(self.status)
        given = {"created_after": self.created_after, "status": status, "webshop_uuid": self.webshop}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def options(self) -> dict[str, str]:
        """All that decides which rows come, by option, for the resume file."""
        options = {_option(name): str(value) for name, value in self.filters.items()}
        options |= {} if self.limit is None else {"--limit": str(self.limit)}
        options |= {"--fields": ",".join(self.fields)} if self.fields else {}
        return options | ({"--lines": "given"} if self.lines else {})

    def check(self) -> None:
        """Refuse what makes no sense together.

        Raises:
            UsageError: It says which option.
        """
        for name in self.filters.keys() - self.spec.filters:
            known = ", ".join(each for each, spec in RESOURCES.items() if name in spec.filters)
            raise UsageError(f"{_option(name)} is not known for {self.resource}; it is for {known}")
        self._check_columns()
        self._check_output()
        self._check_format()
        self._check_since_last()

    def _check_columns(self) -> None:
        details = self.spec.details
        if self.lines and details.lines is None:
            known = ", ".join(each for each, spec in RESOURCES.items() if spec.details.lines)
            raise UsageError(f"--lines is not known for {self.resource}; only {known} have lines")
        if self.lines and not self.chosen_format.has_lines:
            names = ", ".join(name for name, each in FORMATS.items() if each.has_lines)
            raise UsageError(
                f"--lines makes a row of each line: add --format csv ({names} can; JSON Lines has the lines inside each "
                "order)"
            )
        if self.fields and not self.chosen_format.has_fields:
            raise UsageError(f"--fields: a {self.format_name} file has one fixed schema; choose another --format")
        self.selection.check()

    def _check_output(self) -> None:
        if self.resume is not None and self.output != "-" and self.resume.absolute() == Path(self.output).absolute():
            raise UsageError("--resume is a small file of its own, not the output: name another one")
        if self.skip_unreadable and (self.output == "-" or self.chosen_format.output is OutputKind.TERMINAL):
            raise UsageError("--skip-unreadable needs --output FILE: rows that cannot be read go into a file beside it")
        match self.chosen_format.output:
            case OutputKind.TERMINAL if self.output != "-" or self.resume is not None:
                raise UsageError(
                    "a table goes to the terminal: leave out --output and --resume, or choose csv or jsonl"
                )
            case OutputKind.WHOLE if self.output == "-":
                ending = self.chosen_format.suffixes[0]
                raise UsageError(
                    f"a {self.format_name} file ends in its index, so it cannot be a stream: add --output FILE{ending}"
                )
            case OutputKind.WHOLE if self.resume is not None:
                raise UsageError(
                    f"a {self.format_name} file is there as a whole or not at all, so --resume has nothing to go on with"
                )

    def _check_format(self) -> None:
        extra = self.chosen_format.extra
        if extra is not None and find_spec(extra[0]) is None:
            raise UsageError(f"{self.format_name} is an extra: pip install 'goedgepickt-async[{extra[1]}]'")

    def _check_since_last(self) -> None:
        if self.checkpoint is not None and not self.since_last:
            raise UsageError("--checkpoint is for --since-last, which is not there")
        if not self.since_last:
            return
        if "created_after" not in self.spec.filters:
            known = ", ".join(name for name, spec in RESOURCES.items() if "created_after" in spec.filters)
            raise UsageError(
                f"--since-last is not known for {self.resource}: the API does not say when they were created, so new ones "
                f"cannot be told from old ones; it is for {known}. Export the whole list, which costs a request for 100 "
                "rows"
            )
        if self.output == "-" or self.chosen_format.output is OutputKind.TERMINAL:
            raise UsageError(
                "--since-last needs --output FILE: rows that went into a pipe may not have been kept, and they would not "
                "be exported again"
            )
        if self.resume is not None:
            raise UsageError("--since-last keeps by itself how far it came, in its checkpoint: leave out --resume")
        if self.limit is not None:
            raise UsageError("--since-last brings all that is new: leave out --limit")

    def warn(self) -> None:
        """Report a filter that finds nothing: a day in the future, or a status that is not known, such as a misspelt one."""
        if self.created_after is not None and self.created_after > datetime.now(DUTCH).date():
            info(f"--created-after {self.created_after}: that day is in the future")
        known = self.spec.statuses
        if self.status is None or not known or self.status in known:
            return
        close = get_close_matches(self.status.lower(), known, n=1)
        guess = f"; did you mean {close[0]}?" if close else ""
        info(
            f"--status {self.status}: no status of {self.resource} that is known{guess} Known: {', '.join(filter(None, known))}"
        )


def _option(name: str) -> str:
    return "--" + name.removesuffix("_uuid").replace("_", "-")


Output: TypeAlias = FileOutput | StreamOutput


class ExportJob:
    """One run of an export to a file or stream; close it at the end.

    Args:
        plan: What to do, checked, with webshops by their uuid.
        output: Where to, not begun.
        connection: What to read from.
        counter: Of the connection's client.

    Attributes:
        state: How far it came.
        state_path: Where that is written down when it stops; None: nowhere, or in the checkpoint.
        since: Its checkpoint, if only what is new is wanted.
        remark: Something that its user should know at the end.

    Raises:
        UsageError: It cannot go on where the resume file or the checkpoint says.
    """

    def __init__(self, plan: ExportPlan, output: Output, connection: Connection, counter: RequestCounter) -> None:
        self._plan, self._output, self._connection = plan, output, connection
        self._set_aside = _SetAside(output.path) if plan.skip_unreadable and output.path is not None else None
        self._account = fingerprint(connection.client.settings.api_key)
        self._open = False
        self.remark: str | None = None
        self.since: SinceLast | None = None
        self.state_path: Path | None = None
        self.state: State = self._asked()
        if plan.since_last:
            self.since = SinceLast(self.state, self._account, plan.checkpoint, grows=output.grows)
            self.state, self.remark = self.since.state, self.since.remark
        else:
            self.state_path = plan.resume or _beside(output)
            self.state = self._where_it_stands(self.state)
        make = plan.chosen_format.encoder
        assert make is not None
        self._encoder: Encoder = make(plan.selection)
        self.progress: ExportProgress = ExportProgress(
            plan.resource.replace("-", " "),
            connection.client.budget,
            counter,
            rows=self.state.rows,
            read=self.state.read,
            limit=plan.limit,
            visible=not output.is_terminal,
        )

    @property
    def begun(self) -> bool:
        """Whether whole pages were written, now or in an earlier run."""
        return self.state.token is not None

    @property
    def keeps_rows(self) -> bool:
        """Whether what was written stays there if it stops."""
        return self._output.grows

    @property
    def nothing_written(self) -> str:
        """That no row was written, and what the file holds now."""
        if not self._open or not isinstance(self._output, FileOutput) or not self._output.grows:
            return "Nothing was written"
        holds = "only its header" if self._output.offset else "nothing"
        gone = "; its old content is gone" if self._output.replaced else ""
        return f"No rows were written: {self._output.path.name} holds {holds}{gone}"

    async def run(self) -> None:
        """Export all that is left; when it returns, the output is complete and the resume file gone."""
        if self.begun or self.state.tail is not None:
            self._open_output()
        with self.progress:
            async with aclosing(self._list().pages(resume=self.state.token)) as pages:
                async for page in pages:
                    self._write(page)
        self._open_output()  # an empty list makes a file too
        for piece in self._encoder.foot():
            self._output.append(piece)
        self._finish()
        self.remark = ". ".join(filter(None, (self.remark, self._encoder.remark))) or None

    def close(self) -> None:
        """Let others use the checkpoint."""
        self._encoder.close()
        if self.since is not None:
            self.since.close()

    def save(self) -> None:
        """Write down how far it came, where `--resume` finds it.

        Raises:
            OSError: It cannot be written.
        """
        if self.state_path is not None:
            running = Mark(self.state, Watermark())
            save_checkpoint(Checkpoint(account=self._account, running=running), self.state_path)

    def _asked(self) -> State:
        plan = self._plan
        return State(
            resource=plan.resource,
            source=self._connection.source,
            filters=plan.options,
            format=plan.format_name,
            output="-" if self._output.path is None else str(self._output.path),
        )

    def _where_it_stands(self, asked: State) -> State:
        before = None if self._plan.resume is None else load_checkpoint(self._plan.resume)
        if before is None:
            return asked
        if before.running is None:
            raise UsageError(f"{self._plan.resume} is a checkpoint of --since-last, not a resume file")
        refuse_difference(before.running.state, asked)
        if before.account != self._account:
            raise UsageError(f"{self._plan.resume} is of an export with another API key; start afresh without it")
        return before.running.state

    def _list(self) -> Any:
        plan = self._plan
        filters = plan.filters
        if self.since is not None and self.since.since is not None:
            filters["created_after"] = max(self.since.since, plan.created_after or self.since.since)
        if self._set_aside is not None:
            filters["on_unreadable"] = "skip"
        paginator = plan.spec.paginator(self._connection.client, **filters)
        return paginator if plan.limit is None else paginator.limit(max(0, plan.limit - self.state.rows))

    def _open_output(self) -> None:
        """Begin to write, or go on: only now is an old file lost."""
        if self._open:
            return
        self._open = True
        if self.state.tail is not None or self.state.offset:
            self._output.begin(self.state.offset, self.state.tail)
            return
        self._output.begin(None, None)
        if self._set_aside is not None and self.since is None:
            self._set_aside.path.unlink(missing_ok=True)
        self._drop_old_state()  # only now: it may be of an export that is running, which `begin` refuses to disturb
        self._output.append(self._encoder.head)

    def _drop_old_state(self) -> None:
        """A stopped export's resume file speaks of the output that is about to be written over."""
        path = _beside(self._output)
        try:
            old = None if path is None else load_checkpoint(path)
        except UsageError:
            return  # it is something else
        if path is not None and old is not None and old.running and old.running.state.output == str(self._output.path):
            path.unlink()
            self.remark = f"started afresh: {path.name}, left by an export that was stopped, is gone"

    def _write(self, page: Page[Any]) -> None:
        self._open_output()
        read, page = page, page if self.since is None else self.since.new_of(page)
        if self._set_aside is not None:
            self._set_aside.add(page.unreadable)
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
            self._keep(self.since, read)
        elif self._plan.resume is not None:
            self.save()
        self.progress.saw(page)

    def _keep(self, since: SinceLast, read: Page[Any]) -> None:
        since.saw(read)
        if self._output.grows:
            self._output.fsync()  # the checkpoint must not know of rows that a loss of power takes away
            since.keep(self.state)

    def _finish(self) -> None:
        if self.since is None:
            self._output.finish()
            if self._plan.resume is not None:
                self._plan.resume.unlink(missing_ok=True)
            return
        self._output.fsync()
        ended = attrs.evolve(self.state, offset=self._output.offset, tail=self._output.tail())
        if isinstance(self._output, AtomicFile):
            self.since.intend(ended, self._output.temp_path)
        self._output.finish()
        self.since.finish(ended)


class _SetAside:
    """The file for rows that cannot be read, as JSON Lines: for its owner alone, each row once.

    Args:
        output: The export's file.

    Attributes:
        path: Beside it.
    """

    def __init__(self, output: Path) -> None:
        self.path = output.with_name(output.name + ".unreadable.jsonl")

    def add(self, rows: Sequence[UnreadableRow]) -> None:
        """Add those that are not there yet: a run that goes on may meet some again.

        Raises:
            OSError: It cannot be written.
        """
        if not rows:
            return
        make_private_file(self.path)
        there = set(self.path.read_bytes().splitlines())
        lines = [json.dumps(attrs.asdict(row, recurse=False), ensure_ascii=True, default=str).encode() for row in rows]
        with self.path.open("ab") as file:
            file.writelines(line + b"\n" for line in lines if line not in there)
            file.flush()
            os.fsync(file.fileno())


def _beside(output: Output) -> Path | None:
    if output.path is None or not isinstance(output, FileOutput) or not output.grows:
        return None
    return output.path.with_name(output.path.name + ".resume")


def stop_part_way(job: ExportJob, reason: str, code: Exit, *, keeps_state: bool) -> Exit:
    """Write down how far it came, and tell how to go on.

    Args:
        job: The export; whatever it wrote is whole.
        reason: Why it stopped.
        code: The exit code, if nothing is to be resumed.
        keeps_state: Whether the job was told to keep a resume file.

    Returns:
        The exit code.
    """
    if code is Exit.USAGE:
        report(reason)
        return code
    if not job.begun or not job.keeps_rows:
        report(sentences(reason, job.nothing_written if code is not Exit.KEY_REFUSED else ""))
        return Exit.RESUMABLE if keeps_state and job.keeps_rows and code is not Exit.KEY_REFUSED else code
    done = f"{count(job.state.rows, job.progress.noun)} are written and whole"
    if job.since is not None:
        report(sentences(reason, f"{done}. The same command goes on from there"))
        return code if code is Exit.KEY_REFUSED else Exit.RESUMABLE
    if job.state_path is None:
        report(sentences(reason, f"{done}, but a stream can be gone on with only if --resume FILE was given"))
        return code
    try:
        job.save()
    except OSError as error:
        report(sentences(reason, f"{done}, but {job.state_path} cannot be written: {error.strerror}"))
        return code
    report(sentences(reason, f"{done}. Go on with:\n{command_again(sys.argv, job.state_path)}"))
    return code if code is Exit.KEY_REFUSED else Exit.RESUMABLE


def command_again(argv: list[str], state: Path) -> str:
    """The command line that goes on from a resume file, ready to paste."""
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


async def export(plan: ExportPlan, server: ServerOptions, *, background: bool) -> int:
    """Run it.

    Args:
        plan: What to export.
        server: Where from.
        background: Whether it rides the bulk lane.

    Returns:
        The exit code.

    Raises:
        CommandError: It cannot begin.
    """
    plan.check()
    server.check()
    plan.warn()
    if plan.resume is not None and not plan.resume.absolute().parent.is_dir():
        raise CommandError(f"there is no directory {plan.resume.absolute().parent} for the resume file")
    counter = RequestCounter()
    async with connect(server, counter.hooks, lane="bulk" if background else "normal") as connection:
        if plan.webshop is not None:
            plan = attrs.evolve(plan, webshop=await find_webshop(connection.client, plan.webshop))
        if plan.chosen_format.output is OutputKind.TERMINAL:
            return await _as_table(plan, connection, counter)
        return await _as_file(plan, connection, counter)


async def _as_file(plan: ExportPlan, connection: Connection, counter: RequestCounter) -> int:
    whole = plan.chosen_format.output is OutputKind.WHOLE
    output = open_output(plan.output, whole=whole, is_personal=plan.spec.details.is_personal)
    if plan.since_last and not isinstance(output, FileOutput):
        raise UsageError("--since-last needs --output FILE, a regular one: what a device or a pipe got may be lost")
    job = ExportJob(plan, output, connection, counter)
    keeps_state = plan.resume is not None or plan.since_last
    try:
        await job.run()
    except asyncio.CancelledError:
        return stop_part_way(job, "stopped", Exit.FAILED, keeps_state=keeps_state)
    except BrokenPipeError:
        raise
    except (GoedGepicktError, OSError) as error:
        reason, code = describe(error)
        if isinstance(error, DecodeError) and error.resume_after is not None:
            reason = sentences(reason, "--skip-unreadable sets such rows aside and goes on")
        if isinstance(error, OSError) and not error.filename:
            reason = f"cannot write to {'stdout' if plan.output == '-' else plan.output}: {reason}"
        return stop_part_way(job, reason, code, keeps_state=keeps_state)
    finally:
        output.close()
        job.close()
    if job.remark is not None:
        info(job.remark)
    info(job.progress.summary())
    if job.state.unreadable:
        report(
            f"{count(job.state.unreadable, 'rows')} could not be read and are not in the output: see "
            f"{Path(plan.output).name}.unreadable.jsonl"
        )
        return Exit.FAILED
    return Exit.DONE


async def _as_table(plan: ExportPlan, connection: Connection, counter: RequestCounter) -> int:
    paginator = plan.spec.paginator(connection.client, **plan.filters)
    if plan.limit is not None:
        paginator = paginator.limit(plan.limit)
    items: list[Any] = []
    progress = ExportProgress(plan.resource.replace("-", " "), connection.client.budget, counter, limit=plan.limit)
    try:
        with progress:
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
