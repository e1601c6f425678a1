"""`goedgepickt probe` and `goedgepickt openapi`."""

from __future__ import annotations

import json

import pytest

from goedgepickt_async.contract import FACTS, openapi, probe
from goedgepickt_async.sandbox import Sandbox, faults

from .conftest import Goedgepickt
from .test_other_commands import against

LOCAL = {"GOEDGEPICKT_BUDGET": "local"}


def test_openapi_prints_the_document(goedgepickt: Goedgepickt) -> None:
    done = goedgepickt("openapi")
    assert (done.code, json.loads(done.out)) == (0, openapi())


@pytest.mark.slow
def test_a_probe_says_what_it_will_ask_and_writes_its_report(goedgepickt: Goedgepickt) -> None:
    on_sandbox = ("probe", "--sandbox", "--sandbox-rate", "off")
    dry = goedgepickt(*on_sandbox, "--dry-run")
    assert (dry.code, dry.out) == (0, b"")
    assert "at most 99 requests" in dry.err
    done = goedgepickt(*on_sandbox, "--json", "--output", "report.json")
    assert (done.code, done.out) == (0, b""), done.err
    report = json.loads(goedgepickt.read("report.json"))
    assert {finding["fact"] for finding in report["findings"]} >= FACTS.keys()
    assert 60 < report["requests"] <= 100
    refuted = {finding["fact"] for finding in report["findings"] if finding["verdict"] == "refuted"}
    assert refuted == {"limit.headers"}  # a sandbox without a limit does not speak of one


@pytest.mark.slow
async def test_a_stopped_probe_continues_and_prints_the_difference(
    goedgepickt: Goedgepickt, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = tuple(step for step in probe._STEPS if step.name in {"small-lists", "other-api", "errors"})
    monkeypatch.setattr(probe, "_STEPS", few)
    sandbox.quirks.wrong_kind_status = 403
    sandbox.fail("GET", "/orders*", faults.Drop(), times=None)
    stopped = await against(goedgepickt, sandbox, "probe", "--resume", "state", **LOCAL)
    assert stopped.code != 0
    assert "continue from state" in stopped.err
    assert sandbox.api_key.encode() not in goedgepickt.read("state")
    sandbox.clear_faults()
    done = await against(goedgepickt, sandbox, "probe", "--resume", "state", "--diff", **LOCAL)
    assert done.code == 0, done.err
    assert "small-lists" not in done.err  # it was done before
    assert b"- key.wrong-kind: HTTP 403" in done.out
    assert b"~ error.input: B -> A" in done.out
    assert not (goedgepickt.folder / "state").exists()


async def test_a_file_that_is_no_state_is_refused(goedgepickt: Goedgepickt, sandbox: Sandbox) -> None:
    (goedgepickt.folder / "state").write_text("[1")
    done = await against(goedgepickt, sandbox, "probe", "--resume", "state", **LOCAL)
    assert done.code == 1
    assert "state is not the state of a probe" in done.err
    assert not sandbox.requests
