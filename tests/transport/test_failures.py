"""An exception of aiohttp or the operating system, as our error: its class, its words, and nothing personal."""

from __future__ import annotations

import socket
import ssl
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp.http_exceptions import BadHttpMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from goedgepickt_async import ConnectFailedError, ConnectionLostError, Evidence, RequestTimeoutError
from goedgepickt_async._transport.request import RawResponse, TransportFailure
from goedgepickt_async._transport.verdict import EndedError, _unquoted, describe, failure_of
from tests.support.tables import each_row

SECRET = "a-key"
HEADERS = CIMultiDictProxy(CIMultiDict({"Authorization": f"Bearer {SECRET}"}))
INFO = aiohttp.RequestInfo(URL("http://example.test/orders"), "GET", HEADERS, URL("http://example.test/orders"))
PLACE: Any = SimpleNamespace(host="shop.example.test", port=443, is_ssl=True, ssl=True, proxy=None)


def refused() -> OSError:
    return ConnectionRefusedError(111, "Connection refused")


def caused(exc: BaseException, cause: BaseException) -> BaseException:
    exc.__cause__ = cause
    return exc


def unverified() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


def failed(
    exc: BaseException, *, sent: bool = True, head: tuple[int, dict[str, str]] | None = None, proxy: str | None = None
) -> TransportFailure:
    assert isinstance(exc, Exception)
    failure = failure_of(exc, sent=sent, head=head, evidence=Evidence.UNKNOWN, timeout=30, proxy=proxy)
    assert isinstance(failure, TransportFailure)
    return failure


@each_row(
    ("exc", "words"),
    [
        (aiohttp.InvalidURL("http://:::"), "the host in base_url is not valid"),
        (aiohttp.ClientConnectorDNSError(PLACE, OSError(-2, "x")), "the host 'shop.example.test' has no address"),
        (aiohttp.ClientConnectorError(PLACE, refused()), "shop.example.test:443: Connection refused"),
        (
            aiohttp.ClientConnectorCertificateError(PLACE, unverified()),
            "shop.example.test:443: certificate verification failed: self-signed certificate",
        ),
        (
            aiohttp.ClientConnectorCertificateError(PLACE, ValueError()),
            "shop.example.test:443: certificate verification failed: TLS",
        ),
        (
            aiohttp.ClientHttpProxyError(INFO, (), status=407, message="Authentication Required"),
            "the proxy answered 407 Authentication Required: the proxy requires credentials (user:password@ in its URL)",
        ),
        (
            aiohttp.ClientHttpProxyError(INFO, (), status=502, message="Bad 'De Vries'"),
            "the proxy answered 502 Bad",
        ),
        (aiohttp.ClientResponseError(INFO, (), message="Bad status line 'De Vries'"), "Bad status line"),
        (aiohttp.ClientPayloadError("Response payload is not completed"), "Response payload is not completed"),
        (aiohttp.ClientPayloadError("400, message:\n  Bad chunk: b'De Vries'"), "Bad chunk"),
        (
            caused(aiohttp.ClientPayloadError("x"), BadHttpMessage("Chunk too big")),
            "Chunk too big",
        ),
        (aiohttp.ServerDisconnectedError(), "Server disconnected"),
        (
            aiohttp.ServerDisconnectedError(object()),  # type: ignore[arg-type]
            "the server closed the connection before the headers were complete",
        ),
        (caused(aiohttp.ClientError(), unverified()), "self-signed certificate"),
        (caused(aiohttp.ClientError(), refused()), "Connection refused"),
        (caused(aiohttp.ClientError(), TimeoutError()), "TimeoutError"),
        (ConnectionResetError(104, "Connection reset by peer"), "Connection reset by peer"),
        (aiohttp.ClientError(), "ClientError"),
    ],
)
def test_an_exception_is_described_without_what_it_quotes(exc: Exception, words: str) -> None:
    assert describe(exc) == words


def test_a_failure_before_sending_is_a_failed_connection_that_names_the_proxy() -> None:
    direct = failed(aiohttp.ClientConnectorError(PLACE, refused()), sent=False)
    assert direct.error is ConnectFailedError
    assert direct.message == "cannot connect: shop.example.test:443: Connection refused"
    through = failed(refused(), sent=False, proxy="http://proxy.example.test:3128")
    assert through.message == "cannot connect through the proxy http://proxy.example.test:3128: Connection refused"


def test_a_failure_after_sending_is_a_lost_connection() -> None:
    lost = failed(aiohttp.ServerDisconnectedError())
    assert (lost.error, lost.evidence) == (ConnectionLostError, Evidence.UNKNOWN)
    assert lost.message == "the connection closed before the complete response arrived: Server disconnected"
    unreadable = failed(aiohttp.ClientResponseError(INFO, (), message="Bad status line"))
    assert unreadable.error is ConnectionLostError
    assert unreadable.message == "the response is not valid HTTP: Bad status line"


