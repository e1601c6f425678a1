"""`webhooks list | ensure | listen | send | replay`: real processes, real sockets, real signatures."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import hmac
import json
import os
import pty
import re
import signal
import sqlite3
import stat
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async.cli.common import CommandError, UsageError
from goedgepickt_async.cli.listen import (
    Recorder,
    _body_fields,
    _body_of,
    as_line,
    as_row,
    checked_url,
    read_recording,
)
from goedgepickt_async.cli.send import example_payload
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.webhooks import EVENTS, InboxEntry, SqliteInbox, UnknownEvent, parse
from tests.support.receiver import Receiver, receiving
from tests.support.tables import each_row
from tests.support.waiting import SAFETY
from tests.support.waiting import until_in_thread as until
from tests.support.warm import Process

from .conftest import Finished, Goedgepickt, jsonl
from .test_other_commands import against

URL = "https://shop.example.test/hooks"
ORDERS = ("--event", "order.statusChanged")
BOTH = (*ORDERS, "--event", "product.stockChanged")
SECRETS = "GOEDGEPICKT_WEBHOOK_SECRETS"
BODY = b'{"event":"stockUpdated","newStock":"-3","productSku":"K\\u00d8B\\/1","productUuid":"p-1"}'

Inside = Callable[..., Finished]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


def signed(body: bytes, secret: str = "geheim") -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def post(url: str, body: bytes, signature: str | None) -> int:
    request = urllib.request.Request(url, data=body, headers={} if signature is None else {"Signature": signature})
    try:
        with urllib.request.urlopen(request, timeout=SAFETY) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def listen(goedgepickt: Goedgepickt, *arguments: str, secrets: str = "other,geheim") -> tuple[Process, str]:
    """A listener on a free port, and its URL."""
    process = goedgepickt.start("webhooks", "listen", "--port", "0", *arguments, **{SECRETS: secrets})
    assert process.stderr is not None
    line = process.stderr.readline().decode()
    found = re.search(r"http://\S+/", line)
    assert found, line
    return process, found[0]


async def command(goedgepickt: Goedgepickt, *arguments: str, secrets: str = "geheim,other") -> Finished:
    return await asyncio.to_thread(lambda: goedgepickt("webhooks", *arguments, **{SECRETS: secrets}))


# -- subscriptions ------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_ensure_makes_what_is_missing_once_and_never_shows_a_secret_unasked(
    goedgepickt: Goedgepickt, sandbox: Sandbox
) -> None:
    first = await against(goedgepickt, sandbox, "webhooks", "ensure", URL, *BOTH)
    assert first.code == 0, first.err
    assert first.err.endswith("4 made, 0 there already, 0 to another URL\n")
    again = await against(goedgepickt, sandbox, "webhooks", "ensure", URL, *BOTH, "--json")
    assert again.err.endswith("0 made, 4 there already, 0 to another URL\n")
    assert {(row["state"], row["secret"]) for row in again.rows} == {("existing", "***")}
    moved = await against(goedgepickt, sandbox, "webhooks", "ensure", URL + "/2", *ORDERS)
    assert moved.out.decode().count(URL) == 2
    listed = await against(goedgepickt, sandbox, "webhooks", "list")
    rows = await against(goedgepickt, sandbox, "webhooks", "list", "--json")
    assert len(rows.rows) == len(sandbox.world.webhooks) == 6
    assert URL in listed.out.decode()
    told = b"".join(done.out + done.err.encode() for done in (first, again, moved, listed, rows))
    assert not [hook for hook in sandbox.world.webhooks if hook["webhookSecret"].encode() in told]


async def test_ensure_prints_the_secrets_when_asked_in_the_form_that_listen_takes(
    goedgepickt: Goedgepickt, sandbox: Sandbox
) -> None:
    shop = str(sandbox.world.webshops[0]["uuid"])
    arguments = ("webhooks", "ensure", URL, *BOTH, "--webshop", shop, "--show-secrets")
    done = await against(goedgepickt, sandbox, *arguments)
    secrets = {hook["webhookSecret"] for hook in sandbox.world.webhooks}
    last = done.out.decode().splitlines()[-1]
    assert last.startswith(f"export {SECRETS}=")
    assert set(last.partition("=")[2].split(",")) == secrets
    as_json = await against(goedgepickt, sandbox, *arguments, "--json")
    assert {row["secret"] for row in as_json.rows} == secrets
    assert {row["webshop_uuid"] for row in as_json.rows} == {shop}


def test_what_cannot_be_subscribed_to_is_a_usage_error(inside: Inside) -> None:
    for arguments in (("no url", *ORDERS), (URL, "--event", "orderStatusChanged"), (URL,)):
        done = inside("webhooks", "ensure", *arguments, "--sandbox")
        assert (done.code, done.out) == (2, b""), done.err
        assert done.err.count("\n") == 1
    assert inside("webhooks", "ensure", URL, *ORDERS).code == 2
    assert inside("webhooks", "list").code == 2


async def test_a_refused_key_is_exit_code_3(goedgepickt: Goedgepickt, sandbox: Sandbox) -> None:
    done = await against(goedgepickt, sandbox, "webhooks", "ensure", URL, *ORDERS, key="wrong")
    assert done.code == 3


def test_list_and_ensure_run_against_an_embedded_sandbox(inside: Inside) -> None:
    assert inside("webhooks", "list", "--sandbox").code == 0
    assert inside("webhooks", "ensure", URL, *ORDERS, "--sandbox").err.startswith("2 made")


# -- listening ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_listen_verifies_prints_and_records_what_arrives_and_ends_on_ctrl_c(goedgepickt: Goedgepickt) -> None:
    process, url = listen(goedgepickt, "--record", "deliveries.jsonl")
    assert post(url + "any/path", BODY, signed(BODY)) == 200
    assert post(url, BODY, signed(BODY, "wrong")) == 401
    assert post(url, BODY, None) == 401
    assert post(url, b"x" * 300_000, signed(BODY)) == 413
    assert post(url, b"\xff no JSON", signed(b"\xff no JSON").upper()) == 200
    with pytest.raises(urllib.error.HTTPError, match="405") as caught:
        urllib.request.urlopen(url, timeout=SAFETY)
    caught.value.close()
    path = goedgepickt.folder / "deliveries.jsonl"
    until(lambda: path.read_bytes().count(b"\n") == 2)
    process.send_signal(signal.SIGINT)
    ended = goedgepickt.finish(process)
    assert ended.code == 0, ended.err
    assert ended.err.endswith("2 verified, 3 refused\n")
    assert "Traceback" not in ended.err
    stock, garbage = ended.rows
    assert (stock["event"], stock["new_stock"], stock["product_sku"]) == ("stockUpdated", -3, "KØB/1")
    assert garbage["event"] is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    recorded = read_recording(path)
    assert [one.body for one in recorded] == [BODY, b"\xff no JSON"]
    assert not [secret for secret in ("geheim", "other") if secret in ended.err or secret.encode() in path.read_bytes()]


@pytest.mark.slow
def test_listen_ends_after_so_many(goedgepickt: Goedgepickt) -> None:
    process, url = listen(goedgepickt, "--count", "2")
    assert [post(url, BODY, signed(BODY)) for _ in range(2)] == [200, 200]
    ended = goedgepickt.finish(process)
    assert (ended.code, len(ended.rows)) == (0, 2)


def test_listen_with_a_sandbox_receives_deliveries_immediately(goedgepickt: Goedgepickt) -> None:
    done = goedgepickt("webhooks", "listen", "--port", "0", "--count", "4", "--sandbox", "--sandbox-orders", "10")
    assert done.code == 0, done.err
    assert {row["event"] for row in done.rows} == {"stockUpdated", "orderStatusChanged"}
    assert done.err.endswith("4 verified, 0 refused\n")


def test_listen_with_a_sandbox_that_fails_says_so(goedgepickt: Goedgepickt) -> None:
    done = goedgepickt("webhooks", "listen", "--port", "0", "--sandbox", "--sandbox-faults", "PUT:*:422")
    assert done.code == 1
    assert "ExceptionGroup" not in done.err
    assert "PUT /products/" in done.err


@pytest.mark.slow
def test_a_delivery_that_cannot_be_printed_is_not_answered_200(goedgepickt: Goedgepickt) -> None:
    process, url = listen(goedgepickt)
    assert process.stdout is not None
    process.stdout.close()
    assert post(url, BODY, signed(BODY)) == 503
    assert process.wait(SAFETY) == 141


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
def test_a_delivery_that_cannot_be_recorded_is_not_answered_200(goedgepickt: Goedgepickt) -> None:
    process, url = listen(goedgepickt, "--record", "/dev/full")
    assert post(url, BODY, signed(BODY)) == 503
    ended = goedgepickt.finish(process)
    assert (ended.code, ended.out) == (1, b"")
    assert "--record /dev/full cannot be written" in ended.err


@pytest.mark.slow
def test_a_body_in_chunks_without_a_length_does_not_get_past_the_cap(goedgepickt: Goedgepickt) -> None:
    process, url = listen(goedgepickt)

    async def pour() -> bytes:
        port = int(url.rstrip("/").rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        unverified = b"0" * 64
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nSignature: " + unverified + b"\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(100):
                writer.write(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
                await writer.drain()
        except ConnectionError:
            pass
        answer = await reader.read(12)
        writer.close()
        return answer

    assert asyncio.run(pour()) == b"HTTP/1.1 413"
    process.send_signal(signal.SIGTERM)
    assert goedgepickt.finish(process).code == 0


@pytest.mark.slow
def test_what_listen_cannot_do_is_one_line(
    goedgepickt: Goedgepickt, inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = inside("webhooks", "listen")
    assert (none.code, none.err.count("\n")) == (2, 1)
    assert SECRETS in none.err
    _, url = listen(goedgepickt)
    monkeypatch.setenv(SECRETS, "geheim")
    taken = inside("webhooks", "listen", "--port", url.rstrip("/").rpartition(":")[2])
    assert (taken.code, taken.err.count("\n")) == (1, 1)
    assert "cannot listen on" in taken.err
    for wrong in (("--port", "65536"), ("--count", "0")):
        assert inside("webhooks", "listen", *wrong).code == 2
    for unused in (("--api", "account"), ("--tenant", "shop"), ("--timeout", "3"), ("--budget", "local")):
        assert f"pass {unused[0]} only with --sandbox" in inside("webhooks", "listen", *unused).err
    assert "-1 is not between 0 and 65535" in inside("webhooks", "failed", "--port=-1").err
    assert inside("webhooks", "listen", "--record", "/no/such/place").code == 1


# -- sending ------------------------------------------------------------------------------------------------------


async def test_send_delivers_a_signed_event_as_php_writes_it(goedgepickt: Goedgepickt, receiver: Receiver) -> None:
    done = await command(goedgepickt, "send", receiver.url, "stockUpdated", "--field", "productSku=KØB/1")
    assert done.code == 0, done.err
    (came,) = receiver.came
    assert came.is_signed_with("geheim")
    assert b'"productSku":"K\\u00d8B\\/1"' in came.body
    assert [(row["status"], row["delivered"]) for row in done.rows] == [(200, True)]


async def test_send_tries_ten_times_and_then_has_failed(goedgepickt: Goedgepickt, receiver: Receiver) -> None:
    receiver.answer([503] * 20)
    done = await command(goedgepickt, "send", receiver.url, "orderStatusChanged", "--first-pause", "0")
    assert (done.code, len(receiver.came), len(done.rows)) == (1, 10, 10)
    assert len({came.body for came in receiver.came}) == 1
    assert done.err.splitlines()[-1] == "goedgepickt: not delivered after 10 attempts: HTTP 503"
    assert done.err.count("again in 0 s") == 9
    once = await command(goedgepickt, "send", receiver.url, "a.new.event", "--attempts", "1")
    assert (once.code, len(once.rows), "a.new.event is no known event" in once.err) == (1, 1, True)


@pytest.mark.slow
async def test_each_attempt_is_printed_as_it_ends(goedgepickt: Goedgepickt, receiver: Receiver) -> None:
    receiver.answer([503] * 20)
    arguments = ("webhooks", "send", receiver.url, "stockUpdated", "--first-pause", "60")
    process = goedgepickt.start(*arguments, **{SECRETS: "geheim"})
    assert process.stdout is not None
    line = await asyncio.to_thread(process.stdout.readline)
    assert json.loads(line)["status"] == 503
    process.send_signal(signal.SIGINT)
    stopped = await asyncio.to_thread(goedgepickt.finish, process)
    assert stopped.code == 1
    assert stopped.err.endswith("again in 60 s\ngoedgepickt: stopped\n")


async def test_send_sends_a_body_as_it_stands(goedgepickt: Goedgepickt, receiver: Receiver) -> None:
    (goedgepickt.folder / "body").write_bytes(b"\xff\x00 no JSON\n")
    assert (await command(goedgepickt, "send", receiver.url, "--body", "@body")).code == 0
    assert (await command(goedgepickt, "send", receiver.url, "--body", '{ "a":  "é/" }')).code == 0
    assert [came.body for came in receiver.came] == [b"\xff\x00 no JSON\n", '{ "a":  "é/" }'.encode()]
    assert all(came.is_signed_with("geheim") for came in receiver.came)


@each_row(
    "arguments",
    [
        ("no-url", "stockUpdated"),
        ("ftp://127.0.0.1/", "stockUpdated"),
        ("http://127.0.0.1:99999/", "stockUpdated"),
        ("http://127.0.0.1:9/",),
        ("http://127.0.0.1:9/", "stockUpdated", "--field", "newStock"),
        ("http://127.0.0.1:9/", "stockUpdated", "--body", "{}"),
        ("http://127.0.0.1:9/", "stockUpdated", "--attempts", "0"),
        ("http://127.0.0.1:9/", "stockUpdated", "--attempts", "\u0663"),
        ("http://127.0.0.1:9/", "stockUpdated", "--first-pause", "1e9"),
        ("http://127.0.0.1:9/", "stockUpdated", "--first-pause", "nan"),
        ("http://127.0.0.1:9/", "stockUpdated", "--timeout", "0"),
    ],
)
def test_what_cannot_be_sent_is_a_usage_error(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.setenv(SECRETS, "geheim")
    done = inside("webhooks", "send", *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (2, b"", 1)
    assert "geheim" not in done.err


def test_no_listener_and_no_secret_have_different_messages(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    assert SECRETS in inside("webhooks", "send", "http://127.0.0.1:9/", "stockUpdated").err
    monkeypatch.setenv(SECRETS, "geheim")
    done = inside("webhooks", "send", "http://127.0.0.1:9/", "stockUpdated", "--attempts", "1")
    assert done.code == 1
    assert "not connected" in done.err
    assert inside("webhooks", "send", "http://127.0.0.1:9/", "--body", "@nothing").code == 1


@each_row("event", EVENTS)
def test_a_known_event_that_is_made_up_is_whole(event: str) -> None:
    parsed = parse(json.dumps(example_payload(event)).encode())
    assert not isinstance(parsed, UnknownEvent)
    assert example_payload("something.else") == {"event": "something.else"}


# -- recordings ---------------------------------------------------------------------------------------------------


def record(path: Path, *bodies: bytes) -> None:
    rows = [{"at": "2026-11-25T12:00:00+00:00", "signature": signed(body), **_body_fields(body)} for body in bodies]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


async def test_replay_sends_the_same_bytes_with_the_same_signatures(
    goedgepickt: Goedgepickt, receiver: Receiver
) -> None:
    bodies = [BODY, b"\xff no JSON", BODY, '{"a": "é/"}'.encode()]
    record(goedgepickt.folder / "r.jsonl", *bodies)
    done = await command(goedgepickt, "replay", "r.jsonl", receiver.url, secrets="")
    assert done.code == 0, done.err
    assert [(came.body, came.signature) for came in receiver.came] == [(body, signed(body)) for body in bodies]
    assert [row["line"] for row in jsonl(done.out)] == [1, 2, 3, 4]
    anew = await command(
        goedgepickt, "replay", "r.jsonl", receiver.url, "--sign-again", "--from-line", "4", secrets="new"
    )
    assert anew.code == 0
    assert receiver.came[-1].is_signed_with("new")
    assert len(receiver.came) == 5


@pytest.mark.slow
async def test_what_listen_recorded_is_replayed_to_another_listener(goedgepickt: Goedgepickt, tmp_path: Path) -> None:
    process, url = await asyncio.to_thread(listen, goedgepickt, "--record", "r.jsonl", "--count", "1")
    assert (await command(goedgepickt, "send", url, "stockUpdated")).code == 0
    heard = await asyncio.to_thread(goedgepickt.finish, process)
    second, url = await asyncio.to_thread(listen, goedgepickt, "--count", "1")
    assert (await command(goedgepickt, "replay", "r.jsonl", url)).code == 0
    again = await asyncio.to_thread(goedgepickt.finish, second)
    assert {**heard.rows[0], "at": ""} == {**again.rows[0], "at": ""}


async def test_a_replay_that_stops_says_how_to_continue(goedgepickt: Goedgepickt, receiver: Receiver) -> None:
    record(goedgepickt.folder / "r.jsonl", b"1", b"2", b"3")
    receiver.answer([200, 500, 500])
    stopped = await command(goedgepickt, "replay", "r.jsonl", receiver.url, "--attempts", "2", "--first-pause", "0")
    assert stopped.code == 4
    assert stopped.err.endswith("1 delivered. To continue: --from-line 2\n")
    assert (await command(goedgepickt, "replay", "r.jsonl", receiver.url, "--from-line", "2")).code == 0
    assert [came.body for came in receiver.came] == [b"1", b"2", b"2", b"2", b"3"]


@pytest.mark.slow
async def test_a_replay_that_is_interrupted_says_how_to_continue(goedgepickt: Goedgepickt, receiver: Receiver) -> None:
    record(goedgepickt.folder / "r.jsonl", b"1", b"2")
    receiver.answer([200, None])
    process = goedgepickt.start("webhooks", "replay", "r.jsonl", receiver.url)
    await asyncio.to_thread(until, lambda: len(receiver.came) == 2)
    process.send_signal(signal.SIGINT)
    stopped = await asyncio.to_thread(goedgepickt.finish, process)
    assert (stopped.code, stopped.err) == (4, "goedgepickt: stopped; 1 delivered. To continue: --from-line 2\n")


@each_row(
    "bad",
    [
        b"no JSON",
        b"[]",
        b"7",
        b"{}",
        b'{"signature": "short", "body": ""}',
        b'{"signature": 7, "body": ""}',
        b'{"signature": "' + b"a" * 64 + b'"}',
        b'{"signature": "' + b"a" * 64 + b'", "body": 7}',
        b'{"signature": "' + b"a" * 64 + b'", "body": "\\ud800"}',
        b'{"signature": "' + b"a" * 64 + b'", "body_base64": "?"}',
        b'{"signature": "' + b"a" * 63 + b'\\n", "body": ""}',
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_a_bad_line_is_named_before_anything_is_sent(inside: Inside, tmp_path: Path, bad: bytes) -> None:
    record(tmp_path / "r.jsonl", b"1")
    with (tmp_path / "r.jsonl").open("ab") as file:
        file.write(b"\n" + bad + b"\n")
    done = inside("webhooks", "replay", "r.jsonl", "http://127.0.0.1:9/")
    assert (done.code, done.out) == (2, b"")
    assert done.err == "goedgepickt: r.jsonl, line 3, is not a recorded delivery; nothing was sent\n"


def test_a_recording_that_is_not_there_is_one_line(inside: Inside) -> None:
    done = inside("webhooks", "replay", "r.jsonl", "http://127.0.0.1:9/")
    assert (done.code, done.err) == (1, "goedgepickt: r.jsonl cannot be read: No such file or directory\n")
    assert inside("webhooks", "replay", "r.jsonl", "http://127.0.0.1:9/", "--from-line", "0").code == 2


def test_an_older_recording_becomes_private_and_a_cut_line_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"cut sho')
    path.chmod(0o644)
    for _ in range(2):
        recorder = Recorder(path)
        recorder.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() == b'{"cut sho\n'
    with pytest.raises(CommandError):
        Recorder(tmp_path)


@given(st.binary())
def test_any_body_comes_back_out_of_a_recording_byte_for_byte(body: bytes) -> None:
    assert _body_of(json.loads(json.dumps(_body_fields(body)))) == body


@pytest.mark.slow
@given(st.binary() | st.builds(lambda value: json.dumps(value).encode(), st.dictionaries(st.text(), st.text())))
def test_every_verified_delivery_can_be_printed(body: bytes) -> None:
    assert json.loads(json.dumps(as_row(body)))


@each_row("url", ["", "x", "//host/", "http://?", "http://[", "http://a\n/", "file:///etc/passwd"])
def test_what_is_no_url_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        checked_url(url)
    assert not url or url not in str(caught.value)


# -- for people ---------------------------------------------------------------------------------------------------


def test_a_delivery_as_a_line_has_the_names_of_the_wire_and_no_control_characters() -> None:
    assert as_line(BODY) == "stockUpdated          newStock=-3  productSku=KØB/1  productUuid=p-1"
    assert as_line(b'{"event":"new","n":1,"list":[1,"a"]}') == 'new                   n=1  list=[1, "a"]'
    assert as_line(b"\xff\x1b[2J") == "\\xff [2J"
    assert as_line(b'{"event":"\\u001b[2J","a":"\\n"}').isprintable()
    assert as_line(b"[]") == "[]"


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
@settings(deadline=None)
def test_any_delivery_as_a_line_is_one_printable_line(body: bytes) -> None:
    line = as_line(body)
    assert line.isprintable()
    assert len(line) <= 400


@pytest.mark.slow
def test_listen_on_a_terminal_prints_lines_for_people_and_json_when_asked(goedgepickt: Goedgepickt) -> None:
    for more, expected in (((), b"stockUpdated  "), (("--json",), b'"event": "stockUpdated"')):
        terminal, of_the_command = pty.openpty()
        arguments = ("webhooks", "listen", "--port", "0", "--count", "1", *more)
        process = goedgepickt.start_on(of_the_command, *arguments, **{SECRETS: "geheim"})
        os.close(of_the_command)
        assert process.stderr is not None
        found = re.search(r"http://\S+/", process.stderr.readline().decode())
        assert found
        assert post(found[0], BODY, signed(BODY)) == 200
        assert process.wait() == 0
        assert expected in os.read(terminal, 4096)
        os.close(terminal)


@pytest.mark.slow
async def test_listen_forwards_the_original_bytes_and_headers_and_passes_the_status_on(
    goedgepickt: Goedgepickt, receiver: Receiver
) -> None:
    receiver.answer([200, 503])
    process, url = await asyncio.to_thread(listen, goedgepickt, "--forward-to", receiver.url)
    compressed = gzip.compress(BODY, mtime=0)
    signature = signed(compressed)
    headers = {"Signature": signature, "Content-Encoding": "gzip", "X-Of-The-Service": "kept"}
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=compressed, headers=headers) as answer:
            assert answer.status == 200
        async with session.post(url, data=BODY, headers={"Signature": signed(BODY)}) as answer:
            assert answer.status == 503
        async with session.post(url, data=BODY, headers={"Signature": signed(BODY, "wrong")}) as answer:
            assert answer.status == 401
    process.send_signal(signal.SIGINT)
    ended = await asyncio.to_thread(goedgepickt.finish, process)
    assert [row["forwarded"]["status"] for row in ended.rows] == [200, 503]
    assert ended.rows[0]["new_stock"] == -3
    first, _ = receiver.came
    assert (first.body, first.headers["Signature"]) == (BODY, signature), "its application decompresses"
    assert first.headers["Content-Length"] == str(len(compressed))
    assert (first.headers["Content-Encoding"], first.headers["X-Of-The-Service"]) == ("gzip", "kept")


@pytest.mark.slow
def test_listen_says_when_nothing_is_there_to_forward_to(goedgepickt: Goedgepickt) -> None:
    process, url = listen(goedgepickt, "--forward-to", "http://127.0.0.1:9/")
    assert post(url, BODY, signed(BODY)) == 503
    process.send_signal(signal.SIGINT)
    ended = goedgepickt.finish(process)
    assert ended.rows[0]["forwarded"]["problem"].startswith("not delivered: ")


@pytest.mark.slow
def test_a_flood_of_forged_deliveries_is_summarised(goedgepickt: Goedgepickt) -> None:
    process, url = listen(goedgepickt)
    assert {post(url, BODY, signed(BODY, "wrong")) for _ in range(50)} == {401}
    process.send_signal(signal.SIGINT)
    ended = goedgepickt.finish(process)
    assert ended.err.count("refused with 401") == 1
    assert ended.err.endswith("0 verified, 50 refused\n")


# -- trigger ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", EVENTS)
async def test_trigger_makes_an_embedded_sandbox_deliver_the_event(
    goedgepickt: Goedgepickt, receiver: Receiver, event: str
) -> None:
    done = await command(goedgepickt, "trigger", event, "--sandbox", "--to", receiver.url)
    assert done.code == 0, done.err
    assert {row["status"] for row in done.rows} == {200}
    assert {json.loads(came.body)["event"] for came in receiver.came} == {event}
    assert all(came.is_signed_with("geheim") for came in receiver.came)


@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--sandbox-rate", "1/60", "rate limit"),
        ("--sandbox-faults", "POST:/orders:422", "(POST /orders)"),
        ("--sandbox-orders", "none", "whole number"),
    ],
)
async def test_trigger_heeds_each_option_of_its_sandbox(
    goedgepickt: Goedgepickt, receiver: Receiver, option: str, value: str, told: str
) -> None:
    arguments = ("orderStatusChanged", "--sandbox", "--to", receiver.url, "--max-wait", "0", option, value)
    done = await command(goedgepickt, "trigger", *arguments)
    assert done.code in {1, 2}
    assert told in done.err
    assert receiver.came == []


async def test_trigger_makes_a_running_sandbox_deliver_to_its_subscriptions(
    goedgepickt: Goedgepickt, sandbox: Sandbox, receiver: Receiver
) -> None:
    await against(goedgepickt, sandbox, "webhooks", "ensure", receiver.url, *BOTH)
    for event in ("stockUpdated", "orderStatusChanged"):
        done = await against(goedgepickt, sandbox, "webhooks", "trigger", event)
        assert done.code == 0, done.err
        await sandbox.deliveries.settled()
        assert event in {json.loads(came.body)["event"] for came in receiver.came}


def test_what_cannot_be_triggered_is_a_usage_error(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRETS, "geheim")
    monkeypatch.setenv("GOEDGEPICKT_API_KEY", "k")
    for arguments in (
        ("no.such.event", "--sandbox", "--to", URL),
        ("stockUpdated", "--sandbox"),
        ("stockUpdated", "--to", URL),
        ("stockUpdated",),  # the real service
    ):
        done = inside("webhooks", "trigger", *arguments)
        assert (done.code, done.out, done.err.count("\n")) == (2, b"", 1), done.err


# -- failed deliveries --------------------------------------------------------------------------------------------


async def fill_with_failures(path: Path, number: int) -> None:
    inbox = SqliteInbox(path)
    for product in range(number):
        body = json.dumps({"event": "stockUpdated", "productUuid": f"p-{product}"}).encode()
        await inbox.put([InboxEntry(handler="h", ordering_key=f"product:{product}", dedup_key="k", body=body)])
        (claim,) = await inbox.claim(["h"], limit=1, lease=60, wait=0)
        await inbox.give_up(claim, reason="ValueError")
    await inbox.close()


def test_failed_lists_retries_and_drops(inside: Inside, tmp_path: Path) -> None:
    path = tmp_path / "folder" / "inbox"
    asyncio.run(fill_with_failures(path, 3))
    listed = inside("webhooks", "failed", "--inbox", str(path))
    assert (listed.code, listed.out.count(b"\n")) == (0, 3)
    assert b"ValueError" in listed.out
    assert b"productUuid=p-2" in listed.out
    assert "3 failed, 0 waiting" in listed.err
    rows = inside("webhooks", "failed", "--inbox", str(path), "--json").rows
    assert [(row["handler"], row["attempts"], row["product_uuid"]) for row in rows] == [
        ("h", 1, f"p-{product}") for product in range(3)
    ]
    first, second, third = (str(row["id"]) for row in rows)
    assert inside("webhooks", "failed", first, "--retry", "--inbox", str(path)).err == "1 put back into the inbox\n"
    assert inside("webhooks", "failed", third, "--drop", "--inbox", str(path)).err == "1 deleted\n"
    missing = inside("webhooks", "failed", first, second, "--drop", "--inbox", str(path))
    assert (missing.code, first in missing.err) == (1, True)
    left = inside("webhooks", "failed", "--inbox", str(path), "--json")
    assert [str(row["id"]) for row in left.rows] == [second]
    assert "1 failed, 1 waiting" in left.err
    assert inside("webhooks", "failed", "--drop", "--inbox", str(path)).err == "1 deleted\n"


@pytest.mark.parametrize("is_database", [False, True])
def test_failed_changes_no_file_that_is_not_an_inbox(inside: Inside, tmp_path: Path, is_database: bool) -> None:
    path = tmp_path / "orders"
    if is_database:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE users (name)")
    else:
        path.write_text("order_id;sku")
    path.chmod(0o644)
    before = path.read_bytes(), path.stat().st_mode
    done = inside("webhooks", "failed", "--inbox", str(path))
    assert (done.code, done.out) == (2, b"")
    assert "is no inbox" in done.err
    assert (path.read_bytes(), path.stat().st_mode) == before
    assert list(tmp_path.iterdir()) == [path]


def test_failed_without_an_inbox_makes_none(inside: Inside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for arguments in (("--inbox", str(tmp_path / "no")), (), ("--port", "1"), ("--retry", "--drop")):
        done = inside("webhooks", "failed", *arguments)
        assert (done.code, done.err.count("\n")) == (2, 1)
    assert list(tmp_path.rglob("*sqlite3*")) == []
