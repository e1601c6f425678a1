"""Secrets: none is among the local variables of a frame that an exception passed, and they can be rotated."""

import asyncio
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from goedgepickt_async import ConfigurationError, GoedGepicktError, Secret, WebhookEvent
from goedgepickt_async.webhooks import DeliveryEndpoint, MemoryInbox, StockUpdated, WebhookReceiver, sign, verify
from tests.support.tables import each_row
from tests.webhooks.support import deliver, stock

HIDDEN = "whsec_7f3a"


def raising() -> Iterator[str]:
    yield HIDDEN
    raise RuntimeError


ACTIONS: dict[str, Callable[[], Any]] = {
    "verify, wrong": lambda: verify(b"{}", "0" * 64, HIDDEN),
    "verify, several": lambda: verify(b"{}", "0" * 64, [HIDDEN, Secret(HIDDEN)]),
    "verify, a generator": lambda: verify(b"{}", "0" * 64, (text for text in [HIDDEN])),
    "verify, no signature": lambda: verify(b"{}", None, [HIDDEN]),
    "verify, a mapping": lambda: verify(b"{}", "0" * 64, {"order.statusChanged": HIDDEN}),
    "verify, no body": lambda: verify("{}", "0" * 64, [HIDDEN]),  # type: ignore[arg-type]
    "sign, bytes": lambda: sign(b"{}", HIDDEN.encode()),  # type: ignore[arg-type]
    "receiver, one empty": lambda: WebhookReceiver([HIDDEN, ""]),
    "receiver, a generator": lambda: WebhookReceiver(text for text in [HIDDEN]),
    "receiver, a generator by event": lambda: WebhookReceiver({"order.statusChanged": raising()}),
    "receiver, one of bytes": lambda: WebhookReceiver([HIDDEN.encode()]),  # type: ignore[list-item]
    "receiver, another argument": lambda: WebhookReceiver(HIDDEN, concurrency=0),
    "receiver, by event": lambda: WebhookReceiver({"order.statusChanged": [HIDDEN, ""]}),
    "receiver, by misspelt event": lambda: WebhookReceiver({"order.statusChangd": HIDDEN}),
    "endpoint": lambda: DeliveryEndpoint([HIDDEN, ""], None),  # type: ignore[arg-type]
    "rotate": lambda: WebhookReceiver("other").rotate([HIDDEN, ""]),
}


@each_row("name", ACTIONS)
def test_no_frame_of_an_exception_shows_a_secret(name: str) -> None:
    try:
        ACTIONS[name]()
    except GoedGepicktError as error:
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        ours = [frame for frame in shown.stack if "goedgepickt_async" in frame.filename]
        assert ours
        assert not [frame.name for frame in ours if HIDDEN in str(frame.locals)]
        assert HIDDEN not in str(error) + repr(error)
    else:
        pytest.fail("it was not refused")


@each_row("source", [HIDDEN, [HIDDEN], {"product.stockChanged": HIDDEN}, lambda: [HIDDEN]])
async def test_no_frame_of_a_failing_inbox_shows_a_secret(source: Any) -> None:
    class Failing(MemoryInbox):
        async def put(self, entries: Any) -> int:
            raise shown_of(asyncio.current_task())

    frames: list[str] = []

    def shown_of(task: Any) -> Exception:
        frames.extend(f"{frame.name} {frame.locals}" for frame in here())
        return ValueError("no")

    def here() -> traceback.StackSummary:
        return traceback.StackSummary.extract(
            (
                (frame, line)
                for frame, line in traceback.walk_stack(None)
                if "goedgepickt_async" in frame.f_code.co_filename
            ),
            capture_locals=True,
        )

    receiver = WebhookReceiver(source, inbox=Failing())
    receiver.on(StockUpdated)(print)
    receiver._inbox.is_durable = True  # type: ignore[attr-defined]
    assert (await deliver(receiver, stock(), HIDDEN)).status == 503
    assert frames
    assert not [frame for frame in frames if HIDDEN in frame]


async def test_a_secret_is_rotated_without_a_lost_delivery() -> None:
    """As docs/howto/webhooks.md describes it: accept both, change the subscription, drop the old one."""
    receiver = WebhookReceiver("old")
    assert (await deliver(receiver, stock(), "old")).status == 200
    receiver.rotate(["old", "new"])
    statuses = [(await deliver(receiver, stock(), secret)).status for secret in ("old", "new") * 5]
    assert statuses == [200] * 10, "while deliveries of both are on their way"
    receiver.rotate("new")
    assert (await deliver(receiver, stock(), "new")).status == 200
    assert (await deliver(receiver, stock(), "old")).status == 401


@each_row("wrong", ["", [], ["new", ""], {}, 5, None])
async def test_a_rotation_that_is_refused_leaves_the_present_secrets(wrong: Any) -> None:
    receiver = WebhookReceiver("old")
    with pytest.raises(ConfigurationError):
        receiver.rotate(wrong)
    assert (await deliver(receiver, stock(), "old")).status == 200


async def test_the_secret_of_one_subscription_signs_nothing_of_another_also_during_a_rotation() -> None:
    receiver = WebhookReceiver({"order.statusChanged": ["o-old", "o-new"], "product.stockChanged": ["s-old", "s-new"]})
    assert [(await deliver(receiver, stock(), secret)).status for secret in ("s-old", "s-new", "o-old", "o-new")] == [
        200, 200, 401, 401
    ]  # fmt: skip


@each_row(
    ("name", "meant"),
    [
        ("order.statusChangd", "order.statusChanged"),
        ("order_status_changed", "order.statusChanged"),
        ("orderStatusChanged", "order.statusChanged"),
        ("PRODUCT.STOCKCHANGED", "product.stockChanged"),
        ("compoundProductStockUpdated", "product.stockChanged"),
    ],
)
def test_secrets_for_a_misspelt_event_are_refused_with_the_right_name(name: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match=f"did you mean '{meant}'"):
        WebhookReceiver({name: HIDDEN})
    receiver = WebhookReceiver(HIDDEN)
    with pytest.raises(ConfigurationError, match=f"did you mean '{meant}'"):
        receiver.rotate({name: HIDDEN})


async def test_secrets_for_an_event_that_this_version_does_not_know_are_accepted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.warns(UserWarning, match=r"'parcel\.lost' is no WebhookEvent"):
        WebhookReceiver({"parcel.lost": HIDDEN})
    receiver = WebhookReceiver({WebhookEvent("order.statusChange"): HIDDEN})
    receiver.on(StockUpdated)(print)
    new = b'{"event": "orderStatusChange", "orderUuid": "1"}'
    assert (await deliver(receiver, new, HIDDEN)).status == 200
    assert (await deliver(receiver, stock(), HIDDEN)).status == 401
    assert "product.stockChanged is signed with the secret of order.statusChange" in caplog.text
