"""Bytes become JSON values or one of our errors, with orjson and without, alike and without a word of the content."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goedgepickt_async import convert as parsing
from goedgepickt_async.convert import parse
from goedgepickt_async.errors import DecodeError
from tests.support.fuzz import examples
from tests.support.tables import each_row

MARK = "Persoonlijk"
PARSERS = ["orjson", "json"]


@pytest.fixture(params=PARSERS)
def _each_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "json":
        monkeypatch.setattr(parsing, "_LOADS", parsing._standard_loads)
    else:
        pytest.importorskip("orjson")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.slow
@settings(max_examples=examples(15))
@given(JSON, st.booleans())
def test_what_is_json_is_read_the_same_by_both_parsers(data: Any, as_php: bool) -> None:
    body = json.dumps(data, ensure_ascii=as_php).replace("/", "\\/" if as_php else "/").encode()
    assert parsing._standard_loads(body) == data
    assert parse(body) == data


@pytest.mark.usefixtures("_each_parser")
@each_row(
    "body",
    [
        b"",
        b" ",
        b"<html><body>" + MARK.encode() + b"</body></html>",
        b'{"name": "' + MARK.encode(),
        b'{"name": "' + MARK.encode() + b'", "uuid": }',
        b'{"name": "' + MARK.encode() + b'\xff\xfe"}',
        b"\xef\xbb\xbf",
        b"\xef\xbb\xbf\xef\xbb\xbf{}",
        b"{}\xef\xbb\xbf",
        '{"a": "é"}'.encode("latin-1"),
        '{"a": 1}'.encode("utf-16"),
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": "\\ud800"}',
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"{}{}",
        b"{'a': 1}",
        b'{"a": 01}',
        b"\x00",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_json_is_one_error_that_echoes_nothing(body: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        parse(body)
    error = caught.value
    assert MARK not in str(error) + repr(error) + repr(error.args)
    assert len(str(error)) < 120
    assert error.__context__ is None


@pytest.mark.usefixtures("_each_parser")
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_as_ours(body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        parse(body)


@pytest.mark.usefixtures("_each_parser")
def test_escaped_pairs_of_surrogates_are_the_character_that_they_mean() -> None:
    assert parse(b'{"a": "\\ud83d\\ude00 \\\\ud800"}') == {"a": "\U0001f600 \\ud800"}


@pytest.mark.usefixtures("_each_parser")
@each_row(
    ("digits", "read"),
    [
        ("0", 0),
        ("-0", 0),
        ("999999999999999999", 999999999999999999),
        ("9223372036854775808", 2**63),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", float(2**64)),
        ("-9223372036854775808", -(2**63)),
        ("-9223372036854775809", -float(2**63)),
        ("123456789012345678901234", 123456789012345678901234.0),
    ],
)
def test_a_whole_number_of_more_than_64_bits_is_a_float(digits: str, read: float) -> None:
    found = parse(f'{{"a": {digits}}}'.encode())["a"]
    assert found == read
    assert type(found) is type(read)


@pytest.mark.usefixtures("_each_parser")
@each_row("length", [400, 5000])
def test_a_number_beyond_all_floats_is_refused(length: int) -> None:
    with pytest.raises(DecodeError, match="is not valid JSON"):
        parse(b'{"a": ' + b"1" * length + b"}")


def test_the_error_says_where_it_broke() -> None:
    with pytest.raises(DecodeError, match=r"of 9 bytes is not valid JSON at character [78]"):
        parse(b'{"a": 1,}')


@each_row("rest", [b"{}", b"[1]", b' {"a": "\xef\xbb\xbf"}'])
def test_a_byte_order_mark_in_front_is_left_out(rest: bytes) -> None:
    assert parse(b"\xef\xbb\xbf" + rest) == parse(rest)
