"""The receiver without a framework: what it answers, and what becomes of what it accepted."""

import asyncio
import logging
import math
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from goedgepickt_async import BudgetExhaustedError, ConfigurationError, GoedGepickt, InboxError, Secret, WebhookEvent
from goedgepickt_async.models import Order, Product
from goedgepickt_async.sandbox import Sandbox
from goedgepickt_async.webhooks import (
    CompoundProductStockUpdated,
    Event,
    FailedDelivery,
    HandlerRetry,
    MemoryInbox,
    OrderStatusChanged,
    SqliteInbox,
    StockUpdated,
    UnknownEvent,
    WebhookReceiver,
    sign,
)
from goedgepickt_async.webhooks.endpoint import RejectionLog
from tests.support.tables import each_row
from tests.webhooks.support import SECRET, Clock, body_of, deliver, order, stock, until

UNVERIFIED = "0" * 64
QUICK = HandlerRetry(attempts=3, base=0.001, cap=0.002)


@pytest.fixture
def receiver() -> WebhookReceiver:
    return WebhookReceiver(SECRET, retry=QUICK, dedup_window=0.05)


def recorded(receiver: WebhookReceiver, *events: type[Event]) -> list[Any]:
    seen: list[Any] = []

    @receiver.on(*(events or (Event,)))
    async def record(event: Event) -> None:
        seen.append(event)

    return seen


# -- what it answers --------------------------------------------------------------------------------------------


async def test_what_is_signed_is_accepted_and_handled(receiver: WebhookReceiver) -> None:
    seen = recorded(receiver)
    async with receiver:
        assert (await deliver(receiver, stock())).status == 200
        await until(lambda: seen)
    assert seen == [StockUpdated(product_uuid="p-1", product_sku="0012", new_stock=5)]


@pytest.mark.parametrize(
    ("body", "signature", "status"),
    [
        (stock(), None, 401),
        (stock(), "", 401),
        (stock(), sign(stock(), "wrong"), 401),
        (stock(), sign(order(), SECRET), 401),
        (stock(), b"\xff\xfe", 401),
        (b"", sign(b"", SECRET), 400),
        (b"{", sign(b"{", SECRET), 400),
        (b"x" * 262_145, sign(b"x" * 262_145, SECRET), 413),
    ],
)
async def test_what_is_not_accepted_says_why_by_its_status(
    receiver: WebhookReceiver, body: bytes, signature: Any, status: int
) -> None:
    seen = recorded(receiver)
    async with receiver:
        assert (await receiver.receive(body, signature)).status == status
    assert seen == []
    assert receiver.snapshot().refused == {status: 1}


@pytest.mark.parametrize(
    "body", [b"[]", b"3", b"null", b"{}", body_of(event="brandNew"), body_of(event="stockUpdated")]
)
async def test_unknown_events_are_accepted(receiver: WebhookReceiver, body: bytes) -> None:
    seen = recorded(receiver, UnknownEvent)
    async with receiver:
        assert (await deliver(receiver, body)).status == 200
        await until(lambda: seen)


async def test_what_no_handler_wants_is_accepted_and_kept_nowhere(receiver: WebhookReceiver) -> None:
    async with receiver:
        assert (await deliver(receiver, stock())).status == 200
    assert receiver.snapshot().unmatched == 1


async def pieces(*parts: bytes, then: BaseException | None = None) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
    if then is not None:
        raise then


@pytest.mark.parametrize("body", ["text", None, 5, {"event": "stockUpdated"}])
async def test_a_body_that_a_framework_parsed_is_a_503_that_says_so(
    receiver: WebhookReceiver, body: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await receiver.receive(body, "0" * 64)).status == 503
    assert "must be the raw bytes" in caplog.text


async def test_a_body_in_pieces_is_read_no_further_than_the_cap(receiver: WebhookReceiver) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 65_536

    assert (await receiver.receive_chunks(endless(), UNVERIFIED)).status == 413
    assert read == 5


@each_row(
    ("signature", "length", "status"),
    [(None, None, 401), ("", 5, 401), ("0" * 63, None, 401), ("g" * 64, None, 401), ("0" * 64, 262_145, 413)],
)
async def test_the_body_is_not_read_when_the_headers_already_refuse_it(
    receiver: WebhookReceiver, signature: str | None, length: int | None, status: int
) -> None:
    async def unread() -> AsyncIterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    assert (await receiver.receive_chunks(unread(), signature, content_length=length)).status == status


