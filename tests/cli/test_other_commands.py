"""`doctor`, `request`, `sandbox`, and the command line as a whole."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import re
import signal
import socket
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from goedgepickt_async.cli.options import FAULT_NAMES, SandboxOptions
from goedgepickt_async.sandbox import Sandbox, faults
from tests.support.tables import each_row
from tests.support.waiting import SAFETY

from .conftest import Finished, Goedgepickt


async def against(
    goedgepickt: Goedgepickt, sandbox: Sandbox, *arguments: str, key: str | None = None, **environment: str
) -> Finished:
    settings = {"GOEDGEPICKT_API_KEY": key or sandbox.api_key, "GOEDGEPICKT_BASE_URL": sandbox.url} | environment
    return await asyncio.to_thread(lambda: goedgepickt(*arguments, **settings))


async def test_doctor_reports_the_configuration_with_one_request(goedgepickt: Goedgepickt, sandbox: Sandbox) -> None:
    done = await against(goedgepickt, sandbox, "doctor", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["configured"]["api"] == "fulfilment"
    assert len(found["configured"]["webshops"]) == 2
    assert found["configured"]["budget"]["limit"] == 150
    assert abs(found["configured"]["clock"]["ahead"]) < 2
    assert found["configured"]["round_trip"] > 0
    assert set(found["versions"]) == {"goedgepickt-async", "Python", "aiohttp", "orjson"}
    assert len(sandbox.requests) == 1
    assert sandbox.api_key.encode() not in done.out


async def test_doctor_finds_the_api_that_a_key_belongs_to(goedgepickt: Goedgepickt, sandbox: Sandbox) -> None:
    done = await against(goedgepickt, sandbox, "doctor", key=sandbox.account_key)
    assert done.code == 3
    assert "GOEDGEPICKT_API=account" in done.out.decode()
    assert [(recorded.base, recorded.status) for recorded in sandbox.requests] == [
        ("fulfilment", 401),
        ("account", 200),
    ]


async def test_doctor_reports_settings_that_do_not_work_although_the_key_is_accepted(
    goedgepickt: Goedgepickt, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    root = sandbox.url.removesuffix("/api/fulfilment/v1")
    for wrong, line in (
        ({"GOEDGEPICKT_WEBSHOP_UUID": "a-mug"}, "problem      GOEDGEPICKT_WEBSHOP_UUID is no webshop of this key"),
        ({"GOEDGEPICKT_BUDGET": f"host:{tmp_path}/file/a"}, "problem      the request budget cannot be used"),
        ({"GOEDGEPICKT_BASE_URL": root}, "problem      this address has no GoedGepickt API (HTTP 404)"),
    ):
        done = await against(goedgepickt, sandbox, "doctor", "--anonymous", **wrong)
        assert (done.code, line in done.out.decode()) == (1, True), done.out
    right = {"GOEDGEPICKT_WEBSHOP_UUID": sandbox.world.webshops[1]["uuid"].upper(), "GOEDGEPICKT_SHOP_UUID": "x"}
    done = await against(goedgepickt, sandbox, "doctor", **right)
    assert (done.code, b"did you mean GOEDGEPICKT_WEBSHOP_UUID?" in done.out) == (0, True), done.out


async def test_doctor_reports_a_key_that_neither_api_accepts(goedgepickt: Goedgepickt, sandbox: Sandbox) -> None:
    done = await against(goedgepickt, sandbox, "doctor", key="wrong")
    assert done.code == 3
    assert "neither API accepts the key" in done.out.decode()


async def test_doctor_reports_an_address_without_an_api_instead_of_a_refused_key(
    goedgepickt: Goedgepickt, sandbox: Sandbox
) -> None:
    page = b"<!doctype html><title>Not Found</title>"

    async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
        writer.write(head.encode() + page)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        address = {"GOEDGEPICKT_BASE_URL": f"http://127.0.0.1:{port}/api/v1"}
        done = await against(goedgepickt, sandbox, "doctor", **address)
    assert done.code == 1
    assert "this address has no GoedGepickt API" in done.out.decode()
    assert "refused" not in done.out.decode()


def test_a_403_error_names_the_other_api_once(goedgepickt: Goedgepickt) -> None:
    done = goedgepickt("request", "GET", "/orders", "--sandbox", "--sandbox-faults", "GET:/orders:403")
    assert done.code == 3
    line = done.err.splitlines()[-1]
    assert line.count("API") == line.replace("account API", "").count("API") + 1
    assert "may be of the other API" not in line
    assert "--api" in line


def test_doctor_without_a_key_names_the_environment_variable(goedgepickt: Goedgepickt) -> None:
    done = goedgepickt("doctor")
    assert done.code == 1
    assert "GOEDGEPICKT_API_KEY" in done.out.decode()


def test_doctor_reports_a_web_page_as_response(goedgepickt: Goedgepickt) -> None:
    done = goedgepickt("doctor", "--sandbox", "--sandbox-faults", "GET:/webshops:html")
    assert done.code == 1
    assert "the response is a web page" in done.out.decode()
    assert done.err == ""


async def test_request_sends_query_and_body_and_prints_the_response(goedgepickt: Goedgepickt, sandbox: Sandbox) -> None:
    read = await against(goedgepickt, sandbox, "request", "GET", "/orders", "--query", "perPage=2", "--query", "page=3")
    assert read.code == 0
    assert json.loads(read.out)["pageInfo"]["currentPage"] == 3
    assert read.err == "HTTP 200, 1 attempt\n"

    (goedgepickt.folder / "body.json").write_text('{"webshopUuid": "none"}')
    refused = await against(goedgepickt, sandbox, "request", "post", "/webhooks", "--json", "@body.json")
    assert refused.code == 1
    assert "errors" in json.loads(refused.out)
    assert sandbox.requests[-1].body == {"webshopUuid": "none"}
    assert refused.err.startswith("HTTP 422, 1 attempt\ngoedgepickt: ")


@pytest.mark.slow
def test_request_takes_its_body_from_stdin(goedgepickt: Goedgepickt) -> None:
    post = ("request", "POST", "/orders", "--json", "-", "--sandbox")
    done = goedgepickt.feed(b'{"orderId": "7"}', *post)
    assert "orderId" not in json.loads(done.out)["errors"]
    broken = goedgepickt.feed(b"{", *post)
    assert broken.code == 2
    assert "stdin is not JSON" in broken.err


@pytest.mark.parametrize(
    ("fault", "out", "err"),
    [
        ("500", '{\n  "message": "Server Error"\n}\n', "HTTP 500, 1 attempt"),
        ("html", "", "an unreadable answer, 1 attempt"),
    ],
)
def test_the_answer_to_a_write_with_an_unknown_outcome_is_shown(
    inside: Callable[..., Finished], fault: str, out: str, err: str
) -> None:
    faults = ("--sandbox", "--sandbox-faults", f"POST:/orders:{fault}")
    done = inside("request", "POST", "/orders", "--json", "{}", *faults)
    assert (done.code, done.out.decode()) == (1, out)
    assert err in done.err


def test_a_write_is_sent_again_only_with_the_option_idempotent(goedgepickt: Goedgepickt) -> None:
    sandbox = ("--sandbox", "--sandbox-rate", "off", "--sandbox-faults", "POST:/orders:drop")
    write = ("request", "POST", "/orders", "--json", "{}", *sandbox)
    once = goedgepickt(*write)
    assert once.code == 1
    assert "no answer, 1 attempt" in once.err
    assert "Check whether it was carried out" in once.err
    assert "HTTP 422, 2 attempts" in goedgepickt(*write, "--idempotent").err


@pytest.mark.slow
def test_the_sandbox_prints_its_settings_serves_requests_and_ends_on_ctrl_c(goedgepickt: Goedgepickt) -> None:
    process = goedgepickt.start(
        "sandbox", "--port", "0", "--orders", "7", "--rate", "off", "--faults", "GET:/products:503x1"
    )
    assert process.stdout is not None
    line = next(line for line in process.stdout if line.startswith(b"export ")).decode()
    settings = dict(pair.split("=", 1) for pair in line.split()[1:])
    request = urllib.request.Request(
        settings["GOEDGEPICKT_BASE_URL"] + "/orders",
        headers={"Authorization": f"Bearer {settings['GOEDGEPICKT_API_KEY']}", "Accept": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=SAFETY) as response:
        assert json.load(response)["pageInfo"]["totalItems"] == 7
    doctor = goedgepickt("doctor", **settings)
    assert doctor.code == 0
    process.send_signal(signal.SIGINT)
    ended = goedgepickt.finish(process)
    assert (ended.code, ended.err) == (0, "")


def test_a_port_in_use_is_reported_in_one_line(goedgepickt: Goedgepickt) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = goedgepickt("sandbox", "--port", str(other.getsockname()[1]))
    assert done.code == 1
    assert "cannot listen on" in done.err
    assert done.err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("shell", r"export GOEDGEPICKT_API_KEY='a\$b\"c123'"),
        ("powershell", r"\$env:GOEDGEPICKT_API_KEY = 'a\$b\"c123'"),
        ("dotenv", r"GOEDGEPICKT_API_KEY='a\$b\"c123'"),
    ],
)
def test_the_sandbox_prints_only_the_environment_with_the_option_env(
    goedgepickt: Goedgepickt, form: str, line: str
) -> None:
    process = goedgepickt.start("sandbox", "--port", "0", "--orders", "1", "--env", form, "--key", 'a$b"c123')
    assert process.stdout is not None
    first, second = (process.stdout.readline().decode().strip() for _ in range(2))
    assert re.fullmatch(line, first)
    assert "GOEDGEPICKT_BASE_URL" in second
    process.send_signal(signal.SIGINT)
    assert goedgepickt.finish(process).code == 0


@pytest.mark.slow
@pytest.mark.parametrize("code", [0, 7])
def test_the_sandbox_runs_a_command_and_ends_with_its_exit_code(goedgepickt: Goedgepickt, code: int) -> None:
    program = (
        "import json, os, sys, urllib.request as r\n"
        "q = r.Request(os.environ['GOEDGEPICKT_BASE_URL'] + '/orders', headers={'Accept': 'application/json',"
        " 'Authorization': 'Bearer ' + os.environ['GOEDGEPICKT_API_KEY']})\n"
        "print(json.load(r.urlopen(q))['pageInfo']['totalItems']); sys.exit(int(sys.argv[-1]))"
    )
    done = goedgepickt.process(
        "sandbox",
        "--port",
        "0",
        "--orders",
        "9",
        "--write-env",
        "new.env",
        "--",
        sys.executable,
        "-c",
        program,
        "--x",
        str(code),
    )
    assert (done.code, done.out.strip()) == (code, b"9")
    written = (goedgepickt.folder / "new.env").read_text(encoding="utf-8").splitlines()
    assert [line.partition("=")[0] for line in written] == ["GOEDGEPICKT_API_KEY", "GOEDGEPICKT_BASE_URL"]


@each_row(
    ("options", "message"),
    [
        (["--lively", "often"], "--lively must be a number of events per minute"),
        (["--quirk", "error_key"], "a quirk must be NAME=VALUE"),
        (["--quirk", "no_such=1"], "unknown quirk 'no_such'"),
        (["--quirk", "error_key=text"], "error_key is one of message, error, errorMessage"),
        (["--key", "short"], "key must be 8 to 4096 visible ASCII characters"),
        (["--webshops", "0"], "webshops"),
    ],
)
def test_an_invalid_option_of_the_sandbox_is_reported_in_one_line(
    goedgepickt: Goedgepickt, options: list[str], message: str
) -> None:
    done = goedgepickt("sandbox", "--port", "0", *options)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert message in done.err


def test_every_argument_of_the_sandbox_is_an_option_of_the_command() -> None:
    arguments = set(inspect.signature(Sandbox).parameters) - {"clock", "hosts", "limit", "period"}
    options = {field.name for field in dataclasses.fields(SandboxOptions)}
    assert arguments - options == set()
    assert {"allow_host", "rate"} <= options


def test_the_command_line_and_the_sandbox_have_the_same_fault_names() -> None:
    assert {name: text for name, (text, _) in faults.NAMED.items()} == FAULT_NAMES


@pytest.mark.slow
def test_without_the_extra_the_command_prints_how_to_install_it(goedgepickt: Goedgepickt) -> None:
    code = (
        "import sys; sys.modules['cyclopts'] = None; from goedgepickt_async.cli import main; sys.exit(main(['doctor']))"
    )
    done = goedgepickt.cold(sys.executable, "-c", code)
    assert done.code == 2
    assert done.err == "goedgepickt: the command line needs an extra: pip install 'goedgepickt-async[cli]'\n"


@pytest.mark.slow
def test_help_does_not_import_aiohttp(goedgepickt: Goedgepickt) -> None:
    code = """
import sys
from goedgepickt_async.cli import main
assert main(["export", "--help"]) == 0
assert main(["sandbox", "--help"]) == 0
for name in ("list", "ensure", "listen", "send", "replay"):
    assert main(["webhooks", name, "--help"]) == 0
sys.exit("aiohttp" in sys.modules)
"""
    done = goedgepickt.cold(sys.executable, "-c", code)
    assert done.code == 0, done.err
    assert "--created-after" in done.out.decode()
    assert "kept-alive-drop" in done.out.decode()


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line_without_a_place_in_the_code(inside: Callable[..., Finished]) -> None:
    place = {"GOEDGEPICKT_BASE_URL": "http://nowhere.invalid", "GOEDGEPICKT_API_KEY": "a-key"}
    done = inside("request", "GET", "/x", "--timeout", "0.1", **place)
    assert done.code == 1
    assert done.err.count("warning: base_url is http://") == 1
    assert "settings.py" not in done.err
