"""The `export` command, from checked options to an exit code."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

from goedgepickt_async import GoedGepicktError
from goedgepickt_async.cli.connecting import Connection, connect
from goedgepickt_async.cli.export.job import ExportJob, Output
from goedgepickt_async.cli.export.output import FileOutput, open_output
from goedgepickt_async.cli.export.plan import ExportPlan
from goedgepickt_async.cli.export.progress import ExportProgress
from goedgepickt_async.cli.export.stopping import stop_part_way
from goedgepickt_async.cli.export.table import print_table
from goedgepickt_async.cli.export.traffic import Traffic
from goedgepickt_async.cli.export.whole_file import WholeFileOutput
from goedgepickt_async.cli.messages import describe, note, say
from goedgepickt_async.cli.options import ServerOptions
from goedgepickt_async.cli.outcome import CommandError, Exit, UsageError

__all__ = ["export"]


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
    if plan.resume is not None and not plan.resume.absolute().parent.is_dir():
        raise CommandError(f"there is no directory {plan.resume.absolute().parent} for the resume file")
    traffic = Traffic()
    async with connect(server, traffic.hooks, lane="bulk" if background else "normal") as connection:
        if plan.chosen_format == "table":
            return await _as_table(plan, connection, traffic)
        return await _as_file(plan, connection, traffic)


async def _as_file(plan: ExportPlan, connection: Connection, traffic: Traffic) -> int:
    output = _open(plan)
    job = ExportJob(plan, output, connection, traffic)
    keeps_state = plan.resume is not None or plan.since_last
    try:
        await job.run()
    except asyncio.CancelledError:
        return stop_part_way(job, "stopped", Exit.FAILED, keeps_state=keeps_state)
    except BrokenPipeError:
        raise
    except (GoedGepicktError, OSError) as error:
        reason, code = describe(error)
        if isinstance(error, OSError) and not error.filename:
            reason = f"cannot write to {'stdout' if plan.output == '-' else plan.output}: {reason}"
        return stop_part_way(job, reason, code, keeps_state=keeps_state)
    finally:
        output.close()
        job.close()
    if job.remark is not None:
        note(job.remark)
    note(job.progress.summary())
    return Exit.DONE


def _open(plan: ExportPlan) -> Output:
    output = open_output(plan.output)
    if isinstance(output, FileOutput) and plan.chosen_format == "parquet":
        return WholeFileOutput(output.path)
    if plan.since_last and not isinstance(output, FileOutput):
        raise UsageError("--since-last needs --output FILE, a regular one: what a device or a pipe got may be lost")
    return output


async def _as_table(plan: ExportPlan, connection: Connection, traffic: Traffic) -> int:
    paginator = plan.spec.lists(connection.client, **plan.filters)
    if plan.limit is not None:
        paginator = paginator.limit(plan.limit)
    items: list[Any] = []
    progress = ExportProgress(plan.resource.replace("-", " "), connection.client.budget, traffic, limit=plan.limit)
    try:
        with progress:
            async with aclosing(paginator.pages()) as pages:
                async for page in pages:
                    items += page.items
                    progress.saw(page)
    except asyncio.CancelledError:
        print_table(plan.spec, items)
        say(f"stopped; these are the first {len(items):,}")
        return Exit.FAILED
    print_table(plan.spec, items)
    note(progress.summary())
    return Exit.DONE