async def test_a_body_in_pieces_is_the_same(receiver: WebhookReceiver) -> None:
    recorded(receiver)
    body = stock()
    async with receiver:
        chunks = pieces(*(body[i : i + 1] for i in range(len(body))))
        assert (await receiver.receive_chunks(chunks, sign(body, SECRET))).status == 200


@pytest.mark.parametrize("error", [ConnectionResetError(), ValueError("secret text"), RuntimeError()])
async def test_a_body_that_breaks_off_is_a_400(
    receiver: WebhookReceiver, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert (await receiver.receive_chunks(pieces(b"{", then=error), UNVERIFIED)).status == 400
    assert "secret text" not in caplog.text


async def test_the_error_of_a_body_that_breaks_off_does_not_keep_what_came() -> None:
    """aiohttp keeps the error with the connection. A traceback there is a reference cycle that holds the body."""
    error = ConnectionResetError()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x" * 1000
        raise error

    assert (await WebhookReceiver(SECRET).receive_chunks(chunks(), "0" * 64)).status == 400
    assert error.__traceback__ is None


async def test_a_body_that_never_ends_is_a_408() -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(60)

    receiver = WebhookReceiver(SECRET, body_timeout=0.02)
    assert (await receiver.receive_chunks(stalled(), UNVERIFIED)).status == 408


async def test_an_inbox_that_fails_is_a_503(receiver: WebhookReceiver, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    failing = WebhookReceiver(SECRET, inbox=SqliteInbox(tmp_path / "folder"))
    recorded(failing)
    assert (await deliver(failing, stock())).status == 503
    assert "must be a file" in (failing.snapshot().inbox_problem or "")
    with pytest.raises(InboxError):
        async with failing:
            raise AssertionError


async def test_nothing_is_accepted_that_no_worker_will_handle(receiver: WebhookReceiver) -> None:
    recorded(receiver)
    assert (await deliver(receiver, stock())).status == 503, "in memory, and nobody at work"
    async with receiver:
        assert (await deliver(receiver, stock())).status == 200
    assert (await deliver(receiver, stock())).status == 503


# -- secrets ----------------------------------------------------------------------------------------------------


async def test_secrets_may_be_several_and_change_while_it_runs(receiver: WebhookReceiver) -> None:
    receiver.rotate(["old", Secret("new")])
    assert [(await deliver(receiver, stock(), secret)).status for secret in ("old", "new", SECRET)] == [200, 200, 401]
    receiver.rotate("new")
    assert [(await deliver(receiver, stock(), secret)).status for secret in ("old", "new")] == [401, 200]


async def test_secrets_may_be_a_function_of_either_kind() -> None:
    current = ["first"]

    async def ask() -> list[str]:
        return current

    for source in (lambda: current, ask):
        receiver = WebhookReceiver(source)
        current[:] = ["first"]
        assert (await deliver(receiver, stock(), "first")).status == 200
        current[:] = ["second"]
        assert (await deliver(receiver, stock(), "first")).status == 401
        assert (await deliver(receiver, stock(), "second")).status == 200
        current.clear()
        assert (await deliver(receiver, stock(), "second")).status == 401


async def test_a_function_for_secrets_that_fails_is_a_503_and_its_words_are_not_repeated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail() -> str:
        raise LookupError("vault said s3cret")

    assert (await deliver(WebhookReceiver(fail), stock())).status == 503
    assert "s3cret" not in caplog.text


async def test_an_event_may_be_signed_with_a_secret_of_the_same_subscription_only() -> None:
    receiver = WebhookReceiver({WebhookEvent.ORDER_STATUS_CHANGED: "of orders", "product.stockChanged": ["of stock"]})
    assert (await deliver(receiver, order(), "of orders")).status == 200
    assert (await deliver(receiver, stock(), "of stock")).status == 200
    assert (await deliver(receiver, order(), "of stock")).status == 401
    assert (await deliver(receiver, stock(), "of orders")).status == 401
    assert (await deliver(receiver, body_of(event="new"), "of orders")).status == 200


@each_row("secrets", ["", [], [""], ["good", ""], {}, {"order.statusChanged": ""}, None, 5, Secret("")])
def test_a_receiver_without_a_secret_is_none(secrets: Any) -> None:
    with pytest.raises(ConfigurationError):
        WebhookReceiver(secrets)


async def test_a_wrong_secret_is_loud_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    refusals = RejectionLog(clock)
    for _ in range(100):
        refusals.note(401, "the signature is not made with the secret")
    assert len(caplog.records) == 1
    clock.now += 60.0
    refusals.note(401, "the signature is not made with the secret")
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert caplog.records[1].getMessage().startswith("100 deliveries refused with 401")


async def test_no_log_holds_a_body_or_a_secret(receiver: WebhookReceiver, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for body, signature in [(stock("p-private"), "00"), (b"p-private", sign(b"p-private", SECRET))]:
        await receiver.receive(body, signature)
    assert receiver.snapshot().refused == {401: 1, 400: 1}
    assert len(caplog.records) == 2
    for text in ("p-private", SECRET):
        assert text not in caplog.text
        assert text not in repr(receiver)


# -- handlers ---------------------------------------------------------------------------------------------------


async def test_handlers_get_the_events_they_are_registered_for(receiver: WebhookReceiver) -> None:
    stocks, orders = recorded_two(receiver)
    async with receiver:
        for body in (stock(), order(), body_of(event="compoundProductStockUpdated", productUuid="p-2")):
            await deliver(receiver, body)
        await until(lambda: len(stocks) == 2 and len(orders) == 1)
    assert {type(event) for event in stocks} == {StockUpdated, CompoundProductStockUpdated}


def recorded_two(receiver: WebhookReceiver) -> tuple[list[Any], list[Any]]:
    stocks: list[Any] = []
    orders: list[Any] = []
    receiver.on(StockUpdated, CompoundProductStockUpdated)(stocks.append)
    receiver.on(OrderStatusChanged)(orders.append)
    return stocks, orders


async def test_a_plain_handler_runs_in_a_separate_thread(receiver: WebhookReceiver) -> None:
    threads: list[int] = []
    receiver.on(StockUpdated)(lambda _: threads.append(threading.get_ident()))
    async with receiver:
        await deliver(receiver, stock())
        await until(lambda: threads)
    assert threads[0] != threading.get_ident()


async def test_the_same_delivery_ten_times_is_handled_once_and_once_more() -> None:
    clock = Clock()
    inbox = MemoryInbox(clock=clock)
    receiver = WebhookReceiver(SECRET, inbox=inbox, dedup_window=2.0)
    seen = recorded(receiver)
    async with receiver:
        assert (await deliver(receiver, stock())).status == 200
        await until(lambda: receiver.snapshot().handled == 1)
        for _ in range(9):
            assert (await deliver(receiver, stock())).status == 200
        assert await inbox.claim(receiver._handlers, limit=9, lease=9.0, wait=0.0) == []
        assert len(seen) == 1
        clock.now += 2.0
        inbox._notifier.notify()
        await until(lambda: receiver.snapshot().handled == 2)
    assert len(seen) == 2
    assert receiver.snapshot().duplicates == 8


async def test_a_true_later_event_of_equal_bytes_is_handled(receiver: WebhookReceiver) -> None:
    seen = recorded(receiver)
    async with receiver:
        for level in ("5", "6", "5"):
            handled = receiver.snapshot().handled
            await deliver(receiver, stock(level=level))
            await until(lambda: receiver.snapshot().handled > handled)  # noqa: B023  it is awaited here
    assert [event.new_stock for event in seen] == [5, 6, 5]


async def test_an_equal_delivery_during_the_handler_leads_to_another_look(receiver: WebhookReceiver) -> None:
    looks: list[int] = []
    state, go_on = [1], asyncio.Event()

    @receiver.on(StockUpdated)
    async def look(_: StockUpdated) -> None:
        looks.append(state[0])
        await go_on.wait()

    async with receiver:
        await deliver(receiver, stock())
        await until(lambda: looks)
        state[0] = 2
        await deliver(receiver, stock())
        go_on.set()
        await until(lambda: len(looks) == 2)
    assert looks == [1, 2]


async def test_one_product_is_in_one_hand_at_a_time_and_others_do_not_wait(receiver: WebhookReceiver) -> None:
    running: set[str] = set()
    most = 0
    handled = 0

    @receiver.on(StockUpdated)
    async def handle(event: StockUpdated) -> None:
        nonlocal most, handled
        assert event.product_uuid not in running
        running.add(event.product_uuid)
        most = max(most, len(running))
        await asyncio.sleep(0.002)
        running.discard(event.product_uuid)
        handled += 1

    async with receiver:
        for number in range(60):
            await deliver(receiver, stock(f"p-{number % 4}", str(number)))
        await until(lambda: handled == 60)
    assert most == 4
    assert receiver.snapshot().retried == 0


async def test_at_most_so_many_handlers_run_at_the_same_time() -> None:
    receiver = WebhookReceiver(SECRET, concurrency=3)
    most: list[int] = []

    @receiver.on(StockUpdated)
    async def handle(_: StockUpdated) -> None:
        most.append(receiver.snapshot().running)
        await asyncio.sleep(0.002)

    async with receiver:
        for number in range(30):
            await deliver(receiver, stock(f"p-{number}"))
        await until(lambda: len(most) == 30)
    assert max(most) == 3


async def test_a_failing_handler_is_tried_again_and_then_reported(receiver: WebhookReceiver) -> None:
    tried = 0
    failed: list[FailedDelivery] = []
    fine = recorded(receiver, StockUpdated)

    @receiver.on(StockUpdated)
    async def fail(_: StockUpdated) -> None:
        nonlocal tried
        tried += 1
        raise ValueError("no")

    receiver.on_error(failed.append)
    async with receiver:
        assert (await deliver(receiver, stock())).status == 200
        await until(lambda: failed)
    (one,) = failed
    assert (tried, one.attempts, type(one.error), one.body) == (3, 3, ValueError, stock())
    assert one.event == fine[0]
    assert "fail" in one.handler
    assert len(fine) == 1, "the handlers beside it are not called again for that"
    assert (receiver.snapshot().retried, receiver.snapshot().given_up) == (2, 1)


class _OddError(BaseException):
    """Like what some test frameworks and schedulers raise."""


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError, StopIteration, StopAsyncIteration, GeneratorExit, SystemExit, _OddError]
)
@pytest.mark.parametrize("is_plain", [False, True])
async def test_an_exception_that_means_something_to_python_is_a_failure_like_any_other(
    receiver: WebhookReceiver, error: type[BaseException], is_plain: bool
) -> None:
    async def fail(_: StockUpdated) -> None:
        raise error

    def fail_plainly(_: StockUpdated) -> None:
        raise error

    receiver.on(StockUpdated)(fail_plainly if is_plain else fail)
    async with receiver:
        await deliver(receiver, stock())
        await until(lambda: receiver.snapshot().given_up)
    assert receiver.snapshot().retried == 2


async def test_an_error_hook_that_fails_stops_nothing(receiver: WebhookReceiver) -> None:
    seen = recorded(receiver, OrderStatusChanged)

    @receiver.on(StockUpdated)
    def fail(_: StockUpdated) -> None:
        raise ValueError

    @receiver.on_error
    async def fail_too(_: FailedDelivery) -> None:
        raise ValueError

    async with receiver:
        await deliver(receiver, stock())
        await until(lambda: receiver.snapshot().given_up)
        await deliver(receiver, order())
        await until(lambda: seen)


async def test_a_limit_that_is_used_up_is_waited_for_and_is_no_failure(receiver: WebhookReceiver) -> None:
    tried = 0

    @receiver.on(StockUpdated)
    async def handle(_: StockUpdated) -> None:
        nonlocal tried
        tried += 1
        if tried < 6:
            raise BudgetExhaustedError("busy", wait=0.0)

    async with receiver:
        await deliver(receiver, stock())
        await until(lambda: receiver.snapshot().handled)
    assert receiver.snapshot().given_up == 0


def test_pauses_double_up_to_the_cap_and_are_never_less_than_half() -> None:
    retry = HandlerRetry(base=1.0, cap=60.0)
    assert [retry.pause(attempt, lambda: 1.0) for attempt in (1, 2, 3, 7, 500)] == [1.0, 2.0, 4.0, 60.0, 60.0]
    assert retry.pause(3, lambda: 0.0) == 2.0


async def test_what_kills_the_process_each_time_is_given_up_too(tmp_path: Path) -> None:
    clock = Clock()
    inbox = SqliteInbox(tmp_path / "i", clock=clock)
    receiver = WebhookReceiver(SECRET, inbox=inbox, retry=QUICK)
    recorded(receiver, StockUpdated)
    failed: list[FailedDelivery] = []
    receiver.on_error(failed.append)
    await deliver(receiver, stock())
    for _ in range(3):
        assert await inbox.claim(receiver._handlers, limit=1, lease=60.0, wait=0.0)  # and died with it
        clock.now += 60.0
    async with receiver:
        await until(lambda: failed)
        assert failed[0].error is None
        await until_failed(inbox)
        assert await inbox.requeue_failed() == 1
        await until(lambda: receiver.snapshot().handled == 1)


async def until_failed(inbox: SqliteInbox) -> None:
    while not await inbox.failed():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def yields(_: Any) -> AsyncIterator[None]:
    yield


def yields_plainly(_: Any) -> Iterator[None]:
    yield


@each_row(
    "register",
    [
        lambda receiver: receiver.on()(print),
        lambda receiver: receiver.on(str)(print),
        lambda receiver: receiver.on(StockUpdated)(object()),
        lambda receiver: receiver.on(StockUpdated, name="five")(5),
        lambda receiver: receiver.on(StockUpdated, name=5)(print),
        lambda receiver: receiver.on(StockUpdated, name="\ud800")(print),
        lambda receiver: receiver.on_product_changed(print, name=b"five"),
        lambda receiver: receiver.on(StockUpdated)(yields),
        lambda receiver: receiver.on_product_changed(yields),
        lambda receiver: receiver.on_order_changed(yields_plainly),
        lambda receiver: receiver.on_error(yields),
        lambda receiver: receiver.on_product_changed(print, within=-1),
        lambda receiver: [receiver.on(StockUpdated)(print) for _ in range(2)],
        lambda receiver: [receiver.on_order_changed(print) for _ in range(2)],
    ],
)
def test_a_handler_that_cannot_be_is_refused(receiver: WebhookReceiver, register: Callable[[Any], Any]) -> None:
    with pytest.raises(ConfigurationError):
        register(receiver)


@each_row(
    "setting",
    [{"concurrency": 0}, {"concurrency": 2.5}, {"lease": 0}, {"grace": -1}, {"max_body": "x"}, {"dedup_window": True}],
)
def test_a_setting_that_cannot_be_is_refused(setting: Any) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(setting))):
        WebhookReceiver(SECRET, **setting)


