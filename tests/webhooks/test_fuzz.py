"""Mutated bodies and headers: one error, a handful of answers, never a 500.

`GOEDGEPICKT_FUZZ=250 pytest --timeout=0 tests/webhooks/test_fuzz.py` makes it a million.
"""

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.errors import DecodeError
from goedgepickt_async.webhooks import Event, WebhookReceiver, parse, sign
from tests.support.fuzz import depth
from tests.webhooks.support import SECRET, body_of, order, stock

SEEDS = 4_000
BODIES = (order(), stock(), body_of(event="compoundProductStockUpdated", newStock="-3", productUuid="p-1"), b"[1,2]")
SPLICES = (
    b"\x00",
    b"\xff",
    b'"',
    b"{",
    b"}",
    b"[" * 2000,
    b"\\u",
    b"\\ud800",
    b"null",
    b"1e999",
    b"NaN",
    b"9" * 400,
    b",",
)


def mutated(draw: random.Random, data: bytes) -> bytes:
    """The bytes with some of them changed, dropped, repeated or put in."""
    changed = bytearray(data)
    for _ in range(draw.choice((0, 1, 1, 2, 5, 20))):
        at = draw.randrange(len(changed) + 1)
        match draw.randrange(6):
            case 0:
                changed[at : at + 1] = bytes([draw.randrange(256)])
            case 1:
                del changed[at : at + draw.randrange(1, 20)]
            case 2:
                changed[at:at] = draw.choice(SPLICES)
            case 3:
                changed[at:at] = changed[draw.randrange(len(changed) + 1) :][:50]
            case 4:
                del changed[at:]
            case _:
                changed[at:at] = draw.randbytes(draw.randrange(1, 8))
    return bytes(changed)


def header(draw: random.Random, signature: str) -> str | bytes | None:
    """The signature, and what may come in its place."""
    raw = mutated(draw, signature.encode())
    forms = (
        None,
        raw,
        raw.decode("latin-1"),
        raw.decode("utf-8", "surrogateescape"),
        signature.upper(),
        f" {signature}",
    )
    return draw.choice(forms)


@pytest.mark.slow
async def test_a_million_mutations_find_no_other_error_and_no_other_answer() -> None:
    receiver = WebhookReceiver(SECRET, dedup_window=0.0)
    heard: list[Event] = []

    @receiver.on(Event)
    async def hear(event: Event) -> None:
        heard[:] = [event]

    async with receiver:
        statuses = {(await answer(receiver, random.Random(seed))) for seed in depth(SEEDS)}
    assert statuses == {200, 400, 401}
    assert heard
    assert receiver.snapshot().retried == 0


async def answer(receiver: WebhookReceiver, draw: random.Random) -> int:
    original = draw.choice(BODIES)
    body = mutated(draw, original)
    if draw.random() < 0.5:
        return (await receiver.receive(body, sign(body, SECRET))).status
    signature = header(draw, sign(original, SECRET))
    status = (await receiver.receive(body, signature)).status
    text = signature.decode("latin-1") if isinstance(signature, bytes) else signature
    is_good = text is not None and text.lower() == sign(body, SECRET)
    assert (status == 401) == (not is_good)
    return status


@given(st.binary(max_size=200) | st.text().map(str.encode))
def test_parsing_gives_an_event_or_one_error(body: bytes) -> None:
    with contextlib.suppress(DecodeError):
        assert isinstance(parse(body), Event)
