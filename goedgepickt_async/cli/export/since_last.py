"""`--since-last`: an export that brings what is new since the last one, and goes on where one was stopped.

Rows come twice in two cases only: the reading begins a day before the newest row that was seen (they are left out by
their key), and what a stopped export wrote behind its last whole page (it is cut off). The checkpoint moves when the
rows are on the disk, never before.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from goedgepickt_async import Page
from goedgepickt_async.cli.export import checkpoint as checkpoints
from goedgepickt_async.cli.export.checkpoint import Checkpoint, Mark
from goedgepickt_async.cli.export.output import FileOutput
from goedgepickt_async.cli.export.reach import Reach
from goedgepickt_async.cli.export.state import State, refuse_difference
from goedgepickt_async.cli.outcome import UsageError
from goedgepickt_async.cli.private_files import Lock, sync_directory

__all__ = ["SinceLast"]

_ANOTHER_FILE = "name another file"


class SinceLast:
    """One export's dealings with its checkpoint; close it at the end.

    Args:
        asked: What is asked for now, with nothing written yet.
        account: A digest of the API key.
        path: Where the checkpoint is; None: at its own place.
        grows: Whether the output's format can be added to.
        today: In the Netherlands.

    Attributes:
        path: Where the checkpoint is.
        state: Where the export is to begin.
        since: From which day on it reads; None: from the first.
        remark: Something that its user should know, or None.

    Raises:
        UsageError: The checkpoint is another export's, or in use; or the output is not what it says.
        OSError: It cannot be read.
    """

    def __init__(
        self, asked: State, account: str, path: Path | None, *, grows: bool, today: date | None = None
    ) -> None:
        self.path: Path = (path or checkpoints.default_path(asked, account)).absolute()
        self.remark: str | None = None
        self._grows = grows
        self._today = today or datetime.now(ZoneInfo("Europe/Amsterdam")).date()
        self._lock = Lock(self.path.with_name(self.path.name + ".lock"))
        if not self._lock.take():
            self._lock.release()
            raise UsageError(f"another export is using the checkpoint {self.path}; wait for its end")
        try:
            self._checkpoint = checkpoints.load(self.path) or Checkpoint(account=account)
            self._refuse_strangers(asked, account)
            self._finish_renaming()
            mark = self._begin(asked)
        except BaseException:
            self._lock.release()
            raise
        self.state: State = mark.state
        self.since: date | None = self._known.since
        self._reach = mark.reach

    @property
    def _known(self) -> Reach:
        """What the exports brought that came to their end."""
        return Reach() if self._checkpoint.done is None else self._checkpoint.done.reach

    def new_of(self, page: Page[Any]) -> Page[Any]:
        """A page without what earlier exports brought."""
        fresh = tuple(row for row in page.items if row not in self._known)
        dropped = len(page.items) - len(fresh)
        return attrs.evolve(page, items=fresh, left_out=page.left_out + dropped)

    def saw(self, page: Page[Any]) -> None:
        """A page is about to be written."""
        self._reach = self._reach.plus(page.items, self._today)

    def keep(self, state: State) -> None:
        """Whole pages up to here are on the disk."""
        self._save(attrs.evolve(self._checkpoint, running=Mark(state, self._reach)))

    def intend(self, state: State, unnamed: Path) -> None:
        """All rows are on the disk, in a file that is about to get its own name."""
        running = Mark(state, self._reach)
        self._save(attrs.evolve(self._checkpoint, running=running, renaming=str(unnamed)))

    def finish(self, state: State) -> None:
        """All rows are on the disk, under their own name."""
        ended = attrs.evolve(state, token=None)
        self._save(attrs.evolve(self._checkpoint, done=Mark(ended, self._reach), running=None, renaming=None))

    def close(self) -> None:
        """Let others use the checkpoint."""
        self._lock.release()

    def _save(self, checkpoint: Checkpoint) -> None:
        checkpoints.save(checkpoint, self.path)
        self._checkpoint = checkpoint

    def _refuse_strangers(self, asked: State, account: str) -> None:
        mark = self._checkpoint.running or self._checkpoint.done
        if mark is None:
            return
        before, now = checkpoints.identity(mark.state), checkpoints.identity(asked)
        before["API key"], now["API key"] = self._checkpoint.account, account
        for name in sorted(before.keys() | now.keys()):
            if before.get(name) != now.get(name):
                was = "another one" if name == "API key" else before.get(name, "not given")
                raise UsageError(
                    f"the checkpoint {self.path} is of another export: its {name} was {was}; name a checkpoint of its "
                    "own with --checkpoint, or leave that out"
                )

    def _finish_renaming(self) -> None:
        """An export was killed at its very end: between the two there is nothing but a name."""
        known = self._checkpoint
        if known.renaming is None or known.running is None:
            return
        unnamed, path = Path(known.renaming), Path(known.running.state.output)
        if unnamed.exists():  # else it was renamed already
            unnamed.replace(path)
            sync_directory(path.parent)
        self._save(attrs.evolve(known, done=known.running, running=None, renaming=None))

    def _begin(self, asked: State) -> Mark:
        running, done = self._checkpoint.running, self._checkpoint.done
        if running is not None:
            mark = self._go_on(running, asked)
            if mark is not None:
                return mark
        if done is not None:
            return Mark(self._add_to(done.state, asked), done.reach)
        return Mark(asked, Reach())

    def _go_on(self, stopped: Mark, asked: State) -> Mark | None:
        """Where the export that was stopped goes on; None if what it wrote is gone."""
        before = stopped.state
        if before.output != asked.output:
            return self._go_on_elsewhere(stopped, asked)
        refuse_difference(before, asked, _ANOTHER_FILE)
        return stopped if Path(before.output).exists() else None

    def _go_on_elsewhere(self, stopped: Mark, asked: State) -> Mark | None:
        """The rows that are in the other file stay there, without the torn one behind them."""
        before = stopped.state
        if before.tail is not None:
            if not Path(before.output).exists():
                return None
            output = FileOutput(Path(before.output))
            try:
                output.begin(before.offset, before.tail)
            finally:
                output.close()
            self.remark = f"the export that was stopped left its first {before.rows:,} rows in {before.output}"
        self._refuse_overwriting(asked)
        return Mark(attrs.evolve(asked, token=before.token), stopped.reach)

    def _add_to(self, last: State, asked: State) -> State:
        """The output as the last export left it, or a new one."""
        if not Path(asked.output).exists():
            if last.output == asked.output and self._grows:
                self.remark = (
                    f"{asked.output} was gone: it has what is new since the last export, not the rows before; "
                    f"for all rows, remove {self.path}"
                )
            return asked
        if last.output != asked.output or not self._grows:
            self._refuse_overwriting(asked)
        refuse_difference(last, asked, _ANOTHER_FILE)
        return attrs.evolve(asked, offset=last.offset, tail=last.tail)

    def _refuse_overwriting(self, asked: State) -> None:
        if Path(asked.output).exists():
            why = "the last export did not write it" if self._grows else "such a file cannot be added to"
            raise UsageError(
                f"{asked.output} is there already, and {why}: its rows would be lost, since they are not exported "
                "again. Name a new file, such as one with today's date"
            )
