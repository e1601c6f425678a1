"""The export itself: page after page to the output, and after each of them how far it came."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any

import attrs

from goedgepickt_async import Page
from goedgepickt_async.cli.connecting import Connection
from goedgepickt_async.cli.export.encoders import CsvEncoder, Encoder, JsonLinesEncoder
from goedgepickt_async.cli.export.output import FileOutput, StreamOutput
from goedgepickt_async.cli.export.plan import ExportPlan
from goedgepickt_async.cli.export.progress import ExportProgress
from goedgepickt_async.cli.export.state import State, load, refuse_difference, save
from goedgepickt_async.cli.export.traffic import Traffic
from goedgepickt_async.cli.outcome import UsageError

__all__ = ["ExportJob"]


class ExportJob:
    """One run of an export to JSON Lines or CSV.

    Args:
        plan: What to do, checked.
        output: Where to, not begun.
        connection: What to read from.
        traffic: Of the connection's client.

    Attributes:
        state: How far it came.
        state_path: Where that is written down when it stops; None: nowhere.
        remark: Something that its user should know at the end.

    Raises:
        UsageError: It cannot go on where the resume file says.
    """

    def __init__(
        self, plan: ExportPlan, output: FileOutput | StreamOutput, connection: Connection, traffic: Traffic
    ) -> None:
        self._plan, self._output, self._connection = plan, output, connection
        self._encoder: Encoder = (
            CsvEncoder(plan.spec, plan.lines) if plan.chosen_format == "csv" else JsonLinesEncoder()
        )
        self._open = False
        self.remark: str | None = None
        self.state_path = plan.resume or _beside(output)
        self.state = self._where_it_stands()
        self.progress = ExportProgress(
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

    async def run(self) -> None:
        """Export all that is left; when it returns, the output is complete and the resume file gone."""
        if self.begun:
            self._open_output()
        with self.progress:
            async with aclosing(self._list().pages(resume=self.state.token)) as pages:
                async for page in pages:
                    self._write(page)
        self._open_output()  # an empty list makes a file too
        if self._plan.resume is not None:
            self._plan.resume.unlink(missing_ok=True)

    def _where_it_stands(self) -> State:
        plan = self._plan
        asked = State(
            resource=plan.resource,
            source=self._connection.source,
            filters=plan.said,
            format=plan.chosen_format,
            output="-" if self._output.path is None else str(self._output.path),
        )
        before = None if plan.resume is None else load(plan.resume)
        if before is None:
            return asked
        refuse_difference(before, asked)
        return before

    def _list(self) -> Any:
        plan = self._plan
        paginator = plan.spec.lists(self._connection.client, **plan.filters)
        return paginator if plan.limit is None else paginator.limit(max(0, plan.limit - self.state.rows))

    def _open_output(self) -> None:
        """Begin to write, or go on: only now is an old file lost."""
        if self._open:
            return
        self._open = True
        if self.begun:
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
        self._output.append(self._encoder.encode(page.items))
        self.state = attrs.evolve(
            self.state,
            offset=self._output.offset,
            tail=self._output.tail(),
            token=page.resume,
            rows=self.state.rows + len(page.items),
            read=self.state.read + len(page.items) + page.left_out,
        )
        if self._plan.resume is not None:
            save(self.state, self._plan.resume)
        self.progress.saw(page)


def _beside(output: FileOutput | StreamOutput) -> Path | None:
    return output.path.with_name(output.path.name + ".resume") if isinstance(output, FileOutput) else None
