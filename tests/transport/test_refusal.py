"""Error responses as exceptions: what they say, what they hide, and what they mean for the outcome of the request."""

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from goedgepickt_async import (
    AlreadyExistsError,
    APIError,
    AuthenticationError,
    ConnectionLostError,
    DecodeError,
    Evidence,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    RedirectedError,
    ServerError,
    ValidationError,
)
from goedgepickt_async._transport.request import Idempotency, RawResponse, Request, TransportFailure
from goedgepickt_async._transport.verdict import (
    Verdict,
    evidence_at_headers,
    has_error_body,
    is_error,
    judge,
    may_send_again,
)
from tests.support.tables import each_row

THROTTLED = b'{\n    "message": "Too Many Attempts."\n}'


def answer(status: int, body: Any = b"", **headers: str) -> RawResponse:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RawResponse(
        status=status, headers=CIMultiDict({name.replace("_", "-"): text for name, text in headers.items()}), body=raw
    )


def verdict_on(status: int, body: Any = b"", *, secret: str = "a-key", **headers: str) -> Verdict:
    request = Request(
        method="POST", path="/orders", idempotency=Idempotency.NON_IDEMPOTENT, field_name=str.upper, may_be_empty=True
    )
    return judge(answer(status, body, **headers), request, secret=secret, attempts=2)


def error_of(status: int, body: Any = b"", *, secret: str = "a-key", **headers: str) -> APIError:
    error = verdict_on(status, body, secret=secret, **headers).error
    assert isinstance(error, APIError)
    return error


# -- the throttle's text -----------------------------------------------------------------------------------------


@each_row(
    "body",
    [
        THROTTLED,
        b'{"message": "Too Many Attempts."}',
        b'{"message": "  too many attempts!  "}',
        b'{"error": "Too many attempts"}',
        b'{"errorMessage": "TOO MANY ATTEMPTS."}',
        b'{"message": "Too Many Attempts.", "exception": "ThrottleException", "file": "a.php", "line": 1, "trace": []}',
        b'{"status": 429, "code": 429, "message": "Too Many Attempts."}',
    ],
)
def test_the_throttle_text_is_a_refusal_with_any_status(body: bytes) -> None:
    for status in (200, 201, 403, 500):
        assert is_error(answer(status, body))
        assert isinstance(error_of(status, body), RateLimitedError)
    assert verdict_on(403, body).evidence is Evidence.REJECTED
    assert verdict_on(500, body).evidence is Evidence.REJECTED


def test_the_throttle_text_with_a_success_status_means_an_unknown_outcome() -> None:
    assert verdict_on(200, THROTTLED).evidence is Evidence.UNKNOWN
    assert verdict_on(299, THROTTLED).evidence is Evidence.UNKNOWN


@each_row(
    "body",
    [
        b'{"message": "Too many attempts to connect to the database"}',
        b'{"message": "Order 7: too many attempts."}',
        b'{"message": "XToo Many Attempts.X"}',
        b'{"message": "ok", "reason": "Too Many Attempts."}',
        b'{"message": "Too Many Attempts.", "uuid": "1"}',
        b'{"message": ["Too Many Attempts."]}',
        b'{"items": [{"message": "Too Many Attempts."}]}',
        b'"Too Many Attempts."',
        b'["Too Many Attempts."]',
        b"Too Many Attempts.",
        b"<h1>Too Many Attempts.</h1>",
        b'{"status": "Too Many Attempts."}',
        b'{"message": "Too Many Attempts."' + b" " * 10_000 + b"}",
    ],
)
def test_a_body_that_only_mentions_attempts_is_not_the_throttle_text(body: bytes) -> None:
    assert not is_error(answer(200, body))
    assert verdict_on(422, body).evidence is Evidence.FINAL
    assert verdict_on(500, body).evidence is Evidence.UNKNOWN
    assert not isinstance(error_of(422, body), RateLimitedError)


def test_the_throttle_text_is_found_in_a_body_of_ten_thousand_bytes() -> None:
    assert isinstance(error_of(500, THROTTLED.ljust(10_000)), RateLimitedError)
    assert is_error(answer(200, THROTTLED.ljust(10_000)))
    assert not isinstance(error_of(500, THROTTLED.ljust(10_001)), RateLimitedError)


