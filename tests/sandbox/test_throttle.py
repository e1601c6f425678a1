"""The throttle, against a second and simpler statement of the same algorithm, and over the wire."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goedgepickt_async.sandbox.app import CacheFlavour, Throttle
from goedgepickt_async.testing import VirtualClock

if TYPE_CHECKING:
    from .conftest import Serve

T0 = 1_790_000_000.25
GAPS = st.lists(st.floats(0, 4, allow_nan=False), min_size=1, max_size=80)
OVER: dict[CacheFlavour, Callable[[float, float, float], bool]] = {
    "redis": lambda now, start, period: now >= start + period,
    "file": lambda now, start, period: math.floor(now) >= math.floor(start) + period,
    "memcached": lambda now, start, period: math.floor(now - 0.37) >= math.floor(start) + period,
}


@pytest.mark.parametrize("flavour", ["redis", "file", "memcached"])
@given(gaps=GAPS, limit=st.integers(1, 6), period=st.sampled_from([1.0, 2.0, 2.5, 10.0]))
def test_it_is_a_fixed_window_from_the_first_request_and_refusals_do_not_count(
    flavour: CacheFlavour, gaps: list[float], limit: int, period: float
) -> None:
    throttle = Throttle(limit, period, flavour)
    start, count = None, 0
    for now in accumulate(gaps, initial=T0):
        if start is None or OVER[flavour](now, start, period):
            start, count = now, 0
        refusal = throttle.arrive(now, "ip")
        assert (refusal is not None) == (count >= limit)
        count += refusal is None
        if refusal is None:
            assert throttle.leave(now, "ip") == {
                "X-RateLimit-Limit": str(limit),
                "X-RateLimit-Remaining": str(limit - count),
            }
        else:
            wait = max(0, int(math.floor(start) + period) - math.floor(now))
            assert refusal == {
                "X-RateLimit-Limit": str(limit),
                "X-RateLimit-Remaining": "0",
                "Retry-After": str(wait),
                "X-RateLimit-Reset": str(math.floor(now) + wait),
            }


@given(gaps=GAPS, limit=st.integers(1, 6))
def test_an_admission_after_a_refusal_comes_no_sooner_than_the_period_after_the_window_began(
    gaps: list[float], limit: int
) -> None:
    throttle = Throttle(limit, 10.0)
    admitted: list[float] = []
    refused = False
    for now in accumulate(gaps, initial=T0):
        if throttle.arrive(now, "ip") is None:
            if refused:
                assert now - admitted[-limit] >= 10.0
            admitted.append(now)
            refused = False
        else:
            refused = True


@given(gaps=GAPS)
def test_clients_are_counted_apart(gaps: list[float]) -> None:
    alone, shared = Throttle(3, 5.0), Throttle(3, 5.0)
    for now in accumulate(gaps, initial=T0):
        shared.arrive(now, "other")
        assert shared.arrive(now, "ip") == alone.arrive(now, "ip")


def test_retry_after_can_be_zero_while_the_window_still_lives() -> None:
    throttle = Throttle(1, 60.0)
    throttle.arrive(T0, "ip")
    refusal = throttle.arrive(T0 + 59.8, "ip")
    assert refusal is not None
    assert refusal["Retry-After"] == "0"
    assert throttle.arrive(T0 + 60.0, "ip") is None


def test_remaining_is_whole_again_when_the_window_ended_while_the_controller_ran() -> None:
    throttle = Throttle(5, 60.0)
    throttle.arrive(T0, "ip")
    assert throttle.leave(T0 + 61, "ip")["X-RateLimit-Remaining"] == "5"


async def test_over_the_wire_it_counts_down_refuses_and_starts_over(serve: Serve) -> None:
    clock = VirtualClock(start=T0)
    api = await serve(limit=3, period=60.0, clock=clock.time)
    remaining = [(await api.get("/webshops")).headers["x-ratelimit-remaining"] for _ in range(3)]
    assert remaining == ["2", "1", "0"]
    clock.advance(58.5)
    refused = await api.get("/orders")
    assert refused.status == 429
    assert refused.raw == b'{\n    "message": "Too Many Attempts."\n}'
    assert refused.headers["Retry-After"] == "2"
    assert refused.headers["X-RateLimit-Reset"] == str(math.floor(T0) + 60)
    assert api.sandbox.throttled == 1
    clock.advance(1.5)
    after = await api.get("/orders")
    assert (after.status, after.headers["X-RateLimit-Remaining"]) == (200, "2")


async def test_successes_have_no_retry_after_and_errors_of_controllers_have_rate_headers(serve: Serve) -> None:
    api = await serve(limit=10)
    good, missing, invalid = await api.get("/orders"), await api.get("/orders/none"), await api.post("/orders", {})
    assert (good.status, missing.status, invalid.status) == (200, 404, 422)
    assert [reply.headers["X-RateLimit-Remaining"] for reply in (good, missing, invalid)] == ["9", "8", "7"]
    for reply in (good, missing, invalid):
        assert "Retry-After" not in reply.headers
        assert "X-RateLimit-Reset" not in reply.headers


async def test_both_bases_and_both_keys_share_one_budget(serve: Serve) -> None:
    api = await serve(limit=2)
    account = {"Authorization": f"Bearer {api.sandbox.account_key}"}
    await api.get("/orders")
    await api.call("GET", f"{api.sandbox.account_url}/orders", headers=account)
    assert (await api.get("/webshops")).status == 429


async def test_a_scaled_down_window_ends_exactly(serve: Serve) -> None:
    clock = VirtualClock(start=T0)
    api = await serve(limit=1, period=2.0, clock=clock.time)
    await api.get("/webshops")
    clock.advance(1.99)
    assert (await api.get("/webshops")).status == 429
    clock.advance(0.01)
    assert (await api.get("/webshops")).status == 200


async def test_without_a_limit_there_are_no_rate_headers(serve: Serve) -> None:
    api = await serve(limit=None)
    assert not [name for name in (await api.get("/orders")).headers if name.lower().startswith("x-rate")]
