"""The headers of the server about its limit, valid or not."""

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from goedgepickt_async._transport.verdict import budget_outcome
from goedgepickt_async.budget.protocol import Answered, Lost, Refused, parse_retry_after
from tests.support.tables import each_row


def headers(**values: str) -> Mapping[str, str]:
    return CIMultiDict({name.replace("_", "-"): value for name, value in values.items()})


def counted(answer: Mapping[str, str], ours: int = 150) -> int | None:
    outcome = budget_outcome(200, answer, ours)
    assert isinstance(outcome, Answered)
    return outcome.count


def counter(limit: str, remaining: str, ours: int = 150) -> int | None:
    return counted(headers(X_RateLimit_Limit=limit, X_RateLimit_Remaining=remaining), ours)


@each_row(("remaining", "count"), [("150", 0), ("149", 1), ("1", 149), ("0", 150)])
def test_the_counter_is_the_limit_less_what_remains(remaining: str, count: int) -> None:
    assert counter("150", remaining) == count


@each_row("remaining", ["-1", "-20", "-150"])
def test_a_negative_remaining_is_a_full_window(remaining: str) -> None:
    """Laravel before 12.40 sends it when it admitted more than the limit."""
    assert counter("150", remaining) == 150


@each_row("remaining", ["151", "9999"])
def test_a_remaining_above_the_limit_is_an_empty_window(remaining: str) -> None:
    assert counter("150", remaining) == 0


@each_row("limit", ["60", "1000", "149", "151", "0", "-150", "1e2", "150.0", "", "a lot"])
def test_headers_with_another_limit_are_ignored(limit: str) -> None:
    """A server with several limiters sends the lowest counter, which may belong to another limit."""
    assert counter(limit, "3") is None


@each_row("remaining", ["", "many", "1.5", "0x10", "1e2", "9" * 100, "9" * 5000, "½"])
def test_a_remaining_that_is_no_number_is_no_counter(remaining: str) -> None:
    assert counter("150", remaining) is None


@each_row(
    "present",
    [{}, {"X_RateLimit_Limit": "150"}, {"X_RateLimit_Remaining": "10"}],
)
def test_one_header_without_the_other_is_no_counter(present: dict[str, str]) -> None:
    assert counted(headers(**present)) is None


@each_row("name", ["X-RateLimit", "x-ratelimit", "X-Ratelimit", "X-RATELIMIT"])
def test_the_case_of_the_header_names_does_not_matter(name: str) -> None:
    assert counted(CIMultiDict({f"{name}-Limit": "150", f"{name}-Remaining": " 7 "})) == 143


@given(remaining=st.text() | st.integers().map(str), limit=st.integers(1, 10_000))
def test_every_counter_is_between_zero_and_the_limit(remaining: str, limit: int) -> None:
    count = counter(str(limit), remaining, limit)
    assert count is None or 0 <= count <= limit


@each_row("digits", [19, 20])
def test_a_number_of_twenty_digits_is_no_counter(digits: int) -> None:
    assert counter("150", "9" * digits) == (0 if digits == 19 else None)


@each_row("remaining", [None, "7"])
def test_a_429_is_a_refusal_with_the_pause_that_it_asks_for(remaining: str | None) -> None:
    counters = {} if remaining is None else {"X_RateLimit_Limit": "150", "X_RateLimit_Remaining": remaining}
    assert budget_outcome(429, headers(**counters, Retry_After="7"), 150) == Refused(7.0)
    assert budget_outcome(429, headers(**counters), 150) == Refused(None)


@each_row("status", [199, 408, 421, 425, 500, 502, 599, 999])
def test_a_gateways_response_without_the_counter_may_be_counted_later(status: int) -> None:
    assert budget_outcome(status, {}, 150) == Lost()
    assert budget_outcome(status, headers(X_RateLimit_Limit="150", X_RateLimit_Remaining="7"), 150) == Answered(143)


@each_row("status", [200, 201, 299, 300, 301, 400, 404, 422, 428, 430, 499])
def test_the_applications_response_without_the_counter_was_counted(status: int) -> None:
    assert budget_outcome(status, {}, 150) == Answered()


@each_row(("text", "seconds"), [("0", 0), ("1", 1), ("60", 60), (" 7 ", 7), ("-5", 0), ("99999999", 99999999)])
def test_retry_after_in_seconds(text: str, seconds: float) -> None:
    assert parse_retry_after(headers(Retry_After=text)) == seconds


@each_row(
    ("text", "seconds"),
    [
        ("1.5", 2),
        ("0.2", 1),
        ("5s", 5),
        ("30 Seconds", 30),
        ("2 min", 120),
        ("1h", 3600),
        ("1500ms", 2),
        ("5, 5", 5),
        ("5, 12", 12),
        ("2026-11-28T10:00:30Z", 30),
        ("2026-11-28T11:00:30+01:00", 30),
        ("2026-11-28 10:00:30", 30),
        ("1795860030", 30),
        ("Sat, 28 Nov 2026 10:00:30 GMT, 7", 30),
    ],
)
def test_retry_after_in_the_other_forms_that_servers_send(text: str, seconds: float) -> None:
    assert parse_retry_after(headers(Retry_After=text, Date="Sat, 28 Nov 2026 10:00:00 GMT")) == seconds


@each_row(
    "text",
    [
        "",
        "interactive_interval",
        "5 parsecs",
        "1_0",
        "٣",
        "NaN",
        "9" * 100,
        "9" * 5000,
        "Wed, 99 Foo 2026",
        "Wed, 21 Oct 99999999999 07:28:00 GMT",
        "\x00",
        "½",
    ],
)
def test_an_invalid_retry_after_is_none(text: str) -> None:
    assert parse_retry_after(headers(Retry_After=text)) is None


def test_a_missing_retry_after_is_none() -> None:
    assert parse_retry_after(headers(Date="Wed, 21 Oct 2026 07:28:00 GMT")) is None


@each_row(
    ("until", "seconds"),
    [
        ("Wed, 21 Oct 1998 07:28:30 GMT", 30),
        ("Wed, 21 Oct 1998 09:28:30 +0200", 30),
        ("Wed, 21 Oct 1998 07:28:00 GMT", 0),
        ("Wed, 21 Oct 1998 07:27:00 GMT", 0),
        ("Wed, 21 Oct 1998 07:28:30 -0000", 30),
    ],
)
def test_a_date_is_relative_to_the_servers_own_clock(until: str, seconds: float) -> None:
    """The server's clock may differ from ours by years."""
    assert parse_retry_after(headers(Retry_After=until, Date="Wed, 21 Oct 1998 07:28:00 GMT")) == seconds


@each_row("date", [{}, {"Date": "rubbish"}])
def test_a_date_without_the_servers_date_header_is_relative_to_our_clock(date: dict[str, str]) -> None:
    past, future = "Wed, 21 Oct 1998 07:28:00 GMT", "Wed, 21 Oct 2999 07:28:00 GMT"
    assert parse_retry_after(headers(Retry_After=past, **date)) == 0
    assert (parse_retry_after(headers(Retry_After=future, **date)) or 0) > 1e9


@settings(max_examples=40)
@given(text=st.text(), date=st.text())
def test_no_header_makes_the_parser_fail(text: str, date: str) -> None:
    wait = parse_retry_after(CIMultiDict({"Retry-After": text, "Date": date}))
    assert wait is None or wait >= 0
