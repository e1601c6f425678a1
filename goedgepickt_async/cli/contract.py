"""`goedgepickt openapi` and `goedgepickt probe`: the known facts about the API as a document, and their check."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from goedgepickt_async.cli.connect import ServerOptions, connect
from goedgepickt_async.cli.errors import CommandError, Exit, info
from goedgepickt_async.cli.values import check_writable, refuse_same_file
from goedgepickt_async.contract import Probe, Report, openapi
from goedgepickt_async.paths import write_private

__all__ = ["print_openapi", "probe"]


def print_openapi() -> int:
    """Print the OpenAPI document."""
    sys.stdout.write(json.dumps(openapi(), indent=2, ensure_ascii=False) + "\n")
    return Exit.DONE


async def probe(
    server: ServerOptions, *, as_json: bool, output: Path | None, diff: bool, resume: Path | None, dry_run: bool
) -> int:
    """Send the requests and print the report.

    Args:
        server: The options for the server.
        as_json: Whether the report is JSON.
        output: The file of the report; None for stdout.
        diff: Whether to print the differences to the tables instead.
        resume: The file with the progress; it is removed at the end.
        dry_run: Whether to only print the requests.

    Raises:
        CommandError: A file cannot be read or written.
        GoedGepicktError: There was no response, or the API refuses the key.
    """
    server.check()
    refuse_same_file(output=output, resume=resume)
    for option, file in (("--output", output), ("--resume", resume)):
        if file is not None:
            check_writable(file, option)
    async with connect(server, lane="bulk") as connection:
        asked = _resumed(connection.client, resume)
        _announce(asked)
        if dry_run:
            return Exit.DONE
        finished = False
        try:
            async for step in asked.run():
                if resume is not None:
                    _save(resume, json.dumps(asked.state()))
                info(f"{step.name}: done, {asked.collector.requests} requests so far")
            finished = not asked.steps
        finally:
            if not finished and resume is not None:
                info(f"the probe is not complete; run the same command again to continue from {resume}")
        _write(asked.report(), as_json=as_json, output=output, diff=diff)
    if resume is not None and finished:
        resume.unlink(missing_ok=True)  # noqa: ASYNC240  nothing else runs by now
    return Exit.DONE if finished else Exit.FAILED


def _announce(asked: Probe) -> None:
    """Print the requests before they are sent."""
    at_most = sum(step.requests for step in asked.steps)
    info(f"This command only reads. It sends at most {min(at_most, 100)} requests, within the rate limit:")
    for step in asked.steps:
        info(f"  {step.name:<12} {step.asks} ({step.requests} at most)")
    info("The report has facts about the API, without values, names or ids.")


def _resumed(client: Any, resume: Path | None) -> Probe:
    try:
        state = json.loads(resume.read_text(encoding="utf-8")) if resume is not None and resume.exists() else None
        return Probe(client, state)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise CommandError(f"{resume} is not the state of a probe: delete it to start again") from None


def _save(file: Path, text: str) -> None:
    try:
        write_private(file, text)
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from None


def _write(report: Report, *, as_json: bool, output: Path | None, diff: bool) -> None:
    whole = json.dumps(report.to_dict(), indent=2) + "\n" if as_json else report.to_markdown()
    text = report.diff() if diff else whole
    if output is None:
        sys.stdout.write(text)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}") from None