@each_row(
    ("status", "body", "is_throttled", "pause_budget"),
    [
        (429, b"", True, False),
        (429, THROTTLED, True, False),
        (403, THROTTLED, True, True),
        (500, THROTTLED, True, True),
        (200, THROTTLED, False, False),
        (503, b"", False, False),
    ],
)
def test_the_budget_pauses_where_only_the_body_shows_the_throttle(
    status: int, body: bytes, is_throttled: bool, pause_budget: bool
) -> None:
    verdict = verdict_on(status, body, Retry_After="7")
    assert (verdict.is_throttled, verdict.pause_budget, verdict.retry_after) == (is_throttled, pause_budget, 7.0)
    assert verdict.may_send_again is (is_throttled or verdict.evidence is Evidence.REJECTED)
    assert verdict.data is None


@each_row(
    ("status", "evidence"),
    [
        (200, Evidence.APPLIED),
        (299, Evidence.APPLIED),
        (300, Evidence.UNKNOWN),
        (404, Evidence.UNKNOWN),
        (408, Evidence.UNKNOWN),
        (421, Evidence.REJECTED),
        (425, Evidence.REJECTED),
        (429, Evidence.REJECTED),
        (500, Evidence.UNKNOWN),
    ],
)
def test_the_status_in_the_headers_gives_the_evidence(status: int, evidence: Evidence) -> None:
    assert evidence_at_headers(status) is evidence


@each_row(
    ("status", "evidence"),
    [
        (101, Evidence.UNKNOWN),
        (301, Evidence.FINAL),
        (302, Evidence.UNKNOWN),
        (303, Evidence.UNKNOWN),
        (304, Evidence.FINAL),
        (307, Evidence.FINAL),
        (400, Evidence.FINAL),
        (404, Evidence.FINAL),
        (408, Evidence.UNKNOWN),
        (409, Evidence.FINAL),
        (421, Evidence.REJECTED),
        (425, Evidence.REJECTED),
        (429, Evidence.REJECTED),
        (499, Evidence.FINAL),
        (500, Evidence.UNKNOWN),
        (503, Evidence.UNKNOWN),
        (520, Evidence.UNKNOWN),
        (999, Evidence.UNKNOWN),
    ],
)
def test_the_status_of_a_response_gives_the_evidence(status: int, evidence: Evidence) -> None:
    assert verdict_on(status).evidence is evidence
    assert error_of(status).evidence is evidence


@each_row(("status", "refused"), [(199, True), (200, False), (204, False), (299, False), (300, True), (404, True)])
def test_only_a_status_from_200_to_299_is_a_success(status: int, refused: bool) -> None:
    assert is_error(answer(status, b"{}")) is refused


@each_row(("text", "seconds"), [("7", 7.0), ("0", 0.0), ("-1", 0.0), ("soon", None), ("99999999", 99999999.0)])
def test_the_error_of_a_429_has_the_retry_after_and_the_message_of_the_server(text: str, seconds: float | None) -> None:
    error = error_of(429, THROTTLED, Retry_After=text)
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == seconds
    assert error.message == "Too Many Attempts."


def test_the_error_of_a_429_without_text_has_a_message() -> None:
    assert error_of(429, b"<html>").message == "the server's rate limit refused the request"


# -- which error, and what is in it ------------------------------------------------------------------------------


@each_row(
    ("status", "body", "error"),
    [
        (400, b"", APIError),
        (401, b"", AuthenticationError),
        (403, b"", PermissionDeniedError),
        (404, b"", NotFoundError),
        (409, {"errorMessage": "Product ALREADY exists"}, AlreadyExistsError),
        (422, {"message": "This order already exists."}, AlreadyExistsError),
        (422, {"message": "The given data was invalid."}, ValidationError),
        (500, {"message": "it already exists"}, ServerError),
        (503, b"", ServerError),
        (302, b"", RedirectedError),
        (303, b"", RedirectedError),
        (101, b"", ServerError),
    ],
)
def test_each_status_has_its_error_class(status: int, body: Any, error: type[APIError]) -> None:
    found = error_of(status, body)
    assert type(found) is error
    assert (found.status, found.attempts, found.method, found.path) == (status, 2, "POST", "/orders")


@each_row("status", [401, 403])
def test_a_refused_key_comes_with_a_hint(status: int) -> None:
    assert "check the API key" in str(error_of(status, {"message": "Unauthenticated."}))


def test_the_error_of_a_redirect_names_the_host_but_not_the_query() -> None:
    error = error_of(302, Location="https://elsewhere.example.test/login?token=s3cret")
    assert "elsewhere.example.test" in str(error)
    assert "s3cret" not in str(error)
    assert "another path" in str(error_of(302, Location="/login"))