@each_row("setting", [{"attempts": -(10**5000)}, {"base": "1"}, {"cap": math.inf}], ids=lambda one: next(iter(one)))
def test_a_retry_that_cannot_be_is_refused(setting: Any) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(setting))):
        HandlerRetry(**setting)


def test_an_inbox_that_is_empty_and_therefore_false_is_used() -> None:
    class Sized(MemoryInbox):
        def __len__(self) -> int:
            return 0

    inbox = Sized()
    assert WebhookReceiver(SECRET, inbox=inbox).inbox is inbox


async def test_a_start_that_fails_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "i").mkdir()
    before = threading.enumerate()
    inbox = SqliteInbox(tmp_path / "i")
    with pytest.raises(InboxError):
        async with WebhookReceiver(SECRET, inbox=inbox):
            pytest.fail("it cannot be used")  # pragma: no cover
    assert not [one for one in threading.enumerate() if one.name == "goedgepickt-inbox" and one not in before]
    assert inbox.path.exists()


async def test_it_works_once_at_a_time(receiver: WebhookReceiver) -> None:
    async with receiver:
        with pytest.raises(ConfigurationError):
            await receiver.__aenter__()
    async with receiver:
        pass


async def test_an_inbox_that_only_takes_is_handled_elsewhere(receiver: WebhookReceiver) -> None:
    taken: list[Any] = []

    class Queue:
        async def put(self, entries: Any) -> int:
            taken.extend(entries)
            return len(entries)

    receiver = WebhookReceiver(SECRET, inbox=Queue())
    seen = recorded(receiver)
    assert (await deliver(receiver, stock())).status == 200
    with pytest.raises(ConfigurationError):
        await receiver.__aenter__()
    await receiver.handle(taken[0])
    assert len(seen) == 1
    with pytest.raises(ConfigurationError):
        await WebhookReceiver(SECRET).handle(taken[0])


