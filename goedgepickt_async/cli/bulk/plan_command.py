"""The `plan` command: what would be written, and nothing is."""

from __future__ import annotations

import sys
from pathlib import Path

from goedgepickt_async.cli.bulk.task import PlanTask, shown
from goedgepickt_async.cli.connecting import connect
from goedgepickt_async.cli.messages import note, say
from goedgepickt_async.cli.options import ServerOptions
from goedgepickt_async.cli.outcome import Exit
from goedgepickt_async.cli.private_files import write_private

__all__ = ["plan"]


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
        note(f"the plan is in {output}: goedgepickt apply {output}")
    sys.stdout.write(made.to_json() + "\n" if as_json else shown(made, rows) + "\n")
    if made.conflicts:
        say(f"{len(made.conflicts):,} conflicts: for those rows nothing can safely be done")
        return Exit.FAILED
    return Exit.DONE