@each_row(
    ("body", "message"),
    [
        ({"message": "a", "error": "b", "errorMessage": "c"}, "a"),
        ({"message": "", "error": "b"}, "b"),
        ({"message": 5, "errorMessage": "c"}, "c"),
        ({"errors": {"sku": ["is taken", "is long"], "name": "is empty"}}, "is taken; is long; is empty"),
        ({"errors": ["loose"]}, "HTTP 422"),
        ([1, 2], "HTTP 422"),
        (b"<html>Whoops</html>", "HTTP 422"),
        (b"[" * 100_000, "HTTP 422"),
        (b"\xff\xfe", "HTTP 422"),
    ],
)
def test_the_message_of_an_error_is_the_text_of_the_server(body: Any, message: str) -> None:
    assert error_of(422, body).message == message


def test_the_fields_are_named_as_in_python() -> None:
    assert error_of(422, {"errors": {"sku": ["is taken"], "name": None}}).fields == {
        "SKU": ("is taken",),
        "NAME": ("",),
    }


# -- what is never shown -----------------------------------------------------------------------------------------


@each_row(
    "personal",
    [
        "jan@example.test",
        "Jan.de-Vries+shop@mail.example.test",
        "0612345678",
        "+31 6 1234 5678",
        "+31 (0)6-12345678",
        "020-123 45 67",
        "06.12.34.56.78",
        "12345678",
    ],
)
def test_e_mail_addresses_and_telephone_numbers_are_masked_in_what_is_shown(personal: str) -> None:
    body = {"message": f"The customer <{personal}> is unknown", "errors": {"email": [f"{personal} is taken", personal]}}
    error = error_of(422, body)
    assert personal not in f"{error} {error!r} {error.args} {error.fields}"
    assert error.message == "The customer <…> is unknown"
    assert error.fields == {"EMAIL": ("… is taken", "…")}
    assert error.body == body  # for programs


@each_row("harmless", ["12", "2026", "SKU 12345", "1,234.50", "12 of 34"])
def test_short_numbers_are_not_masked(harmless: str) -> None:
    assert harmless in error_of(422, {"message": f"bad: {harmless}"}).message


def test_a_long_message_is_cut() -> None:
    assert len(error_of(422, {"message": "a " * 5000}).message) == 301
    assert error_of(422, {"message": "b" * 300}).message == "b" * 300


def test_the_key_is_masked_in_every_part_of_an_error() -> None:
    body = {"message": "key k-123", "k-123": ["k-123", {"deep": ["xk-123x"]}], "errors": {"k-123": ["k-123"]}, "n": 5}
    error = error_of(422, body, secret="k-123")
    assert "k-123" not in f"{error} {error!r} {error.args} {error.fields} {error.body}"
    assert error.body["n"] == 5
    assert "k-123" not in str(error_of(500, b"<html>k-123", secret="k-123").body)


# -- successes ---------------------------------------------------------------------------------------------------


def judged(body: bytes, *, kind: str = "application/json", **request: Any) -> Verdict:
    options = {"method": "PUT", "path": "/products", "idempotency": Idempotency.SAFE, "field_name": str.upper}
    result = RawResponse(status=200, headers=CIMultiDict({"Content-Type": kind}), body=body)
    return judge(result, Request(**{**options, **request}), secret="a-key", attempts=3)


@each_row("body", [b'{"items": [1]}', b"[]", b"5", b'{"message": "Created"}'])
def test_a_success_has_the_data_of_its_body(body: bytes) -> None:
    assert judged(body) == judged(body, may_be_empty=True) == Verdict(data=json.loads(body))
    assert judged(body, read=lambda data: ["read", data]) == Verdict(data=["read", json.loads(body)])


@each_row("body", [b"", b" \r\n"])
def test_an_empty_body_is_a_success_only_where_it_may_be_empty(body: bytes) -> None:
    assert judged(body, may_be_empty=True) == Verdict()
    assert isinstance(judged(body).error, DecodeError)