# -- stopping ---------------------------------------------------------------------------------------------------


async def test_stopping_finishes_what_is_in_memory(receiver: WebhookReceiver) -> None:
    seen: list[Any] = []

    @receiver.on(StockUpdated)
    async def handle(event: StockUpdated) -> None:
        await asyncio.sleep(0.002)
        seen.append(event)

    async with receiver:
        for number in range(50):
            await deliver(receiver, stock(f"p-{number}"))
    assert len(seen) == 50


@pytest.mark.parametrize("hurried", [False, True])
async def test_what_is_not_finished_in_time_is_handed_back(tmp_path: Path, hurried: bool) -> None:
    inbox = SqliteInbox(tmp_path / "i")
    receiver = WebhookReceiver(SECRET, inbox=inbox, grace=3600 if hurried else 0.01, concurrency=4)
    begun: list[Any] = []
    cancelled = 0

    @receiver.on(StockUpdated)
    async def handle(event: StockUpdated) -> None:
        nonlocal cancelled
        begun.append(event)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            cancelled += 1
            raise

    async def work() -> None:
        async with receiver:
            for number in range(10):
                await deliver(receiver, stock(f"p-{number}"))
            await until(lambda: len(begun) == 4)

    working = asyncio.create_task(work())
    if hurried:
        await until(lambda: receiver._worker is not None and not receiver._worker.is_running)
        working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert cancelled == 4
    claims = await inbox.claim(receiver._handlers, limit=20, lease=60, wait=0)
    assert [one.attempt for one in claims] == [1] * 10
    await inbox.close()


