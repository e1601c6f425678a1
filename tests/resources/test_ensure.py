"""`gg.webhooks.ensure`: it creates each missing subscription once, also after failures, and does not change others."""

import asyncio
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async import (
    DecodeError,
    EnsuredWebhooks,
    GoedGepickt,
    OutcomeUnknownError,
    Secret,
    ServerError,
    ValidationError,
    Webhook,
    WebhookEvent,
)
from goedgepickt_async.resources.webhooks import KeyedLock, diff, same_target
from goedgepickt_async.sandbox import Sandbox, faults
from goedgepickt_async.testing import serving, unlimited_budget
from tests.resources.test_resources import LOST, NEVER_DONE, applied, name_of
from tests.support.tables import each_row
from tests.support.waiting import SAFETY, until

pytestmark = pytest.mark.virtual_time

Make = Callable[..., GoedGepickt]

URL = "https://shop.example.test/hooks"
BOTH = list(WebhookEvent)


async def test_missing_subscriptions_are_created_for_all_webshops_and_a_second_call_creates_none(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    first = await gg.webhooks.ensure(URL, BOTH)
    assert (len(first.created), first.existing, first.other_target) == (4, (), ())
    assert {(hook.event, hook.webshop_uuid) for hook in first.created} == {
        (event, shop["uuid"]) for event in BOTH for shop in sandbox.world.webshops
    }
    sandbox.requests.clear()
    second = await gg.webhooks.ensure(URL, BOTH)
    assert (second.created, {hook.uuid for hook in second.existing}) == ((), {hook.uuid for hook in first.created})
    assert set(second.secrets) == set(first.secrets)
    assert [recorded.method for recorded in sandbox.requests] == ["GET"] * len(sandbox.requests)
    assert len(sandbox.requests) <= 4  # each list is a page, and an empty page that ends it
    assert len(sandbox.world.webhooks) == 4


async def test_only_missing_subscriptions_are_created(gg: GoedGepickt, sandbox: Sandbox) -> None:
    shop, other = (str(row["uuid"]) for row in sandbox.world.webshops)
    mine = await gg.webhooks.create("order.statusChanged", URL, webshop_uuid=shop)
    theirs = await gg.webhooks.create("order.statusChanged", URL + "/old?x=1", webshop_uuid=shop)
    await gg.webhooks.create("order.statusChanged", URL, webshop_uuid=other)
    await gg.webhooks.create("product.stockChanged", "https://elsewhere.example.test/", webshop_uuid=other)
    done = await gg.webhooks.ensure(URL, BOTH, webshops=[shop])
    assert done.existing == (mine,)
    assert done.other_target == (theirs,)
    assert [(hook.event, hook.webshop_uuid) for hook in done.created] == [("product.stockChanged", shop)]
    assert done.webhooks == (mine, *done.created)


async def test_a_subscription_that_exists_twice_is_returned_twice_with_both_secrets(gg: GoedGepickt) -> None:
    made = [await gg.webhooks.create("order.statusChanged", URL) for _ in range(2)]
    done = await gg.webhooks.ensure(URL, "order.statusChanged", webshops=gg.settings.webshop_uuid)
    assert (list(done.existing), done.created) == (made, ())
    assert set(done.secrets) == {hook.secret for hook in made}


async def test_the_secrets_are_masked_in_every_repr(gg: GoedGepickt, sandbox: Sandbox) -> None:
    done = await gg.webhooks.ensure(URL, BOTH)
    shown = f"{done!r} {done} {done.secrets!r} {done.secrets} {done.webhooks}"
    for row in sandbox.world.webhooks:
        assert row["webhookSecret"] not in shown
        assert Secret(row["webhookSecret"]) in done.secrets
    assert all(isinstance(secret, Secret) for secret in done.secrets)


@pytest.mark.parametrize("lost", LOST, ids=name_of)
async def test_a_lost_response_does_not_cause_a_second_subscription(
    sandbox: Sandbox, make_client: Make, lost: Any
) -> None:
    gg = make_client(sandbox.url, sandbox.api_key, timeout=30)
    if isinstance(lost, faults.KeptAliveDrop):
        sandbox.fail("GET", "/webhooks", lost)
    else:
        sandbox.fail("POST", "/webhooks", lost, times=3)
    done = await gg.webhooks.ensure(URL, BOTH)
    assert len(done.created) == 4
    assert len(done.secrets) == 4
    assert applied(sandbox, "POST", "/webhooks") == len(sandbox.world.webhooks) == 4
    assert (await gg.webhooks.ensure(URL, BOTH)).created == ()


@pytest.mark.parametrize("never", NEVER_DONE, ids=name_of)
async def test_a_create_that_is_not_applied_is_reported_as_unknown_and_done_by_the_next_call(
    sandbox: Sandbox, make_client: Make, never: Any
) -> None:
    gg = make_client(sandbox.url, sandbox.api_key, timeout=30)
    sandbox.fail("POST", "/webhooks", never, after=1)
    with pytest.raises(OutcomeUnknownError):
        await gg.webhooks.ensure(URL, BOTH)
    assert len(sandbox.world.webhooks) == 1
    done = await gg.webhooks.ensure(URL, BOTH)
    assert (len(done.existing), len(done.created), len(sandbox.world.webhooks)) == (1, 3, 4)


async def test_a_subscription_is_found_after_a_lost_response_when_the_server_rewrites_its_url(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    sandbox.world.subscribe(lambda change: change.row.update(targetUrl="https://shop.example.test/"))
    sandbox.fail("POST", "/webhooks", faults.Drop(applied=True))
    shop = str(gg.settings.webshop_uuid).upper()
    done = await gg.webhooks.ensure("HTTPS://Shop.example.test:443", "order.statusChanged", webshops=[shop])
    assert [hook.target_url for hook in done.created] == ["https://shop.example.test/"]
    again = await gg.webhooks.ensure("HTTPS://Shop.example.test:443", "order.statusChanged", webshops=[shop])
    assert (len(again.existing), again.created, len(sandbox.world.webhooks)) == (1, (), 1)


async def test_simultaneous_calls_create_each_subscription_once(
    gg: GoedGepickt, sandbox: Sandbox, make_client: Make
) -> None:
    clients = [gg, make_client(sandbox.url, sandbox.api_key), gg.with_options(max_wait=5)]
    done = await asyncio.gather(*(client.webhooks.ensure(URL, BOTH) for client in clients * 3))
    assert sum(len(one.created) for one in done) == len(sandbox.world.webhooks) == 4
    assert len({frozenset(one.secrets) for one in done}) == 1


def test_simultaneous_calls_in_several_threads_create_each_subscription_once() -> None:
    done: list[EnsuredWebhooks] = []

    async def ensure(sandbox: Sandbox) -> None:
        async with GoedGepickt(sandbox.api_key, base_url=sandbox.url, budget=unlimited_budget()) as client:
            done.append(await client.webhooks.ensure(URL, BOTH))

    with serving(Sandbox(orders=0, products=0, limit=None)) as sandbox:
        threads = [threading.Thread(target=asyncio.run, args=(ensure(sandbox),)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(len(one.created) for one in done) == len(sandbox.world.webhooks) == 4


async def test_a_cancelled_call_releases_the_lock_for_the_next_call(gg: GoedGepickt, sandbox: Sandbox) -> None:
    sandbox.fail("GET", "/webhooks", faults.NeverAnswer())
    first, second, third = (asyncio.create_task(gg.webhooks.ensure(URL, BOTH)) for _ in range(3))
    await until(lambda: sandbox.requests)
    second.cancel()
    first.cancel()
    await asyncio.wait([first, second])
    assert len((await third).created) == 4
    assert first.cancelled()
    assert second.cancelled()


async def test_a_failed_call_releases_the_lock_for_the_next_call(gg: GoedGepickt, sandbox: Sandbox) -> None:
    sandbox.fail("GET", "/webhooks", faults.Status(500), times=None)
    with pytest.raises(ServerError):
        await gg.webhooks.ensure(URL, BOTH)
    sandbox.clear_faults()
    assert len((await gg.webhooks.ensure(URL, BOTH)).created) == 4


def test_a_lock_of_a_closed_event_loop_does_not_block_other_loops() -> None:
    async def enter() -> None:
        await KeyedLock("a key of this test").__aenter__()

    for _ in range(2):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(asyncio.wait_for(enter(), SAFETY))
        loop.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_does_not_wait_for_its_parent() -> None:
    async def enter() -> None:
        async with asyncio.timeout(SAFETY), KeyedLock("another key"):
            pass

    loop = asyncio.new_event_loop()
    held = loop.run_until_complete(KeyedLock("another key").__aenter__())
    child = os.fork()
    if child == 0:  # pragma: no cover  in the child
        try:
            asyncio.run(enter())
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    loop.run_until_complete(held.__aexit__(None, None, None))
    loop.close()


@each_row(
    ("wrong", "field"),
    [
        (("", BOTH, None), "url"),
        (("shop.example.test", BOTH, None), "url"),
        (("ftp://shop.example.test/", BOTH, None), "url"),
        (("https:///hooks", BOTH, None), "url"),
        (("https://[::1", BOTH, None), "url"),
        (("https://shop.example.test:99999/", BOTH, None), "url"),
        (("https://shop.example.test:0/", BOTH, None), "url"),
        (("https://shop.example.test/a b", BOTH, None), "url"),
        (("https://shop.example.test/\n", BOTH, None), "url"),
        (("https://shop.example.test/#part", BOTH, None), "url"),
        ((None, BOTH, None), "url"),
        ((b"https://shop.example.test", BOTH, None), "url"),
        ((URL, [], None), "events"),
        ((URL, "", None), "events"),
        ((URL, [None], None), "events"),
        ((URL, 7, None), "events"),
        ((URL, ["order.statusChanged", " "], None), "events"),
        ((URL, ["orderStatusChanged"], None), "events"),
        ((URL, "stockUpdated", None), "events"),
        ((URL, BOTH, []), "webshops"),
        ((URL, BOTH, ""), "webshops"),
        ((URL, BOTH, [7]), "webshops"),
    ],
)
async def test_bad_input_is_refused_before_a_request_is_sent(
    gg: GoedGepickt, sandbox: Sandbox, wrong: tuple[Any, Any, Any], field: str
) -> None:
    url, events, webshops = wrong
    with pytest.raises(ValidationError) as caught:
        await gg.webhooks.ensure(url, events, webshops=webshops)
    assert list(caught.value.fields) == [field]
    assert caught.value.status is None
    assert sandbox.requests == []


async def test_the_error_for_the_name_of_a_delivery_names_the_event_to_subscribe_to(gg: GoedGepickt) -> None:
    with pytest.raises(ValidationError, match=r"subscribe to product\.stockChanged"):
        await gg.webhooks.ensure(URL, "compoundProductStockUpdated")


async def test_an_event_that_this_version_does_not_know_can_be_subscribed_to(gg: GoedGepickt) -> None:
    with pytest.warns(UserWarning, match=r"'shipment.created' is no WebhookEvent that this version knows"):
        done = await gg.webhooks.ensure(URL, "shipment.created", webshops=gg.settings.webshop_uuid)
    assert [hook.event for hook in done.created] == ["shipment.created"]


async def test_an_unknown_webshop_is_refused_by_the_api_and_created_subscriptions_are_kept(
    gg: GoedGepickt, sandbox: Sandbox
) -> None:
    with pytest.raises(ValidationError) as caught:
        await gg.webhooks.ensure(URL, "order.statusChanged", webshops=[str(gg.settings.webshop_uuid), "nobody"])
    assert caught.value.status == 422
    assert list(caught.value.fields) == ["webshop_uuid"]
    assert len(sandbox.world.webhooks) == 1


@each_row("secret", [None, Secret("")])
def test_a_subscription_without_its_secret_raises_an_error(secret: Secret | None) -> None:
    done = EnsuredWebhooks(
        existing=(Webhook(uuid="h-1", secret=secret),), created=(Webhook(uuid="h-2", secret=Secret("x")),)
    )
    with pytest.raises(DecodeError, match="h-1"):
        _ = done.secrets


def test_a_secret_of_several_subscriptions_is_returned_once() -> None:
    hooks = tuple(Webhook(uuid=f"h-{number}", secret=Secret("geheim")) for number in range(3))
    assert EnsuredWebhooks(existing=hooks).secrets == (Secret("geheim"),)


@each_row(
    ("one", "other", "same"),
    [
        (URL, URL, True),
        ("https://shop.example.test", "HTTPS://SHOP.example.test:443/", True),
        ("http://shop.example.test:80/a", "http://shop.example.test/a", True),
        (URL, URL + "/", False),
        (URL, URL.replace("https", "http"), False),
        (URL, URL + "?a=1", False),
        (URL, URL.replace("hooks", "Hooks"), False),
        ("https://a:b@shop.example.test/", "https://shop.example.test/", False),
        ("https://shop.example.test:443/", "https://shop.example.test:8443/", False),
        (None, URL, False),
        ("https://[", "https://[", True),
        ("https://[", URL, False),
    ],
)
def test_urls_are_equal_if_they_mean_the_same_address(one: str | None, other: str, *, same: bool) -> None:
    assert same_target(one, other) is same
    assert same_target(other, one) is same


_HOOKS = st.builds(
    Webhook,
    uuid=st.uuids().map(str),
    event=st.sampled_from([None, *BOTH, WebhookEvent("a.b")]),
    target_url=st.sampled_from([None, URL, URL.upper().replace("/HOOKS", "/hooks"), "https://x.test/"]),
    webshop_uuid=st.sampled_from([None, "a", "A", "b", "c"]),
)


@pytest.mark.slow
@given(hooks=st.lists(_HOOKS), webshops=st.lists(st.sampled_from(["a", "b", "B"]), min_size=1))
def test_each_wanted_subscription_is_either_existing_or_missing(hooks: list[Webhook], webshops: list[str]) -> None:
    ensured, lacking = diff(URL, BOTH, webshops, hooks)
    there = {(hook.event, str(hook.webshop_uuid).lower()) for hook in ensured.existing}
    missing = [(event, webshop.lower()) for event, webshop in lacking]
    assert len(missing) == len(set(missing))
    assert there.isdisjoint(missing)
    assert there | set(missing) == {(event, webshop.lower()) for event in BOTH for webshop in webshops}
    assert not {hook.uuid for hook in ensured.existing} & {hook.uuid for hook in ensured.other_target}
