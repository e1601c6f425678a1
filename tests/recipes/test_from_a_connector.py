"""What docs/howto/from-a-connector.md says of the usual connector, and of the first step away from it, is so."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from goedgepickt_async import GoedGepickt, OutcomeUnknownError
from goedgepickt_async.sandbox import Sandbox, faults
from tests.recipes.pages import HOWTO, blocks, module

PAGE = "from-a-connector.md"
BODY = {
    "orderId": "S-1",
    "orderStatus": "open",
    "orderItems": [{"sku": "SB-00000", "productName": "Mok", "productQuantity": 1}],
}


@pytest.fixture
def page(tmp_path: Path) -> ModuleType:
    return module(tmp_path, "page", blocks(PAGE, "usual", "compared", "transport"))


def said(what: str) -> list[int]:
    """The numbers that the page prints in a line of its comparison."""
    (line,) = [line for line in (HOWTO / PAGE).read_text("utf-8").splitlines() if line.startswith(f"{what}  ")]
    return [int(word.strip(",")) for word in line.split() if word.strip(",").isdigit()]


@pytest.mark.slow
@pytest.mark.parametrize("day", ["a_page_fails", "the_total_is_late", "an_order_is_deleted_meanwhile"])
async def test_the_usual_connector_loses_rows_and_a_list_does_not(page: ModuleType, day: str) -> None:
    theirs, ours = await page.read_on_a_day(getattr(page, day))
    assert [theirs, ours] == said(day)
    assert theirs < ours == 300 - (day == "an_order_is_deleted_meanwhile")


async def test_the_usual_connector_makes_an_order_twice_when_an_answer_is_lost(page: ModuleType) -> None:
    assert await page.create_with_an_answer_lost() == said("an answer is lost") == [2, 1]


async def test_on_top_of_the_raw_request_nothing_is_made_twice_or_lost(
    page: ModuleType, make_client: Callable[..., GoedGepickt]
) -> None:
    async with Sandbox(orders=230, products=10, seed=7, limit=None) as sandbox:
        connector = page.ConnectorOnTop(make_client(sandbox.url, sandbox.api_key))
        sandbox.fail("GET", "/orders", faults.Status(502), after=1, times=3)
        assert len(await connector.all_orders()) == 230
        body = BODY | {"webshopUuid": str(sandbox.world.webshops[0]["uuid"])}
        assert (await connector.create_order(body))["orderUuid"]
        sandbox.fail("POST", "/orders", faults.Drop(applied=True))
        with pytest.raises(OutcomeUnknownError):
            await connector.create_order(body | {"orderId": "S-2"})
        assert len(sandbox.world.orders) == 232
        sandbox.fail("PUT", "/products/*", faults.Drop(applied=True))
        await connector.push_product("SB-00000", {"name": "Mok", "webshopUuid": body["webshopUuid"]})
        sandbox.fail("PUT", "*/stock-mutation", faults.Drop(applied=True))
        with pytest.raises(OutcomeUnknownError):
            await connector.call("PUT", f"/products/{product_of(sandbox)}/stock-mutation", json={"mutation": -2})
    writes = [recorded.path for recorded in sandbox.requests if recorded.method == "PUT"]
    assert [path.endswith("/stock-mutation") for path in writes] == [False, False, True], "what sets was sent again"


def product_of(sandbox: Sandbox) -> str:
    return str(sandbox.world.products[0]["uuid"])