async def test_a_plain_handler_that_runs_is_waited_for_and_its_success_counts(tmp_path: Path) -> None:
    inbox = SqliteInbox(tmp_path / "i")
    receiver = WebhookReceiver(SECRET, inbox=inbox, grace=0.01)
    begun, go_on = threading.Event(), threading.Event()

    @receiver.on(StockUpdated)
    def handle(_: StockUpdated) -> None:
        begun.set()
        assert go_on.wait(120)

    async with receiver:
        await deliver(receiver, stock())
        await until(begun.is_set)
        asyncio.get_running_loop().call_later(0.05, go_on.set)
    assert receiver.snapshot().handled == 1
    assert await inbox.waiting(receiver._handlers) == 0
    await inbox.close()


async def test_after_a_stop_it_continues_where_it_was(tmp_path: Path) -> None:
    seen: list[Any] = []
    for start in range(2):
        receiver = WebhookReceiver(SECRET, inbox=SqliteInbox(tmp_path / "i"))
        receiver.on(StockUpdated)(seen.append)
        if not start:
            assert (await deliver(receiver, stock())).status == 200, "a file needs nobody at work"
            await receiver.inbox.close()  # type: ignore[attr-defined]  # it is the one above
            continue
        async with receiver:
            await until(lambda: seen)