@each_row("idempotency", list(Idempotency))
@each_row("kind", ["application/json", "text/HTML; charset=utf-8"])
def test_a_success_that_cannot_be_read_may_have_been_applied(idempotency: Idempotency, kind: str) -> None:
    verdict = judged(b"<html>", kind=kind, idempotency=idempotency)
    is_write = idempotency is Idempotency.NON_IDEMPOTENT
    is_page = "HTML" in kind
    error = verdict.error
    assert isinstance(error, DecodeError)
    assert verdict.evidence is error.evidence is (Evidence.FINAL if is_page and not is_write else Evidence.APPLIED)
    assert verdict.may_send_again is (not is_write and not is_page)
    assert (error.attempts, error.method, error.path) == (3, "PUT", "/products")
    page = "the response is a web page instead of JSON: check base_url"
    assert error.message.endswith(page if is_page else " of 6 bytes is not valid JSON at character 0")


def test_json_that_does_not_belong_to_the_request_counts_as_unreadable() -> None:
    def read(_: Any) -> None:
        raise DecodeError("no list", problems=("items: missing",))

    assert isinstance(judge(answer(200, b"{"), Request(path="/a"), secret="", attempts=1).error, DecodeError)
    error = judged(b"{}", read=read).error
    assert isinstance(error, DecodeError)
    assert (error.message, error.problems, error.evidence) == ("no list", ("items: missing",), Evidence.APPLIED)
    assert (error.attempts, error.method, error.path) == (3, "PUT", "/products")


def test_a_success_that_names_an_error_is_an_error() -> None:
    verdict = judged(b'{"error": "no such product"}')
    assert isinstance(verdict.error, APIError)
    assert (verdict.error.message, verdict.evidence, verdict.data) == ("no such product", Evidence.FINAL, None)


@each_row("evidence", [Evidence.NOT_SENT, Evidence.UNKNOWN])
def test_a_failure_of_the_transport_is_an_error_with_its_cause(evidence: Evidence) -> None:
    cause = OSError("gone")
    failure = TransportFailure(evidence=evidence, error=ConnectionLostError, message="closed", cause=cause)
    request = Request(method="PUT", path="/products", idempotency=Idempotency.SAFE, field_name=str.upper)
    verdict = judge(failure, request, secret="a-key", attempts=3)
    assert isinstance(verdict.error, ConnectionLostError)
    assert (verdict.error.message, verdict.error.__cause__, verdict.evidence) == ("closed", cause, evidence)
    assert (verdict.error.attempts, verdict.error.method, verdict.error.path) == (3, "PUT", "/products")
    assert (verdict.may_send_again, verdict.is_throttled, verdict.retry_after) == (True, False, None)


# -- errors behind a success -------------------------------------------------------------------------------------


@each_row("data", [{"error": "x"}, {"errorMessage": "x"}, {"errors": {"a": ["x"]}}])
def test_a_body_that_names_an_error_is_an_error_body(data: Any) -> None:
    assert has_error_body(data)


@each_row(
    "data",
    [
        {"message": "Created"},
        {"error": None},
        {"errors": []},
        {"errorMessage": ""},
        {"items": [], "error": "x"},
        {"uuid": "1", "error": "x"},
        {"orderUuid": "1", "errors": {"a": ["x"]}},
        [],
        None,
        "error",
    ],
)
def test_a_body_with_data_or_only_a_message_is_not_an_error_body(data: Any) -> None:
    assert not has_error_body(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["message", "error", "errors", "x"]), inner),
    max_leaves=10,
)


@given(status=st.integers(100, 199) | st.integers(300, 999), body=json_values | st.binary())
def test_an_error_status_with_any_body_becomes_an_error_with_evidence(status: int, body: Any) -> None:
    error = error_of(status, body)
    assert error.status == status
    assert error.evidence is verdict_on(status, body).evidence
    assert error.message


@each_row("depth", [600, 900, 5_000, 100_000])
def test_a_very_deeply_nested_body_becomes_a_normal_error(depth: int) -> None:
    deep = b"[" * depth + b'"a-key"' + b"]" * depth
    for body in (deep, b'{"errors": {"a": ' + deep + b"}}"):
        error = error_of(500, body)
        assert isinstance(error, ServerError)
        inner = error.body
        while isinstance(inner, list | dict):
            inner = next(iter(inner.values() if isinstance(inner, dict) else inner))
        assert "***" in inner
        assert "X" not in inner
        assert "a-key" not in inner


@each_row(
    ("location", "shown"),
    [
        ("https://other.test/login?key=A-key", "other.test"),
        ("https://A-key:secret@other.test:8443/", "other.test"),
        ("https://a-key.other.test/", "***.other.test"),
        ("/login", "another path"),
        ("", "another path"),
        ("http://[::1", "a text that is not a URL"),
    ],
)
def test_the_error_of_a_redirect_names_only_the_host_of_the_url(location: str, shown: str) -> None:
    error = error_of(302, secret="A-key", Location=location)
    assert isinstance(error, RedirectedError)
    assert f"redirects to {shown}." in str(error)


