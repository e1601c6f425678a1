"""The export itself: page after page to the output, and after each of them how far it came."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeAlias

import attrs

from goedgepickt_async import Page
from goedgepickt_async.cli.connecting import Connection
from goedgepickt_async.cli.export.checkpoint import fingerprint
from goedgepickt_async.cli.export.encoders import CsvEncoder, Encoder, JsonLinesEncoder
from goedgepickt_async.cli.export.output import FileOutput, StreamOutput
from goedgepickt_async.cli.export.plan import ExportPlan
from goedgepickt_async.cli.export.progress import ExportProgress
from goedgepickt_async.cli.export.since_last import SinceLast
from goedgepickt_async.cli.export.state import State, load, refuse_difference, save
from goedgepickt_async.cli.export.traffic import Traffic
from goedgepickt_async.cli.export.whole_file import WholeFileOutput
from goedgepickt_async.cli.outcome import UsageError

__all__ = ["ExportJob", "Output"]

Output: TypeAlias = FileOutput | StreamOutput | WholeFileOutput


class ExportJob:
    """One run of an export to JSON Lines, CSV or Parquet; close it at the end.

    Args:
        plan: What to do, checked.
        output: Where to, not begun.
        connection: What to read from.
        traffic: Of the connection's client.

    Attributes:
        state: How far it came.
        state_path: Where that is written down when it stops; None: nowhere, or in the checkpoint.
        since: Its checkpoint, if only what is new is wanted.
        remark: Something that its user should know at the end.

    Raises:
        UsageError: It cannot go on where the resume file or the checkpoint says.
    """

    def __init__(self, plan: ExportPlan, output: Output, connection: Connection, traffic: Traffic) -> None:
        self._plan, self._output, self._connection = plan, output, connection
        self._encoder = _encoder(plan)
        self._open = False
        self.remark: str | None = None
        self.since: SinceLast | None = None
        self.state_path: Path | None = None
        self.state: State = self._asked()
        if plan.since_last:
            account = fingerprint(connection.client.settings.api_key)
            self.since = SinceLast(self.state, account, plan.checkpoint, grows=output.grows)
            self.state, self.remark = self.since.state, self.since.remark
        else:
            self.state_path = plan.resume or _beside(output)
            self.state = self._where_it_stands(self.state)
        self.progress: ExportProgress = ExportProgress(
            plan.resource.replace("-", " "),
            connection.client.budget,
            traffic,
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

    async def run(self) -> None:
        """Export all that is left; when it returns, the output is complete and the resume file gone."""
        if self.begun or self.state.tail is not None:
            self._open_output()
        with self.progress:
            async with aclosing(self._list().pages(resume=self.state.token)) as pages:
                async for page in pages:
                    self._write(page)
        self._open_output()  # an empty list makes a file too
        self._output.append(self._encoder.foot())
        self._finish()

    def close(self) -> None:
        """Let others use the checkpoint."""
        if self.since is not None:
            self.since.close()

    def _asked(self) -> State:
        plan = self._plan
        return State(
            resource=plan.resource,
            source=self._connection.source,
            filters=plan.said,
            format=plan.chosen_format,
            output="-" if self._output.path is None else str(self._output.path),
        )

    def _where_it_stands(self, asked: State) -> State:
        before = None if self._plan.resume is None else load(self._plan.resume)
        if before is None:
            return asked
        refuse_difference(before, asked)
        return before

    def _list(self) -> Any:
        plan = self._plan
        filters = plan.filters
        if self.since is not None and self.since.since is not None:
            filters["created_after"] = max(self.since.since, plan.created_after or self.since.since)
        paginator = plan.spec.lists(self._connection.client, **filters)
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
        self._drop_old_state()  # only now: it may be of an export that is running, which `begin` refuses to disturb
        self._output.append(self._encoder.head)

    def _drop_old_state(self) -> None:
        """A stopped export's resume file speaks of the output that is about to be written over."""
        path = _beside(self._output)
        try:
            old = None if path is None else load(path)
        except UsageError:
            return  # it is something else
        if path is not None and old is not None and old.output == str(self._output.path):
            path.unlink()
            self.remark = f"started afresh: {path.name}, left by an export that was stopped, is gone"

    def _write(self, page: Page[Any]) -> None:
        self._open_output()
        read, page = page, page if self.since is None else self.since.new_of(page)
        self._output.append(self._encoder.encode(page.items))
        self.state = attrs.evolve(
            self.state,
            offset=self._output.offset,
            tail=self._output.tail(),
            token=page.resume,
            rows=self.state.rows + len(page.items),
            read=self.state.read + len(page.items) + page.left_out,
        )
        if self.since is not None:
            self._keep(self.since, read)
        elif self._plan.resume is not None:
            save(self.state, self._plan.resume)
        self.progress.saw(page)

    def _keep(self, since: SinceLast, read: Page[Any]) -> None:
        since.saw(read)
        if self._output.grows:
            self._output.seal()  # the checkpoint must not know of rows that a loss of power takes away
            since.keep(self.state)

    def _finish(self) -> None:
        if self.since is None:
            self._output.finish()
            if self._plan.resume is not None:
                self._plan.resume.unlink(missing_ok=True)
            return
        self._output.seal()
        ended = attrs.evolve(self.state, offset=self._output.offset, tail=self._output.tail())
        if isinstance(self._output, WholeFileOutput):
            self.since.intend(ended, self._output.unnamed)
        self._output.finish()
        self.since.finish(ended)


def _encoder(plan: ExportPlan) -> Encoder:
    match plan.chosen_format:
        case "csv":
            return CsvEncoder(plan.spec, plan.lines)
        case "parquet":
            from goedgepickt_async.cli.export.parquet import ParquetEncoder  # noqa: PLC0415  needs an extra

            return ParquetEncoder(plan.resource)
    return JsonLinesEncoder()


def _beside(output: Output) -> Path | None:
    return output.path.with_name(output.path.name + ".resume") if isinstance(output, FileOutput) else None
