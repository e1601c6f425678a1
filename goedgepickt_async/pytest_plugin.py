"""The pytest plugin: fixtures for a running sandbox, a client of it, and a virtual clock.

pytest loads this module at every start, also for projects that never use it. So each fixture imports the package when a test
asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from goedgepickt_async.budget import LocalBudget
    from goedgepickt_async.client import GoedGepickt
    from goedgepickt_async.sandbox import Sandbox
    from goedgepickt_async.testing import VirtualClock

__all__ = [
    "goedgepickt_budget",
    "goedgepickt_client",
    "goedgepickt_clock",
    "goedgepickt_sandbox",
    "goedgepickt_sandbox_options",
]

_MARKER = "goedgepickt_sandbox"
_CLOCK = "goedgepickt_clock"


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, for `--strict-markers`."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(**options): the arguments of the `Sandbox` that the fixture `goedgepickt_sandbox` starts, "
        "such as orders=300, limit=150, period=60.0.",
    )


@pytest.fixture
def goedgepickt_sandbox_options() -> dict[str, Any]:
    """The arguments of the `Sandbox`.

    Override this fixture in a package or a module. The marker's arguments have priority.
    """
    return {}


@pytest.fixture
def goedgepickt_sandbox(
    request: pytest.FixtureRequest, goedgepickt_sandbox_options: dict[str, Any]
) -> Iterator[Sandbox]:
    """A new `Sandbox` for each test, on a free loopback port. It has no rate limit unless `limit=` is given.

    It runs in a separate thread, so plain tests and asynchronous tests of any plugin can use it. With
    `goedgepickt_clock` it runs on that clock instead.
    """
    from goedgepickt_async.testing import sandbox as fixtures  # noqa: PLC0415  not at pytest's start

    with fixtures.running(_options(request, goedgepickt_sandbox_options), _clock(request)) as sandbox:
        yield sandbox


@pytest.fixture
def goedgepickt_budget(request: pytest.FixtureRequest, goedgepickt_sandbox_options: dict[str, Any]) -> LocalBudget:
    """A budget with the limit and period of the sandbox, or practically without a limit if the sandbox has none."""
    from goedgepickt_async.testing import sandbox as fixtures  # noqa: PLC0415  not at pytest's start

    return fixtures.fitting_budget(_options(request, goedgepickt_sandbox_options), _clock(request))


@pytest.fixture
def goedgepickt_client(
    request: pytest.FixtureRequest, goedgepickt_sandbox: Sandbox, goedgepickt_budget: LocalBudget
) -> Iterator[GoedGepickt]:
    """A `GoedGepickt` client for the sandbox's first webshop, for any event loop. It is closed after the test."""
    from goedgepickt_async.testing import sandbox as fixtures  # noqa: PLC0415  not at pytest's start

    with fixtures.client_of(goedgepickt_sandbox, goedgepickt_budget, _clock(request)) as client:
        yield client


@pytest.fixture
def goedgepickt_clock(request: pytest.FixtureRequest) -> Iterator[VirtualClock]:
    """A `VirtualClock` that the sandbox, the client and its budget share: `goedgepickt_clock.run(main())` skips waiting."""
    from goedgepickt_async.testing import sandbox as fixtures  # noqa: PLC0415  not at pytest's start

    if fixtures.is_asynchronous(getattr(request, "function", None)):
        pytest.fail(
            f"{_CLOCK} has its own event loop: write `def` instead of `async def`, "
            f"and call coroutines with {_CLOCK}.run(…)",
            pytrace=False,
        )
    with fixtures.VirtualClock() as clock:
        yield clock


def _clock(request: pytest.FixtureRequest) -> VirtualClock | None:
    """The clock, if the test asked for it."""
    return request.getfixturevalue(_CLOCK) if _CLOCK in request.fixturenames else None


def _options(request: pytest.FixtureRequest, overridden: dict[str, Any]) -> dict[str, Any]:
    """The arguments of the sandbox. The nearest marker has priority, then outer markers, then the fixture."""
    from goedgepickt_async.testing import sandbox as fixtures  # noqa: PLC0415  not at pytest's start

    options: dict[str, Any] = {"limit": None, **overridden}
    for marker in reversed(list(request.node.iter_markers(_MARKER))):
        if marker.args:
            pytest.fail(f"the marker {_MARKER} takes named options only, not {marker.args[0]!r}", pytrace=False)
        options |= marker.kwargs
    try:
        fixtures.check(options)
    except ValueError as problem:
        pytest.fail(f"the options of {_MARKER} do not make a sandbox: {problem}", pytrace=False)
    return options
