"""Work over a server's bytes is bounded: 300 KB of the worst text, under a budget of steps and not of a clock.

A step is a line of the package that runs. The work inside the regular expression engine has no lines. So the test
replaces each pattern by one that counts the characters of its input.
"""

import base64
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDict

from goedgepickt_async import logs, text
from goedgepickt_async._transport import verdict
from goedgepickt_async._transport.request import RawResponse, Request
from goedgepickt_async._transport.verdict import judge
from goedgepickt_async.budget import protocol
from goedgepickt_async.budget.protocol import parse_retry_after
from tests.support.tables import each_row

SIZE = 300_000
STEPS = 20_000
CHARACTERS = 100_000

WORST = {
    "one word": "x" * SIZE,
    "words": "word " * (SIZE // 5),
    "base64": base64.b64encode(b"\xff\x00a" * (SIZE // 4)).decode(),
    "digits": "0" * SIZE,
    "single digits": "1 " * (SIZE // 2),
    "dots": "a." * (SIZE // 2),
    "plus": "+ 1" * (SIZE // 3),
    "at": "a@" * (SIZE // 2),
    "at the end": "a" * (SIZE - 1) + "@",
    "spaces": " " * SIZE,
    "escapes": "\x1b[31m" * (SIZE // 5),
    "overrides": "\u202e" * (SIZE // 3),
    "surrogates": "\ud800" * (SIZE // 3),
    "nothing visible": "\u200b" * (SIZE // 3),
    "quotes": "b'" * (SIZE // 2),
    "brackets": "[" * SIZE,
    "braces": '{"a":' * (SIZE // 5),
    "commas": "5," * (SIZE // 2),
    "lines": "\r\n" * (SIZE // 2),
}


class Counting:
    """A pattern that counts the characters of its input."""

    characters = 0

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._pattern, name)

        def counted(*arguments: Any) -> Any:
            Counting.characters += sum(len(argument) for argument in arguments if isinstance(argument, str))
            return method(*arguments)

        return counted


@pytest.fixture(autouse=True)
def patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    Counting.characters = 0
    for module in (text, verdict, logs, protocol):
        for name, value in list(vars(module).items()):
            if isinstance(value, re.Pattern):
                monkeypatch.setattr(module, name, Counting(value))


@contextmanager
def bounded() -> Iterator[None]:
    steps = Counting.characters = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal steps
        if "goedgepickt_async" not in frame.f_code.co_filename:
            return None
        steps += event == "line"
        if steps > STEPS:
            raise AssertionError(f"more than {STEPS} steps, in {frame.f_code.co_qualname}")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(before)
    assert Counting.characters <= CHARACTERS


def bodies(worst: str) -> Iterator[bytes]:
    """The text at each place where an error's body may have it. At most `_ENOUGH` bytes of one are read."""
    for value in (
        {"message": worst},
        {"error": worst},
        {"errors": {"name": [worst]}},
        {"errors": {worst: ["bad"]}},
        {"errors": worst},
        {"errors": {"name": [worst[:20]] * 20_000}},
        {"errors": {f"{index}{worst[:3]}": ["bad"] for index in range(20_000)}},
    ):
        yield json.dumps(value, ensure_ascii=True).encode()
    yield worst.encode(errors="replace")


@pytest.mark.slow
@pytest.mark.parametrize("worst", WORST)
def test_an_errors_body_is_bounded_work(worst: str) -> None:
    for body in bodies(WORST[worst]):
        for status, part in ((200, body), (422, body[: 1 << 18])):
            response = RawResponse(status=status, headers=CIMultiDict(), body=part)
            with bounded():
                verdict = judge(response, Request(path="/a"), secret="a-key", attempts=1)
            if verdict.error is not None:
                assert len(str(verdict.error)) < 1_000
                assert sum(map(len, getattr(verdict.error, "fields", {}))) < 50_000


@each_row("worst", WORST)
def test_a_redirects_location_is_bounded_work(worst: str) -> None:
    for location in (WORST[worst], "https://" + WORST[worst]):
        with bounded():
            response = RawResponse(status=302, headers=CIMultiDict({"Location": location}), body=b"")
            verdict = judge(response, Request(path="/a"), secret="a-key", attempts=1)
        assert len(str(verdict.error)) < 1_000


@each_row("worst", WORST)
def test_making_text_fit_to_be_shown_is_bounded_work(worst: str) -> None:
    with bounded():
        for shown in (text.printable(WORST[worst]), text.mask_personal(WORST[worst]), text.printable(WORST[worst], 80)):
            assert len(shown) <= 2_001
            assert shown.isprintable()


@each_row("worst", WORST)
def test_headers_are_bounded_work(worst: str) -> None:
    names = ("Retry-After", "Date", "X-RateLimit-Limit", "X-RateLimit-Remaining")
    headers = CIMultiDict([(name, WORST[worst]) for name in names])
    with bounded():
        parse_retry_after(headers)
        verdict.budget_outcome(200, headers, 150)


@each_row("worst", WORST)
def test_what_aiohttp_quotes_of_a_server_is_bounded_work(worst: str) -> None:
    with bounded():
        for error in (
            aiohttp.ClientPayloadError(WORST[worst]),
            aiohttp.ServerDisconnectedError(WORST[worst]),
            OSError(5, WORST[worst]),
        ):
            assert len(verdict.describe(error)) < 1_000


@each_row("worst", WORST)
def test_reporting_what_is_unknown_is_bounded_work(worst: str) -> None:
    with bounded():
        logs.report_unknown([WORST[worst]], RawResponse)