async def test_an_inbox_that_fails_is_used_again_and_reported_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("goedgepickt_async.webhooks.handlers._INBOX_RETRY", 0.01)

    class Shaky(MemoryInbox):
        trouble = 3

        async def claim(self, handlers: Any, **options: Any) -> Any:
            if self.trouble:
                self.trouble -= 1
                raise InboxError("not now")
            return await super().claim(handlers, **options)

    receiver = WebhookReceiver(SECRET, inbox=Shaky())
    seen = recorded(receiver)
    async with receiver:
        await deliver(receiver, stock())
        await until(lambda: seen)
    assert caplog.text.count("cannot be claimed") == 1


async def test_leases_are_renewed_while_a_handler_runs(tmp_path: Path) -> None:
    clock = Clock()
    renewals = calls = 0

    class Renewed(SqliteInbox):
        async def renew(self, claims: Any, *, lease: float) -> None:
            nonlocal renewals
            await super().renew(claims, lease=lease)
            clock.now += 0.9 * lease  # without the next renewal it is over in the next tenth
            renewals += 1

    inboxes = [Renewed(tmp_path / "i", poll=0.01, clock=clock) for _ in range(2)]
    receivers = [WebhookReceiver(SECRET, inbox=inbox, lease=0.3) for inbox in inboxes]

    async def handle(_: StockUpdated) -> None:
        nonlocal calls
        calls += 1
        await until(lambda: renewals >= 5)

    for receiver in receivers:
        receiver.on(StockUpdated)(handle)
    async with receivers[0], receivers[1]:
        await deliver(receivers[0], stock())
        await until(lambda: sum(receiver.snapshot().handled for receiver in receivers))
    assert calls == 1