def test_a_timeout_says_whether_the_request_had_been_sent() -> None:
    before, after = failed(TimeoutError(), sent=False), failed(TimeoutError())
    assert (before.error, before.message) == (ConnectFailedError, "connecting timed out")
    assert after.error is RequestTimeoutError
    assert after.message == "the request timed out: no complete response within 30 s"


@each_row("status", [199, 200, 299, 300])
def test_after_the_headers_of_an_error_a_timeout_leaves_the_response_that_they_tell(status: int) -> None:
    head = (status, {"Retry-After": "3"})
    found = failure_of(TimeoutError(), sent=True, head=head, evidence=Evidence.UNKNOWN, timeout=30, proxy=None)
    if 200 <= status < 300:
        assert isinstance(found, TransportFailure)
    else:
        assert found == RawResponse(status=status, headers=head[1], body=b"")


@each_row(
    ("cause", "kept"),
    [
        (unverified(), ssl.SSLCertVerificationError),
        (socket.gaierror(-2, "no such host"), socket.gaierror),
        (refused(), ConnectionRefusedError),
        (type("TheirError", (OSError,), {})(SECRET), None),
    ],
)
def test_only_causes_from_the_standard_library_are_kept(cause: OSError, kept: type[BaseException] | None) -> None:
    found = failed(caused(aiohttp.ClientError(), cause)).cause
    assert found is None if kept is None else type(found) is kept


@each_row(("links", "kept"), [(4, True), (5, False)])
def test_a_cause_is_looked_for_behind_four_exceptions(links: int, kept: bool) -> None:
    exc: BaseException = refused()
    for _ in range(links):
        exc = caused(aiohttp.ClientError(), exc)
    assert (failed(exc).cause is not None) is kept


@each_row(("length", "shown"), [(255, "h" * 255), (256, "h" * 255 + "…")])
def test_of_a_hosts_name_255_characters_are_shown(length: int, shown: str) -> None:
    place: Any = SimpleNamespace(host="h" * length, port=443, is_ssl=True, ssl=True, proxy=None)
    assert describe(aiohttp.ClientConnectorDNSError(place, OSError(-2, "x"))) == f"the host {shown!r} has no address"
    assert describe(aiohttp.ClientConnectorError(place, refused())) == f"{shown}:443: Connection refused"


@each_row(("length", "shown"), [(200, "x" * 200), (201, "x" * 200 + "…")])
def test_of_a_reason_200_characters_are_shown(length: int, shown: str) -> None:
    assert describe(OSError(1, "x" * length)) == shown
    assert describe(aiohttp.ClientResponseError(INFO, (), message="x" * 300 + "'De Vries'")) == "x" * 200 + "…"


@each_row(
    ("text", "shown"),
    [("X: bad X:", "X: bad X"), ("x" * 300, "x" * 300), ("x" * 301, "x" * 300 + "…"), ("bad <^ 'De Vries'", "bad")],
)
def test_a_text_is_shown_up_to_its_first_quotation_and_300_characters(text: str, shown: str) -> None:
    assert _unquoted(text) == shown


def test_of_a_payload_error_all_behind_the_first_message_is_shown() -> None:
    assert describe(aiohttp.ClientPayloadError("400, message: bad message: late")) == "bad message: late"


def test_a_connection_without_a_host_is_described_by_its_reason() -> None:
    place: Any = SimpleNamespace(host=None, port=None, is_ssl=True, ssl=True, proxy=None)
    assert describe(aiohttp.ClientConnectorError(place, refused())) == "Connection refused"


def test_an_attempt_that_ended_for_a_known_reason_keeps_it() -> None:
    assert str(EndedError(ConnectionLostError, "why")) == "why"
    known = failed(EndedError(ConnectFailedError, "the session is closed", Evidence.NOT_SENT))
    assert known == TransportFailure(
        evidence=Evidence.NOT_SENT, error=ConnectFailedError, message="the session is closed"
    )
    assert failed(EndedError(ConnectionLostError, "why")).evidence is Evidence.UNKNOWN


def test_only_the_operating_systems_error_is_kept_as_the_cause_and_without_its_frames() -> None:
    try:
        raise refused()
    except OSError as error:
        original = error
    kept = failed(caused(aiohttp.ClientConnectorError(PLACE, original), original), sent=False).cause
    assert isinstance(kept, ConnectionRefusedError)
    assert kept.args == original.args
    assert kept is not original
    assert kept.__traceback__ is None
    behind = aiohttp.ClientError()
    behind.__context__ = original
    assert isinstance(failed(behind).cause, ConnectionRefusedError)
    for dropped in (
        aiohttp.ServerDisconnectedError(),
        ValueError(SECRET),
        caused(aiohttp.ClientError(), ValueError(SECRET)),
    ):
        assert failed(dropped).cause is None
