"""The script of docs/howto/unknown-outcomes.md finishes each write once, wherever it is cut off."""

from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest

from goedgepickt_async import GoedGepickt, NewOrder, NewOrderLine, OutcomeUnknownError, PermissionDeniedError
from goedgepickt_async.sandbox import Sandbox, faults
from tests.recipes.pages import block, module

IDS = ["S-1", "S-2", "S-3"]


@pytest.fixture
def script(tmp_path: Path) -> ModuleType:
    return module(tmp_path, "script", block("unknown-outcomes.md", "unknown-writes"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "unknown.jsonl"


def an_order(order_id: str) -> NewOrder:
    line = NewOrderLine(sku="SB-00000", product_name="Mok", quantity=1)
    return NewOrder(order_id=order_id, status="open", lines=[line])


async def lose_the_answers(script: ModuleType, gg: GoedGepickt, sandbox: Sandbox, file: Path) -> None:
    """Three orders of whose answers nothing is known; the first was made."""
    for order_id in IDS:
        sandbox.fail("POST", "/orders", faults.Drop(applied=order_id == IDS[0]))
        sandbox.fail("GET", "/webshops", faults.Status(403))  # nor can they be looked up
        with pytest.raises(OutcomeUnknownError) as caught:
            await gg.orders.create(an_order(order_id))
        script.write_down(file, caught.value)


def made(sandbox: Sandbox) -> Counter[str]:
    found = (sandbox.world.order_id(index) for index in range(230, len(sandbox.world.orders)))
    return Counter(found)


async def test_each_order_is_there_once_in_the_end(
    script: ModuleType, gg: GoedGepickt, sandbox: Sandbox, file: Path, tmp_path: Path
) -> None:
    await lose_the_answers(script, gg, sandbox, file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert made(sandbox) == {"S-1": 1}
    assert await script.work_through(gg, file, an_order) == []
    assert made(sandbox) == dict.fromkeys(IDS, 1)
    assert await script.work_through(gg, file, an_order) == []
    assert made(sandbox) == dict.fromkeys(IDS, 1)
    assert not list(tmp_path.glob("*.working"))


async def test_cut_off_in_the_middle_it_continues_and_loses_no_line_that_came_meanwhile(
    script: ModuleType, gg: GoedGepickt, sandbox: Sandbox, file: Path
) -> None:
    await lose_the_answers(script, gg, sandbox, file)
    sandbox.fail("GET", "/orders*", faults.Status(403))
    with pytest.raises(PermissionDeniedError):
        await script.work_through(gg, file, an_order)
    sandbox.fail("PUT", "*/stock-mutation", faults.Drop(applied=True))
    product = str(sandbox.world.products[0]["uuid"])
    with pytest.raises(OutcomeUnknownError) as caught:
        await gg.stock.mutate(product, -2)
    script.write_down(file, caught.value)
    assert await script.work_through(gg, file, an_order) == []
    assert made(sandbox) == dict.fromkeys(IDS, 1)
    (line,) = await script.work_through(gg, file, an_order)
    assert "was -2 carried out?" in line


async def test_what_still_fails_is_returned(script: ModuleType, gg: GoedGepickt, sandbox: Sandbox, file: Path) -> None:
    await lose_the_answers(script, gg, sandbox, file)
    sandbox.fail("POST", "/orders", faults.Status(422, json={"message": "nee"}))
    (line,) = await script.work_through(gg, file, an_order)
    assert line.startswith(("S-2: nee", "S-3: nee"))
    assert "S-1" in made(sandbox)