def test_two_thousand_characters_of_a_redirect_are_read_and_255_are_shown() -> None:
    assert "redirects to h.e." in str(error_of(302, Location=f"https://{'u' * 1988}@h.example.test"))
    assert f"redirects to {'h' * 255}." in str(error_of(302, Location=f"https://{'h' * 255}"))
    assert f"redirects to {'h' * 255}…." in str(error_of(302, Location=f"https://{'h' * 256}"))


def test_the_texts_of_a_field_are_shown_up_to_ten_and_the_rest_is_counted() -> None:
    ten = [f"wrong {number}" for number in range(10)]
    assert error_of(422, {"errors": {"a": ten}}).fields == {"A": tuple(ten)}
    assert error_of(422, {"errors": {"a": [*ten, "x", "y"]}}).fields == {"A": (*ten, "and 2 more")}


@each_row(("number", "rest"), [(100, None), (101, "and 1 more fields"), (1300, "and 1,200 more fields")])
def test_a_hundred_fields_are_shown_and_the_rest_is_counted(number: int, rest: str | None) -> None:
    fields = error_of(422, {"errors": {f"f{index}": "wrong" for index in range(number)}}).fields
    shown = {f"F{index}": ("wrong",) for index in range(100)}
    assert fields == (shown if rest is None else {**shown, "…": (rest,)})


def test_the_name_of_a_field_is_cut_before_and_after_it_is_translated() -> None:
    assert [*error_of(422, {"errors": {"a" * 300: "wrong"}}).fields] == ["A" * 200]
    assert [*error_of(422, {"errors": {"ß" * 200: "wrong"}}).fields] == ["S" * 200 + "…"]


def test_a_nested_value_in_place_of_a_text_is_shown_as_its_type() -> None:
    fields = error_of(422, {"errors": {"a": [{"b": "secret"}, ["secret"], 3, "text"]}}).fields
    assert fields == {"A": ("(dict)", "(list)", "3", "text")}


@each_row(
    ("status", "body", "message"),
    [
        (200, {"error": {"a": 1}}, "HTTP 200, but the body reports an error"),
        (200, {"errors": ["busy"]}, "HTTP 200, but the body reports an error"),
        (422, {"errors": {"": [], "a": None, "b": [""]}}, "HTTP 422"),
        (422, {"errors": {"": [], "a": None, "b": ["is required"]}}, "is required"),
        (500, b"", "HTTP 500"),
    ],
)
def test_the_message_of_a_refusal_without_text_has_the_status(status: int, body: Any, message: str) -> None:
    assert error_of(status, body).message == message


@each_row(
    ("status", "error"), [(300, RedirectedError), (301, RedirectedError), (399, RedirectedError), (400, APIError)]
)
def test_the_class_of_an_error_follows_its_status(status: int, error: type[APIError]) -> None:
    assert type(error_of(status)) is error


def test_a_request_is_sent_again_only_where_that_is_safe() -> None:
    for evidence in (Evidence.NOT_SENT, Evidence.REJECTED):
        assert all(may_send_again(evidence, idempotency) for idempotency in Idempotency)
    for evidence in (Evidence.UNKNOWN, Evidence.APPLIED):
        assert [i for i in Idempotency if not may_send_again(evidence, i)] == [Idempotency.NON_IDEMPOTENT]
    assert not any(may_send_again(Evidence.FINAL, idempotency) for idempotency in Idempotency)


@each_row("size", [10, 1 << 18, (1 << 18) + 1, 1 << 19])
def test_the_key_is_masked_in_a_body_of_any_size_and_kind(size: int) -> None:
    for body in (b'{"message": "a-key"}', b"no JSON: a-key \xff", b"[" * 5_000 + b"a-key"):
        shown = error_of(500, body.ljust(size)).body
        assert "a-key" not in str(shown)
        assert re.search(r"(?<!X)\*\*\*(?!X)", str(shown))
    assert error_of(500, {"a": "b"}, secret="").body == {"a": "b"}


def test_an_errors_body_of_256_kib_is_read_as_json_and_a_longer_one_is_text() -> None:
    body = b'{"message": "no"}'.ljust(1 << 18)
    assert error_of(500, body).message == "no"
    error = error_of(500, body + b" ")
    assert (error.message, error.body) == ("HTTP 500", body.decode())
