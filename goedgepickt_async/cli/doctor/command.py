"""The `doctor` command."""

from __future__ import annotations

import json
import os
import sys

import attrs

from goedgepickt_async.cli.connecting import connect
from goedgepickt_async.cli.doctor.examination import examine, versions
from goedgepickt_async.cli.doctor.findings import Findings
from goedgepickt_async.cli.doctor.report import as_text
from goedgepickt_async.cli.options import ServerOptions
from goedgepickt_async.cli.outcome import Exit

__all__ = ["doctor"]


async def doctor(server: ServerOptions, *, as_json: bool) -> int:
    """Examine and report.

    Args:
        server: Which API is configured, and how.
        as_json: Whether the report is JSON.

    Returns:
        0 if the configured API takes the key, 3 if it refuses it, 1 otherwise.
    """
    server.check()
    findings = await _findings(server)
    text = json.dumps(attrs.asdict(findings), indent=2, ensure_ascii=False) + "\n" if as_json else as_text(findings)
    sys.stdout.write(text)
    return _code(findings)


async def _findings(server: ServerOptions) -> Findings:
    if not server.sandbox and not os.environ.get("GOEDGEPICKT_API_KEY", "").strip():
        return Findings(versions=versions(), key="missing")
    async with connect(server) as connection:
        return await examine(connection.client)


def _code(findings: Findings) -> Exit:
    if findings.configured is None:
        return Exit.FAILED
    if findings.configured.accepted:
        return Exit.DONE
    return Exit.KEY_REFUSED if findings.configured.refused else Exit.FAILED
