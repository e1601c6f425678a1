"""The probe names exactly what another server does otherwise: it fits the facts, not the sandbox."""

import os

import pytest

from goedgepickt_async import GoedGepickt
from goedgepickt_async.contract import FACTS, Probe, Report
from goedgepickt_async.testing import unlimited_budget

from .other_service import DEVIATIONS, KEY, Service, serve

pytestmark = pytest.mark.slow

# The service keeps nothing back, and its filter by a past status does not exist.
ALWAYS = {"filter.orderstatus"}

# Deviations in different parts of the answers share a run.
TOGETHER: list[tuple[str, ...]] = [
    ("head is refused", "no counter headers", "totals as text", "newest first"),
    ("answers are gzipped", "the counter stands still", "dates with an offset", "webshopUuid is ignored"),
    ("a limit of 60", "pages overlap", "amounts as numbers"),
    ("pages of 50 at most", "an unknown key is 403", "createdAfter is ignored"),
    ("a size above 100 is refused", "createdAfter leaves the day out", "an unknown uuid is 400"),
    ("pages count from 0", "orderBy is ignored", "success is 206"),
    ("dates as a Unix second", "the default page has 25 rows", "errors are plain text"),
    ("no pageInfo", "the search is ignored", "the other API takes the key too"),
    ("days begin at midnight UTC", "the cursor starts again", "totalItems one too many", "more keys beside items"),
    ("rows under data",),
    ("the cursor is refused", "single objects have a wrapper", "past the end is 404"),
    ("past the end is the first page", "unknown values"),
    ("itemsPerPage is what was asked", "bad input is 400", "the cursor skips a row"),
]
# The long profile also runs each deviation by itself.
ALONE = [(name,) for odd in TOGETHER if len(odd) > 1 for name in odd]
CASES = TOGETHER + ALONE * ("GOEDGEPICKT_FUZZ" in os.environ)


async def probed(service: Service) -> Report:
    async with serve(service) as url, GoedGepickt(KEY, base_url=url, budget=unlimited_budget()) as client:
        probe = Probe(client)
        async for _ in probe.run():
            pass
        assert not probe.steps
    report = probe.report()
    assert service.asked == report.requests <= 100
    return report


def deviations(report: Report) -> set[str]:
    return {finding.fact for finding in report.deviations}


async def test_a_service_that_is_as_the_facts_say_has_no_deviation() -> None:
    report = await probed(Service())
    assert deviations(report) == set()
    verdicts = {finding.fact: finding for finding in report.findings}
    assert verdicts.keys() >= FACTS.keys()
    for fact in FACTS.values():
        if not fact.probed:
            assert verdicts[fact.id].verdict == "could not tell"
            assert verdicts[fact.id].details[0]
    assert verdicts["order.twice"].details == ("only writes show it",)


@pytest.mark.parametrize("odd", CASES, ids=", ".join)
async def test_each_deviation_is_reported_and_nothing_else(odd: tuple[str, ...]) -> None:
    assert deviations(await probed(Service(*odd))) == set().union(*(DEVIATIONS[name] for name in odd))


def test_every_deviation_has_one_case() -> None:
    assert sorted(name for odd in TOGETHER for name in odd) == sorted(DEVIATIONS)


async def test_what_is_new_and_no_deviation_is_named() -> None:
    report = await probed(Service("more keys beside items", "unknown values", "answers are gzipped"))
    assert report.unknown["List"] == ("links", "requestId")
    assert report.unknown["OrderStatus"] == ("sent_to_the_moon",)
    assert "Content-Encoding" in report.headers