async def test_deliveries_for_handlers_that_are_gone_are_said_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inbox = SqliteInbox(tmp_path / "i")
    before = WebhookReceiver(SECRET, inbox=inbox)
    before.on(StockUpdated, name="gone")(print)
    await deliver(before, stock())
    async with WebhookReceiver(SECRET, inbox=inbox):
        assert "1 deliveries" in caplog.text
        assert "gone" in caplog.text


# -- the present state ------------------------------------------------------------------------------------------


async def test_many_events_of_one_product_are_one_request_and_one_call(gg: GoedGepickt, sandbox: Sandbox) -> None:
    products = await gg.products.list().collect(limit=3)
    sandbox.requests.clear()
    clock = Clock()
    inbox = MemoryInbox(clock=clock)
    receiver = WebhookReceiver(SECRET, client=gg, inbox=inbox)
    seen: list[Product] = []
    receiver.on_product_changed(seen.append, within=0.1)
    async with receiver:
        for level in reversed(range(20)):
            for product in products:
                for _ in range(2):
                    await deliver(receiver, stock(product.uuid, str(level)))
        clock.now += 0.1
        inbox._notifier.notify()
        await until(lambda: len(seen) == 3)
    assert {product.uuid for product in seen} == {product.uuid for product in products}
    assert seen[0].stock is not None
    assert len(sandbox.requests) == 3


async def test_order_handlers_get_the_present_order_and_deleted_ones_are_reported_apart(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    first = await gg.orders.list().first()
    assert first is not None
    receiver = WebhookReceiver(SECRET, client=gg)
    seen: list[Order] = []
    gone: list[str] = []
    receiver.on_order_changed(seen.append, within=0.0, gone=gone.append)
    receiver.on_order_changed(seen.append, within=0.0, name="passes over what is gone")
    async with receiver:
        await deliver(receiver, order(first.uuid))
        await deliver(receiver, order("there-is-no-such-order"))
        await until(lambda: receiver.snapshot().handled == 4)
    assert [one.uuid for one in seen] == [first.uuid] * 2
    assert gone == ["there-is-no-such-order"]


async def test_an_event_is_done_only_when_the_look_succeeded(tmp_path: Path) -> None:
    class Client:
        def __init__(self) -> None:
            self.asked = 0
            self.products = self.orders = self

        async def get(self, uuid: str) -> Any:
            self.asked += 1
            if self.asked < 3:
                raise ConnectionError
            return Product(uuid=uuid)

    client = Client()
    inbox = SqliteInbox(tmp_path / "i")
    receiver = WebhookReceiver(SECRET, inbox=inbox, client=client, retry=QUICK)
    seen: list[Product] = []
    receiver.on_product_changed(seen.append, within=0.0)
    async with receiver:
        await deliver(receiver, stock())
        await until(lambda: seen)
    assert client.asked == 3
    assert await inbox.waiting(receiver._handlers) == 0
    await inbox.close()


async def test_an_event_during_the_look_leads_to_another(gg: GoedGepickt) -> None:
    product = await gg.products.list().first()
    assert product is not None
    receiver = WebhookReceiver(SECRET, client=gg)
    calls = 0
    go_on = asyncio.Event()

    async def look(_: Product) -> None:
        nonlocal calls
        calls += 1
        await go_on.wait()

    receiver.on_product_changed(look, within=0.0)
    async with receiver:
        await deliver(receiver, stock(product.uuid))
        await until(lambda: calls == 1)
        for _ in range(5):
            await deliver(receiver, stock(product.uuid))
        go_on.set()
        await until(lambda: receiver.snapshot().handled == 2)
    assert calls == 2


async def test_without_a_client_there_is_nothing_to_look_with() -> None:
    receiver = WebhookReceiver(SECRET)
    receiver.on_product_changed(print)
    with pytest.raises(ConfigurationError, match="client"):
        await receiver.__aenter__()
