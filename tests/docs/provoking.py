"""How to meet each error of the tree, against a sandbox: what the catalogue shows as an example is what comes of this."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import attrs

from goedgepickt_async import (
    GoedGepickt,
    GoedGepicktError,
    LocalBudget,
    NewOrder,
    NewOrderLine,
    NewProduct,
    Plan,
    RetryPolicy,
    StopAfter,
    errors,
)
from goedgepickt_async.bulk.files import read_bytes
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.webhooks import SqliteInbox, WebhookReceiver, verify

Provocation = Callable[["Scene"], Awaitable[object]]

PROVOCATIONS: dict[type[GoedGepicktError], Provocation] = {}
"""Error -> what raises it."""

JOURNAL = Path("stock.journal")


@attrs.frozen
class Scene:
    """What a provocation is given; the working directory is empty."""

    sandbox: Sandbox
    gg: GoedGepickt


def raises(error: type[GoedGepicktError]) -> Callable[[Provocation], Provocation]:
    """Say what a function raises."""

    def add(function: Provocation) -> Provocation:
        PROVOCATIONS[error] = function
        return function

    return add


@raises(errors.ConfigurationError)
async def _no_key(_scene: Scene) -> None:
    GoedGepickt("")


@raises(errors.BudgetExhaustedError)
async def _no_room(scene: Scene) -> None:
    budget = LocalBudget(1, 60.0, use_server_counter=False, clock=lambda: 1)
    async with GoedGepickt(scene.sandbox.api_key, base_url=scene.sandbox.url, budget=budget) as gg:
        await gg.webshops.list().first()
        await gg.with_options(max_wait=1).webshops.list().first()


@raises(errors.ConnectFailedError)
async def _nobody_there(scene: Scene) -> None:
    await scene.sandbox.close()
    await scene.gg.webshops.list().first()


@raises(errors.ClientClosedError)
async def _closed(scene: Scene) -> None:
    scene.sandbox.fail("GET", "/webshops", faults.NeverAnswer())
    call = asyncio.create_task(scene.gg.webshops.list().first())
    while not scene.sandbox.requests:  # noqa: ASYNC110  a ledger tells nobody that it has grown
        await asyncio.sleep(0.001)
    await scene.gg.close()
    await call


@raises(errors.ConnectionLostError)
async def _lost(scene: Scene) -> None:
    scene.sandbox.fail("GET", "/webshops", faults.Drop(), times=None)
    await scene.gg.webshops.list().first()


@raises(errors.RequestTimeoutError)
async def _late(scene: Scene) -> None:
    scene.sandbox.fail("GET", "/webshops", faults.NeverAnswer())
    await scene.gg.with_options(deadline=0.2).webshops.list().first()


@raises(errors.OutcomeUnknownError)
async def _unknown(scene: Scene) -> None:
    product = scene.sandbox.world.products[0]
    scene.sandbox.fail("PUT", "/products/*/stock-mutation", faults.Drop(applied=True))
    await scene.gg.stock.mutate(str(product["uuid"]), -2, reason="damaged")


@raises(errors.DecodeError)
async def _odd(scene: Scene) -> None:
    order = {"uuid": "a", "totalPaid": "twelve"}
    scene.sandbox.fail("GET", "/orders", faults.Status(200, json={"items": [order]}), times=None)
    await scene.gg.orders.list().first()


@raises(errors.PagingError)
async def _no_end(scene: Scene) -> None:
    scene.sandbox.quirks.repeat_last_page = True
    await scene.gg.products.list().collect()


@raises(errors.MultipleFoundError)
async def _two(scene: Scene) -> None:
    for _ in range(2):
        scene.sandbox.world.add_product(sku="0012", name="Mok")
    await scene.gg.products.find_by_sku("0012")


@raises(errors.BulkStoppedError)
async def _stopped(scene: Scene) -> None:
    async for _ in scene.gg.bulk.map(
        scene.gg.orders.get, ["a", "b", "c", "d"], concurrency=1, stop=StopAfter(errors=2)
    ):
        pass


@raises(errors.InputFileError)
async def _bad_file(_scene: Scene) -> None:
    read_bytes(b"artikelnr;prijs\r\n0012;12,34\r\n0013;1.234\r\n", "products", name="catalogue.csv").check()


async def _stock_plan(scene: Scene) -> Plan:
    return await scene.gg.stock.plan({"SB-00000": 70})


@raises(errors.ConflictError)
async def _changed_meanwhile(scene: Scene) -> None:
    plan = await _stock_plan(scene)
    product = await scene.gg.products.find_by_sku("SB-00000")
    assert product is not None
    await scene.gg.stock.mutate(product.uuid, -3)
    async for outcome in plan.apply(max_age=0):
        outcome.unwrap()


@raises(errors.JournalError)
async def _no_journal(scene: Scene) -> None:
    with closing(sqlite3.connect(JOURNAL)) as other:
        other.execute("create table recipes (name text)")
        other.commit()
    async for _ in (await _stock_plan(scene)).apply(journal=JOURNAL):
        pass


@raises(errors.JournalBusyError)
async def _busy(scene: Scene) -> None:
    plan = await _stock_plan(scene)
    async with plan.apply(journal=JOURNAL) as outcomes:
        async for _ in outcomes:
            async for _ in plan.apply(journal=JOURNAL):
                pass


@raises(errors.JournalMismatchError)
async def _other_account(scene: Scene) -> None:
    async for _ in (await _stock_plan(scene)).apply(journal=JOURNAL):
        pass
    url = scene.sandbox.account_url
    async with GoedGepickt(scene.sandbox.account_key, base_url=url, budget=LocalBudget(100_000, 1.0)) as other:
        plan = await other.stock.plan({"SB-00001": 70}, webshop_uuid=str(scene.sandbox.world.webshops[0]["uuid"]))
        async for _ in plan.apply(journal=JOURNAL):
            pass


@raises(errors.WebhookVerificationError)
async def _forged(_scene: Scene) -> None:
    verify(b"{}", "0" * 64, "geheim")


@raises(errors.InboxError)
async def _no_inbox(_scene: Scene) -> None:
    Path("webhooks.sqlite3").mkdir(exist_ok=True)
    async with WebhookReceiver("geheim", inbox=SqliteInbox("webhooks.sqlite3")):
        pass


@raises(errors.AuthenticationError)
async def _bad_key(scene: Scene) -> None:
    await scene.gg.for_key("wrong").webshops.list().first()


@raises(errors.PermissionDeniedError)
async def _forbidden(scene: Scene) -> None:
    scene.sandbox.fail("GET", "/webshops", faults.Status(403, json={"message": "Forbidden."}))
    await scene.gg.webshops.list().first()


@raises(errors.NotFoundError)
async def _not_there(scene: Scene) -> None:
    await scene.gg.request("GET", "/suppliers")


@raises(errors.AlreadyExistsError)
async def _again(scene: Scene) -> None:
    for _ in range(2):
        await scene.gg.products.create(NewProduct(sku="NEW-1", name="Mok"))


@raises(errors.ValidationError)
async def _unfit(_scene: Scene) -> None:
    NewOrder(order_id="S-1001", status="open", lines=[NewOrderLine(sku="SB-00000", product_name="Mok", quantity=0)])


@raises(errors.RateLimitedError)
async def _throttled(scene: Scene) -> None:
    scene.sandbox.fail("GET", "/webshops", faults.TooManyRequests(retry_after="300"))
    await scene.gg.webshops.list().first()


@raises(errors.RedirectedError)
async def _elsewhere(scene: Scene) -> None:
    scene.sandbox.fail("GET", "/webshops", faults.Redirect("https://example.test/login"))
    await scene.gg.webshops.list().first()


@raises(errors.ServerError)
async def _down(scene: Scene) -> None:
    scene.sandbox.fail("GET", "/webshops", faults.Status(503), times=None)
    await scene.gg.webshops.list().first()


@raises(errors.APIError)
async def _other(scene: Scene) -> None:
    scene.sandbox.fail("GET", "/webshops", faults.Status(405, json={"message": "The GET method is not supported."}))
    await scene.gg.webshops.list().first()


async def provoke(error: type[GoedGepicktError]) -> GoedGepicktError:
    """The error, met."""
    async with (
        Sandbox(orders=20, products=10, seed=7, limit=None) as sandbox,
        GoedGepickt(
            sandbox.api_key,
            base_url=sandbox.url,
            webshop_uuid=str(sandbox.world.webshops[0]["uuid"]),
            budget=LocalBudget(100_000, 1.0),
            retry=RetryPolicy(base=0.0),
        ) as gg,
    ):
        try:
            await PROVOCATIONS[error](Scene(sandbox, gg))
        except GoedGepicktError as met:
            return met
    raise AssertionError(f"{error.__name__} did not come")
