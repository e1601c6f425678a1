"""The log: stable names, known fields, and silence without a configuration."""

import json
import logging
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pytest

import goedgepickt_async
from goedgepickt_async import GoedGepickt, GoedGepicktError, Hooks, LocalBudget
from goedgepickt_async.logs import EVENTS, log_event
from goedgepickt_async.sandbox import Sandbox, faults

Make = Callable[..., GoedGepickt]
ROOT = Path(goedgepickt_async.__file__).parent
PAGE = ROOT.parent / "docs" / "howto" / "observability.md"
OF_LOGGING = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def names(records: list[logging.LogRecord]) -> list[str]:
    return [record.gg_event for record in records]  # type: ignore[attr-defined]  # all of ours have it


async def test_a_call_leaves_a_record_for_each_step(
    watched: GoedGepickt, sandbox: Sandbox, records: list[logging.LogRecord]
) -> None:
    sandbox.fail("GET", "/orders/*", faults.Status(500))
    with pytest.raises(GoedGepicktError):
        await watched.orders.get("no-such-order")
    assert names(records) == [
        *("request.sent", "response.received", "retry.scheduled"),
        *("request.sent", "response.received", "call.failed"),
    ]
    failed = records[-1]
    assert (
        vars(failed).items()
        >= {
            "gg_method": "GET",
            "gg_route": "/orders/{id}",
            "gg_error": "NotFoundError",
            "gg_evidence": "final",
            "gg_status": 404,
            "gg_attempts": 2,
        }.items()
    )
    assert len({record.gg_call for record in records}) == 1  # type: ignore[attr-defined]  # all of ours have it
    assert failed.name == "goedgepickt_async.transport"


async def test_the_ordinary_is_said_at_debug_alone(watched: GoedGepickt, records: list[logging.LogRecord]) -> None:
    await watched.orders.list().collect()
    assert {"request.sent", "response.received", "call.finished", "page.read"} <= set(names(records))
    loud = {record.gg_event for record in records if record.levelno > logging.DEBUG}  # type: ignore[attr-defined]
    assert loud <= {"drift.detected"}


async def test_every_record_has_the_fields_of_its_event_and_no_others(
    make_client: Make, sandbox: Sandbox, records: list[logging.LogRecord]
) -> None:
    client = make_client(sandbox.url, sandbox.api_key, budget=LocalBudget(1000, 0.05, safety_margin=0.01))
    sandbox.fail("GET", "/webshops", faults.TooManyRequests(retry_after="0"))
    sandbox.fail("GET", "/webshops", faults.Drop())
    await client.webshops.list().collect()
    _ = [outcome async for outcome in client.bulk.map(client.orders.get, ["no-such-order"])]
    log_event("hook.failed", on="CallStarted")
    assert {"response.throttled", "request.failed", "budget.paused", "item.failed"} <= set(names(records))
    for record in records:
        event = EVENTS[record.gg_event]  # type: ignore[attr-defined]  # all of ours have it
        extra = set(vars(record)) - OF_LOGGING - {"taskName"}
        assert extra == {"gg_event", *(f"gg_{field}" for field in event.fields)}
        assert record.levelno == event.level
        assert "%(" not in record.getMessage()


async def test_records_become_json_as_they_are(watched: GoedGepickt, records: list[logging.LogRecord]) -> None:
    await watched.orders.list(created_after=None).limit(30).collect()
    assert records
    for record in records:
        json.dumps({name: value for name, value in vars(record).items() if name.startswith("gg_")})


async def test_a_query_shows_its_parameters_names_and_no_value(
    watched: GoedGepickt, records: list[logging.LogRecord]
) -> None:
    await watched.request("GET", "/orders", query={"searchValue": "jan@example.test", "perPage": 5})
    assert records[0].gg_query == "searchValue,perPage"  # type: ignore[attr-defined]  # all of ours have it
    assert "jan@example.test" not in "".join(str(vars(record)) for record in records)


def test_nothing_is_formatted_nor_even_made_where_the_logger_is_disabled(caplog: pytest.LogCaptureFixture) -> None:
    class Loud:
        def __str__(self) -> str:
            raise AssertionError

    with caplog.at_level(logging.ERROR, "goedgepickt_async"):
        log_event("write.found", method="GET", route=Loud())
    assert caplog.records == []
    with caplog.at_level(logging.INFO, "goedgepickt_async"), pytest.raises(KeyError):
        log_event("write.found", method="GET")  # a field is missing: the log would have half of the events


def test_a_program_that_configures_no_logging_sees_nothing_of_it() -> None:
    code = (
        "from goedgepickt_async.logs import log_event\n"
        "log_event('webhook.rejected', since='a delivery', count=1, status=401, why='an invented reason')"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (ran.stdout, ran.stderr) == ("", "")


@pytest.mark.slow
def test_the_command_shows_warnings_on_stderr_but_not_what_models_do_not_know() -> None:
    code = (
        "from goedgepickt_async.cli.runner import run\n"
        "from goedgepickt_async.logs import log_event\n"
        "run(['sandbox', '--no-such-option'])\n"
        "log_event('budget.reset', why='an invented reason')\n"
        "log_event('drift.detected', kind='field', model='Order', field='novel', value='')\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr.splitlines()[1:] == ["goedgepickt: an invented reason"]


def test_every_logged_event_is_known_and_every_known_event_is_logged() -> None:
    told: set[str] = set()
    for path in ROOT.rglob("*.py"):
        text = path.read_text()
        told |= set(re.findall(r'\b(?:log_event|_report)\(\s*"([a-z_.]+)"', text))
    assert told | {"call.failed"} == set(EVENTS)


def test_no_room_logs_past_the_table() -> None:
    past = {
        path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py") if "logging.getLogger(" in path.read_text()
    }
    assert past == {"logs.py", "cli/runner.py", "sandbox/deliveries.py"}


def test_the_page_lists_every_event_as_it_is() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [line.strip("|").split("|") for line in lines if re.match(r"\| `[a-z_.]+` \| `goedgepickt_async", line)]
    listed = {
        name.strip().strip("`"): (logger.strip().strip("`"), level.strip(), set(re.findall(r"`(\w+)`", fields)))
        for name, logger, level, fields, _ in rows
    }
    assert listed == {
        event.name: (
            f"goedgepickt_async.{event.logger}".rstrip("."),
            logging.getLevelName(event.level),
            set(event.fields),
        )
        for event in EVENTS.values()
    }


def test_the_page_lists_every_hook_with_what_it_gets() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    rows = [re.match(r"\| `(\w+)` \| .* \| `(\w+)` \|$", line) for line in lines]
    listed = {row[1]: row[2] for row in rows if row is not None}
    hints = {name: str(hint) for name, hint in get_type_hints(Hooks).items()}
    assert set(listed) == set(hints)
    assert all(f".{event}]" in hints[name] for name, event in listed.items())
